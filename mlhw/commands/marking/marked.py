"""What a grading found: everybody's grade, score and feedback names; claims and report are made from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from mlhw.commands.marking.overrides import Override
from mlhw.grading.alike import Alike, alike
from mlhw.grading.graded import Graded
from mlhw.grading.isolation.rungs import RUNGS, rung_in_words
from mlhw.grading.questions import QuestionPlan
from mlhw.grading.rubric import Rubric, Score, scored
from mlhw.grading.submissions.submission import Submission
from mlhw.maths.mistakes.kinds import CODES
from mlhw.text.words import listing


@dataclass(frozen=True)
class Marked:
    """One student: what was handed in, the grade, the score, and points changed by hand, if any.

    ``feedback`` is the beginning of the names of the feedback's files. ``kept``: the grade comes from
    before, as the submission has not changed.
    """

    submission: Submission
    graded: Graded
    score: Score
    feedback: str
    override: Override | None = None
    kept: bool = False

    @property
    def student(self) -> str:
        return self.submission.student

    @property
    def points(self) -> float:
        """Those that count: the teacher's, where there are some."""
        return self.score.points if self.override is None else self.override.points


@dataclass
class ClassGrades:
    """A class: ``found`` are all that were to be graded, ``marked`` those that are, in order of names.

    ``shown`` are the questions that every submission was asked, ``reference`` what the right solution got.
    """

    found: list[Submission]
    marked: list[Marked]
    rubric: Rubric
    plan: QuestionPlan
    reference: Score | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def rung(self) -> str:
        """What kept submissions apart, in words: the weakest, and what else did elsewhere."""
        used = {one.graded.rung for one in self.marked}
        weakest, *others = [rung_in_words(rung) for rung in reversed(RUNGS) if rung in used] or [
            "nothing was run"
        ]
        return f"{weakest}; for some {listing(others)}" if others else weakest

    @property
    def out_of(self) -> float:
        return self.marked[0].score.of if self.marked else self.rubric.out_of or 0.0

    @cached_property
    def verdicts(self) -> Counter[str]:
        return Counter(one.graded.verdict for one in self.marked)

    @cached_property
    def codes(self) -> dict[str, list[str]]:
        """By code the students who have it, the most frequent first."""
        found: dict[str, list[str]] = {}
        for one in self.marked:
            for code in one.graded.codes:
                found.setdefault(code, []).append(one.student)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    @property
    def mistakes(self) -> dict[str, list[str]]:
        """Those of the codes that name a mistake."""
        return {code: students for code, students in self.codes.items() if code in CODES}

    @cached_property
    def clusters(self) -> list[Alike]:
        return alike({one.student: one.graded for one in self.marked})

    @cached_property
    def same_files(self) -> list[list[str]]:
        """Students whose files are the same to the last byte."""
        by_digest: dict[str, list[str]] = {}
        for one in self.marked:
            if one.submission.main:
                by_digest.setdefault(one.submission.digest_of_main, []).append(one.student)
        return [students for students in by_digest.values() if students[1:]]

    @property
    def failed(self) -> list[Marked]:
        """Those in which nothing could be judged."""
        return [one for one in self.marked if one.graded.verdict in ("error", "timeout")]

    @property
    def slowest(self) -> list[Marked]:
        return sorted(self.marked, key=lambda one: -one.graded.seconds)[:10]

    @property
    def mean(self) -> float | None:
        points = [one.points for one in self.marked]
        return sum(points) / len(points) if points else None

    @property
    def median(self) -> float | None:
        points = sorted(one.points for one in self.marked)
        if not points:
            return None
        middle = len(points) // 2
        return points[middle] if len(points) % 2 else (points[middle - 1] + points[middle]) / 2


def marked_of(
    submission: Submission,
    graded: Graded,
    rubric: Rubric,
    plan: QuestionPlan,
    feedback: str,
    override: Override | None,
    *,
    kept: bool = False,
) -> Marked:
    score = scored(graded, rubric, plan.asked.network)
    return Marked(submission, graded, score, feedback, override, kept)
