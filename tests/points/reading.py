"""What the tests of points share: a file that is written, and one that is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlhw.points.config import PointsConfig
from mlhw.points.load import load_points
from mlhw.points.points import Points


def read(path: Path, **keys: Any) -> Points:
    return load_points(PointsConfig(name=None, file=str(path), **keys))


CASES = Path(__file__).with_name("cases")


def case(name: str) -> Path:
    """A small file that stands for a kind."""
    return CASES / name


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
