"""Whether two classes of points are separable, for a look at data before any sweep."""

from __future__ import annotations

from mlhw.errors import DataError
from mlhw.experiments.sweeps.problem import check_sizes_of
from mlhw.experiments.sweeps.separated import separation_answers
from mlhw.maths.centring import Centred
from mlhw.maths.optimum import solve
from mlhw.points.points import Points, checked_two, two_classes

_MOST_WORK = 1e11  # multiplications of one Newton step, of a minute


def separability(points: Points) -> tuple[bool | None, str]:
    """Whether the NLL of the points has no minimum, None where that is not judged, and a sentence."""
    classes = points.classes
    if len(classes) != 2:
        return None, f"separability is judged for two classes; here there are {len(classes)}"
    if why_unfit(points):
        return None, "separability is not judged: there are numbers too large or too small"
    n, d = points.X.shape
    if n > d and float(n) * d * d > _MOST_WORK:
        return None, "separability is not judged: there are too many numbers for a quick look"
    X, t, _ = two_classes(points)
    found = solve(Centred.of(X[:, :-1].copy()), t)
    if found.separation is not None:
        return True, separation_answers(found.separation, found.infimum, points.features)[0]
    if found.optimum is None:
        return None, "whether the classes are separable was not found out"
    return False, "the classes overlap: the NLL has a minimum"


def why_unfit(points: Points) -> DataError | None:
    """Why the sweeps cannot use points as they are; None where they can."""
    try:
        checked_two(points)
        check_sizes_of(points)
    except DataError as error:
        return error
    return None
