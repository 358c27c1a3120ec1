"""No claim fails by bad luck: over many seeds and rates a true statement holds or is not applicable.

Seeds and settings are the same in every run, so these tests pass or fail for good.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlhw
from mlhw import Result
from mlhw.errors import MlhwError
from mlhw.maths import logistic
from mlhw.text import yaml12
from tests.conftest import smoke
from tests.points.reading import CASES

DATA: list[Any] = [
    "gaussians",
    "breast-cancer",
    {"name": "iris", "classes": [1, 2]},
    {"name": "wine", "classes": [0, 1]},
]


def failing(result: Result) -> list[str]:
    return [claim.id for claim in result.claims if claim.verdict == "fails"]


def limits(data: Any, standardize: bool) -> list[float]:
    """The rates at which gradient descent on this data changes its behaviour."""
    found = mlhw.lr_sweep(data=data, standardize=standardize, etas=[1e-3], max_iterations=1).summary
    rates = [found["monotone_eta"], found["critical_eta"], found["local_eta_at_start"]]
    return [rate for rate in rates if rate is not None]


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("softmax-regions", 3),
        ("backprop-check", 60),
        ("vanishing", 15),
        ("lr-sweep", 3),
        ("sgd-sweep", 300),
        ("finetune", 4),
    ],
)
def test_the_short_versions_fail_at_no_seed(name: str, seeds: int) -> None:
    keys, _ = yaml12.parse(Path(smoke(name)).read_text(), name)
    for seed in range(seeds):
        assert failing(mlhw.run(name, **keys, seed=seed)) == [], f"seed {seed}"


def test_the_defaults_of_sgd_sweep_fail_at_no_seed() -> None:
    for seed in range(30):
        repeats = None if seed < 3 else 1
        assert failing(mlhw.sgd_sweep(seed=seed, repeats=repeats)) == [], f"seed {seed}"


@pytest.mark.parametrize("data", DATA, ids=str)
@pytest.mark.parametrize("standardize", [False, True])
def test_lr_sweep_fails_at_no_rates(data: Any, standardize: bool) -> None:
    """Rates about the limits, where a run shows what theory says late or not at all."""
    rng = np.random.default_rng(1)
    around = limits(data, standardize)
    for _ in range(25):
        spread = rng.choice([0.003, 0.1, 1.0, 2.0], size=3)
        etas = rng.choice(around, size=3) * np.exp(spread * rng.normal(size=3))
        keys = {
            "etas": sorted(etas.tolist()),
            "max_iterations": int(10 ** rng.uniform(0, 3.3)),
            "tolerance": float(rng.choice([0.0, 1e-9, 1e-5, 1e-3])),
        }
        found = mlhw.lr_sweep(data=data, standardize=standardize, **keys)
        assert failing(found) == [], keys


@pytest.mark.parametrize("data", DATA, ids=str)
@pytest.mark.parametrize("standardize", [False, True])
def test_sgd_sweep_fails_at_no_rates(data: Any, standardize: bool) -> None:
    """Few epochs and many, batches, one order and several, any rates."""
    rng = np.random.default_rng(2)
    about = limits(data, standardize)[0]
    for _ in range(20):
        large = about * np.exp(1.2 * rng.normal(size=2))
        keys = {
            "etas": [*large.tolist(), about * float(10 ** rng.uniform(-3, 0))],
            "epochs": int(10 ** rng.uniform(0, 2.8)),
            "repeats": int(rng.choice([1, 1, 5])),
            "batch_size": int(rng.choice([1, 1, 2, 20, 50])),
            "seed": int(rng.integers(1000)),
        }
        found = mlhw.sgd_sweep(data=data, standardize=standardize, **keys)
        assert failing(found) == [], keys


IRIS = {"name": "iris", "classes": [1, 2]}


@pytest.mark.parametrize(
    "keys",
    [
        {"etas": [2, 1]},  # the spread of one is about twice that of the other
        {"etas": [0.5, 0.25], "standardize": True},  # gradient descent arrives, the noise stays
        {"etas": [0.5, 0.25], "standardize": True, "data": IRIS | {"features": [1]}},
        {"etas": [0.2, 0.02], "data": IRIS},
        {"etas": [0.05, 0.02], "data": {"name": "wine", "classes": [0, 1], "features": [0, 1]}},
        {"w0": [1.75954, -1.51327, -10.8081], "epochs": 100},  # the optimum: nothing to gain
        {"w0": [1e99, 1e99, 1e99], "epochs": 50},  # every update is lost in rounding
    ],
    ids=str,
)
def test_sgd_sweep_fails_at_no_seed(keys: dict[str, Any]) -> None:
    for seed in range(12):
        assert failing(mlhw.sgd_sweep(seed=seed, repeats=1, **keys)) == [], f"seed {seed}"


def test_a_batch_of_all_data_is_gradient_descent_and_claims_nothing() -> None:
    found = mlhw.sgd_sweep(batch_size=200, epochs=20)
    verdicts = {claim.id: claim.verdict for claim in found.claims}
    for about_noise in ("not-always-faster", "keeps-fluctuating", "faster-at-smallest"):
        assert verdicts[about_noise] == "not applicable"
    assert "fails" not in verdicts.values()
    against = found.summary["against_gd"]
    np.testing.assert_allclose([r["sgd_nll"] for r in against], [r["gd_nll"] for r in against])


@pytest.mark.parametrize(
    "keys",
    [
        {"etas": [2, 1], "max_iterations": 4000},  # both end at the optimum, within rounding
        {"etas": [2, 1, 0.5], "max_iterations": 3000},
        {"etas": [1e308, 0.1]},  # gone after one step
        {"etas": [2, 1], "w0": [1e99, -1e99, 1e99]},
    ],
    ids=str,
)
def test_lr_sweep_fails_at_no_end(keys: dict[str, Any]) -> None:
    assert failing(mlhw.lr_sweep(standardize=True, tolerance=0, **keys)) == []


def test_vanishing_fails_with_no_number_of_draws() -> None:
    for draws in (1, 5, 30, 100):
        for depth in (10, 40):
            for seed in range(6):
                keys = {"draws": draws, "depth": depth, "seed": seed, "shallow_depth": None}
                assert failing(mlhw.vanishing(**keys)) == [], keys


@pytest.mark.parametrize("eta", [0.3, 0.6, 1.9])
def test_an_overshoot_is_the_growth_of_an_error_on_a_parabola(eta: float) -> None:
    """On E = λw²/2 an update multiplies w by 1 − ηλ: the growth of w itself, in e-folds."""
    curvature = np.array([1.0, 4.0, 5.0, 3.5, 0.5, 6.0, 0.1])
    w = np.cumprod(np.concatenate([[1.0], np.abs(1.0 - eta * curvature)]))
    most = max(np.log(w[j] / w[i]) for i in range(len(w)) for j in range(i, len(w)))
    found = logistic.overshoot(2.0 / curvature, eta)
    np.testing.assert_allclose(found, most, rtol=1e-12, atol=1e-15)


def test_no_overshoot_without_curvature_or_without_a_path() -> None:
    assert logistic.overshoot(np.array([np.inf, np.inf]), 1.0) == 0.0
    assert logistic.overshoot(np.empty(0), 1.0) == 0.0
    assert logistic.overshoot(np.array([1.0]), 0.5) == 0.0  # lands on the minimum exactly


@pytest.mark.parametrize("path", sorted(CASES.iterdir()), ids=lambda path: path.name)
def test_no_file_of_points_makes_a_claim_fail(path: Path) -> None:
    """Columns of zeros, twice the same, huge ones, one class far from the other: all that is read."""
    for standardize in (False, True):
        keys: dict[str, Any] = {"data": str(path), "standardize": standardize}
        try:
            gd = mlhw.lr_sweep(**keys)
        except MlhwError:
            continue
        assert failing(gd) == []
        assert failing(mlhw.sgd_sweep(epochs=30, **keys)) == []


def test_weights_beyond_float64s_digits_raise_no_alarm_where_the_curvature_has_vanished() -> None:
    """σ(1 − σ) of 1e-315 has few digits left, and nothing can be compared with it."""
    found = mlhw.lr_sweep(
        data={"name": "iris", "classes": [1, 2], "features": [0]},
        etas=[2.0549379951528213, 3.435971612612726, 4.359437750949446],
        w0=[-183.25835351918295, -414.6934564272679],
        max_iterations=448,
        tolerance=1e-3,
    )
    assert failing(found) == []


@pytest.mark.parametrize("seed", [14, 77, 197, 249, 288, 291, 316, 363, 365, 883])
def test_saturated_units_whose_sums_cancel_raise_no_alarm(seed: int) -> None:
    """With residual connections outputs of ±1 cancel to their last bit, or an e^−731 is a denormal."""
    rng = np.random.default_rng(seed)
    keys = {
        "activation": str(rng.choice(["tanh", "sigmoid", "gelu", "softplus"])),
        "weights": str(rng.choice(["xavier", "normal", "uniform", "he"])),
        "depth": int(rng.integers(3, 60)),
        "scale": float(10 ** rng.uniform(0, 2)),
        "width": int(rng.integers(1, 4)),
        "bias_scale": float(rng.choice([0, 1, 10])),
        "output": str(rng.choice(["identity", "sigmoid"])),
    }
    found = mlhw.vanishing(residual=True, draws=13, shallow_depth=None, seed=seed, **keys)
    assert failing(found) == []


def test_a_start_beyond_float64s_digits_raises_no_alarm_either() -> None:
    found = mlhw.lr_sweep(
        data={"name": "iris", "classes": [1, 2]},
        etas=[0.05561185239323633, 1.3583497411840717],
        w0=[
            *(19.785883683137754, 89.11733559009707, 118.21997924360736),
            *(89.99848183134152, -80.60277801458255),
        ],
        max_iterations=7,
    )
    assert failing(found) == []


def test_a_plateau_is_left_to_the_noise_of_single_samples(tmp_path: Path) -> None:
    """Far from 0 gradient descent is soon done with the bias's direction, and has hardly begun another."""
    rng = np.random.default_rng(0)
    for seed in range(6):
        x = 2.0**19 + rng.integers(0, 2, 35)
        np.savez(
            tmp_path / "p.npz", X=x[:, None], y=rng.permutation(np.arange(35) < 18).astype(int)
        )
        keys = {"data": str(tmp_path / "p.npz"), "seed": seed, "epochs": 120}
        assert failing(mlhw.sgd_sweep(etas=[3.4e-12, 3e-12], **keys)) == []
