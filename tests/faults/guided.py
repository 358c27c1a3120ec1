"""A reader fuzzed by coverage: ``python -m tests.faults.guided yaml|points|channel [OPTION …]``."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mlhw", "yaml"]):
    from mlhw.errors import MlhwError
    from mlhw.points.files import read_table
    from mlhw.text import yaml12

from tests.faults.drawn import heard

_FOLDER = Path(tempfile.mkdtemp())


def yaml(data: bytes) -> None:
    yaml12.parse(data.decode("utf-8", "replace"), "c.yaml")


def points(data: bytes) -> None:
    path = _FOLDER / "p.txt"
    path.write_bytes(data)
    read_table(str(path))


def channel(data: bytes) -> None:
    heard(data)


def one_input(data: bytes) -> None:
    with contextlib.suppress(MlhwError):
        TARGET(data)


TARGET = {"yaml": yaml, "points": points, "channel": channel}[sys.argv.pop(1)]
atheris.Setup(sys.argv, one_input)
atheris.Fuzz()
