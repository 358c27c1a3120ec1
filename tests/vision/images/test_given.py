"""Images as they are named on the command line: the same as shell, find and Python's glob would name."""

from __future__ import annotations

import glob
import os
import threading
from pathlib import Path

import pytest

from mlhw.errors import ConfigError
from mlhw.vision.images.given import given_images

NAMES = [
    "a.jpg",
    "b.PNG",
    "notes.txt",
    "README",
    ".c.jpg",
    "sub/d.jpeg",
    "sub/deep/e.webp",
    "[1].jpg",
]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    monkeypatch.chdir(tmp_path)
    return Path("photos")


def named(*words: object, stdin: int = 0) -> tuple[list[str], list[str]]:
    """The paths of all groups, and the notes."""
    notes: list[str] = []
    groups = given_images([str(word) for word in words], notes.append, stdin)
    return [str(path) for group in groups for path in group], notes


def test_a_folder_gives_its_images_and_counts_the_rest(photos: Path) -> None:
    found, notes = named(photos)
    assert found == sorted(
        f"photos/{n}" for n in NAMES if n not in ("notes.txt", "README", ".c.jpg")
    )
    assert notes == ["photos: passed over 1 .txt, 1 without suffix, 1 hidden"]


def test_linked_folders_are_entered_once_and_circles_end(photos: Path) -> None:
    (photos / "sub" / "up").symlink_to("..")
    (photos / "again").symlink_to("sub/deep")
    found, _ = named(photos)
    assert sorted(os.path.basename(path) for path in found) == [
        "[1].jpg",
        "a.jpg",
        "b.PNG",
        "d.jpeg",
        "e.webp",
    ]


@pytest.mark.parametrize("pattern", ["photos/*.jpg", "photos/?.*", "photos/**/*.jp*g", "*/sub/*/*"])
def test_a_quoted_pattern_gives_what_pythons_glob_gives(photos: Path, pattern: str) -> None:
    assert named(pattern)[0] == sorted(glob.glob(pattern, recursive=True))


def test_a_folder_that_a_pattern_matches_is_opened_once(photos: Path) -> None:
    assert named("photos/su*")[0] == ["photos/sub/d.jpeg", "photos/sub/deep/e.webp"]
    found = named("photos/**")[0]
    assert len(found) == len(set(found))
    assert {"photos/sub/deep/e.webp", "photos/a.jpg"} <= set(found)


def test_what_exists_is_taken_as_it_is(photos: Path) -> None:
    Path("@a.jpg").touch()
    assert named("photos/[1].jpg", "@a.jpg")[0] == ["photos/[1].jpg", "@a.jpg"]


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\0"])
def test_a_list_has_a_path_a_line_from_its_own_folder_on(photos: Path, separator: bytes) -> None:
    entries = [b"a.jpg", b"", b"sub", b"missing.jpg", b"caf\xe9.jpg"]
    (photos / "list.txt").write_bytes(
        b"\xef\xbb\xbf" * (separator != b"\0") + separator.join(entries)
    )
    found, _ = named("@photos/list.txt")
    assert found == [
        "photos/a.jpg",
        "photos/sub/d.jpeg",
        "photos/sub/deep/e.webp",
        "photos/missing.jpg",  # said when it is read
        os.fsdecode(b"photos/caf\xe9.jpg"),
    ]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing.jpg", "nothing.jpg: no such file or folder"),
        ("photos/*.gif", "photos/*.gif: matches no file or folder"),
        ("@nothing.txt", "@nothing.txt: the list cannot be read: "),
        ("@empty.txt", "@empty.txt: names no image"),
        ("dangling.jpg", "dangling.jpg: is a link that leads nowhere"),
        ("photos/bare", "photos/bare: holds no image"),
    ],
)
def test_a_word_that_leads_nowhere_is_named(photos: Path, word: str, message: str) -> None:
    Path("empty.txt").write_text("\n\n")
    Path("dangling.jpg").symlink_to("gone.jpg")
    (photos / "bare").mkdir()
    with pytest.raises(ConfigError) as caught:
        named(photos, word)
    assert str(caught.value).startswith(message)


def test_stdin_gives_groups_as_they_come_in_its_place(photos: Path) -> None:
    reading, writing = os.pipe()
    groups = given_images(["photos/a.jpg", "-", "photos/b.PNG"], lambda line: None, reading)
    assert next(groups) == [Path("photos/a.jpg")]
    os.write(writing, b"x.jpg\ny.jpg\nz")
    assert next(groups) == [Path("x.jpg"), Path("y.jpg")]
    os.write(writing, b".jpg\n")
    assert next(groups) == [Path("z.jpg")]
    os.write(writing, b"last.jpg")
    os.close(writing)
    assert list(groups) == [[Path("last.jpg")], [Path("photos/b.PNG")]]
    os.close(reading)


def test_names_with_newlines_come_whole_from_find_print0(photos: Path) -> None:
    reading, writing = os.pipe()
    names = [f"{'long' * 300}{i}\n.jpg" for i in range(200)]  # more than a pipe holds at once

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write("".join(f"{name}\0" for name in names).encode())

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    found, _ = named("-", stdin=reading)
    writer.join()
    os.close(reading)
    assert found == names


def test_an_empty_or_a_second_stdin_is_an_error(photos: Path) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(ConfigError, match="no path came through stdin"):
        named("-", stdin=reading)
    os.close(reading)
    with pytest.raises(ConfigError, match="can be read once"):
        named("-", "-")


@pytest.mark.parametrize("pattern", ["photos/**/*.jpeg", "photos/**/*", "photos/**", "**/*.jpeg"])
def test_a_pattern_enters_each_linked_folder_once(photos: Path, pattern: str) -> None:
    for name in ("self", "again"):
        (photos / "sub" / name).symlink_to(".")
    (photos / "sub" / "up").symlink_to("..")
    assert [p for p in named(pattern)[0] if p.endswith("d.jpeg")] == ["photos/sub/d.jpeg"]


def test_an_empty_word_is_no_folder(photos: Path) -> None:
    with pytest.raises(ConfigError, match="is empty; give a path"):
        named("")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_a_list_in_utf_16_is_named(photos: Path, encoding: str) -> None:
    (photos / "list.txt").write_bytes("a.jpg\r\nsub\r\n".encode(encoding))
    with pytest.raises(ConfigError, match="is UTF-16; save it as UTF-8"):
        named("@photos/list.txt")
    reading, writing = os.pipe()
    os.write(writing, "a.jpg\r\n".encode(encoding))
    os.close(writing)
    with pytest.raises(ConfigError, match="is UTF-16; save it as UTF-8"):
        named("-", stdin=reading)
    (photos / "list.txt").write_bytes(b"1\x002\x003\x00")  # find -print0
    assert named("@photos/list.txt")[0] == ["photos/1", "photos/2", "photos/3"]
