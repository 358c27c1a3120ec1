"""How far the spreads of the features are apart: gradient descent is slow where they differ much."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlhw.errors import DataError
from mlhw.points.cells import brief
from mlhw.points.points import Points
from mlhw.text.words import listing

LARGE_RATIO = 1e3
"""Standard deviations further apart than this are worth scaling."""


@dataclass(frozen=True)
class SpreadRatio:
    """The largest standard deviation of a feature over the smallest that is not 0, and whose they are."""

    ratio: float
    largest: str
    smallest: str

    @property
    def advice(self) -> str | None:
        """A sentence that recommends ``--standardize``; None where the spreads are alike."""
        if self.ratio <= LARGE_RATIO:
            return None
        return (
            f"the standard deviations of '{brief(self.largest)}' and '{brief(self.smallest)}' differ "
            f"by a factor of {self.ratio:.3g}; --standardize brings all features to 1"
        )


def spread_ratio(points: Points) -> SpreadRatio | None:
    """The ratio of the features' spreads; None where fewer than two vary."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        spreads = points.X.std(axis=0)
        varying = np.flatnonzero(
            (spreads > 0) & (np.ptp(points.X, axis=0) > 0) & np.isfinite(spreads)
        )
        if len(varying) < 2:
            return None
        low, high = (varying[int(f(spreads[varying]))] for f in (np.argmin, np.argmax))
        ratio = float(spreads[high] / spreads[low])
    return SpreadRatio(ratio, points.features[high], points.features[low])


def without_constants(points: Points) -> Points:
    """The points without features that have one value throughout, which no scaling can spread.

    Raises DataError where all are constant.
    """
    constant = points.X.min(axis=0) == points.X.max(axis=0)
    if not constant.any():
        return points
    names = [name for name, gone in zip(points.features, constant, strict=True) if gone]
    if constant.all():
        raise DataError(
            f"{points.name}: every feature is constant ({', '.join(map(brief, names[:5]))})"
        )
    some = listing(
        [f"'{brief(name)}'" for name in names[:5]]
        + ([f"{len(names) - 5} more"] if len(names) > 5 else [])
    )
    note = f"{some} {'is' if len(names) == 1 else 'are'} constant: left out by standardize"
    return replace(
        points,
        X=np.ascontiguousarray(points.X[:, ~constant]),
        features=tuple(name for name in points.features if name not in set(names)),
        notes=(*points.notes, note),
    )
