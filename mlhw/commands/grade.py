"""``mlhw grade SUBMISSIONS``: a class of back-propagations, each judged, with points and feedback.

Everybody is asked the same draws of weights, inputs and targets. Grades are kept as they come, so that a
grading that goes on, or one with later submissions, grades nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mlhw.commands.marking import journal
from mlhw.commands.marking.claims import CLAIMS, OBSERVATIONS
from mlhw.commands.marking.config import GradeConfig, existing
from mlhw.commands.marking.figures import FIGURES
from mlhw.commands.marking.files import feedback_names, write_files, write_names
from mlhw.commands.marking.grader import ConfinedGrader, Grader
from mlhw.commands.marking.marked import ClassGrades, Marked, marked_of
from mlhw.commands.marking.moodle import Worksheet, read_worksheet
from mlhw.commands.marking.overrides import EMPTY, NAME, Override, read_overrides
from mlhw.commands.marking.tables import answers, fill_tables, summary
from mlhw.commands.new_file import write_asked
from mlhw.commands.run import command_of
from mlhw.config.commented import commented
from mlhw.config.load import load_config
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.actions import Action, Done
from mlhw.experiments.backprop_check.experiment import check_targets
from mlhw.experiments.backprop_check.network_config import network_of
from mlhw.experiments.going_on import GoingOn
from mlhw.grading.graded import Graded
from mlhw.grading.questions import QuestionPlan, plan
from mlhw.grading.rubric import Rubric, Score, scored
from mlhw.grading.submissions.finding import HandedIn, find_submissions
from mlhw.grading.submissions.submission import Submission
from mlhw.result.claims import Claim
from mlhw.result.recorder import Recorder
from mlhw.result.result import Part, Result
from mlhw.system.files import write_whole
from mlhw.text.words import one_line, quantity


def make_grader(config: GradeConfig, questions: QuestionPlan) -> Grader:
    """What grades: this process, or the workers of an engine. Raises UsageError."""
    if config.engine is None:
        return ConfinedGrader(config, questions)
    from mlhw.commands.marking.engine_grader import EngineGrader  # grids are not always needed

    return EngineGrader(config, questions)


def write_rubric(value: str, config: GradeConfig, recorder: Recorder) -> Done:
    """``--write-rubric FILE``: the default rubric, to be changed."""
    if not value.strip():
        raise ConfigError("--write-rubric: is empty; give the name of a new file")
    text = commented(Rubric, f"Points of a class: mlhw grade SUBMISSIONS --rubric {value}")
    write_asked(value, text)
    return Done(
        f"wrote {value}; grade by it with: mlhw grade SUBMISSIONS --rubric {value}",
        {"wrote": value},
    )


class ClassGrading:
    """A class as one run."""

    name = "grade"
    question = (
        "Grade a class: everybody's back-propagation is run apart from all else, judged by its numbers, the "
        "mistake named, points given by a rubric, and feedback written."
    )
    examples = (
        ("mlhw grade handed-in", "a folder: a folder or a file for each student"),
        ("mlhw grade class.zip --rubric points.yaml --jobs 4", "Moodle's or Canvas' download"),
        ("mlhw grade --resume grade", "again: only what has changed is graded"),
    )
    Config = GradeConfig
    actions: Sequence[Action] = (
        Action(
            "--write-rubric",
            "FILE",
            "write the default rubric, to be changed, and end",
            write_rubric,
        ),
    )
    resumable = True
    going_on = GoingOn(
        "",
        (
            *("submissions", "rubric", "overrides", "worksheet", "reference", "anonymous"),
            *("jobs", "engine", "isolation", "time_limit", "import_limit"),
        ),
        finished=True,
    )
    curves = None
    tracked = False

    def run(self, config: GradeConfig, recorder: Recorder) -> Result:
        """Find the submissions, grade those that have no grade yet, and write everything.

        Raises UsageError for what cannot be done, before anything is graded.
        """
        return _Grading(config, recorder).run()


class _Grading:
    """One grading from its start to its result; what is read before work lies in its attributes."""

    def __init__(self, config: GradeConfig, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        if errors := existing(config):
            raise ConfigError(*map(one_line, errors))
        if not config.submissions:
            raise ConfigError(
                "SUBMISSIONS: give the folder of a class, such as: mlhw grade handed-in"
            )
        self.network = network_of(config)
        check_targets(config, config.targets)
        self.rubric = read_rubric(config.rubric)
        self.plan: QuestionPlan = plan(self.network, config.batch, config.seed, config.targets)
        self.grader = make_grader(config, self.plan)
        self.handed: HandedIn = find_submissions(
            config.submissions,
            function=self._function,
            pattern=config.pattern,
            only=config.only,
        )
        self.overrides = self._overrides()
        self.worksheet: Worksheet | None = None
        if config.worksheet is not None:
            self.worksheet = read_worksheet(Path(config.worksheet), self._out_of)
        self.reference = self._reference()
        self.grades: dict[str, Graded] = {}
        self.kept: set[str] = set()
        self.names: dict[str, str] = {}

    def run(self) -> Result:
        found, recorder = self.handed.submissions, self.recorder
        known = journal.kept_grades(recorder.resumes) if recorder.resumes else {}
        digest = hashlib.sha256("".join(one.digest for one in found).encode()).hexdigest()
        keys = {one.student: journal.key_of(one.digest, self.grader.settings) for one in found}
        for one in found:
            graded = known.get(keys[one.student])
            if graded is not None and not self._may_do_better(graded):
                self.grades[one.student] = graded
                self.kept.add(one.student)
        with self.grader.opened(len(found) - len(self.kept)):
            recorder.so_far = self._result
            recorder.begin(self.config, data_digest=digest)
            self._grade(keys)
        return self._result()

    def _grade(self, keys: Mapping[str, str]) -> None:
        found, recorder = self.handed.submissions, self.recorder
        self.names = feedback_names(found, recorder.folder, anonymous=self.config.anonymous)
        for note in self.handed.notes:
            recorder.log(one_line(note), screen=False)
        if self.kept:
            recorder.log(f"{quantity(len(self.kept), 'submission')} not changed, not graded again")
        recorder.log(f"{quantity(len(found) - len(self.kept), 'submission')} to be graded")
        self._grade_left(keys)

    def _may_do_better(self, graded: Graded) -> bool:
        """Whether a submission that timed out has more time now."""
        limits = zip(self.grader.limits(), graded.limits, strict=False)
        return graded.verdict == "timeout" and any(now > before for now, before in limits)

    def _grade_left(self, keys: Mapping[str, str]) -> None:
        found, recorder = self.handed.submissions, self.recorder
        left = [one for one in found if one.student not in self.kept]
        kept = {keys[student]: self.grades[student] for student in self.kept}
        lines = None if recorder.folder is None else journal.Journal(recorder.folder, kept)
        try:
            with closing(self.grader.grade_all(left, recorder)) as grades:
                for one, graded in grades:
                    with recorder.holding_interrupts():
                        if lines is not None:
                            lines.add(keys[one.student], graded)
                        self.grades[one.student] = graded
                    recorder.log(one_line(_log_line(one, graded)), screen=False)
                    recorder.progress(len(self.grades), len(found), "submissions")
        finally:
            if lines is not None:
                lines.close()

    def _result(self) -> Result:
        """What is graded by now: tables, feedback, claims."""
        e = ClassGrades(
            self.handed.submissions,
            [self._marked(one) for one in self.handed.submissions if one.student in self.grades],
            self.rubric,
            self.plan,
            self.reference,
        )
        folder = self.recorder.folder
        if folder is not None:
            if self.config.anonymous:
                write_names(folder, self.names)
            if not (folder / NAME).exists():
                write_whole(folder / NAME, self._own_overrides())
            write_files(e, folder, self.recorder, self.worksheet, anonymous=self.config.anonymous)
        fill_tables(e, self.recorder)
        return Result(
            "grade",
            summary(e),
            CLAIMS.judge(e),
            answers(e),
            self.recorder.tables,
            FIGURES.plots(e),
            observations=OBSERVATIONS.look(e),
            suites=[suite_of(one) for one in e.marked],
        )

    def _marked(self, one: Submission) -> Marked:
        return marked_of(
            one,
            self.grades[one.student],
            self.rubric,
            self.plan,
            self.names[one.student],
            self.overrides.get(one.student),
            kept=one.student in self.kept,
        )

    @property
    def _function(self) -> str:
        """What a judged file has to define; with an adapter that is the adapter's affair."""
        return "" if self.config.adapter is not None else self.config.function

    @property
    def _out_of(self) -> float:
        blank = Graded("error", "", [], [])
        return scored(blank, self.rubric, self.network).of

    def _overrides(self) -> dict[str, Override]:
        """From the file that is named, else from that of the run that goes on."""
        folder = self.recorder.resumes
        path = Path(self.config.overrides) if self.config.overrides else None
        if path is None and folder is not None and (folder / NAME).is_file():
            path = folder / NAME
        return {} if path is None else read_overrides(path, self.handed.everyone, self._out_of)

    def _own_overrides(self) -> str:
        """The text of the run's own file: a copy of the one that was named, or empty with its heading."""
        if self.config.overrides is None:
            return EMPTY
        return Path(self.config.overrides).read_text(encoding="utf-8-sig")

    def _reference(self) -> Score | None:
        """What the right solution gets. Raises DataError if that is not everything."""
        if self.config.reference is None:
            return None
        path = self.config.reference
        (one,) = find_submissions([path], function=self._function).submissions
        score = scored(self.grader.grade_here(one), self.rubric, self.network)
        if score.points < score.of:
            lost = "; ".join(
                f"{p.name} {p.points:g} of {p.of:g}: {p.reason}" for p in score.parts if not p.full
            )
            raise DataError(
                one_line(
                    f"--reference {path}: gets {score.points:g} of {score.of:g} points ({lost}); nobody was "
                    "graded: the network's options or the rubric do not fit it"
                )
            )
        return score


