"""The claims and observations of a grading: that everybody got a grade, and the right one for its numbers.

That somebody's derivation is wrong is no failing claim: finding that out is what a grading is for.
"""

from __future__ import annotations

from mlhw.commands.marking.marked import ClassGrades
from mlhw.grading.comparison import ENTRY_TOLERANCE
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.result.observations import Observation, Observations, seen
from mlhw.text.words import listing, shortened

CLAIMS = Claims[ClassGrades]()
OBSERVATIONS = Observations[ClassGrades]()

_VERDICTS = ("correct", "wrong", "error", "timeout")


@CLAIMS.claim("everybody-graded", "everybody who handed something in has one grade and one score")
def everybody_graded(e: ClassGrades) -> Claim:
    students = [one.student for one in e.marked]
    missing = sorted({one.student for one in e.found} - {*students})
    known = all(one.graded.verdict in _VERDICTS for one in e.marked)
    return check(
        known and not missing and len(students) == len({*students}) == len(e.found),
        measured=len(students),
        expected=len(e.found),
        note=f"missing: {listing(missing[:5])}" if missing else "",
    )


@CLAIMS.claim("correct-within-tolerance", "nobody is called correct whose numbers are off")
def correct_within_tolerance(e: ClassGrades) -> Claim:
    right = [one for one in e.marked if one.graded.verdict == "correct"]
    if not right:
        return not_applicable("nobody's is correct")
    errors = [one.graded.max_relative_error for one in right]
    worst = max((error for error in errors if error is not None), default=float("inf"))
    known = all(error is not None and error <= ENTRY_TOLERANCE for error in errors)
    return check(
        known and not any(one.graded.wrong_entries for one in right),
        measured=worst,
        expected=0,
        tolerance=ENTRY_TOLERANCE,
        note=f"the largest relative error of {len(right)} that are correct",
    )


@CLAIMS.claim(
    "scores-add-up",
    "every score is the sum of its parts, or changed by hand, and lies between 0 and the rubric's total",
)
def scores_add_up(e: ClassGrades) -> Claim:
    off = []
    for one in e.marked:
        total = sum(part.points for part in (*one.score.parts, *one.score.deducted))
        within = all(0 <= part.points <= part.of + 1e-9 for part in one.score.parts)
        bounded = min(max(total, 0.0), one.score.of)
        within = within and -1e-9 <= one.points <= one.score.of + 1e-9
        if not within or abs(bounded - one.score.points) > e.rubric.round_to / 2 + 1e-6:
            off.append(one.student)
    return check(
        not off, measured=len(off), expected=0, note=f"not: {listing(off[:5])}" if off else ""
    )


@CLAIMS.claim("reference", "the reference solution gets all points by the same adapter and rubric")
def reference_is_right(e: ClassGrades) -> Claim:
    if e.reference is None:
        return not_applicable("no --reference given")
    return check(
        e.reference.points >= e.reference.of, measured=e.reference.points, expected=e.reference.of
    )


@OBSERVATIONS.observation("all-correct", "everybody's derivation is right")
def all_correct(e: ClassGrades) -> Observation | None:
    return seen(
        e.verdicts["correct"] == len(e.marked), measured={v: e.verdicts[v] for v in _VERDICTS}
    )


@OBSERVATIONS.observation("same-numbers", "several students have the same wrong numbers")
def same_numbers(e: ClassGrades) -> Observation | None:
    bitwise = [cluster for cluster in e.clusters if cluster.bitwise]
    most = max((len(cluster.students) for cluster in e.clusters), default=0)
    return seen(
        bool(e.clusters),
        measured={"clusters": len(e.clusters), "to the last bit": len(bitwise), "largest": most},
        note="copied, or the same misunderstanding",
    )


@OBSERVATIONS.observation("same-files", "several students have handed in the same file")
def same_files(e: ClassGrades) -> Observation | None:
    some = "; ".join(listing([shortened(s, 40) for s in group[:6]]) for group in e.same_files[:5])
    return seen(bool(e.same_files), measured=len(e.same_files), note=some)


@OBSERVATIONS.observation("not-derived", "somebody's numbers were not derived by hand")
def not_derived(e: ClassGrades) -> Observation | None:
    found = {
        code: len(e.codes[code])
        for code in ("finite_differences", "automatic_differentiation")
        if code in e.codes
    }
    return seen(
        bool(found), measured=found or 0, note="the rubric's deduct takes points off for it"
    )
