"""The Python functions: results without files, docstrings from the models, doctests that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlhw
from mlhw.api import objects_of
from mlhw.config.model import leaves
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.registry import EXPERIMENTS, experiment, module_name
from tests.conftest import ROOT


def test_a_function_returns_the_result_and_writes_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = mlhw.lr_sweep(etas=(0.5, 0.1), data={"name": "gaussians"}, max_iterations=30)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
    assert [run["eta"] for run in result.summary["runs"]] == [0.5, 0.1]
    assert result.tables["metrics"].column("nll").shape == (60,)
    assert {claim.verdict for claim in result.claims} <= {"holds", "not applicable"}
    figure = result.figures["nll"]
    assert figure.get_axes()[0].get_xlabel() == "iteration"


def test_numpy_values_and_paths_are_taken_as_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", X=np.arange(8.0).reshape(4, 2), y=np.array([0, 1, 0, 1]))
    result = mlhw.lr_sweep(
        etas=np.array([0.1]), data={"file": str(tmp_path / "p.npz")}, max_iterations=3
    )
    assert result.summary["points"] == 4


def test_errors_are_exceptions_with_plain_lines_and_never_an_exit() -> None:
    with pytest.raises(ConfigError, match=r"^etas: item 1: must be greater than 0"):
        mlhw.lr_sweep(etas=[0])
    with pytest.raises(ConfigError, match="unknown key 'eta', did you mean 'etas'"):
        mlhw.lr_sweep(eta=0.1)
    with pytest.raises(DataError, match="3 classes, two needed"):
        mlhw.lr_sweep(data="iris")
    with pytest.raises(AttributeError, match="has no attribute 'lr_swep'"):
        _ = mlhw.lr_swep


def test_a_result_is_saved_where_it_is_asked_to(tmp_path: Path) -> None:
    result = mlhw.sgd_sweep(etas=[0.1], epochs=3, repeats=1)
    result.save(tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "result.json").read_text())
    assert stored == result.as_dict()
    assert (tmp_path / "out" / "metrics.csv").read_text().count("\n") == 4
    assert (tmp_path / "out" / "plots" / "nll.png").exists()


def test_a_table_becomes_a_data_frame_where_pandas_is_installed() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas, which mlhw does not require")
    table = mlhw.lr_sweep(etas=[0.1], max_iterations=3).tables["metrics"]
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(table.columns)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_a_function_whose_docstring_has_every_key(name: str) -> None:
    function = getattr(mlhw, module_name(name))
    assert function.__name__ == module_name(name)
    for leaf in leaves(experiment(name).Config):
        assert leaf.key in function.__doc__


def test_importing_mlhw_imports_nothing_heavy_and_installs_no_handler() -> None:
    program = (
        "import signal, sys; before = signal.getsignal(signal.SIGTERM); import mlhw;"
        "print([m for m in ('numpy', 'torch', 'pydantic') if m in sys.modules]);"
        "mlhw.lr_sweep(max_iterations=3);"
        "print(signal.getsignal(signal.SIGTERM) is before)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == "[]\nTrue\n", found.stderr


MODULES = [
    name for _, name, _ in pkgutil.walk_packages(mlhw.__path__, "mlhw.") if "__main__" not in name
]


@pytest.mark.parametrize("name", ["mlhw", *MODULES])
def test_examples_in_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_functions_signature_has_every_key_with_its_default(name: str) -> None:
    function = getattr(mlhw, module_name(name))
    fields = experiment(name).Config.model_fields
    found = inspect.signature(function).parameters
    objects = dict.fromkeys(objects_of(name))
    assert {key: p.default for key, p in found.items()} == {
        **{k: f.default for k, f in fields.items()},
        **objects,
    }
    assert objects == ({"splits": None} if name == "finetune" else {})


def test_a_result_says_in_short_what_it_has() -> None:
    result = mlhw.lr_sweep(etas=[0.5, 0.1], max_iterations=20)
    first, *_, last = repr(result).splitlines()
    assert first.startswith("<Result of lr-sweep: ")
    assert "nll" in last
    assert len(repr(result)) < 1000


def test_a_type_checker_knows_the_functions_and_no_misspelt_one(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import mlhw\n"
        "reveal_type(mlhw.lr_sweep(etas=[0.5]))\n"
        "reveal_type(mlhw.finetune().claims[0].verdict)\n"
        "mlhw.lr_swep()\n"
        "mlhw.lr_sweep(etas='0.5', bogus=3)\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert 'Revealed type is "mlhw.result.result.Result"' in found.stdout, (
        found.stdout + found.stderr
    )
    assert "Literal['holds']" in found.stdout
    assert 'use.py:4: error: Module has no attribute "lr_swep"' in found.stdout
