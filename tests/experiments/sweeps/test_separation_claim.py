"""What is told of a separation holds for every kind of it, and a point on the wrong side is seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import mlhw
from mlhw.maths import optimum


def touching(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Small integers, where classes touch in points, lines and points of lines; now and then overlap."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(6, 30)), int(rng.integers(1, 4))
    X = rng.integers(-2, 3, size=(n, d)).astype(float)
    first, second = (X @ rng.integers(-2, 3, size=d) for _ in range(2))
    a = np.where(first != 0, first, second)
    return X, np.where(a == 0, rng.integers(0, 2, size=n), a > 0).astype(int)


def verdict(folder: Path, seed: int) -> str:
    X, t = touching(seed)
    if len(np.unique(t)) < 2 or (np.ptp(X, axis=0) == 0).any():
        return "none"
    np.savez(folder / "points.npz", X=X, y=t)
    result = mlhw.lr_sweep(data=str(folder / "points.npz"), etas=[0.1], max_iterations=2)
    assert "fails" not in {c.verdict for c in result.claims if c.id == "optimum-is-lowest"}
    return next(c.verdict for c in result.claims if c.id == "separation-as-told")


def test_every_kind_of_separation_is_as_told(tmp_path: Path) -> None:
    found = [verdict(tmp_path, seed) for seed in range(40)]
    assert found.count("holds") >= 15
    assert "fails" not in found


def test_a_direction_with_a_point_on_its_wrong_side_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = optimum.solve

    def turned(*arguments: object) -> optimum.Solution:
        found = true(*arguments)  # type: ignore[arg-type]
        assert found.separation is not None
        separation = dataclasses.replace(found.separation, weights=-found.separation.weights)
        return dataclasses.replace(found, separation=separation)

    seed = next(seed for seed in range(40) if verdict(tmp_path, seed) == "holds")
    monkeypatch.setattr(optimum, "solve", turned)
    assert verdict(tmp_path, seed) == "fails"


@pytest.mark.parametrize("name", ["quasi_touch", "sm659"])
def test_the_wrong_kind_of_separation_is_found_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlhw.maths.separation import Separation

    other = property(lambda self: "quasi-complete" if self.strict.all() else "complete")
    monkeypatch.setattr(Separation, "kind", other)
    data = str(Path(__file__).parent / "cases" / f"{name}.csv")
    found = mlhw.lr_sweep(data=data, max_iterations=5)
    verdicts = {claim.id: claim.verdict for claim in found.claims}
    assert verdicts["separation-as-told"] == "fails"
