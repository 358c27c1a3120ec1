"""The fixture that counts faults, and what `make faults` writes at the end."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.faults.tally import Tally, added, gathered, times

PROPERTY = "faults"
# By the test file, and its kinds of faults.
_seen: dict[str, list[tuple[str, dict[str, int], list[float]]]] = {}


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def tally(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Callable[[str], Tally]]:
    """``tally(KIND)`` counts faults of that kind; the test fails if one did not survive.

    One that fails before it has counted the fault that it failed at has lost it.
    """
    made: list[Tally] = []

    def make(kind: str) -> Tally:
        made.append(Tally(kind))
        return made[-1]

    yield make
    if made and request.node.stash.get(FAILED, False):
        made[-1].note(request.node.nodeid, "lost", "the test failed")
    for one in made:
        record_property(PROPERTY, [one.kind, dict(one.counts), one.seconds])
    bad = [line for one in made for line in one.bad]
    assert not bad, "\n".join(bad)
    assert all(one.counts for one in made), "no fault was injected"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Comes to the process that reports, whichever worker ran the test."""
    for name, value in report.user_properties if report.when == "teardown" else ():
        if name == PROPERTY and isinstance(value, (list, tuple)):
            kind, counts, seconds = value
            file = Path(report.nodeid.partition("::")[0]).stem
            _seen.setdefault(file, []).append((kind, counts, seconds))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Figures of the test files that were tried take the place of their earlier ones."""
    target = os.environ.get("FAULTS_RESULTS")
    if target is None or not _seen or hasattr(session.config, "workerinput"):
        return
    sys.path.insert(0, str(ROOT / "bench"))
    from timing import machine

    path = Path(target)
    before = json.loads(path.read_text())["files"] if path.exists() else {}
    now: dict[str, dict[str, Any]] = {}
    for file, seen in _seen.items():
        now[file] = dict(added((kind, counts) for kind, counts, _ in seen))
        for kind, row in now[file].items():
            if took := [one for of, _, seconds in seen if of == kind for one in seconds]:
                row["times"] = times(took)
    results = gathered(before, now, date=time.strftime("%Y-%m-%d"), machine=machine())
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
