"""``mlhw all``: a process an experiment, the worst exit code, one report, JUnit."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlhw.commands.main import main
from mlhw.errors import Interrupted, worst
from mlhw.result.result import Part
from mlhw.runs.isolated import run_one
from mlhw.runs.junit import junit_xml
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen
from tests.conftest import PROGRAM, Mlhw

CLAIM = {
    "id": "a",
    "statement": "one <is> one\x00",
    "verdict": "holds",
    "measured": 1.0,
    "expected": 1,
    "tolerance": None,
    "note": "",
}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 2], 2),
        ([2, 1, 3], 1),
        ([1, 143], 143),
        ([143, 130], 130),
        ([1, 129], 129),
        ([], 0),
        ([77, 3], 77),
    ],
)
def test_the_exit_code_is_the_worst(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected


def test_junit_has_a_case_a_claim_and_an_error_for_what_did_not_finish() -> None:
    claims = [CLAIM | {"verdict": verdict} for verdict in ("holds", "fails", "not applicable")]
    answers = [
        Part("lr-sweep", 3, {"status": "finished", "claims": claims}, 1.5),
        Part("sgd-sweep", 1, {"error": ["out of memory"]}, 0.1),
    ]
    root = ElementTree.fromstring(junit_xml(answers))
    first, second = root.findall("testsuite")
    assert (first.get("tests"), first.get("failures"), first.get("skipped")) == ("3", "1", "1")
    cases = first.findall("testcase")
    assert [len(case.findall("failure")) for case in cases] == [0, 1, 0]
    assert cases[0].get("name") == "one <is> one\ufffd"
    assert second.get("errors") == "1"
    error = second.find("testcase/error")
    assert error is not None
    assert error.get("message") == "out of memory"


def config(tmp_path: Path, **experiments: str) -> str:
    """A configuration of quick runs, a file an experiment."""
    lines = ["experiments:"]
    for name, text in experiments.items():
        kebab = name.replace("_", "-")
        (tmp_path / f"{kebab}.yaml").write_text(text)
        lines.append(f"  {kebab}: {kebab}.yaml")
    (tmp_path / "all.yaml").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "all.yaml")


def wait_for(folder: Path, pattern: str) -> None:
    """Until a file of this name is there."""
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


QUICK = "max_iterations: 20\netas: [0.5, 0.1, 0.05]\n"


def test_a_failing_experiment_stops_no_other_and_gives_the_exit_code(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    broken = "data: {name: iris}\n"  # three classes: a data error, exit 2
    file = config(tmp_path, lr_sweep=broken, sgd_sweep="epochs: 5\n")
    found = mlhw("all", "-c", file, "--json", "--junit", "claims.xml", "--no-plots")
    assert found.returncode == 2
    printed = json.loads(found.stdout)
    runs = printed["summary"]["runs"]
    assert [(run["experiment"], run["exit_code"]) for run in runs] == [
        ("lr-sweep", 2),
        ("sgd-sweep", 0),
    ]
    assert (printed["status"], printed["exit_code"]) == ("finished", 2)
    folder = tmp_path / printed["run"]
    report = (folder / "report.html").read_text()
    assert "3 classes, two needed" in report
    assert "stochastic gradient descent is not always faster" in report
    # The page holds the files: nothing of it is lost when it is copied alone.
    assert 'download="metrics.csv"' in report
    assert not re.search(r'href="(?!data:|#)', report)
    root = ElementTree.parse(tmp_path / "claims.xml").getroot()
    assert [suite.get("name") for suite in root] == ["lr-sweep", "sgd-sweep"]


def test_the_order_is_the_courses_and_every_claim_is_reported(mlhw: Mlhw, tmp_path: Path) -> None:
    file = config(tmp_path, sgd_sweep="epochs: 5\n", lr_sweep=QUICK)
    found = mlhw("all", "-c", file, "--name", "x")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0].startswith("1. lr-sweep: finished, 11 of 11 claims hold")
    # What was asked first, then what it showed, then what it proves, without the numbers.
    assert lines[1].startswith("  lowest NLL: 0.")
    assert "observed: " in lines[2]
    claim = lines.index("  holds: no rate below 2/L ever rises")
    assert lines[claim + 1].startswith("  holds: ")
    assert any(line.startswith("2. sgd-sweep: finished") for line in lines)
    (folder,) = tmp_path.glob("runs/*-all-x")
    assert lines[-1].endswith(f" are not applicable; report: {folder / 'report.html'}")
    assert "2 of 2 experiments finished" in lines
    # In the records each experiment stands as a person would run it.
    for name in ("lr-sweep", "sgd-sweep"):
        (part,) = tmp_path.glob(f"runs/*-{name}-x")
        typed = f"mlhw {name} --config {name}.yaml --runs-dir {tmp_path / 'runs'} --name x"
        assert json.loads((part / "run.json").read_text())["command"] == typed
        for page in (part / "report.html", folder / "report.html"):
            assert typed in page.read_text()
            assert f"mlhw {name} --json" not in page.read_text()
    claims = json.loads((folder / "result.json").read_text())["claims"]
    assert {claim["id"].split("/")[0] for claim in claims} == {"lr-sweep", "sgd-sweep"}
    assert "1/2 lr-sweep" in found.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("experiments: {lr-swep: null}", "unknown experiment 'lr-swep', did you mean 'lr-sweep'?"),
        ("experiments: {}", "experiments: must have at least 1 items"),
        ("experiments: {lr-sweep: none.yaml}", "none.yaml: no such file"),
        ("experiment: {}", "unknown key 'experiment', did you mean 'experiments'?"),
    ],
)
def test_a_bad_configuration_is_one_line_and_exit_2(
    mlhw: Mlhw, tmp_path: Path, text: str, line: str
) -> None:
    (tmp_path / "all.yaml").write_text(text + "\n")
    found = mlhw("all", "-c", "all.yaml")
    assert found.returncode == 2
    assert line in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_signal_reaches_the_running_experiment_and_ends_all(tmp_path: Path) -> None:
    file = config(tmp_path, lr_sweep="max_iterations: 10000000\ntolerance: 0\n")
    process = subprocess.Popen(
        [PROGRAM, "all", "-c", file, "-q"],
        cwd=tmp_path,
        env={**os.environ, "MLHW_RUNS_DIR": "runs"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    wait_for(tmp_path, "runs/*lr-sweep/metrics.csv")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"Traceback" not in err
    for folder in tmp_path.glob("runs/2*"):
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


def test_a_process_that_dies_is_an_error_of_its_experiment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    interrupts = Interrupts()
    with interrupts.hold():
        answer, interrupted = run_one("lr-sweep", [], Screen(), interrupts)
    assert interrupted is None
    assert answer.exit_code == 1
    assert answer.found["error"] == ["the process was ended by SIGKILL"]


def test_a_seed_goes_to_every_experiment_and_a_set_chooses_a_file(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    (tmp_path / "short.yaml").write_text(QUICK)
    file = config(tmp_path, lr_sweep=QUICK, sgd_sweep="epochs: 5\n")
    arguments = ["all", "-c", file, "--set", "experiments.lr-sweep=short.yaml", "--seed", "7"]
    printed = mlhw(*arguments, "--print-config").stdout
    assert f"lr-sweep: {tmp_path / 'short.yaml'}" in printed
    assert "seed: 7" in printed
    found = mlhw(*arguments, "--no-plots")
    assert found.returncode == 0, found.stderr
    for run in tmp_path.glob("runs/*-sweep"):
        assert "seed: 7" in (run / "config.yaml").read_text()
    wrong = mlhw("all", "--set", "experiments.finetune=none.yaml", "--seed", "-1")
    assert wrong.returncode == 2
    seed, file = wrong.stderr.splitlines()
    assert seed == "error: --seed: must be at least 0 (got -1)"
    assert file.startswith("error: --set experiments.finetune: ")
    assert file.endswith("none.yaml: no such file")


def test_a_shipped_configuration_has_a_name(mlhw: Mlhw, tmp_path: Path) -> None:
    found = mlhw("all", "--set", "experiments.lr-sweep=smoke/lr-sweep", "--print-config")
    assert "smoke/lr-sweep.yaml" in found.stdout
    wrong = mlhw("all", "--set", "experiments.lr-sweep=smoke/none", "--print-config")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: --set experiments.lr-sweep: ")
    assert wrong.stderr.endswith("no such file\n")


def test_after_all_of_them_latest_is_the_run_with_the_report_of_all(
    mlhw: Mlhw, tmp_path: Path
) -> None:
    assert mlhw("all", "-c", config(tmp_path, lr_sweep=QUICK), "--no-plots").returncode == 0
    assert (tmp_path / "runs" / "latest").resolve().name.endswith("-all")


def test_a_terminal_shows_the_experiment_and_how_far_it_is(tmp_path: Path) -> None:
    # One rate: its iterations take as long as those of several, and its table is quickly written.
    file = config(tmp_path, lr_sweep="max_iterations: 100000\ntolerance: 0\netas: [0.01]\n")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "all", "-c", file, "--no-plots"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=side,
        stdin=subprocess.DEVNULL,
    )
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # how Linux says that nobody has the other end any more
            break
        if not piece:
            break
        shown += piece
    out, _ = process.communicate(timeout=60)
    os.close(main)
    assert process.returncode == 0
    assert b"1/1 lr-sweep: iterations" in shown
    assert b" %" in shown
    # Results stay on stdout, whole and without a bar.
    assert out.decode().startswith("1. lr-sweep: finished")
    assert b"\x1b" not in out


def test_what_a_signal_left_finished_is_reported(tmp_path: Path) -> None:
    file = config(tmp_path, lr_sweep=QUICK, sgd_sweep="epochs: 1000000\n")
    process = subprocess.Popen(
        [PROGRAM, "all", "-c", file, "-q", "--json", "--no-plots"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    wait_for(tmp_path, "runs/*sgd-sweep/run.json")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    printed = json.loads(out)
    statuses = [run["status"] for run in printed["summary"]["runs"]]
    assert (printed["status"], statuses) == ("interrupted", ["finished", "interrupted"])
    (folder,) = tmp_path.glob("runs/*-all")
    assert "no rate below 2/L ever rises" in (folder / "report.html").read_text()


@pytest.mark.filterwarnings("ignore")  # of MLflow's own dependencies
def test_a_tracker_that_is_asked_for_follows_every_run(mlhw: Mlhw, tmp_path: Path) -> None:
    file = config(tmp_path, lr_sweep=QUICK, sgd_sweep="epochs: 5\n")
    found = mlhw("all", "-c", file, "--no-plots", "--tensorboard", "--mlflow", "sqlite:///m.db")
    assert found.returncode == 0, found.stderr
    for name in ("lr-sweep", "sgd-sweep"):
        (run,) = tmp_path.glob(f"runs/*-{name}")
        assert list((tmp_path / "runs" / "tensorboard" / run.name).rglob("*tfevents*"))
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'm.db'}")
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    runs = client.search_runs(list(experiments.values()))
    assert len(runs) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.parametrize("gone", ["| head -1", "2>&1 | true"])
def test_a_reader_who_leaves_costs_no_experiment_and_no_report(tmp_path: Path, gone: str) -> None:
    file = config(tmp_path, lr_sweep=QUICK, sgd_sweep="epochs: 5\n")
    found = subprocess.run(
        ["bash", "-c", f"{PROGRAM} all -c {file} -v --no-plots {gone}; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.stdout.splitlines()[-1] == "0", found.stderr
    assert "Traceback" not in found.stderr
    (folder,) = tmp_path.glob("runs/*-all")
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert "2/2" not in found.stdout
    assert len(list(tmp_path.glob("runs/2*"))) == 3
    assert "no rate below 2/L ever rises" in (folder / "report.html").read_text()


def test_a_signal_while_the_folder_is_made_ends_a_run_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def signalled(folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlhw.runs.folder.point_latest", signalled)
    assert main(["all", "--json"]) == 143
    printed = json.loads(capsys.readouterr().out)
    assert (printed["status"], printed["summary"]["runs"]) == ("interrupted", [])
    (record,) = tmp_path.glob("runs/2*/run.json")
    assert json.loads(record.read_text())["status"] == "interrupted"


def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """An experiment's process that sleeps and then answers."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nsleep {seconds}\necho \'{{"status": "finished"}}\'\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_signal_while_a_process_starts_is_passed_on_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper(tmp_path, monkeypatch, 60)
    start = threading.Thread.start

    def signalled(thread: threading.Thread) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        start(thread)

    before = time.monotonic()
    with Interrupts() as interrupts, interrupts.hold():
        monkeypatch.setattr(threading.Thread, "start", signalled)
        answer, interrupted = run_one("lr-sweep", [], Screen(), interrupts)
    assert interrupted is not None
    assert answer.errors == ["the process was ended by SIGTERM"]
    assert time.monotonic() - before < 30


def test_a_signal_while_an_answer_is_gathered_does_not_cost_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper(tmp_path, monkeypatch, 0)
    monkeypatch.setattr(Screen, "close", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    found = []
    with pytest.raises(Interrupted), Interrupts() as interrupts, interrupts.hold():
        found.append(run_one("lr-sweep", [], Screen(), interrupts)[0])
    assert found[0].status == "finished"
