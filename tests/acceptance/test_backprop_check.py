"""backprop-check through the installed command, as a student, a teacher and a script would use it."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import mlhw as mlhw_api
from mlhw.experiments.backprop_check import experiment as backprop_check
from mlhw.result.recorder import Recorder
from tests.conftest import DRAWN, PROGRAM, ROOT, Mlhw
from tests.grading.styles import NIELSEN

RIGHT = ROOT / "tests" / "tampering" / "right_backprop.py"
QUICK = ("backprop-check", "--trials", "3", "--no-plots")


def found(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout))


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {claim["id"]: claim["verdict"] for claim in result["claims"]}


def rows(result: dict[str, Any], table: str) -> list[dict[str, str]]:
    with open(Path(result["run"]) / f"{table}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_defaults_prove_the_course_network(mlhw: Mlhw) -> None:
    done = mlhw("backprop-check", "--json")
    assert done.returncode == 0, done.stderr
    result = found(done)
    assert verdicts(result) == {
        "autograd": "holds",
        "complex-step": "holds",
        "finite-difference": "holds",
        "nothing-left-out": "holds",
        "course-formulas": "holds",
        "implementation": "not applicable",
    }
    summary = result["summary"]
    assert summary["networks"] == 101
    errors = summary["max_relative_error"]
    assert errors["autograd"] < 1e-12
    assert errors["complex_step"] < 1e-12
    assert errors["finite_difference"] < 1e-8
    assert {q["name"]: q["formula"] for q in summary["quantities"]} == {
        "delta_1^(4)": "a_1^(4) - t",
        "dE/dw_12^(3)": "delta_1^(4) z_2^(3)",
        "dE/da_1^(3)": "h'(a_1^(3)) w_11^(3) delta_1^(4)",
        "dE/dw_11^(2)": "delta_1^(3) z_1^(2)",
        "dE/da_1^(2)": "h'(a_1^(2)) sum_k w_k1^(2) delta_k^(3)",
        "dE/dw_11^(1)": "delta_1^(2) x_1",
    }
    table = rows(result, "gradients")
    assert list(table[0]) == [
        "quantity",
        "analytic",
        "autograd",
        "complex_step",
        "finite_difference",
        "max_relative_error",
    ]
    # Every delta of layers 2 to 4 and every weight.
    assert len(table) == (2 + 2 + 1) + (6 + 4 + 2)
    by_name = {row["quantity"]: row for row in table}
    for q in summary["quantities"]:
        name = q["name"].replace("dE/da", "delta")
        assert float(by_name[name]["analytic"]) == pytest.approx(q["value"], rel=1e-12)
        assert float(by_name[name]["autograd"]) == pytest.approx(q["value"], rel=1e-12)
    run = Path(result["run"])
    for name in ("network", "steps", "agreement"):
        assert (run / "plots" / f"{name}.png").stat().st_size > 10_000
        assert (run / "plots" / f"{name}.svg").exists()
    # The recursion in three formulas, then the course's six with their values.
    assert (run / "report.html").read_text().count('<math display="block">') == 3 + 6
    assert len(rows(result, "networks")) == 101


def test_the_answers_print_each_formula_with_its_value_and_agreement(mlhw: Mlhw) -> None:
    done = mlhw(*QUICK)
    assert done.returncode == 0
    for line in (
        r"delta_1\^\(4\) += a_1\^\(4\) - t += .*differs by",
        r"dE/da_1\^\(2\) += h'\(a_1\^\(2\)\) sum_k w_k1\^\(2\) delta_k\^\(3\) = .*differs by",
        r"autograd: \d+ derivatives of 4 networks, largest relative error",
    ):
        assert re.search(line, done.stdout), done.stdout


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (
        mlhw_api.backprop_check(trials=2, seed=seed).summary for seed in (1, 1, 2)
    )
    assert first == again
    assert first["quantities"] != other["quantities"]


def test_a_saved_configuration_gives_the_same_numbers(mlhw: Mlhw, one_seed: dict[str, str]) -> None:
    first = found(mlhw(*QUICK, "--json", "--seed", "random", "--bias", env=one_seed))
    config = str(Path(first["run"]) / "config.yaml")
    assert f"seed: {DRAWN}\n" in Path(config).read_text()
    again = found(mlhw("backprop-check", "-c", config, "--no-plots", "--json"))
    assert first["summary"] == again["summary"]


@pytest.mark.parametrize(
    "keys",
    [
        {"layers": "4,5,3", "hidden": "gelu", "output": "softmax", "loss": "cross_entropy"},
        {"layers": "4,5,1", "output": "logistic", "loss": "binary_cross_entropy", "bias": True},
        {"layers": [2, 6, 4, 2], "hidden": ["softplus", "tanh"], "batch": 5, "output": "tanh"},
        {"layers": [2, 1], "max_width": 1, "trials": 20},
    ],
)
def test_other_networks_agree_too(keys: dict[str, Any]) -> None:
    result = mlhw_api.backprop_check(**{"trials": 0, **keys})
    assert result.fails == []
    assert next(c for c in result.claims if c.id == "complex-step").verdict == "holds"


def test_a_network_with_a_kink_has_an_empty_complex_column_and_says_why(mlhw: Mlhw) -> None:
    done = mlhw("backprop-check", "--trials", "0", "--hidden", "relu", "--json", "--no-plots")
    assert done.returncode == 0
    result = found(done)
    assert verdicts(result)["complex-step"] == "not applicable"
    assert result["summary"]["max_relative_error"]["complex_step"] is None
    assert {row["complex_step"] for row in rows(result, "gradients")} == {""}
    assert "relu not analytic" in (Path(result["run"]) / "log.txt").read_text()
    assert "relu not analytic" in done.stderr


def test_a_large_network_is_sampled_and_says_so() -> None:
    recorder = Recorder()
    result = backprop_check.run(backprop_check.Config(trials=0, layers=[30, 90, 30, 2]), recorder)
    assert result.fails == []
    assert any("check 4000 random ones and three random" in line for line in recorder.log_lines)
    assert len(result.tables["gradients"]) == 4000 + 90 + 30 + 2


# ------------------------------------------------------------------------------------- grading


def test_a_right_file_exits_0_and_a_wrong_one_3_with_its_mistake(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    done = mlhw(*QUICK, "--json", "--implementation", str(RIGHT))
    assert done.returncode == 0
    result = found(done)
    assert verdicts(result)["implementation"] == "holds"
    assert result["summary"]["implementation"]["verdict"] == "correct"

    wrong = tmp_path / "wrong.py"
    wrong.write_text(RIGHT.read_text().replace("z3 * (1 - z3) * ", ""))
    done = mlhw(*QUICK, "--json", "--implementation", "wrong.py")
    assert done.returncode == 3
    theirs = found(done)["summary"]["implementation"]
    assert theirs["verdict"] == "wrong"
    assert theirs["diagnosis"] == ["missing_derivative"]
    assert set(theirs["wrong"][0]) == {"quantity", "row", "column", "got", "expected"}
    done = mlhw(*QUICK, "--implementation", "wrong.py")
    assert re.search(r"^wrong.py: wrong \[missing_derivative\]: .*h' of layer 3", done.stdout, re.M)


def test_a_whole_class_is_graded_at_once(mlhw: Mlhw, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    text = RIGHT.read_text()
    (folder / "anne.py").write_text(text)
    (folder / "ben.py").write_text(text.replace("- t\n", "+ t\n"))
    (folder / "cem.py").write_text(text.replace("    w1,", "    1 / 0\n    w1,"))
    (folder / "dora.py").write_text(text.replace("    w1,", "    while True: pass\n    w1,"))
    (folder / "eva.py").write_text("def gradient(w, x, t): ...\n")
    options = ("--implementation", str(folder), "--implementation", str(RIGHT), "--time-limit", "1")
    done = mlhw(*QUICK, *options, "--json")
    assert done.returncode == 3
    result = found(done)
    table = rows(result, "implementations")
    assert [(Path(row["file"]).name, row["verdict"]) for row in table] == [
        ("anne.py", "correct"),
        ("ben.py", "wrong"),
        ("cem.py", "error"),
        ("dora.py", "timeout"),
        ("eva.py", "error"),
        ("right_backprop.py", "correct"),
    ]
    assert table[2]["message"].startswith("ZeroDivisionError: division by zero (line ")
    assert len(result["summary"]["implementations"]) == 6
    assert result["summary"]["implementation"]["file"].endswith("ben.py")
    claim = next(c for c in result["claims"] if c["id"] == "implementation")
    assert claim["measured"] == {"correct": 2, "wrong": 1, "error": 2, "timeout": 1}


def test_the_configuration_names_files_relative_to_itself(mlhw: Mlhw, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.py").write_text(RIGHT.read_text().replace("def backprop", "def mine"))
    (folder / "x.yaml").write_text("trials: 0\nimplementation: ['mine.py:mine']\n")
    done = mlhw("backprop-check", "-c", "there/x.yaml", "--no-plots", "--json")
    assert done.returncode == 0, done.stderr
    assert found(done)["summary"]["implementation"]["function"] == "mine"


def test_a_template_is_written_and_never_over_a_file(mlhw: Mlhw, tmp_path: Path) -> None:
    done = mlhw("backprop-check", "--write-template", "my.py", "--layers", "4,3,1", "--bias")
    assert done.returncode == 0
    assert "shape (3, 5)" in (tmp_path / "my.py").read_text()
    assert not (tmp_path / "runs").exists()
    done = mlhw("backprop-check", "--write-template", "my.py")
    assert done.returncode == 2
    assert done.stderr == "error: my.py: is there already and stays as it is; give another name\n"


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--hidden", "sigmoid"], "(got sigmoid), did you mean 'logistic'?"),
        (["--hidden", "tanh,tanh,tanh"], "hidden: 2 activations needed, one a hidden layer; got 3"),
        (["--loss", "cross_entropy"], "needs softmax outputs (got identity)"),
        (["--output", "softmax"], "softmax needs two output units at least"),
        (["--layers", "3"], "--layers: must have at least 2 items"),
        (["--layers", "3,0,1"], "must be at least 1 (got 0)"),
        (["--layers", "3,two,1"], "must be a whole number (got two)"),
        (["--layers", "9000,9000,1"], "more than 10 million weights"),
        (["--implementation", "no.py"], "no.py: no such file"),
        (["--implementation", f"{RIGHT}:gradient"], "no function gradient in this file"),
        (["--max-width", "257"], "--max-width: must be at most 256"),
        (["--time-limit", "0"], "--time-limit: must be greater than 0"),
        (["--write-template", "no/such/folder.py"], "cannot be written: no such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_plain_line_and_exit_2(
    options: list[str], line: str, mlhw: Mlhw, tmp_path: Path
) -> None:
    done = mlhw("backprop-check", *options)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_while_a_file_runs_ends_at_once_and_takes_it_along(tmp_path: Path) -> None:
    # It can tell nobody that it is at work: its memory shows it.
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "def backprop(weights, x, t):\n"
        "    kept = b'x' * (200 << 20)\n"
        "    time.sleep(600)\n"
    )
    command = [str(PROGRAM), *QUICK, "--implementation", "slow.py", "--time-limit", "500"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (large := large_below(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - sent < 30  # not the 500 s it may take
    assert large
    assert not any(Path(f"/proc/{pid}").exists() for pid in large)


def large_below(root: int) -> list[int]:
    """The processes below one that hold 200 MiB."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name of a program, in brackets, may hold anything.
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
            pages[int(folder.name)] = int((folder / "statm").read_text().split()[1])

    def below(pid: int) -> bool:
        above = parents.get(pid, 0)
        return above == root or (above > 1 and below(above))

    return [pid for pid, count in pages.items() if count * 4096 > 200 << 20 and below(pid)]


def test_submissions_in_another_shape_are_taken_by_an_adapter_or_options(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    (tmp_path / "theirs.py").write_text(NIELSEN)
    network = ("--layers", "3,4,2", "--output", "logistic", "--implementation", "theirs.py")
    done = mlhw(*QUICK, *network, "--bias", "--adapter", "nielsen", "--json")
    result = found(done)
    assert result["summary"]["implementation"]["verdict"] == "correct"
    assert result["summary"]["implementation"]["notes"][0].startswith("running the file failed: ")
    config = (Path(result["run"]) / "config.yaml").read_text()
    assert "bias: true" in config
    assert "adapter: nielsen" in config
    refused = mlhw(*QUICK, *network, "--adapter", "nilsen")
    assert refused.returncode == 2
    assert (
        refused.stderr == "error: adapter: there is no preset 'nilsen', did you mean 'nielsen'?\n"
    )
    without = mlhw(*QUICK, *network, "--bias", "separate")
    assert without.returncode == 3
    assert "the class Network, which is made with (sizes): write an adapter" in without.stdout
