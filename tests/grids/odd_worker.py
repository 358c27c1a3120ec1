"""A worker whose points end in every way there is, each by its number; started by test_ends.py."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from mlhw.experiments.registry import experiment
from mlhw.grids.tasks import PointEnd, PointTask
from mlhw.grids.work import work
from mlhw.grids.worker import serve_tasks
from mlhw.result.claims import Claim
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

ENDS = (
    "finished", "claim fails", "crash", "memory", "diverges", "killed", "dies once", "too long",
    "too long and deaf",
)  # fmt: skip


class Odd:
    """An experiment in the place of ``vanishing``."""

    question = "How does it end?"
    resumable = False
    going_on = None
    curves = None
    tracked = False
    actions = ()
    examples = ()
    name = "vanishing"

    def __init__(self, task: PointTask) -> None:
        self.end = ENDS[task.point - 1]
        self.attempt = task.attempt
        self.Config = experiment("vanishing").Config

    def run(self, config: Any, recorder: Recorder) -> Result:
        recorder.begin(config)
        recorder.table("gradients", ["layer"]).append(self.attempt)
        getattr(self, self.end.replace(" ", "_"), lambda: None)()
        row = {
            "activation": "relu",
            "rows": "chain",
            "depth": config.depth,
            "decades_per_layer": 0.5,
            "share_zero_first_layer": 0.0,
        }
        claims = [Claim("c", "one is two", "fails", 1, 2, 0)] if self.end == "claim fails" else []
        return Result("vanishing", {"networks": [row]}, claims, ["done"], recorder.tables)

    def crash(self) -> None:
        raise ValueError("no such thing")

    def memory(self) -> None:
        np.ones(1 << 44)

    def diverges(self) -> None:
        from mlhw.errors import RunError

        raise RunError("the loss is NaN after epoch 1")

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def dies_once(self) -> None:
        if self.attempt == 1:
            os.abort()

    def too_long(self) -> None:
        time.sleep(600)

    def too_long_and_deaf(self) -> None:
        # As a library in C that never looks: no exception gets through to the end.
        until = time.monotonic() + 600
        while time.monotonic() < until:
            try:
                time.sleep(600)
            except BaseException:
                continue


def odd(task: PointTask) -> PointEnd:
    Path(task.folder).parent.joinpath(f".{task.point}.{task.attempt}.seen").touch()
    return work(task, Odd(task))


if __name__ == "__main__":
    serve_tasks(odd)
