"""Fixtures that the tests share: the installed command, and data that lies outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failing test; in CI the examples are the same every time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).parent / "mlhw"

Mlhw = Callable[..., "subprocess.CompletedProcess[str]"]


def smoke(experiment: str) -> str:
    """The configuration that runs in seconds: the short version, or the default where that is short."""
    short = ROOT / "configs" / "smoke" / f"{experiment}.yaml"
    return str(short if short.exists() else ROOT / "configs" / f"{experiment}.yaml")


@pytest.fixture
def mlhw(tmp_path: Path) -> Mlhw:
    """Run the installed command in an empty folder, without a terminal."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            cwd=cwd or tmp_path,
            env={**os.environ, "MLHW_RUNS_DIR": str(tmp_path / "runs"), **(env or {})},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )

    return run


def shared(path: str) -> Path:
    """A file of the course's material beside the checkout; the test is skipped without it."""
    found = ROOT.parent / "shared" / path
    if not found.exists():
        pytest.skip(f"needs the course's {path} beside the checkout")
    return found


@pytest.fixture
def course_points() -> Path:
    """The course's 200 points, ``x1 x2 1 t``."""
    return shared("data/logistic/data.txt")
