"""A worker that is killed: after each grade that it has noted, or before the first."""

from __future__ import annotations

import os
import signal
import time

from mlhw.commands.marking import journal
from mlhw.commands.marking.worker import grade_part
from mlhw.grading.graded import Graded
from mlhw.grids.tasks import PointEnd, PointTask
from mlhw.grids.worker import serve_tasks

AT_ONCE = "DIES_AT_ONCE"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


class Last(journal.Journal):
    def add(self, key: str, graded: Graded) -> None:
        super().add(key, graded)
        die()


def dying(task: PointTask) -> PointEnd:
    if AT_ONCE in os.environ:
        die()
    journal.Journal = Last  # type: ignore[misc]
    return grade_part(task)


if __name__ == "__main__":
    serve_tasks(dying)
