"""What lr-sweep says beside its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import mlhw


def far_from_zero() -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes whose feature lies at 1000 ± 1."""
    draw = np.random.default_rng(0)
    t = np.arange(60) % 2
    return 1000.0 + draw.normal(size=60) + 2.0 * t, t


def test_a_rate_that_stops_by_tolerance_far_above_the_optimum_says_so(
    tmp_path: Path,
) -> None:
    x, t = far_from_zero()
    np.savez(tmp_path / "far.npz", X=x[:, None], y=t)
    found = mlhw.lr_sweep(data={"file": str(tmp_path / "far.npz")}, etas=[1e-8], w0=[0.0, 0.0])
    (run,) = found.summary["runs"]
    assert run["stopped"] == "tolerance"
    assert run["nll"] > found.summary["optimum"]["nll"] + 0.1
    assert any("far above the lowest possible" in line for line in found.answers)
    near = mlhw.lr_sweep(
        data={"file": str(tmp_path / "far.npz")},
        etas=[1.0],
        standardize=True,
        max_iterations=5000,
        tolerance=1e-9,
    )
    assert near.summary["runs"][0]["stopped"] == "tolerance"
    assert not any("far above" in line for line in near.answers)
