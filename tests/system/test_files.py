"""A file is written whole or stays what it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlhw.system.files import cache_folder, overwrite, point, whole, write_whole
from mlhw.system.temporaries import temporary_of


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_an_exception_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def interrupted() -> None:
        with whole(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with whole(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(tmp_path / "none" / "file", "")
    assert caught.value.filename == str(tmp_path / "none" / "file")


def test_a_link_leads_to_its_new_target_and_a_leftover_of_a_killed_process_is_no_hindrance(
    tmp_path: Path,
) -> None:
    link = tmp_path / "latest"
    for target in ("one", "two"):
        point(link, target)
        assert os.readlink(link) == target
    temporary_of(link).write_text("left over")
    point(link, "three")
    assert os.readlink(link) == "three"
    assert list(tmp_path.iterdir()) == [link]


def test_a_folder_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "latest"
    folder.mkdir()
    with pytest.raises(OSError, match="latest"):
        point(folder, "elsewhere")
    assert list(tmp_path.iterdir()) == [folder]


def test_the_cache_is_where_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder("features") == Path("/somewhere/mlhw/features")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder("features") == Path("/home/me/.cache/mlhw/features")


def test_an_error_about_the_new_file_names_the_one_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "no" / "mine.zip"
    with pytest.raises(OSError, match="mine") as caught, whole(target):
        pytest.fail("there is no folder to write into")
    assert caught.value.filename == str(target)


def test_what_is_written_in_place_or_beside_does_not_follow_a_link(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "run.json"
    victim.write_text("mine, and long enough")
    path.symlink_to(victim)
    assert not overwrite(path, "{}")
    temporary_of(path).symlink_to(victim)
    write_whole(path, "{}")
    assert (victim.read_text(), path.read_text()) == ("mine, and long enough", "{}")
    assert not path.is_symlink()
