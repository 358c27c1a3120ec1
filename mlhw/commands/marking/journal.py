"""``graded.jsonl``: each grade as soon as it is there, so that nothing is graded twice.

A line has the digest of what was graded, and by what, as its key: a submission that has not changed keeps its
grade when the run goes on. It has a digest of itself too; a line that is torn or changed counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Any

from mlhw.grading.graded import Graded
from mlhw.system.files import in_place, naming, write_whole
from mlhw.text.plain_files import read_plain

NAME = "graded.jsonl"
_MOST = 1 << 30


def key_of(digest: str, settings: dict[str, Any]) -> str:
    """The key of a submission with this digest under these settings."""
    text = json.dumps([digest, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def kept_grades(folder: Path) -> dict[str, Graded]:
    """The grades that a run has already, by their keys; none where there is no journal."""
    found: dict[str, Graded] = {}
    try:
        lines = read_plain(folder / NAME, _MOST).splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            entry = json.loads(line)
            if entry["sha256"] == _digest(entry["key"], entry["graded"]):
                found[entry["key"]] = Graded.from_dict(entry["graded"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def _digest(key: str, graded: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([key, graded], sort_keys=True).encode()).hexdigest()


class Journal:
    """Takes grades as they come; begun anew with those that are ``kept``."""

    def __init__(self, folder: Path, kept: dict[str, Graded]) -> None:
        self._path = folder / NAME
        with naming(self._path):
            write_whole(self._path, "".join(_line(key, graded) for key, graded in kept.items()))
            self._file: IO[str] = open(  # noqa: SIM115 - kept open
                self._path, "a", encoding="utf-8", opener=in_place
            )

    def add(self, key: str, graded: Graded) -> None:
        """Add one, flushed."""
        with naming(self._path):
            self._file.write(_line(key, graded))
            self._file.flush()

    def close(self) -> None:
        with naming(self._path):
            self._file.close()


def _line(key: str, graded: Graded) -> str:
    values = graded.as_dict()
    entry = {"key": key, "graded": values, "sha256": _digest(key, values)}
    return json.dumps(entry) + "\n"
