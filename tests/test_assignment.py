"""``mlhw all``: a process an experiment, the worst exit code, one report, JUnit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlhw.assignment import Answer, worst
from mlhw.junit import junit_xml
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
        ([], 0),
        ([77, 3], 77),
    ],
)
def test_the_exit_code_is_the_worst(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected


def test_junit_has_a_case_a_claim_and_an_error_for_what_did_not_finish() -> None:
    claims = [CLAIM | {"verdict": verdict} for verdict in ("holds", "fails", "not applicable")]
    answers = [
        Answer("lr-sweep", 3, {"status": "finished", "claims": claims}, 1.5),
        Answer("sgd-sweep", 1, {"error": ["out of memory"]}, 0.1),
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
    assert f'href="../{Path(runs[1]["run"]).name}/metrics.csv"' in report
    root = ElementTree.parse(tmp_path / "claims.xml").getroot()
    assert [suite.get("name") for suite in root] == ["lr-sweep", "sgd-sweep"]


def test_the_order_is_the_courses_and_every_claim_is_reported(mlhw: Mlhw, tmp_path: Path) -> None:
    file = config(tmp_path, sgd_sweep="epochs: 5\n", lr_sweep=QUICK)
    found = mlhw("all", "-c", file, "--name", "x")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0].startswith("1. lr-sweep: finished, 6 of 6 claims hold")
    assert lines[1].startswith("  holds: no rate below 2/L ever rises (measured ")
    assert any(line.startswith("2. sgd-sweep: finished") for line in lines)
    (folder,) = tmp_path.glob("runs/*-all-x")
    assert lines[-1] == f"report: {folder / 'report.html'}"
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
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*lr-sweep/metrics.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"Traceback" not in err
    for folder in tmp_path.glob("runs/2*"):
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


def test_a_process_that_dies_is_an_error_of_its_experiment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlhw import assignment
    from mlhw.interrupts import Interrupts

    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    answer = assignment.run_one("lr-sweep", None, [], Interrupts())
    assert answer.exit_code == 1
    assert answer.found["error"] == ["the process was ended by SIGKILL"]
