"""vanishing as a user runs it: through the installed command, looking at files and codes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import yaml

import mlhw as api
from mlhw.commands.main import main
from mlhw.errors import ConfigError
from tests.conftest import DRAWN, PROGRAM, ROOT, Mlhw

COLUMNS = [
    *("network", "activation", "layer", "log10_median", "log10_q05", "log10_q95"),
    "log10_median_jacobian",
    *("share_zero", "share_zero_theory"),
]
# One network, one draw, as the assignment has it.
ONE = [
    *("--activation", "sigmoid", "--depth", "701", "--width", "1", "--weights", "constant"),
    *("--scale", "0.5", "--draws", "1", "--input", "1", "--target", "0"),
]


def table(folder: Path, name: str = "gradients") -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def verdicts(found: Any) -> dict[str, str]:
    claims = found["claims"] if isinstance(found, dict) else [c.as_dict() for c in found.claims]
    return {claim["id"]: claim["verdict"] for claim in claims}


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The command with nothing but its name."""
    folder = tmp_path_factory.mktemp("vanishing")
    found = subprocess.run(
        [PROGRAM, "vanishing", "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    printed = json.loads(found.stdout)
    return printed, folder / printed["run"]


def test_the_default_run_holds_every_claim_and_leaves_a_whole_folder(
    default: tuple[dict[str, Any], Path],
) -> None:
    printed, folder = default
    assert set(verdicts(printed).values()) == {"holds"}
    assert {path.name for path in folder.iterdir()} == {
        *("config.yaml", "run.json", "log.txt", "result.json", "report.html", "plots"),
        *("gradients.csv", "survival.csv"),
    }
    names = {"gradients", "histogram", "zeros", "slopes"}
    assert {path.name for path in (folder / "plots").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("png", "svg")
    }


def test_the_table_holds_every_layer_of_every_network_once(
    default: tuple[dict[str, Any], Path],
) -> None:
    printed, folder = default
    rows = table(folder)
    assert list(rows[0]) == COLUMNS
    keys = [(row["network"], row["activation"], int(row["layer"])) for row in rows]
    assert len(set(keys)) == len(keys)
    networks = printed["summary"]["networks"]
    assert len(rows) == sum(network["depth"] - 1 for network in networks)
    for network in networks:
        mine = [r for r in rows if r["network"] == network["rows"]]
        mine = [r for r in mine if r["activation"] == network["activation"]]
        assert [int(row["layer"]) for row in mine] == list(range(1, network["depth"]))
        assert float(mine[0]["share_zero"]) == network["share_zero_first_layer"]
        medians = [row["log10_median"] for row in mine]
        if network["share_zero_first_layer"] == 1.0:
            assert set(medians) == {""}
            assert network["decades_per_layer"] is None
        else:
            slope = np.polyfit(np.arange(len(mine)), np.array(medians, dtype=float), 1)[0]
            assert network["decades_per_layer"] == pytest.approx(slope, abs=1e-9)
    kinds = {(n["network"], n["activation"], n["depth"]) for n in networks}
    assert kinds == {
        *(("chain", "sigmoid", 153), ("chain", "relu", 153), ("bipartite-2", "relu", 153)),
        *(("chain|alive", "relu", 153), ("bipartite-2|alive", "relu", 153)),
        *(("chain", "sigmoid", 10), ("chain", "relu", 10), ("bipartite-2", "relu", 10)),
    }


def test_the_default_run_has_the_numbers_of_the_law(default: tuple[dict[str, Any], Path]) -> None:
    printed, folder = default
    theory = {
        (row["network"], int(row["layer"])): float(row["share_zero_theory"])
        for row in table(folder)
        if row["activation"] == "relu"
    }
    assert theory["chain", 1] == 1.0
    assert theory["chain@10", 1] == pytest.approx(1 - 2.0**-8)
    # H = 8 hidden layers; at layer 1 one of the two layers beside the weight is hidden, else two.
    assert theory["bipartite-2@10", 1] == pytest.approx(1 - 0.75**7 / 2)
    assert theory["bipartite-2@10", 5] == pytest.approx(1 - 0.75**6 / 4)
    assert theory["bipartite-2@10", 9] == pytest.approx(1 - 0.75**7 / 2)
    assert theory["bipartite-2|alive", 5] == pytest.approx(1 - (2 / 3) ** 2)
    alive = printed["summary"]["relu_alive"]
    assert alive["probability"]["2"] == pytest.approx(0.75**151)
    assert alive["width_needed"] == {"0.5": 8, "0.9": 11, "0.99": 14}


def test_one_network_alone_is_right_at_10_to_the_minus_638(mlhw: Mlhw, tmp_path: Path) -> None:
    found = mlhw("vanishing", *ONE, "--json")
    assert found.returncode == 0, found.stderr
    printed = json.loads(found.stdout)
    rows = table(tmp_path / printed["run"])
    assert [(row["network"], row["activation"]) for row in rows] == [("chain", "sigmoid")] * 700
    with mpmath.workdps(50):
        z, slopes = [mpmath.mpf(1)], []
        for _ in range(699):
            z.append(1 / (1 + mpmath.exp(-z[-1] / 2)))
            slopes.append(z[-1] * (1 - z[-1]))
        product = z[-1] / 2
        exact = [product * z[-1]]
        for layer in reversed(range(699)):
            product *= slopes[layer] / 2
            exact.insert(0, product * z[layer])
        for row, value in zip(rows, exact, strict=True):
            log10 = float(mpmath.log10(value))
            for column in ("log10_median", "log10_q05", "log10_q95"):
                assert abs(float(row[column]) - log10) < 1e-9
    assert float(rows[0]["log10_median"]) == pytest.approx(-637.9868768)
    assert {row["share_zero"] for row in rows} == {"0.0"}


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "leaky_relu", "softplus", "sigmoid"])
@pytest.mark.parametrize("options", [{}, {"width": 8, "weights": "he"}, {"residual": True}])
def test_every_activation_runs_and_no_claim_fails(name: str, options: dict[str, Any]) -> None:
    result = api.vanishing(activation=name, depth=40, draws=300, **options)
    assert "fails" not in verdicts(result).values()
    assert verdicts(result)["autograd"] == "holds"
    width = options.get("width", 1)
    expected = "chain" if width == 1 else f"bipartite-{width}"
    assert set(result.tables["gradients"].column("network")) == {expected}
    assert result.summary["networks"][0]["log10_accuracy"] < 1e-3


