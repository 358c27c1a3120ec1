"""Fixtures that the tests share: the installed command, and data that lies outside the checkout."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import is_hypothesis_test, settings
from hypothesis.internal.conjecture import providers

from tests.warm import PROGRAM, WarmStarts

# A busy machine is no failing test. What a test draws depends on the test alone, so that a change is
# red for what it did and not for what was drawn; ``make fuzz`` draws anew, and more.
settings.register_profile(
    "default", deadline=None, derandomize=True, database=None, print_blob=True
)
settings.register_profile("fuzz", deadline=None, derandomize=False, database=None, print_blob=True)
settings.load_profile("default")
FUZZ_TIMES = 10

# Hypothesis also draws the constants of whichever modules of ours are loaded by then, and that depends
# on the tests that the same process ran before.
assert hasattr(providers, "_get_local_constants")
providers._get_local_constants = providers.Constants


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under ``fuzz`` every hypothesis test runs longer, also one that says how many examples."""
    if settings.get_current_profile_name() == "fuzz":
        tests = {item.obj for item in items if isinstance(item, pytest.Function)}
        for test in filter(is_hypothesis_test, tests):
            lengthen(test)


def lengthen(test: Callable[..., object]) -> None:
    """Multiply the number of examples of a hypothesis test by ``FUZZ_TIMES``."""
    # A second @settings is an error, hence where the first one is kept.
    given = test._hypothesis_internal_use_settings  # type: ignore[attr-defined]
    longer = settings(given, max_examples=FUZZ_TIMES * given.max_examples)
    test._hypothesis_internal_use_settings = longer  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The global generators begin every test alike, whichever tests the process ran before."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


ROOT = Path(__file__).parents[1]
LONGEST = 300  # seconds

Mlhw = Callable[..., "subprocess.CompletedProcess[str]"]


def smoke(experiment: str) -> str:
    """The configuration that runs in seconds: the short version, or the default where that is short."""
    short = ROOT / "configs" / "smoke" / f"{experiment}.yaml"
    return str(short if short.exists() else ROOT / "configs" / f"{experiment}.yaml")


@functools.cache
def warm_starts() -> WarmStarts:
    """One for all tests of this process, begun by the first that needs it."""
    return WarmStarts()


@pytest.fixture(autouse=True, scope="session")
def no_start_is_left() -> Iterator[None]:
    yield
    if warm_starts.cache_info().currsize:
        warm_starts().close()


def mlhw_in(folder: Path) -> Mlhw:
    """The installed command in ``folder``, without a terminal.

    Where ``fresh`` is asked for, or a variable that libraries may read, as a process that loads them anew.
    """

    def run(
        *arguments: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        fresh: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        words = [str(PROGRAM), *map(str, arguments)]
        variables = {**os.environ, "MLHW_RUNS_DIR": str(folder / "runs"), **(env or {})}
        if not fresh and warm_starts().knows(variables):
            return warm_starts().run(words, cwd or folder, variables, LONGEST)
        return subprocess.run(
            words,
            cwd=cwd or folder,
            env=variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LONGEST,
        )

    return run


@pytest.fixture
def mlhw(tmp_path: Path) -> Mlhw:
    """Run the installed command in an empty folder, without a terminal."""
    return mlhw_in(tmp_path)


DRAWN = 1_234_567_890


@pytest.fixture
def one_seed(tmp_path: Path) -> dict[str, str]:
    """An environment for ``mlhw`` in which ``--seed random`` draws ``DRAWN``."""
    folder = tmp_path / "one seed"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import secrets\n\nsecrets.randbits = lambda count: {DRAWN}\n"
    )
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}


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


def runs_of_mlhw() -> set[int]:
    """The processes of the installed command that this one has started and that still run (on Linux)."""
    found = set()
    # A thread or a process may end while it is looked at.
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in listed.read_text().split():
                if str(PROGRAM).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(int(pid))
    return found


@pytest.fixture(autouse=True)
def no_run_goes_on() -> Iterator[None]:
    """A run that a failing test did not get to stop would go on for hours and slow all the others."""
    before = runs_of_mlhw()
    yield
    for pid in runs_of_mlhw() - before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
