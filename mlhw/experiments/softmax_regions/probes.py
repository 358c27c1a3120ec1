"""The table ``probes`` worked out again: places by steps from the start, p by exponentials."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from mlhw.experiments.softmax_regions.evidence import Evidence
from mlhw.maths.rational import Vector
from mlhw.maths.rays import Way, distances

# Places looked at on each way, and of all ways so many activations: they are exact, of 10 µs each.
PLACES, ACTIVATIONS = 5, 3000
# Of a distance, relative: a logarithm and its exponential. Of the steps between them.
SAME, SAME_STEP = 1e-9, 1e-6
# Of a place, relative to how far it lies from the origin and from the start: some ulps.
PLACE = 1e-14
# Of p, and for each unit of a gap that had to be added up: an ulp or two.
P_TOLERANCE, OF_GAPS = 1e-12, 1e-15
# Lower activations than this below the largest have no p in float64.
GONE = -800.0
LOWEST = Fraction(-(10**300))
UNSURE = 1e-3


def wrong_probes(e: Evidence) -> Iterator[str]:
    """Which ways are probed at other places, or with other p, than they should be."""
    most = max(1, ACTIVATIONS // (PLACES * len(e.envelope.planes)))
    looked_at = set(np.linspace(0, len(e.probed) - 1, most).round().astype(int).tolist())
    for number, way in enumerate(e.probed):
        r = distances(way, e.scale)
        if not _log_spaced(r, *reach_of(way, e.scale)):
            yield f"the distances of way {number + 1}"
        elif number in looked_at:
            chosen = r[np.linspace(0, len(r) - 1, PLACES).round().astype(int)]
            found = zip(chosen.tolist(), way.points(chosen), way.p(chosen), strict=True)
            if not all(_right(e, way, *one) for one in found):
                yield f"p along way {number + 1}"


def reach_of(way: Way, scale: float) -> tuple[float, float]:
    """The first and the last distance: a thousandth to a thousand of the scale, a segment's length."""
    if way.kind != "segment":
        return scale / 1000, scale * 1000
    size, (u1, u2) = _sized(way.direction)
    length = float(size) * float(np.hypot(u1, u2))
    return min(scale, length) / 1000, length


def _log_spaced(r: np.ndarray, first: float, last: float) -> bool:
    """Whether distances rise from ``first`` to ``last`` in equal ratios."""
    if len(r) < 2 or not np.allclose(r[[0, -1]], [first, last], rtol=SAME, atol=0.0):
        return False
    steps = np.diff(np.log(r))
    return bool(np.allclose(steps, np.log(last / first) / (len(r) - 1), rtol=SAME_STEP, atol=0.0))


def _sized(direction: Vector) -> tuple[Fraction, tuple[float, float]]:
    """The larger component, which float64 may not hold, and the direction in units of it."""
    size = max(map(abs, direction))
    return size, (float(direction[0] / size), float(direction[1] / size))


def _right(e: Evidence, way: Way, r: float, place: np.ndarray, p: np.ndarray) -> bool:
    """Whether a place lies at the distance r along a way, and p is exp(a_k) over its sum there."""
    size, (u1, u2) = _sized(way.direction)
    length = float(np.hypot(u1, u2))
    start = np.array([float(c) for c in way.start])
    there = start + r * np.array([u1, u2]) / length
    if not np.abs(place - there).max() <= PLACE * (np.abs(start).max() + r):
        return False
    # So many times the direction, exactly: ties stay ties.
    part = Fraction(r) / (size * Fraction(length))
    x, y = (s + part * d for s, d in zip(way.start, way.direction, strict=True))
    before, now = _below_the_top(e, way.start), _below_the_top(e, (x, y))
    shares = np.exp(now) / np.exp(now).sum()
    # A gap is right to some ulps of what was added up; where that leaves open who leads, so is p.
    blur = OF_GAPS * (np.abs(before) + np.abs(now - before))
    if ((blur > UNSURE) & (now - 2 * blur < GONE) & (now + 2 * blur > GONE)).any():
        return True
    return bool(np.abs(p - shares).max() <= P_TOLERANCE + blur[now > GONE].max())


def _below_the_top(e: Evidence, point: Vector) -> np.ndarray:
    """Every activation less the largest, exactly and then rounded."""
    a = [w1 * point[0] + w2 * point[1] + b for w1, w2, b in e.envelope.planes]
    top = max(a)
    return np.array([float(max(value - top, LOWEST)) for value in a])
