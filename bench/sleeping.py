"""A worker of a grid whose points do nothing but sleep for a second: what is left is what an engine costs.

A process of ``engines.py``; it speaks as ``mlhw.grids.worker`` does.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from mlhw.config.model import ExperimentConfig
from mlhw.grids.work import work
from mlhw.grids.worker import serve_tasks
from mlhw.result.result import Result

SECONDS = 1.0


class Sleeping:
    """Runnable: a run folder, a second, and no numbers."""

    name, question = "sleeping", "What does an engine cost?"
    Config = ExperimentConfig
    examples: Any = ()
    actions: Any = ()
    resumable, going_on, curves, tracked = False, None, None, False

    def run(self, config: Any, recorder: Any) -> Result:
        recorder.begin(config)
        time.sleep(SECONDS)
        return Result(self.name, {})


if __name__ == "__main__":
    serve_tasks(partial(work, runnable=Sleeping()))  # type: ignore[arg-type]
