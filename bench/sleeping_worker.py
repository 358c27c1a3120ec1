"""A worker of the local engine whose points sleep for a second; started by grids.py."""

from __future__ import annotations

import time
from typing import Any

from mlhw.experiments.registry import experiment
from mlhw.grids.tasks import PointEnd, PointTask
from mlhw.grids.work import work
from mlhw.grids.worker import serve_tasks
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

SECONDS = 1.0


class Sleep:
    """An experiment in the place of ``vanishing``: it sleeps, and has a run folder like any other."""

    name = "vanishing"
    question = "How long does a second take?"
    examples = ()
    actions = ()
    resumable = False
    going_on = None
    curves = None
    tracked = False
    Config = experiment("vanishing").Config

    def run(self, config: Any, recorder: Recorder) -> Result:
        recorder.begin(config)
        time.sleep(SECONDS)
        return Result("vanishing", {"networks": []})


def sleep(task: PointTask) -> PointEnd:
    return work(task, Sleep())  # type: ignore[arg-type]


if __name__ == "__main__":
    serve_tasks(sleep)
