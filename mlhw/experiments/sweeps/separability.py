"""Whether two classes of points are separable, for a look at data before any sweep."""

from __future__ import annotations

from mlhw.maths import logistic
from mlhw.points.points import Points, two_classes

_MOST_WORK = 1e11  # multiplications of one Newton step, of a minute


def separability(points: Points) -> tuple[bool | None, str]:
    """Whether the NLL of the points has no minimum, None where that is not judged, and a sentence."""
    classes = points.classes
    if len(classes) != 2:
        return None, f"separability is judged for two classes; here there are {len(classes)}"
    n, d = points.X.shape
    if n > d and float(n) * d * d > _MOST_WORK:
        return None, "separability is not judged: there are too many numbers for a quick look"
    X, t, _ = two_classes(points)
    if logistic.optimum(X, t) is None:
        return True, "the classes are separable: the NLL has no minimum"
    return False, "the classes overlap: the NLL has a minimum"
