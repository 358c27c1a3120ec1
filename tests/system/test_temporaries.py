"""What is not whole yet, and which of it nobody will finish."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlhw.system import temporaries
from mlhw.system.files import point, whole, write_new, write_whole
from mlhw.system.temporaries import leftovers, leftovers_below, sweep, sweep_of, temporary_of
from mlhw.text.words import near_file

DAY = 86_400


def dead_process() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture(scope="module")
def dead() -> int:
    return dead_process()


def made(folder: Path, name: str, age: float = 0.0) -> Path:
    path = folder / name
    path.write_text("half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_what_a_dead_process_of_this_machine_left_is_told_from_all_else(
    tmp_path: Path, dead: int
) -> None:
    here = temporary_of(tmp_path / "last.pt").name.split(".")[-3]
    live = os.getpid()
    left = [
        made(tmp_path, f".last.pt.{here}.{dead}.tmp"),
        made(tmp_path, f".last.pt.{here}.{dead}-77.tmp"),  # of another thread
        made(tmp_path, f".last.pt.{dead}.tmp"),  # of an earlier version
        made(tmp_path, f".last.pt.habcdef.{live}.tmp", age=DAY + 60),  # of another machine
        made(
            tmp_path, f".last.pt.{here}.{live}.tmp", age=DAY + 60
        ),  # the number is another's by now
    ]
    made(tmp_path, f".last.pt.{here}.{live}.tmp2")
    made(tmp_path, f".last.pt.habcdef.{dead}.tmp", age=DAY - 600)
    made(tmp_path, f".best.{here}.{live}.tmp")
    made(tmp_path, "last.pt")
    made(tmp_path, ".tmp")
    locked = made(tmp_path, f".prev.pt.{here}.{dead}.tmp", age=2 * DAY)
    with open(locked, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert leftovers(tmp_path) == sorted(left)
        sweep_of(tmp_path / "last")
        assert leftovers(tmp_path) == sorted(left)
        # Who has the run's lock knows that no process writes here but those that have locked a file.
        assert len(leftovers(tmp_path, owned=True)) == len(left) + 2
    assert locked in leftovers(tmp_path)
    sweep_of(tmp_path / "last.pt")
    # A name without a machine may be another program's.
    assert leftovers(tmp_path) == [left[2], locked]


def test_a_file_that_is_being_written_is_nobodys_leftover(tmp_path: Path) -> None:
    with whole(tmp_path / "last.pt") as file:
        file.write(b"half")
        file.flush()
        (own,) = tmp_path.iterdir()
        os.utime(own, (0, 0))
        assert leftovers(tmp_path, owned=True) == []
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_one_that_was_taken_away_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = temporaries.lock, []

    def late(file: object) -> bool:
        if not swept:
            swept.append(temporary_of(tmp_path / "a"))
            swept[0].unlink()
        return lock(file)  # type: ignore[arg-type]

    monkeypatch.setattr(temporaries, "lock", late)
    write_whole(tmp_path / "a", "all of it")
    assert swept
    assert [path.read_text() for path in tmp_path.iterdir()] == ["all of it"]


def test_the_next_write_of_a_file_takes_away_what_a_killed_one_left(
    tmp_path: Path, dead: int
) -> None:
    here = temporary_of(tmp_path / "it").name.split(".")[-3]
    other = made(tmp_path, f".other.{dead}.tmp")
    for write in (
        lambda path: write_whole(path, "new"),
        lambda path: write_new(path, b"new"),
        lambda path: point(path, "new"),
    ):
        made(tmp_path, f".it.{here}.{dead}.tmp")
        write(tmp_path / "it")
        assert {path.name for path in tmp_path.iterdir()} == {"it", other.name}
        (tmp_path / "it").unlink()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_links_and_folders_are_left_over_too(tmp_path: Path, dead: int) -> None:
    link = tmp_path / f".latest.{dead}.tmp"
    link.symlink_to(tmp_path)
    folder = tmp_path / f".20261124-115632-lr-sweep.{dead}.tmp"
    folder.mkdir()
    log = made(folder, "log.txt")
    made(folder, f".run.json.{dead}.tmp")
    with open(log, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert leftovers(tmp_path) == [link]
    assert leftovers_below(tmp_path) == [folder, link]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "\udcff" * 250])
def test_a_name_as_long_as_names_can_be_is_written_whole(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, "content")
    assert os.listdir(tmp_path) == [name]


def test_a_new_file_replaces_none_also_where_files_have_one_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    write_new(path, b"first")

    def unable(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with pytest.raises(FileExistsError):
        write_new(path, b"second")
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "lexists", lambda _: False)  # somebody is faster
        with pytest.raises(FileExistsError):
            write_new(path, b"second")
        patch.setattr(os, "link", unable)
        with pytest.raises(FileExistsError):
            write_new(path, b"second")
        write_new(tmp_path / "other", b"third")
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "mine.yaml": "first",
        "other": "third",
    }


def test_no_hidden_file_is_meant_by_a_name_that_is_mistyped(tmp_path: Path) -> None:
    made(tmp_path, ".config.yaml.4711.tmp")
    assert near_file(str(tmp_path / "config.yaml")) == ""
    assert near_file(str(tmp_path / ".config.yaml.4712.tmp")) == ""
    made(tmp_path, "confg.yaml")
    assert "confg.yaml" in near_file(str(tmp_path / "config.yaml"))
