"""The command line: help, versions, errors in one plain line, nothing heavy imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlhw.experiments.registry import EXPERIMENTS
from tests.conftest import Mlhw

HEAVY = ("numpy", "torch", "torchvision", "numba", "matplotlib", "scipy", "sklearn", "rich")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["no-such"]])
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: list[str]) -> None:
    program = (
        "import sys; from mlhw.commands.main import main; main(sys.argv[1:]);"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "[]"


def test_a_commands_help_imports_no_compiler_and_no_plots() -> None:
    program = (
        "import sys; from mlhw.commands.main import main; main(sys.argv[1:]);"
        "print([m for m in ('torch', 'numba', 'matplotlib', 'scipy', 'sklearn') if m in sys.modules])"
    )
    for name in EXPERIMENTS:
        found = subprocess.run(
            [sys.executable, "-c", program, name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.splitlines()[-1] == "[]", name


def test_help_lists_every_experiment_in_whole_lines(mlhw: Mlhw) -> None:
    bare, asked = mlhw(), mlhw("--help")
    assert (bare.returncode, asked.returncode) == (0, 0)
    assert bare.stdout == asked.stdout
    for name, line in EXPERIMENTS.items():
        assert name in asked.stdout
        assert line.split()[0] in asked.stdout
    assert "Exit codes:" in asked.stdout


def test_the_version_names_mlhw_python_and_torch(mlhw: Mlhw) -> None:
    from importlib.metadata import version

    found = mlhw("--version")
    assert found.returncode == 0
    assert found.stdout.startswith("mlhw ")
    assert f"torch {version('torch')}" in found.stdout
    assert "Python 3." in found.stdout


def test_python_dash_m_is_the_same_program(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mlhw", "--version"], capture_output=True, text=True, cwd=tmp_path
    )
    assert found.returncode == 0
    assert found.stdout.startswith("mlhw ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lr-swep"], "no such command 'lr-swep', did you mean 'lr-sweep'"),
        (["xyzzy"], "no such command 'xyzzy' (commands: "),
        (["--verson"], "no such option: --verson, did you mean --version?"),
        (["lr-sweep", "--etass", "1"], "no such option: --etass, did you mean --etas?"),
        (["lr-sweep", "--etas"], "option '--etas' requires an argument"),
        (["lr-sweep", "extra"], "got unexpected extra argument"),
        (["lr-sweep", "--set", "max_iters=3"], "--set: unknown key 'max_iters', did you mean"),
        (["lr-sweep", "--set", "data.data=iris"], "'data', did you mean 'data.name'?"),
        (["lr-sweep", "--runs-dir", ""], "--runs-dir: is empty; give a folder"),
        (["lr-sweep", "--data", ""], "--data: is empty; give a name or a file"),
        (["finetune", "--data", "csv:"], "--data: is empty behind 'csv:'; give csv:PATH"),
        (["evaluate", "latest", "--data", "folder:"], "--data: is empty behind 'folder:'; give"),
        (["evaluate", "latest", "--out", ""], "--out: is empty; give a folder"),
        (["export", "latest", "--out", ""], "--out: is empty; give a file"),
        (["predict", "latest", ""], "IMAGE|FOLDER: is empty; give a path"),
        (["lr-sweep", "--max-iterations", "many"], "--max-iterations: must be a whole number"),
        (["lr-sweep", "--tolerance", "-1"], "--tolerance: must be at least 0 (got -1)"),
        (["lr-sweep", "--etas", "0.5,-1"], "--etas: rate 2 must be greater than 0 (got -1)"),
        (["lr-sweep", "--log-axis", "bothh"], "--log-axis: must be one of none, iteration"),
        (["lr-sweep", "--config", "none.yaml"], "none.yaml: no such file"),
        (["lr-sweep", "--data", "irs"], "--data: unknown data set 'irs', did you mean 'iris'?"),
        (["lr-sweep", "--data", "none.csv"], "none.csv: no such file"),
        (["lr-sweep", "--data", "iris"], "iris: 3 classes, two needed (0, 1, 2); choose"),
        (["lr-sweep", "--w0", "1,2"], "w0: 3 weights needed (2 features and the bias), got 2"),
        (["sgd-sweep", "--epochs", "0"], "--epochs: must be at least 1 (got 0)"),
        (["sgd-sweep", "--batch-size", "201"], "batch_size: must be at most the 200 points"),
        (["lr-sweep", "--runs-dir", "/proc/none"], "the runs folder /proc/none cannot be written"),
        (["lr-sweep", "--runs-dir", "/dev/null"], "the runs folder /dev/null cannot be written"),
        (["lr-sweep", "--seed", "1.5"], "--seed: must be a whole number (got 1.5)"),
        (["lr-sweep", "--seed", "-1"], "--seed: must be at least 0 (got -1)"),
    ],
)
def test_bad_usage_is_one_plain_line_and_exit_2(
    mlhw: Mlhw, tmp_path: Path, arguments: list[str], line: str
) -> None:
    # GITHUB_ACTIONS makes Typer colour its own errors; ours stay plain.
    found = mlhw(*arguments, env={"GITHUB_ACTIONS": "1", "COLUMNS": "40"})
    assert found.returncode == 2
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("error: ")
    assert line in found.stderr
    assert "\x1b" not in found.stderr
    assert not (tmp_path / "runs").exists()


def test_a_start_that_is_too_large_is_named_with_its_line(mlhw: Mlhw, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("seed: 1\nw0: [1e308, 1e308, 0]\n")
    found = mlhw("lr-sweep", "-c", "x.yaml")
    assert (found.returncode, found.stderr) == (
        2,
        "error: x.yaml:2: w0: must be below 1e+100 in size\n",
    )


def test_an_empty_variable_for_the_runs_folder_is_none(mlhw: Mlhw) -> None:
    assert mlhw("runs", "list", env={"MLHW_RUNS_DIR": ""}).stdout == "no runs in runs\n"


def test_what_a_user_has_for_other_figures_ends_no_run_and_changes_no_figure(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    plain = ("lr-sweep", "-q", "--set", "max_iterations=2", "--runs-dir")
    assert mlhw(*plain, "a").returncode == 0
    (tmp_path / "matplotlibrc").write_text("figure.dpi: banana\nno line\nxtick.color: red\n")
    assert mlhw(*plain, "b", env={"MPLBACKEND": "foo"}).returncode == 0
    before = sorted((tmp_path / "a" / "latest" / "plots").glob("*.png"))
    after = sorted((tmp_path / "b" / "latest" / "plots").glob("*.png"))
    assert before
    assert [one.read_bytes() for one in before] == [one.read_bytes() for one in after]


def test_with_json_the_error_is_an_object_on_stdout(mlhw: Mlhw) -> None:
    found = mlhw("lr-sweep", "--json", "--etas", "0", "--tolerance", "x")
    assert found.returncode == 2
    lines = json.loads(found.stdout)["error"]
    assert lines == [line.removeprefix("error: ") for line in found.stderr.splitlines()]
    assert len(lines) == 2


def test_the_printed_configuration_runs_again_the_same(mlhw: Mlhw, tmp_path: Path) -> None:
    printed = mlhw("lr-sweep", "--print-config", "--etas", "0.01:1:log3", "--set", "tolerance=1e-7")
    assert printed.returncode == 0
    assert not (tmp_path / "runs").exists()
    (tmp_path / "x.yaml").write_text(printed.stdout)
    assert mlhw("lr-sweep", "-c", "x.yaml", "--print-config").stdout == printed.stdout
    assert "tolerance: 1.0e-07" in printed.stdout


def test_the_later_of_two_configuration_files_wins_key_by_key(mlhw: Mlhw, tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("max_iterations: 7\netas: [0.5, 0.1]\n")
    (tmp_path / "second.yaml").write_text("tolerance: 1e-3\netas: [0.3]\n")
    files = ["-c", "first.yaml", "--config", "second.yaml"]
    printed = mlhw("lr-sweep", *files, "--print-config")
    for line in ("max_iterations: 7", "tolerance: 0.001", "etas: [0.3]"):
        assert line in printed.stdout.splitlines()
    found = mlhw("lr-sweep", *files, "--no-plots", "-q")
    assert found.returncode == 0, found.stderr
    kept = (tmp_path / "runs" / "latest" / "config.yaml").read_text()
    assert "max_iterations: 7" in kept.splitlines()
    (tmp_path / "some.yaml").write_text("seed: 3\nexperiments: {lr-sweep: first.yaml}\n")
    (tmp_path / "more.yaml").write_text("experiments: {sgd-sweep: null}\n")
    printed = mlhw("all", "-c", "some.yaml", "-c", "more.yaml", "--print-config")
    assert "seed: 3" in printed.stdout
    assert f"lr-sweep: {tmp_path / 'first.yaml'}" in printed.stdout
    assert "sgd-sweep: null" in printed.stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "mlhw"
    found = subprocess.run(
        f"'{program}' lr-sweep --help | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "Traceback" not in found.stderr


def test_output_survives_a_terminal_that_knows_ascii_only(mlhw: Mlhw, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("größe,label\n1,ä\n2,ö\n3,ä\n2.5,ö\n")
    found = mlhw(
        "lr-sweep",
        "--data",
        "p.csv",
        "--no-plots",
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )
    assert found.returncode == 0, found.stderr


def test_shell_completion_names_commands_and_options(mlhw: Mlhw, tmp_path: Path) -> None:
    def complete(words: str) -> str:
        asked = {"_MLHW_COMPLETE": "complete_bash", "COMP_WORDS": words}
        return mlhw(env={**asked, "COMP_CWORD": str(len(words.split()) - 1)}).stdout

    assert "lr-sweep" in complete("mlhw lr")
    assert "--etas" in complete("mlhw lr-sweep --et")
    assert complete("mlhw lr-sweep --log-axis b").split() == ["both"]
    assert complete("mlhw lr-sweep --data br").split() == ["breast-cancer"]
    (tmp_path / "runs" / "20261124-115632-lr-sweep").mkdir(parents=True)
    (tmp_path / "runs" / "20261124-115632-lr-sweep" / "run.json").write_text('{"status": "failed"}')
    assert complete("mlhw runs show 2026").split() == ["20261124-115632-lr-sweep"]
    assert complete("mlhw finetune --model cifar_resnet2").split() == ["cifar_resnet20"]
    assert complete("mlhw finetune --resume 2026").split() == ["20261124-115632-lr-sweep"]
    assert complete("mlhw predict lat").split() == ["latest"]
    assert "--junit" in complete("mlhw all --j")
    assert complete("mlhw finetune --device cu").split() == ["cuda"]
    assert "torchvision:resnet18" in complete("mlhw finetune --model torchvision:resnet1").split()


def test_the_networks_that_completion_offers_are_those_there_are() -> None:
    from mlhw.vision.names import BUILT_IN_NETWORKS
    from mlhw.vision.networks.built_in import BUILDERS as BUILT_IN

    assert set(BUILT_IN_NETWORKS) == set(BUILT_IN)
