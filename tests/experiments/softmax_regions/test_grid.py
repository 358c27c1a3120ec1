"""The quick grid against a look at every point, cell by cell, on planes that are hard to tell apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlhw.experiments.softmax_regions import grid
from mlhw.experiments.softmax_regions.grid import MAX_PANELS, SIDE, activations_over, grid_over
from mlhw.experiments.softmax_regions.window import Window
from mlhw.maths.locating import region_of
from mlhw.maths.softmax import softmax
from tests.maths.planes import (
    FAR_VERTEX,
    VERTEX_BEYOND_FLOATS,
    WEDGE,
    Planes,
    envelope_of,
    planes_of_any_size,
    planes_of_both_kinds,
)

COURSE = [(3, 1, 1), (1, 3, 2), (-3, 1.5, 2)]
HARD: dict[str, Planes] = {
    "the course's": COURSE,
    "parallel boundaries": [(k, 2 * k, -(k**2) / 3) for k in range(-4, 5)],
    "all but parallel": [(0, 0, 0), (1, 0, 0), (2, 1e-9, -1), (-1, -1e-13, -1)],
    "nearly equal classes": [(1, 2, 0), (1 + 2**-52, 2, 0), (1, 2 - 2**-51, 2**-53), (-1, 0, 0)],
    "equal but for the bias": [(1, 2, 0), (1, 2, 5e-324), (-1, 0, 0)],
    "no region": [(2, 0, 0), (-2, 0, 0), (1, 0, 0), (0, 0, -1), (0, 0, 0)],
    "duplicates": [COURSE[1], *COURSE, COURSE[0], COURSE[2], COURSE[2]],
    "one plane": [(1, 1, 1)] * 3,
    "tiny": [(1e-300, 0, 0), (0, 1e-300, 0), (-1e-300, 0, 0)],
    "tiny beside huge": [(1e300, 1, 0), (1e-300, 0, 0), (0, 1e-300, 1e-300), (-1e300, 0, 0)],
    "subnormal": [(5e-324, 0, 0), (0, 1e-323, 0), (0, 0, 0)],
    "a vertex far away": FAR_VERTEX,
    "a vertex beyond floats": VERTEX_BEYOND_FLOATS,
    "a wedge": WEDGE,
    "ties along rows and columns": [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, -1)],
}
WINDOWS = {
    "around 0": Window(np.array([-3.0, -2.0]), np.array([3.0, 4.0])),
    "ties on points": Window(np.array([-99.5, -99.5]), np.array([99.5, 99.5])),
    "small and far": Window(np.array([1e6, -1e6]), np.array([1e6 + 1e-6, -1e6 + 1e-7])),
}


def assert_as_looked_at(planes: Planes, window: Window) -> None:
    """Every cell of ``chosen`` and ``region`` is what a look at all cells finds."""
    envelope = envelope_of(planes)
    found = grid_over(envelope, window)
    middle = (window.low + window.high) / 2
    origin = (Fraction(float(middle[0])), Fraction(float(middle[1])))
    x1, x2 = (window.high - window.low)[:, None] * np.linspace(-0.5, 0.5, len(found.chosen))
    a = found.activations.across[:, None, :] + found.activations.up[:, :, None]
    first = {k: group[0] for group in envelope.groups for k in group}
    largest = np.argmax(a, axis=0)
    assert {first[k] for k in np.unique(largest)} == set(np.unique(largest).tolist())
    np.testing.assert_array_equal(found.chosen, largest)
    offsets = np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2)
    region = region_of(envelope, origin, offsets).reshape(found.region.shape)
    np.testing.assert_array_equal(found.region, region)
    lead = a.max(axis=0) - np.take_along_axis(a, region[None], axis=0)[0]
    np.testing.assert_array_equal(found.log_lead, lead)
    assert found.size == np.abs(a).max()


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("planes", HARD.values(), ids=HARD)
def test_the_grid_is_what_a_look_at_every_point_finds(planes: Planes, window: Window) -> None:
    assert_as_looked_at(planes, window)


@settings(deadline=None, max_examples=60)
@given(planes_of_both_kinds | planes_of_any_size, st.sampled_from(list(WINDOWS.values())))
@example([(0, 0, 0), (1e-99, 0, 0), (0, 1, 1e-99)], WINDOWS["around 0"])
def test_so_it_is_for_planes_of_any_size(planes: Planes, window: Window) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "SIDE", 40)
        assert_as_looked_at(planes, window)


def test_most_points_are_not_looked_at() -> None:
    envelope = envelope_of(COURSE)
    a = activations_over(
        envelope, (Fraction(0), Fraction(0)), *(np.linspace(-3, 3, SIDE) for _ in range(2))
    )
    asked = []

    def look(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(i))
        return a.leading(i, j)

    grid.by_blocks(SIDE, SIDE, look)
    assert sum(asked) < 0.2 * SIDE * SIDE


def test_probabilities_are_those_of_the_activations() -> None:
    rng = np.random.default_rng(3)
    planes: Planes = [(float(u), float(v), float(b)) for u, v, b in rng.normal(size=(25, 3))]
    planes[7] = planes[2]
    found = grid_over(envelope_of(planes), WINDOWS["around 0"])
    a = found.activations.across[:, None, :] + found.activations.up[:, :, None]
    p = softmax(np.moveaxis(a, 0, -1))
    assert found.p.shape == (SIDE, SIDE, MAX_PANELS)
    np.testing.assert_allclose(found.p, p[..., :MAX_PANELS], rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.top, p.max(axis=-1), rtol=0, atol=1e-14)
    assert (found.p[..., 7] == found.p[..., 2]).all()
