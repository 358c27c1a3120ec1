"""Engines and nodes that change while they are looked at: a point that comes home, a node that goes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.grids import grid
from mlhw.grids.engines import ray
from mlhw.grids.engines.cluster.probing import Answer, answers_of
from mlhw.grids.tasks import PointEnd, PointTask, Site
from mlhw.grids.work import work
from mlhw.runs.history import all_runs

WORDS = ("vanishing", "--over", "depth=4,5", "--no-plots", "--engine", "local:1")


class Here:
    """Works in this process. What is ``away`` has come home, and its end is not heard of yet."""

    slots = 1

    def __init__(self, away: Sequence[PointEnd] = ()) -> None:
        self.ends = list(away)

    @property
    def working(self) -> frozenset[int]:
        return frozenset(end.point for end in self.ends)

    def recovered(self, folder: Path) -> Sequence[PointEnd]:
        return ()

    def submit(self, tasks: Sequence[PointTask]) -> None:
        self.ends += [work(task) for task in tasks]

    def ended(self, seconds: float) -> Sequence[PointEnd]:
        found, self.ends = self.ends, []
        return found

    def drop(self) -> None:
        self.ends = []

    def close(self) -> None:
        self.drop()


def test_a_point_that_comes_home_before_its_end_is_heard_of_keeps_its_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLHW_RUNS_DIR", str(tmp_path))
    engine = Here()
    monkeypatch.setattr(grid, "engine_for", lambda *_: engine)
    assert main(["grid", *WORDS]) == 0
    [found] = all_runs(tmp_path)
    tries, table = found.table("attempts"), (found.folder / "grid.csv").read_bytes()
    first = PointEnd(1, 1, "finished", 0, "", float(tries[0]["started"]), 1.0, "there", "worker")
    # A driver that was killed: it had heard of neither, one is at home, the other nowhere.
    (found.folder / "attempts.csv").unlink()
    shutil.rmtree(found.folder / "points/0002")
    engine = Here([first])
    assert main(["grid", "--resume", str(found.folder)]) == 0
    again = found.table("attempts")
    assert [(row["point"], row["attempt"], row["status"]) for row in again] == [
        ("1", "1", "finished"),
        ("2", "1", "finished"),
    ]
    assert again[0]["host"] == "there"
    assert (found.folder / "grid.csv").read_bytes() == table


class Saying:
    """A connection that has one thing to say at a time."""

    ended = False

    def __init__(self, *said: dict[str, Any]) -> None:
        self.said = list(said)

    def say(self, **_request: Any) -> None:
        pass

    def ask(self, answer: str, *_: Any, **_request: Any) -> Any:
        return {"slots": 2, "probed": [], "tasks": []}[answer]

    def hear(self, _until: float) -> dict[str, Any] | None:
        return self.said.pop(0) if self.said else None


def test_what_is_stopped_is_heard_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what worked, whose end comes behind those of points that only waited."""
    ends = [PointEnd(n, 1, "interrupted", None, "stopped", 0.0, 0.0, "", "") for n in (2, 1)]
    said = [{"begun": [], "ended": [end.as_json()]} for end in ends]
    monkeypatch.setattr(ray, "Connection", lambda: Saying(*said))
    engine = ray.RayEngine("auto", 1, 0, 2)
    engine.open(Site(threads=1, device="cpu", points=2, version="1"))
    engine.submit([PointTask(n, 1, "vanishing", {}, "", "", "") for n in (1, 2)])
    begun = time.monotonic()
    engine.drop()
    assert time.monotonic() - begun < 5
    assert list(engine.ended(0)) == ends


class Lost(Exception):
    """Ray's words for a node that is not there."""


class Nodes:
    """A cluster: at each look, the nodes that are listed, and what they answer when they are asked then."""

    def __init__(self, *looks: Mapping[str, Answer]) -> None:
        self.looks = list(looks)
        self.now: Mapping[str, Answer] = {}

    def alive(self) -> Mapping[str, str]:
        self.now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {node: f"host {node}" for node in self.now}

    def ask(self, nodes: Sequence[str], _seconds: float) -> Mapping[str, Answer]:
        return {node: self.now[node] for node in nodes}


GOOD: Answer = ("1.0", [])
HERE = {"host": "host a", "version": "1.0", "missing": []}


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([{"a": GOOD, "b": Lost("gone")}, {"a": GOOD}], [HERE]),
        ([{"a": Lost("not known here yet")}, {"a": GOOD}], [HERE]),
        ([{"a": GOOD, "b": ("0.9", [])}, {"a": GOOD}], [HERE]),
        ([{"a": ValueError("broken")}], [{"host": "host a", "error": "broken"}]),
        ([{"a": None}], [{"host": "host a", "error": "no answer in 120 s"}]),
    ],
    ids=["goes", "comes", "goes after it has answered", "cannot work", "silent"],
)
def test_only_nodes_that_are_there_have_to_be_able_to_work(
    looks: list[Mapping[str, Answer]], found: object
) -> None:
    nodes = Nodes(*looks)
    assert answers_of(nodes.alive, nodes.ask, (Lost,)) == found


def test_a_node_that_is_listed_and_never_there_is_named() -> None:
    nodes = Nodes({"a": Lost("crashed")})
    found = answers_of(nodes.alive, nodes.ask, (Lost,), gone_s=0)
    assert found == [{"host": "host a", "error": "crashed"}]
