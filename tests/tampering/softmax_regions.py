"""How each claim of softmax-regions is made to fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mlhw.experiments.softmax_regions import experiment, grid
from mlhw.maths import rational, rays
from mlhw.maths.regions import Envelope

COMMAND: list[str] = []


def geometry(monkeypatch: pytest.MonkeyPatch, change: Callable[[Envelope], Envelope]) -> None:
    """Have the experiment work with another geometry than that of its planes."""
    true = experiment.upper_envelope
    monkeypatch.setattr(experiment, "upper_envelope", lambda *planes: change(true(*planes)))


def common_point_with_a_wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    def mirrored(envelope: Envelope) -> Envelope:
        assert envelope.common is not None
        point = rational.minus(rational.ZERO, envelope.common.point)
        return replace(envelope, common=replace(envelope.common, point=point))

    geometry(monkeypatch, mirrored)


def boundaries_end_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each boundary begins, and each vertex lies, a little along the way; planes stay as they are."""

    def shortened(envelope: Envelope) -> Envelope:
        inwards = Fraction(1, 1000)
        boundaries = tuple(
            replace(b, start=rational.along(b.start, inwards, b.direction))
            for b in envelope.boundaries
        )
        start = {b.vertices[0]: b.start for b in boundaries if b.vertices}
        vertices = tuple(
            replace(vertex, point=start.get(n, vertex.point))
            for n, vertex in enumerate(envelope.vertices)
        )
        return replace(envelope, boundaries=boundaries, vertices=vertices)

    geometry(monkeypatch, shortened)


def slopes(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Have the gaps of all classes but the reference grow otherwise along every line."""
    true = rays.gaps_along

    def changed(planes: Any, reference: int, *line: Any) -> Any:
        gaps = true(planes, reference, *line)
        others = np.arange(len(gaps.slope)) != reference
        return replace(gaps, slope=np.where(others, change(gaps.slope), 0.0))

    monkeypatch.setattr(rays, "gaps_along", changed)


def tied_classes_drift_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    slopes(monkeypatch, lambda slope: slope + 1e-9)


def gaps_bend(monkeypatch: pytest.MonkeyPatch) -> None:
    slopes(monkeypatch, lambda slope: slope * (1 + 1e-9))


def rays_run_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    slopes(monkeypatch, lambda slope: -slope)


def middle_by_the_mean_of_the_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rays, "nearest_in_hull", rational.mean)


def grid_with_a_wrong_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    true = grid.activations_at

    def raised(*arguments: Any) -> Any:
        first, *others = true(*arguments)
        return [first + Fraction(1, 10), *others]

    monkeypatch.setattr(grid, "activations_at", raised)


def the_common_point_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry(monkeypatch, lambda envelope: replace(envelope, common=None))


def places_half_as_far(monkeypatch: pytest.MonkeyPatch) -> None:
    true = rays.Way.points
    monkeypatch.setattr(rays.Way, "points", lambda way, r: true(way, 0.5 * r))


TAMPERINGS = {
    "probes-as-told": places_half_as_far,
    "whole-envelope": the_common_point_is_forgotten,
    "common-point": common_point_with_a_wrong_sign,
    "vertices": boundaries_end_too_soon,
    "boundary-equal": tied_classes_drift_apart,
    "boundary-gaps": gaps_bend,
    "boundary-away": rays_run_backwards,
    "middle-largest": rays_run_backwards,
    "middle-rate": middle_by_the_mean_of_the_other_weights,
    "grid-argmax": grid_with_a_wrong_bias,
}
