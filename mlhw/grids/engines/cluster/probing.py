"""What every node of a cluster answers, while nodes come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlhw.grids.engines.cluster import desk, remote

_PROBE_S = 120.0
_GONE_S = 40.0
"""Seconds in which a cluster notices that a node is gone, or all its machines that one has come."""
_PAUSE_S = 0.5

Answer = tuple[str | None, list[str]] | Exception | None
"""The version of mlhw and the missing materials; what has been raised; None for no answer in time."""


def answers(materials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of every node that is there at the end: ``host``, and ``version`` and ``missing``, or ``error``."""
    return answers_of(_alive, lambda nodes, seconds: _ask(nodes, materials, seconds), _lost())


def answers_of(
    alive: Callable[[], Mapping[str, str]],
    ask: Callable[[Sequence[str], float], Mapping[str, Answer]],
    lost: tuple[type[Exception], ...],
    gone_s: float = _GONE_S,
) -> list[dict[str, Any]]:
    """``alive`` has the nodes and their hosts, ``ask`` what some of them answer in so many seconds.

    Where one of the exceptions ``lost`` comes from a node, it may have gone and still be listed, or just have
    come: it is asked again as long as it is listed, for ``gone_s`` seconds.
    """
    begun = time.monotonic()
    settled: dict[str, Answer] = {}
    while new := [node for node in alive() if node not in settled]:
        left = max(0.0, begun + _PROBE_S - time.monotonic())
        again = False
        for node, answer in ask(new, left).items():
            if isinstance(answer, lost) and time.monotonic() < begun + gone_s:
                again = True
            else:
                settled[node] = answer
        if again:
            time.sleep(_PAUSE_S)
    hosts = alive()
    return [_said(hosts[node], answer) for node, answer in settled.items() if node in hosts]


def _said(host: str, answer: Answer) -> dict[str, Any]:
    if answer is None:
        return {"host": host, "error": f"no answer in {_PROBE_S:.0f} s"}
    if isinstance(answer, Exception):
        return {"host": host, "error": desk.first_line(answer)}
    version, missing = answer
    return {"host": host, "version": version, "missing": missing}


def _alive() -> dict[str, str]:
    import ray

    return {
        node["NodeID"]: node.get("NodeManagerHostname") or node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"]
    }


def _lost() -> tuple[type[Exception], ...]:
    """What is raised for a node that is not there."""
    from ray import exceptions as ray_errors

    return (
        ray_errors.TaskUnschedulableError,
        ray_errors.NodeDiedError,
        ray_errors.WorkerCrashedError,
        ray_errors.LocalRayletDiedError,
        ray_errors.ObjectLostError,
    )


def _ask(
    nodes: Sequence[str], materials: Sequence[Mapping[str, Any]], seconds: float
) -> dict[str, Answer]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    for node in nodes:
        function = ray.remote(remote.guarded_look()).options(
            num_cpus=0,
            max_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        asked[function.remote(materials)] = node
    found: dict[str, Answer] = {}
    ready, waiting = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
    for ref in ready:
        try:
            found[asked[ref]] = ray.get(ref)
        except Exception as error:
            found[asked[ref]] = error
    return found | {asked[ref]: None for ref in waiting}