@pytest.mark.parametrize("weights", ["uniform", "constant", "xavier", "he"])
def test_every_kind_of_weights_runs_and_no_claim_fails(weights: str) -> None:
    result = api.vanishing(weights=weights, scale=0.9, depth=30, draws=300)
    assert "fails" not in verdicts(result).values()
    assert verdicts(result)["relu-chain-product"] == "holds"


def test_a_network_alone_has_the_numbers_that_it_has_in_the_comparison() -> None:
    every = api.vanishing(depth=20, draws=200, seed=5).tables["gradients"]
    alone = api.vanishing(depth=20, draws=200, seed=5, activation="sigmoid").tables["gradients"]
    assert every.rows[: len(alone)] == alone.rows


@pytest.mark.parametrize("depth", [3, 4, 12])
def test_the_smallest_depths_run(depth: int) -> None:
    result = api.vanishing(depth=depth, draws=200, width=3)
    assert "fails" not in verdicts(result).values()
    names = {network["rows"] for network in result.summary["networks"]}
    assert ("chain@10" in names) == (depth > 10)


def test_a_network_of_10000_layers_runs() -> None:
    result = api.vanishing(activation="sigmoid", depth=10_000, draws=3)
    assert verdicts(result)["sigmoid-vanishes"] == "holds"
    assert result.summary["networks"][0]["log10_first_layer"] < -8000


def test_negative_constant_weights_are_allowed_and_kill_every_relu() -> None:
    result = api.vanishing(activation="relu", weights="constant", scale=-0.5, draws=1)
    assert result.summary["networks"][0]["share_zero_first_layer"] == 1.0
    assert verdicts(result)["relu-chain-zeros"] == "holds"
    assert verdicts(result)["zero-shares"] == "not applicable"


