"""Cheating submissions, each on every rung that this machine offers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from mlhw.grading.isolation import rungs
from mlhw.grading.isolation.runner import Runner
from tests.grading.cheated import (
    CHEATS,
    RIGHT,
    SHORT,
    USUAL,
    World,
    cheat,
    handed_in,
    inside,
    verdict,
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture(scope="module", params=rungs.RUNGS)
def runner(request: pytest.FixtureRequest, world: World) -> Iterator[Runner]:
    reason = rungs.why_no_rung(request.param)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    os.environ["MLHW_SECRET"] = "x"
    with Runner(request.param, hidden=world.hidden) as found:
        yield found
    del os.environ["MLHW_SECRET"]


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gets_nowhere_and_costs_nobody_else_a_grade(
    runner: Runner, world: World, name: str
) -> None:
    tried = cheat(name)
    limits = SHORT if "timeout" in tried.verdicts else USUAL
    before = world.state()
    found = runner.run(handed_in(tried.source, world, limits))
    if runner.rung not in tried.open_on:
        assert "GOT IN" not in found.stdout
    assert verdict(found) in tried.verdicts, (found.error, found.stdout, found.stderr)
    assert len(found.stdout) < 40_000
    assert (world.state(), world.connections()) == (before, 0)
    next_one = runner.run(handed_in(RIGHT, world))
    assert verdict(next_one) == "correct", (next_one.error, next_one.stderr)
    assert settled(3 if runner.rung == "bubblewrap" else 1)  # bwrap itself is two
    assert len(os.listdir(runner.folder)) == 1  # the stage


def settled(most: int) -> bool:
    """Whether no more processes than the warm ones are left, soon."""
    for _ in range(100):
        if len(inside()) <= most:
            return True
        time.sleep(0.02)
    return False
