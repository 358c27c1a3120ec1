"""The claims of a grading hold for a right one, and each fails for what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mlhw.commands.marking.claims import CLAIMS, OBSERVATIONS
from mlhw.commands.marking.marked import ClassGrades, marked_of
from mlhw.commands.marking.overrides import Override
from mlhw.grading.graded import Graded, LayerErrors
from mlhw.grading.questions import plan
from mlhw.grading.rubric import Rubric, scored
from mlhw.grading.submissions.names import Owner
from mlhw.grading.submissions.submission import Submission
from tests.grading.handed_in import COURSE

RIGHT = Graded("correct", "right", [], [LayerErrors()] * 3, "right", "right", 1e-15)
ENTRIES = [["dE/dw_11^(3)", 1, 1, -0.5, 0.5]]
WRONG = Graded(
    *("wrong", "off", ["sign"], [LayerErrors(), LayerErrors(), LayerErrors(2)], "right", "right"),
    wrong_entries=2,
    entries=ENTRIES,
)


def a_class(**grades: Graded) -> ClassGrades:
    rubric, asked = Rubric(), plan(COURSE, 1, 0)
    found = [Submission(n, Owner(n), n, {"a.py": n.encode()}, "a.py") for n in grades]
    marked = [
        marked_of(one, graded, rubric, asked, one.student, None)
        for one, graded in zip(found, grades.values(), strict=True)
    ]
    return ClassGrades(found, marked, rubric, asked, scored(RIGHT, rubric, COURSE))


def verdicts(e: ClassGrades) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in CLAIMS.judge(e)}


def test_all_hold_for_a_right_grading() -> None:
    assert set(verdicts(a_class(anna=RIGHT, ben=WRONG)).values()) == {"holds"}


def somebody_is_missing(e: ClassGrades) -> None:
    e.marked = e.marked[1:]


def somebody_twice(e: ClassGrades) -> None:
    e.marked = [*e.marked[:1], e.marked[0]]


def another_verdict(e: ClassGrades) -> None:
    e.marked[1].graded.verdict = "fine"


def correct_and_off(e: ClassGrades) -> None:
    e.marked[0].graded.max_relative_error = 1e-3


def correct_and_unknown(e: ClassGrades) -> None:
    e.marked[0].graded.max_relative_error = None


def correct_with_wrong_entries(e: ClassGrades) -> None:
    e.marked[0].graded.wrong_entries = 1


def points_from_nowhere(e: ClassGrades) -> None:
    one = e.marked[1]
    e.marked[1] = replace(one, score=replace(one.score, points=one.score.points + 1))


def more_than_there_are(e: ClassGrades) -> None:
    one = e.marked[0]
    first = replace(one.score.parts[0], points=one.score.parts[0].of + 1)
    e.marked[0] = replace(one, score=replace(one.score, parts=[first, *one.score.parts[1:]]))


def more_by_hand_than_there_are(e: ClassGrades) -> None:
    e.marked[0] = replace(e.marked[0], override=Override(99.0))


def a_reference_that_loses(e: ClassGrades) -> None:
    e.reference = scored(WRONG, e.rubric, COURSE)


@pytest.mark.parametrize(
    ("tamper", "claim"),
    [
        (somebody_is_missing, "everybody-graded"),
        (somebody_twice, "everybody-graded"),
        (another_verdict, "everybody-graded"),
        (correct_and_off, "correct-within-tolerance"),
        (correct_and_unknown, "correct-within-tolerance"),
        (correct_with_wrong_entries, "correct-within-tolerance"),
        (points_from_nowhere, "scores-add-up"),
        (more_than_there_are, "scores-add-up"),
        (more_by_hand_than_there_are, "scores-add-up"),
        (a_reference_that_loses, "reference"),
    ],
)
def test_each_claim_fails_for_what_it_is_there_for(
    tamper: Callable[[ClassGrades], None], claim: str
) -> None:
    e = a_class(anna=replace(RIGHT), ben=replace(WRONG))
    tamper(e)
    assert verdicts(e)[claim] == "fails"


def test_what_was_seen_of_a_class() -> None:
    tried = replace(RIGHT, codes=["finite_differences"])
    seen = {
        s.id: s.observed for s in OBSERVATIONS.look(a_class(a=RIGHT, b=WRONG, c=WRONG, d=tried))
    }
    assert seen == {
        "all-correct": False,
        "same-numbers": True,
        "same-files": False,
        "not-derived": True,
    }
    alone = {s.id: s.observed for s in OBSERVATIONS.look(a_class(a=RIGHT))}
    assert [id for id, observed in alone.items() if observed] == ["all-correct"]
