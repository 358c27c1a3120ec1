"""The claims of ``backprop-check``."""

from __future__ import annotations

import numpy as np

from mlhw.experiments.backprop_check.evidence import Evidence, is_the_course_s, names_are_right
from mlhw.maths.four_ways import TOLERANCES
from mlhw.result.claims import Claim, Claims, check, not_applicable

CLAIMS = Claims[Evidence]()


def agreement(e: Evidence, way: str) -> Claim:
    """Whether a way's worst entry over all networks lies below its tolerance."""
    if not e.compared[way]:
        return not_applicable(e.no_complex_step if e.kinked else "nothing could be compared")
    worst, apart = e.worst[way], ""
    if way == "complex_step" and e.kinked:
        apart = f"; {e.no_complex_step}"
    if way == "finite_difference":
        apart = f"; apart from these {e.kinks} at a kink and {e.unresolved} unresolved"
    where = (
        f"worst: {worst.network}, {worst.quantity}, "
        f"{worst.analytic:.17g} against {worst.reference:.17g}"
        if worst.quantity
        else "not one bit differs"
    )
    return check(
        worst.error <= TOLERANCES[way],
        measured=worst.error,
        expected=0,
        tolerance=TOLERANCES[way],
        note=f"{where}; {e.compared[way]} derivatives{apart}",
    )


@CLAIMS.claim(
    "autograd",
    "every derivative by back-propagation agrees with torch's autograd",
    figure="agreement",
)
def agrees_with_autograd(e: Evidence) -> Claim:
    return agreement(e, "autograd")


@CLAIMS.claim(
    "complex-step",
    "every derivative of an analytic network agrees with the complex step",
    figure="agreement",
)
def agrees_with_complex_step(e: Evidence) -> Claim:
    return agreement(e, "complex_step")


@CLAIMS.claim(
    "finite-difference",
    "every derivative agrees with extrapolated central differences",
    figure="agreement",
)
def agrees_with_finite_differences(e: Evidence) -> Claim:
    return agreement(e, "finite_difference")


@CLAIMS.claim(
    "nothing-left-out",
    "every way gives every derivative that it can, each under its own name: of more than 4,000 weights "
    "that many",
)
def nothing_left_out(e: Evidence) -> Claim:
    """Left out of the differences are only those at a kink, of kinked networks, and those unresolved."""
    missing = {way: e.due[way] - e.compared[way] for way in e.due}
    excused = e.kinks + e.unresolved
    # Of the directions through a sampled network, three each, some may be among the unresolved; and a
    # weight may be at a kink for several inputs.
    right = e.unresolved - 3 * e.sampled <= missing.pop("finite_difference") <= excused
    return check(
        right
        and not any(missing.values())
        and not (e.kinks and not e.kinked)
        and not e.false_kinks
        and names_are_right(e.configured),
        measured=e.compared,
        expected=e.due | {"finite_difference": e.due["finite_difference"] - excused},
        note=f"derivatives compared; {e.kinks} at a kink and {e.unresolved} unresolved are left out"
        + (f"; at {e.false_kinks} of the kinks no unit changes sides" if e.false_kinks else ""),
    )


@CLAIMS.claim(
    "course-formulas",
    "the course's six formulas, entry by entry, give back-propagation's values",
    figure="network",
)
def course_formulas(e: Evidence) -> Claim:
    if is_the_course_s(e.configured) != bool(e.six):
        return check(False, measured=len(e.six), expected=6 - len(e.six))
    if not e.six:
        return not_applicable(
            "they speak of four layers, one linear output, the half squared error and one input"
        )
    errors = {
        q.name: float(np.maximum(abs(q.value - general), abs(q.value - printed)) / (scale or 1.0))
        for q, general, scale, printed in e.six
    }
    return check(
        all(error <= TOLERANCES["autograd"] for error in errors.values()),
        measured=errors,
        expected=0,
        tolerance=TOLERANCES["autograd"],
        note="relative errors, also of the formulas as they are printed",
    )


@CLAIMS.claim("implementation", "the given implementations return the right gradients")
def implementations_are_right(e: Evidence) -> Claim:
    if not e.grades:
        return not_applicable("no --implementation given")
    counts: dict[str, int] = {}
    for grade in e.grades:
        counts[grade.verdict] = counts.get(grade.verdict, 0) + 1
    first = e.first_failing
    return check(
        first is None,
        measured=counts,
        expected={"correct": len(e.grades)},
        note=f"{first.implementation.name}: {first.message}" if first else "",
    )
