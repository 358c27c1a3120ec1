"""What a run prints: answers first, numbers of claims where they are wanted, tally and report last."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from mlhw.commands.main import main
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result.claims import Claim, claim_lines
from mlhw.result.findings import finding_lines
from mlhw.result.observations import Observation
from mlhw.text.values import digits_text

HOLDS = Claim("a", "one is one", "holds", 1.0, 1, 1e-9, "of 3 ones")
FAILS = Claim("b", "one is two", "fails", 1.0, 2, None, "of 3 ones")
IDLE = Claim("c", "one is three", "not applicable", 4.0, None, None, "there is no three")
SEEN = Observation("d", "one was small", True, {"one": 1.0}, "by its size")


def test_numbers_are_shown_of_what_fails_reasons_of_what_is_not_applicable() -> None:
    assert claim_lines(HOLDS) == ["  holds: one is one"]
    assert claim_lines(FAILS)[1:] == ["    measured 1; expected 2; of 3 ones"]
    assert claim_lines(IDLE)[1:] == ["    there is no three"]
    for claim in (HOLDS, FAILS, IDLE):
        line, below = claim_lines(claim, verbose=True)
        assert line.endswith(f" [{claim.id}]")
        assert "measured" in below
        assert claim.note in below


def test_what_was_observed_stands_before_what_is_claimed() -> None:
    lines = finding_lines([HOLDS, FAILS], [SEEN])
    assert lines[:4] == ["", "observations", "  observed: one was small", "    one: 1; by its size"]
    assert lines[4:6] == [
        "",
        "claims (--verbose and the report have the numbers of those that hold)",
    ]
    assert finding_lines([HOLDS], [], verbose=True)[:2] == ["", "claims"]
    assert finding_lines([], []) == []


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of runs, and what a run in it printed on a terminal of 80 columns."""
    folder = tmp_path_factory.mktemp("narrow")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "80")
        patch.setenv("NO_COLOR", "1")
        patch.setattr(sys, "stdout", Terminal())
        words = ["--etas", "0.5,0.1", "--max-iterations", "20", "--no-plots", "-q"]
        assert main(["lr-sweep", *words, "--name", "with-a-name-that-is-long"]) == 0
        return folder, sys.stdout.getvalue()  # type: ignore[attr-defined]


def test_answers_come_first_and_the_tally_and_the_report_last(narrow: tuple[Path, str]) -> None:
    folder, text = narrow
    places = [text.index(word) for word in ("\noptimum: ", "\nobservations\n", "\nclaims (")]
    assert places == sorted(places)
    *_, run, tally, report = text.splitlines()
    assert run.startswith("run folder: runs/")
    assert tally.endswith(" not applicable")
    # Too long for one line, so they are two.
    assert report == f"report: {run.removeprefix('run folder: ')}/report.html"
    assert (folder / report.removeprefix("report: ")).is_file()
    assert all(len(line) <= 80 for line in text.splitlines()[:-1])


def test_a_column_has_one_number_of_digits(narrow: tuple[Path, str]) -> None:
    nlls = [line.split()[3] for line in narrow[1].splitlines() if line.startswith("0.")]
    assert len(nlls) == 2
    assert {len(nll.replace(".", "").lstrip("0")) for nll in nlls} == {8}
    assert digits_text(0.6641535, 8) == "0.66415350"
    assert digits_text(1234.0, 4) == "1234"


def test_the_critical_rate_is_explained_where_it_is_first_named(narrow: tuple[Path, str]) -> None:
    text = " ".join(narrow[1].split())
    where = text.index("critical")
    assert text[where:].startswith("critical rate, eta = 0.7696 (2/lambda_max of the Hessian at")


def test_the_path_of_a_report_is_the_one_that_the_run_has_said(
    narrow: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, text = narrow
    monkeypatch.chdir(folder)
    for name in ("latest", "lr-sweep", "runs/latest"):
        assert main(["open", name, "--print"]) == 0
        assert text.endswith(f"\nreport: {capsys.readouterr().out}")


def test_run_is_a_folder_and_name_its_name_wherever_json_is_printed(
    narrow: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, text = narrow
    monkeypatch.chdir(folder)
    run = next(line for line in text.splitlines() if line.startswith("run folder: "))[12:]
    assert main(["runs", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert main(["runs", "show", "latest", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    for found in (listed, shown):
        assert (found["run"], found["name"]) == (run, Path(run).name)


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_a_run_of_another_experiment_is_said_with_the_right_one(
    narrow: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(narrow[0])
    Image.new("RGB", (8, 8)).save("photo.png")
    more = {"evaluate": [], "predict": ["photo.png"], "export": ["--format", "onnx"]}[command]
    assert main([command, "latest", *more]) == 2
    line = capsys.readouterr().err
    assert "is a run of lr-sweep without a network; mlhw finetune trains one\n" in line


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_observation_reads_right_after_not_observed(name: str) -> None:
    found = experiment(name).observations
    for statement in found.statements.values() if found else ():
        assert not {"no", "not", "none", "never", "nothing", "all"} & set(statement.split())
