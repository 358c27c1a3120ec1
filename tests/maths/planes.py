"""Planes for the tests of regions and rays: as hypothesis draws them, and hard ones by name."""

from __future__ import annotations

from fractions import Fraction as F

from hypothesis import strategies as st

from mlhw.maths.regions import Envelope, upper_envelope

Planes = list[tuple[float, float, float]]

# Small integers meet in one point, run parallel, coincide and disappear all the time.
integers = st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=2, max_size=7)
floats = st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=2, max_size=6)
planes_of_both_kinds = integers | floats
# Tiny and huge numbers beside ordinary ones, and those that float64 holds with few digits.
any_size = (
    st.integers(-3, 3).map(float)
    | st.builds(lambda digits, power: digits * 10.0**power, st.floats(-9, 9), st.integers(-99, 99))
    | st.floats(-1e-300, 1e-300)
)
planes_of_any_size = st.lists(st.tuples(any_size, any_size, any_size), min_size=2, max_size=6)

# Two boundaries that begin 1e145 away, so that a point counted from there has no digits left.
FAR_VERTEX = [(0, 0, 0), (0, 2.49e-145, 1), (1, 1, 0)]
# The same with a vertex that float64 cannot hold at all.
VERTEX_BEYOND_FLOATS = [(0, 0, 0), (0, 5e-324, 1), (1, 1, 0)]
# Where the last two meet, beyond the tip of the first one's wedge, the wedge's sides are so nearly
# parallel that rounding cannot tell the point from one inside.
WEDGE = [(-1e-20, 0, 0), (1, 1, 0), (-1, -1, 0), (3, 1, 0), (-1, -3, 0)]


def envelope_of(planes: Planes) -> Envelope:
    return upper_envelope([p[:2] for p in planes], [p[2] for p in planes])


def points_on(e: Envelope, n: int) -> list[tuple[F, F]]:
    """Exact points inside boundary ``n``, far along it too."""
    boundary = e.boundaries[n]
    places = [F(1, 1000), F(1, 2), F(999, 1000)]
    if boundary.kind != "segment":
        places += [F(1), F(10**9)]
    if boundary.kind == "line":
        places += [F(0), F(-(10**9))]
    s, d = boundary.start, boundary.direction
    return [(s[0] + t * d[0], s[1] + t * d[1]) for t in places]
