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
    with pytest.raises(ConfigError, match=r"^etas: rate 1 must be greater than 0"):
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


# A user's script: what is right, and from ``# wrong`` on one mistake a line.
SCRIPT = """\
import numpy as np
import mlhw
from mlhw import Claim, Result

def best(etas: list[float]) -> float:
    result: Result = mlhw.lr_sweep(etas=etas, data={"name": "iris", "classes": [1, 2]})
    failing: list[Claim] = result.fails
    return min(float(run["nll"]) for run in result.summary["runs"]) + len(failing)

best([0.5, 0.1])
mlhw.lr_sweep(etas=(0.5, 1), data="iris", w0=None, log_axis="both", seed="random")
mlhw.sgd_sweep(etas=[0.1], epochs=10, tolerance=None)
mlhw.softmax_regions(weights=[[1, 0], [0, 1]], biases=[0, 0], names=["a", "b"])
mlhw.vanishing(activation="relu", depth=20, target=1.0)
mlhw.backprop_check(layers=[4, 8, 3], hidden="tanh", bias=True)
mlhw.finetune(data={"name": "digits"}, unfreeze_at=None, optim={"lr": 1e-3})
mlhw.run("lr-sweep", etas=[0.1]).tables["metrics"].column("nll").mean()
# wrong
mlhw.lr_swep()
mlhw.lr_sweep(etas="x")
mlhw.lr_sweep(bogus=3)
mlhw.vanishing(activation="relo")
mlhw.vanishing(depth="deep")
mlhw.sgd_sweep([0.1])
mlhw.run("lr-sweep").sumary
mlhw.finetune().claims[0].verdict == 3 + "holds"
"""
WRONG = list(range(SCRIPT.splitlines().index("# wrong") + 2, len(SCRIPT.splitlines()) + 1))


def typed(folder: Path, *command: str) -> str:
    """What a type checker says of the script, with this checkout as the package."""
    (folder / "use.py").write_text(SCRIPT)
    (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    return subprocess.run(
        [sys.executable, "-m", *command, "use.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    ).stdout


def test_mypy_finds_every_mistake_of_a_users_script_and_no_other(tmp_path: Path) -> None:
    found = typed(tmp_path, "mypy", "--config-file=", "--strict")
    lines = {int(line.split(":")[1]) for line in found.splitlines() if ": error:" in line}
    assert sorted(lines) == WRONG, found
    assert 'has no attribute "lr_swep"' in found
    assert 'Unexpected keyword argument "bogus"' in found


def test_pyright_finds_every_mistake_of_a_users_script_and_no_other(tmp_path: Path) -> None:
    pytest.importorskip("pyright", reason="needs the development tools")
    found = json.loads(typed(tmp_path, "pyright", "--outputjson"))
    errors = [d for d in found["generalDiagnostics"] if d["severity"] == "error"]
    lines = [d["range"]["start"]["line"] + 1 for d in errors]
    assert lines == WRONG, errors
    assert 'No parameter named "bogus"' in errors[2]["message"]
