"""Offsets, sizes and separation through the two sweeps: summaries, answers, verdicts, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlhw
from mlhw import Result
from mlhw.commands.main import main

CASES = Path(__file__).parent / "cases"
FAR = ["offset_year", "offset_off8", "offset_unix_seconds", "offset_off10", "offset_unix_ms"]


def lr(name: str, **keys: Any) -> Result:
    return mlhw.lr_sweep(data=str(CASES / f"{name}.csv"), **{"max_iterations": 20} | keys)


def verdicts(result: Result) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in result.claims}


def notes(result: Result) -> dict[str, str]:
    return {claim.id: claim.note for claim in result.claims}


@pytest.mark.parametrize("name", FAR)
def test_the_optimum_is_the_same_with_and_without_standardize(name: str) -> None:
    plain, scaled = lr(name).summary, lr(name, standardize=True).summary
    assert plain["optimum"]["nll"] == scaled["optimum"]["nll"]
    assert plain["optimum"]["gradient"] < 1e-12
    deviation = scaled["scaling"]["standard_deviation"][0]
    slope = scaled["optimum"]["w"][0] / deviation
    assert slope == pytest.approx(plain["optimum"]["w"][0], rel=1e-12)
    assert scaled["monotone_eta"] == pytest.approx(8.0, rel=1e-12)
    # The activation without the offset, as the summary gives it.
    optimum = plain["optimum"]
    x = np.loadtxt(CASES / f"{name}.csv", delimiter=",", skiprows=1)
    a = optimum["w"][0] * (x[:, 0] - optimum["centre"][0]) + optimum["bias_at_centre"]
    loss = np.mean(np.logaddexp(0, np.where(x[:, 1] > 0, -a, a)))
    assert loss == pytest.approx(optimum["nll"], rel=1e-13)


def test_the_limits_of_standardized_data_do_not_move_with_the_offset(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(-500, 500, size=(40, 2)) / 64
    y = (rng.random(40) < 0.5).astype(int)
    found = []
    for offset in (0.0, 2.0**20, 2.0**40):
        np.savez(tmp_path / "p.npz", X=X + offset, y=y)
        keys = {"data": str(tmp_path / "p.npz"), "max_iterations": 3}
        found.append(mlhw.lr_sweep(standardize=True, **keys).summary)
    for other in found[1:]:
        assert other["optimum"]["nll"] == found[0]["optimum"]["nll"]
        for key in ("monotone_eta", "critical_eta", "local_eta_at_start"):
            assert other[key] == pytest.approx(found[0][key], rel=1e-11)


@pytest.mark.parametrize(
    "options",
    [
        ["--etas", "1e-16"],
        ["--etas", "1e-15,1e-16,1e-17", "--tolerance", "0"],
        ["--etas", "1e-12,1e-18", "--tolerance", "0"],
    ],
    ids=str,
)
def test_a_start_at_the_optimum_far_from_zero_raises_no_alarm(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(CASES / "offset_off8.csv")
    start = "--w0=1.0056639711272157,-170962880.0529446"
    common = [start, "--no-plots", "--json", "--runs-dir", str(tmp_path)]
    assert main(["lr-sweep", "--data", data, *options, *common]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert summary["optimum"]["nll"] == pytest.approx(0.335649207, rel=1e-9)


def test_a_rate_above_the_critical_one_may_stay_at_the_optimum_it_starts_from() -> None:
    """The gradient there is rounding, and so small that no update changes a weight."""
    start = mlhw.lr_sweep(max_iterations=2).summary
    w0 = start["optimum"]["w"].tolist()
    etas = [1.2 * start["critical_eta"], 0.01]
    found = mlhw.lr_sweep(w0=w0, etas=etas, tolerance=0, max_iterations=3000)
    assert "fails" not in verdicts(found).values()


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("w0", [None, [0.0, 0.0]])
def test_neither_sweep_raises_an_alarm_far_from_zero(name: str, w0: list[float] | None) -> None:
    critical = lr(name).summary["critical_eta"]
    etas = [3 * critical, 0.3 * critical, 0.01 * critical]
    keys: dict[str, Any] = {"data": str(CASES / f"{name}.csv"), "etas": etas, "w0": w0}
    assert "fails" not in verdicts(mlhw.lr_sweep(**keys)).values()
    assert "fails" not in verdicts(mlhw.sgd_sweep(epochs=250, **keys)).values()


def test_classes_in_balance_far_from_zero_give_gradient_descent_nothing_to_gain(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(2)
    X = rng.integers(-3, 4, size=(28, 3)) + 2.0 ** np.array([14, 28, 18])
    np.savez(tmp_path / "p.npz", X=X, y=np.arange(28) % 2)
    keys = {"data": str(tmp_path / "p.npz"), "w0": [0.0] * 4, "etas": [1e-16, 2e-17]}
    assert "fails" not in verdicts(mlhw.sgd_sweep(epochs=10, **keys)).values()


@pytest.mark.parametrize("name", ["lr-sweep", "sgd-sweep"])
def test_too_small_features_are_refused_with_the_way_out(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(CASES / "denorm.csv")
    assert main([name, "--data", data, "--runs-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "the feature 'a' is too small to work with" in error
    assert "--standardize" in error
    assert main([name, "--data", data, "--runs-dir", str(tmp_path), "--standardize", "-q"]) == 0


def test_standardized_features_of_any_size_have_the_optimum_of_ordinary_ones(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    X = rng.integers(-999, 999, size=(30, 2)) / 8
    y = (rng.random(30) < 0.5).astype(int)
    found = []
    for power in (0, -1000, 1000):
        np.savez(tmp_path / "p.npz", X=np.ldexp(X, power), y=y)
        keys = {"data": str(tmp_path / "p.npz"), "max_iterations": 30}
        found.append(mlhw.lr_sweep(standardize=True, **keys).summary)
    for other in found[1:]:
        assert (other["optimum"]["nll"], other["runs"][0]["nll"]) == (
            found[0]["optimum"]["nll"],
            found[0]["runs"][0]["nll"],
        )


def test_quasi_complete_separation_is_said_with_its_infimum() -> None:
    found = lr("quasi_touch", max_iterations=500)
    assert found.summary["optimum"] is None
    assert found.summary["separation"] == {
        "kind": "quasi-complete",
        "infimum": pytest.approx(0.34657359, abs=5e-9),
        "separated_rows": 2,
        "boundary_rows": 2,
        "boundary": [1, 2],
        "features": ["x"],
        "features_with_weight": 1,
    }
    said = "\n".join(found.answers)
    assert "separable but for 2 of 4 points" in said
    assert "its infimum is 0.34657359" in said
    assert "features with a weight in the separating direction: x" in said
    assert verdicts(found)["above-optimum"] == "holds"
    assert min(run["nll"] for run in found.summary["runs"]) > 0.34657359


def test_complete_separation_is_said_with_the_infimum_0() -> None:
    found = lr("nearsep2")
    separation = found.summary["separation"]
    assert (separation["kind"], separation["infimum"]) == ("complete", 0.0)
    assert (separation["separated_rows"], separation["boundary_rows"]) == (4, 0)
    assert "towards its infimum 0 for ever" in "\n".join(found.answers)
    assert verdicts(found)["above-optimum"] == "holds"
    sgd = mlhw.sgd_sweep(data=str(CASES / "nearsep2.csv"), etas=[9, 1], epochs=200)
    assert "every sample's gradient vanishes" in notes(sgd)["keeps-fluctuating"]


def test_the_noise_of_points_on_the_boundary_stays() -> None:
    found = mlhw.sgd_sweep(data=str(CASES / "quasi_touch.csv"), etas=[5, 0.5])
    assert verdicts(found)["keeps-fluctuating"] == "holds"
    assert verdicts(found)["not-always-faster"] == "holds"
    small = mlhw.sgd_sweep(data=str(CASES / "quasi_touch.csv"), etas=[0.05, 0.01])
    assert verdicts(small)["not-always-faster"] == "not applicable"
    assert "points on the boundary" in notes(small)["not-always-faster"]


def test_an_infimum_that_is_too_high_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from mlhw.maths import optimum

    true = optimum.solve
    monkeypatch.setattr(optimum, "solve", lambda *a: replace(true(*a), infimum=0.36))
    assert verdicts(lr("quasi_touch", max_iterations=500))["above-optimum"] == "fails"


def test_an_optimum_that_is_not_found_is_said_and_is_no_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlhw.maths import optimum

    monkeypatch.setattr(optimum, "STEPS", 0)
    found = lr("tiny")
    assert found.summary["optimum"] is None
    assert found.summary["separation"] is None
    assert found.summary["critical_eta"] is None
    assert "the optimum was not found" in found.summary["no_optimum"]
    assert found.summary["no_optimum"] in found.answers
    assert verdicts(found)["above-optimum"] == "not applicable"
    # A search that takes no step has missed what a single one finds: only the claim about it may fail.
    failing = {
        id
        for id, v in verdicts(mlhw.sgd_sweep(data=str(CASES / "tiny.csv"))).items()
        if v == "fails"
    }
    assert failing == {"optimum-is-lowest"}


def test_the_first_five_features_are_named_the_largest_weight_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(60, 7))
    y = (X @ [1, 0.9, 0.8, 0.7, 4, 0.6, 0.5] > 0).astype(int)
    np.savez(tmp_path / "p.npz", X=X, y=y)
    found = mlhw.lr_sweep(data=str(tmp_path / "p.npz"), max_iterations=2)
    separation = found.summary["separation"]
    assert len(separation["features"]) == 5
    assert separation["features_with_weight"] == 7
    assert separation["features"][0] == found.summary["features"][4]
    assert "and 2 more" in "\n".join(found.answers)
