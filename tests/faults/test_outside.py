"""The watch on files: a temporary folder that is gone is allowed, and nothing besides."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.faults.outside import lasting, touched


def test_a_temporary_folder_is_nobodys_business_once_it_is_gone() -> None:
    with tempfile.TemporaryDirectory(prefix="mlhw-grading-") as name:
        real = os.path.realpath(name)
        lines = [f"os.mkdir {real!r}", f"open {real + '/stage'!r}", f"os.rmdir {real!r}"]
        assert lasting(lines) == lines
    assert lasting(lines) == []
    assert lasting(lines[1:]) == lines[1:]  # one that was not made by whom we watch
    others = ["open '/tmp/x'", "os.mkdir '/srv/mlhw-grading-abcdefgh'", f"open {real + 'x'!r}"]
    assert lasting([*lines, *others]) == others


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR | os.O_CREAT | os.O_TRUNC])
def test_a_file_that_is_written_elsewhere_is_seen_and_one_without_a_name_is_not(
    tmp_path: Path, flags: int
) -> None:
    def seen(path: Path, flags: int) -> list[str]:
        return list(touched("open", (str(path), "w", flags), "/nowhere", ("/dev/",)))

    assert seen(tmp_path / "a", flags) == [f"open {os.path.realpath(tmp_path / 'a')!r}"]
    assert seen(tmp_path / "a", os.O_RDONLY) == seen(tmp_path, flags) == []