def test_hitting_the_target_is_no_exception_to_the_rule_of_zeros() -> None:
    hit = api.vanishing(activation="relu", weights="constant", scale=1, target=1, draws=2)
    assert verdicts(hit)["relu-chain-zeros"] == "not applicable"
    assert hit.summary["networks"][0]["share_zero_first_layer"] == 1.0


def test_a_rerun_from_the_saved_configuration_gives_the_same_bytes(
    mlhw: Mlhw, tmp_path: Path, one_seed: dict[str, str]
) -> None:
    smoke = str(ROOT / "configs" / "smoke" / "vanishing.yaml")
    arguments = ("vanishing", "-c", smoke, "--seed", "random", "--json")
    first = json.loads(mlhw(*arguments, env=one_seed).stdout)
    assert set(verdicts(first).values()) == {"holds"}
    folder = tmp_path / first["run"]
    saved = str(folder / "config.yaml")
    assert f"seed: {DRAWN}\n" in (folder / "config.yaml").read_text()
    second = json.loads(mlhw("vanishing", "-c", saved, "--no-plots", "--json").stdout)
    for name in ("gradients.csv", "survival.csv", "result.json", "config.yaml"):
        assert (folder / name).read_bytes() == (tmp_path / second["run"] / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--depth 2", "--depth: must be at least 3 (got 2)"),
        ("--depth 10001", "--depth: must be at most 10000 (got 10001)"),
        ("--depth 10.5", "--depth: must be a whole number (got 10.5)"),
        ("--width 65", "--width: must be at most 64 (got 65)"),
        ("--draws 0", "--draws: must be at least 1 (got 0)"),
        ("--activation sigmoit", "(got sigmoit), did you mean 'sigmoid'?"),
        ("--weights norml", "(got norml), did you mean 'normal'?"),
        ("--scale 0", "--scale: must be greater than 0 for normal weights (got 0)"),
        ("--weights he --scale -1", "--scale: must be greater than 0 for he weights (got -1)"),
        ("--input .nan", "--input: must be finite"),
        ("--set dept=5", "unknown key 'dept', did you mean 'depth'?"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(
    options: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vanishing", *options.split(), "--runs-dir", str(tmp_path / "runs")]) == 2
    found = capsys.readouterr()
    assert line in found.err
    assert found.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_an_error_in_a_file_names_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump({"weights": "uniform", "scale": -2.0}))
    assert main(["vanishing", "-c", str(file)]) == 2
    assert f"{file}:1: scale: must be greater than 0 for uniform" in capsys.readouterr().err


def test_the_python_api_raises_for_the_same_mistakes() -> None:
    with pytest.raises(ConfigError, match="only constant weights may be negative"):
        api.vanishing(scale=-1)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, all its threads together (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("options", ["--width 64 --depth 2000 --activation relu", "--depth 9000"])
def test_ctrl_c_stops_it_in_the_middle_of_a_block(tmp_path: Path, options: str) -> None:
    process = subprocess.Popen(
        # The process that draws figures would be counted too.
        [PROGRAM, "vanishing", *options.split(), "-q", "--no-plots", "--runs-dir", "runs"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob("runs/2*/gradients.csv")):
        assert process.poll() is None
        time.sleep(0.05)
    # So much that a wide network is being checked against torch, whatever else the machine does.
    while (before := cpu_seconds(process.pid)) < 4:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 130
    # Computing time, not the clock's: on a busy machine every process waits. It was 2.2 s while one call of
    # NumPy filled a gigabyte, for which it keeps Python from all else, the watcher of signals included.
    assert usage.ru_utime + usage.ru_stime - before < 1
    (folder,) = tmp_path.glob("runs/2*")
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_draws(tmp_path: Path) -> None:
    def peak(draws: int) -> float:
        """MiB at most of a run of its own process."""
        code = (
            "import resource, sys; from mlhw.commands.main import main; code = main(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
        )
        options = f"vanishing --activation relu --depth 600 --draws {draws} -q --no-plots"
        found = subprocess.run(
            [sys.executable, "-c", code, *options.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"MLHW_RUNS_DIR": "runs"},
            check=True,
        )
        return int(found.stderr.split()[-1]) / (1024 if sys.platform == "linux" else 1024**2)

    # 268 MB are kept for quantiles; without that bound 200,000 draws would need 960 MB.
    assert peak(200_000) - peak(2000) < 450
