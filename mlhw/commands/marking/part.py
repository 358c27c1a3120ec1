"""A part of a class, as it goes to a worker: submissions, and how they are graded.

A submission is a file that says which grade it waits for (the key in the journal), its files, and which of
them is judged; whose it is stays where the class is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlhw.commands.marking import journal
from mlhw.commands.marking.config import GradeConfig
from mlhw.commands.marking.grader import ConfinedGrader
from mlhw.errors import DataError, reason_of
from mlhw.experiments.actions import Action
from mlhw.experiments.backprop_check.network_config import network_of
from mlhw.grading.questions import plan
from mlhw.grading.submissions.names import Owner
from mlhw.grading.submissions.submission import Submission
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.text.plain_files import read_plain
from mlhw.text.words import quantity

_MOST = 1 << 30


class PartConfig(GradeConfig):
    """The configuration of a class, whose ``submissions`` are the folder of a part."""

    covered: list[str] = []
    """Folders of the machine with the class that no submission may see, should this be that machine."""


def write_part(folder: Path, submissions: Mapping[str, Submission]) -> None:
    """Write the new folder of a part: its submissions, by the keys of their grades. Raises OSError."""
    folder.mkdir()
    for number, (key, one) in enumerate(submissions.items(), 1):
        files = {name: base64.b64encode(data).decode() for name, data in one.files.items()}
        entry = {"key": key, "main": one.main, "files": files}
        (folder / f"{number:04d}.json").write_text(json.dumps(entry), encoding="utf-8")


def read_part(folder: Path) -> dict[str, Submission]:
    """What ``write_part`` has written. Raises DataError."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            entry = json.loads(read_plain(path, _MOST))
            files = {name: base64.b64decode(text) for name, text in entry["files"].items()}
            name = path.stem
            found[entry["key"]] = Submission(name, Owner(name), name, files, entry["main"])
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{path}: is no submission of a part of a class") from None
    return found


class PartGrading:
    """A part as one run, on whatever machine; its journal is what comes of it."""

    name = "grade"
    question = "Grade a part of a class."
    examples: Sequence[tuple[str, str]] = ()
    Config = PartConfig
    actions: Sequence[Action] = ()
    resumable = True
    going_on = None
    curves = None
    tracked = False

    def run(self, config: PartConfig, recorder: Recorder) -> Result:
        """Grade what has no grade yet. The isolation is chosen here, where they are run.

        Raises UsageError where it is not to be had here.
        """
        questions = plan(network_of(config), config.batch, config.seed, config.targets)
        grader = ConfinedGrader(config, questions, [Path(path) for path in config.covered])
        found = read_part(Path(config.submissions[0]))
        known = journal.kept_grades(recorder.resumes) if recorder.resumes else {}
        kept = {key: known[key] for key in found if key in known}
        recorder.begin(config)
        assert recorder.folder is not None
        keys = {one.student: key for key, one in found.items()}
        lines = journal.Journal(recorder.folder, kept)
        try:
            left = [one for key, one in found.items() if key not in kept]
            for one, graded in grader.grade_all(left, recorder):
                with recorder.holding_interrupts():
                    lines.add(keys[one.student], graded)
        finally:
            lines.close()
        summary = {"headlines": {"students": len(found)}}
        answers = [f"{quantity(len(found), 'submission')} graded"]
        return Result("grade", summary, [], answers, recorder.tables)
