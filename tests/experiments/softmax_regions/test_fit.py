"""softmax-regions on points: its fit against scikit-learn, and data that cannot be fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import mlhw
from mlhw.errors import DataError
from mlhw.experiments.softmax_regions.fit import FitConfig, fit_planes
from tests.points.reading import written


@pytest.mark.parametrize(("data", "features"), [("iris", [2, 3]), ("wine", ["alcohol", "proline"])])
def test_a_fit_is_scikit_learns_on_scaled_features(data: str, features: list[Any]) -> None:
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    result = mlhw.run("softmax-regions", fit={"name": data, "features": features})
    bunch = datasets.load_iris() if data == "iris" else datasets.load_wine()
    columns = [f if isinstance(f, int) else bunch.feature_names.index(f) for f in features]
    X = bunch.data[:, columns]
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10_000))
    model.fit(X, bunch.target)
    W, b = np.array(result.summary["weights"]), np.array(result.summary["biases"])
    np.testing.assert_allclose(
        scipy.special.softmax(X @ W.T + b, axis=1), model.predict_proba(X), atol=1e-6
    )
    assert result.summary["accuracy"] == pytest.approx(model.score(X, bunch.target))
    assert result.summary["fit"]["points"] == len(X)
    assert "fails" not in [claim.verdict for claim in result.claims]
    low, high = X.min(axis=0), X.max(axis=0)
    x1_low, x1_high, x2_low, x2_high = result.summary["window"]
    assert x1_low < low[0] < high[0] < x1_high
    assert x2_low < low[1] < high[1] < x2_high


def test_a_fit_of_two_classes_from_a_file_has_two_planes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    X = np.vstack([draw.normal(0, 1, (40, 2)), draw.normal(2, 1, (40, 2))])
    lines = ["height,width,label"]
    lines += [f"{a},{b},{'cat' if i < 40 else 'dog'}" for i, (a, b) in enumerate(X.tolist())]
    file = tmp_path / "pets.csv"
    file.write_text("\n".join(lines) + "\n")
    result = mlhw.run("softmax-regions", fit={"file": str(file)})
    assert result.summary["names"] == ["cat", "dog"]
    assert [b["kind"] for b in result.summary["boundaries"]] == ["line"]
    assert result.summary["accuracy"] > 0.85
    W = np.array(result.summary["weights"])
    np.testing.assert_allclose(W[0], -W[1])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("1,0.1,a\n2,0.1,b\n3,0.1,a\n", "the feature 'v' is constant"),
        ("1,2,a\n2,3,a\n", "1 class, 2 to 100 needed"),
        ("".join(f"{i},{i % 7},{i}.5\n" for i in range(150)), "is the last column a class?"),
    ],
)
def test_data_that_cannot_be_fitted_says_why(tmp_path: Path, rows: str, problem: str) -> None:
    file = tmp_path / "points.csv"
    file.write_text("u,v,label\n" + rows)
    with pytest.raises(DataError, match=problem.replace("?", r"\?")):
        mlhw.run("softmax-regions", fit={"file": str(file)})


@pytest.mark.parametrize(("scale", "size"), [(1e-300, "small"), (1e200, "large"), (1e308, "large")])
def test_a_feature_beyond_what_float64_can_scale_is_refused_without_a_warning(
    scale: float, size: str, tmp_path: Path
) -> None:
    rows = "".join(f"{x * scale!r},{y},{y % 2}\n" for y, x in enumerate((-1.0, 0.5, 1.0, 0.25)))
    path = written(tmp_path, "p.csv", "a,b,label\n" + rows)
    with pytest.raises(DataError, match=rf"p\.csv: the feature 'a' is too {size} to work with"):
        fit_planes(FitConfig(file=str(path)))
