"""``python -P -m mlhw.commands.marking.worker``: a process of an engine that grades parts of a class."""

from __future__ import annotations

from mlhw.commands.marking.part import PartGrading
from mlhw.grids.tasks import PointEnd, PointTask
from mlhw.grids.work import work
from mlhw.grids.worker import serve_tasks


def grade_part(task: PointTask) -> PointEnd:
    """Grade one part; whatever comes of that is how the task ends."""
    return work(task, PartGrading())


if __name__ == "__main__":
    serve_tasks(grade_part)
