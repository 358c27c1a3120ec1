"""How each claim of softmax-regions is made to fail."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mlhw.experiments.softmax_regions import grid as _softmax_grid
from mlhw.maths import rational, rays, regions

COMMAND: list[str] = []


def common_point_with_a_wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    true = regions._common

    def mirrored(planes: Any) -> Any:
        found = true(planes)
        assert found is not None
        return dataclasses.replace(found, point=rational.minus(rational.ZERO, found.point))

    monkeypatch.setattr(regions, "_common", mirrored)


def boundaries_end_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    true = regions._shared_piece

    def shortened(*arguments: Any) -> Any:
        piece = true(*arguments)
        if piece is None:
            return None
        inwards = Fraction(1, 1000)
        low, high = piece.ends
        if low is not None:
            low = rational.along(low, inwards, piece.direction)
        if high is not None:
            high = rational.along(high, -inwards, piece.direction)
        return dataclasses.replace(piece, ends=(low, high))

    monkeypatch.setattr(regions, "_shared_piece", shortened)


def slopes(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Have the gaps of all classes but the reference grow otherwise along every line."""
    true = rays.gaps_along

    def changed(planes: Any, reference: int, *line: Any) -> Any:
        gaps = true(planes, reference, *line)
        others = np.arange(len(gaps.slope)) != reference
        return dataclasses.replace(gaps, slope=np.where(others, change(gaps.slope), 0.0))

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
    true = _softmax_grid.activations_at

    def raised(*arguments: Any) -> Any:
        first, *others = true(*arguments)
        return [first + Fraction(1, 10), *others]

    monkeypatch.setattr(_softmax_grid, "activations_at", raised)


TAMPERINGS = {
    "common-point": common_point_with_a_wrong_sign,
    "vertices": boundaries_end_too_soon,
    "boundary-equal": tied_classes_drift_apart,
    "boundary-gaps": gaps_bend,
    "boundary-away": rays_run_backwards,
    "middle-largest": rays_run_backwards,
    "middle-rate": middle_by_the_mean_of_the_other_weights,
    "grid-argmax": grid_with_a_wrong_bias,
}
