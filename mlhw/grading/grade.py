"""Somebody's back-propagation is asked, and judged by what it answers."""

from __future__ import annotations

from mlhw.grading.implementations import Implementation
from mlhw.grading.judgement import Grade, judge
from mlhw.grading.process import call_in_process
from mlhw.grading.questions import DRAWS, Targets, plan
from mlhw.maths.network import Network


def grade(
    implementation: Implementation,
    network: Network,
    inputs: int,
    seed: int,
    time_limit: float,
    targets: Targets = "auto",
) -> Grade:
    """Run a file's function on draws of ``network`` and judge what it returns.

    With ``inputs`` 1 it gets one input as a vector, and at the end, if it takes one, a batch; else
    batches of ``inputs``. ``targets``: in which form t comes. Never raises for what the file does.
    """
    if implementation.missing:
        return Grade(implementation, "error", implementation.missing)
    asked = plan(network, inputs, seed, targets)
    returned = call_in_process(
        implementation.path,
        implementation.function,
        asked.calls(),
        required=DRAWS,
        time_limit=time_limit,
        labels=asked.labels,
    )
    found = judge(implementation, asked, returned, time_limit)
    found.seconds = returned.seconds
    return found
