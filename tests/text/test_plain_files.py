"""Files are read to a limit, whatever they say of their size."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from mlhw.text.plain_files import read_plain


def test_a_file_up_to_the_limit_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_plain(tmp_path / "a", 5) == b"12345"
    assert read_plain(tmp_path / "a", 1 << 40) == b"12345"
    with pytest.raises(OSError, match="it is larger than 4 bytes"):
        read_plain(tmp_path / "a", 4)


def test_of_a_larger_one_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 1 << 33)
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="it is larger than 268,435,456 bytes"):
            read_plain(tmp_path / "hole", 1 << 28)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="a file of Linux's that says 0")
def test_one_that_says_to_be_empty_is_read_to_the_limit_and_no_further() -> None:
    assert read_plain("/proc/self/maps", 1 << 28).count(b"\n") > 10
    with pytest.raises(OSError, match="it is larger than 100 bytes"):
        read_plain("/proc/self/maps", 100)


def test_a_folder_and_a_pipe_are_no_plain_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no plain file"):
        read_plain(tmp_path / "pipe", 9)
    with pytest.raises(IsADirectoryError):
        read_plain(tmp_path, 9)