def read_rubric(path: str | None) -> Rubric:
    """The rubric of a file, or the default one. Raises ConfigError with file and line."""
    if path is None:
        return Rubric()
    rubric = load_config(Rubric, path)
    if unknown := rubric.unknown():
        raise ConfigError(one_line(f"{path}: deduct: there is no code {', '.join(unknown)}"))
    return rubric


def _log_line(one: Submission, graded: Graded) -> str:
    codes = f" [{', '.join(graded.codes)}]" if graded.codes else ""
    return f"{one.student}: {graded.verdict}{codes} in {graded.seconds:.2f} s: {graded.message}"


def suite_of(one: Marked) -> Part:
    """A student as a suite of JUnit's: a case for each part of the rubric, or an error."""
    judged = one.graded.verdict in ("correct", "wrong")
    claims = [
        Claim(
            f"{one.student}/{part.name}",
            part.name,
            "holds" if part.full else "fails",
            round(part.points, 4),
            round(part.of, 4),
            note=part.reason,
        ).as_dict()
        for part in one.score.parts
    ]
    found: dict[str, Any] = {"status": "finished", "claims": claims}
    if not judged:
        found = {"status": one.graded.verdict, "claims": [], "error": [one.graded.message]}
    return Part(one.student, 0, found, one.graded.seconds)


def command() -> Any:
    """The Typer command."""
    return command_of(ClassGrading(), without=("tensorboard", "mlflow"))
