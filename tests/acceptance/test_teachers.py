"""The page for teachers, done as it says: a class, Moodle's download, Gradescope's autograder."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import zipfile
from pathlib import Path

import pytest

from mlhw.commands.main import main
from tests.acceptance.sentences import DOCS
from tests.acceptance.test_documentation import FORGETFUL, blocks
from tests.conftest import PROGRAM


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the commands are given."""
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_class_is_marked_as_the_page_for_teachers_says(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = blocks(DOCS / "teachers.md", "sh handed-in")
    (here / "handed-in").mkdir()
    (here / "handed-in" / "ada.py").write_text(FORGETFUL)
    (here / "handed-in" / "ben").mkdir()
    (here / "handed-in" / "ben" / "backprop.py").write_text(FORGETFUL)
    graded, by_hand, resumed = again.splitlines()
    assert first.strip() == graded
    assert main([*shlex.split(graded)[1:], "--no-plots"]) == 0
    table = here / "runs/latest/grades.csv"
    assert "missing_sum" in table.read_text()
    subprocess.run(["sh", "-ec", by_hand], check=True)
    capsys.readouterr()
    assert main([*shlex.split(resumed)[1:], "--no-plots"]) == 0
    assert "2 have not changed" in capsys.readouterr().out
    assert "ada,9.0,wrong,missing_sum" in table.read_text()
    page = (here / "runs/latest/feedback/ada.html").read_text()
    assert "9 of 10" in page
    assert "a good idea on page 2" in page


def test_moodles_files_are_graded_as_the_page_for_teachers_says(here: Path) -> None:
    text = (DOCS / "teachers.md").read_text()
    (block,) = re.findall(r"```sh moodle\n(.*?)```", text, re.S)
    with zipfile.ZipFile(here / "submissions.zip", "w") as archive:
        archive.writestr("Ada L_7_assignsubmission_file_/backprop.py", FORGETFUL)
    columns = "Identifier,Full name,Grade,Maximum grade,Last modified (grade),Feedback comments"
    (here / "worksheet.csv").write_text(f"{columns}\nParticipant 7,Ada L,,10,-,\n")
    assert main([*shlex.split(block)[1:], "--no-plots"]) == 0
    filled = (here / "runs/latest/moodle.csv").read_text(encoding="utf-8-sig")
    assert 'Participant 7,Ada L,7.75,10,-,"wrong: ' in filled
    with zipfile.ZipFile(here / "runs/latest/moodle-feedback.zip") as archive:
        assert archive.namelist() == ["Ada L_7_assignsubmission_file_/feedback.html"]


def test_an_autograder_is_what_the_page_for_teachers_says(here: Path) -> None:
    setup, run = blocks(DOCS / "teachers.md", "bash")
    assert "pip install mlhw" in setup
    for folder in ("submission", "source", "results"):
        (here / "autograder" / folder).mkdir(parents=True)
    (here / "autograder/submission/derivation.py").write_text(FORGETFUL)
    (here / "autograder/submission/helper.py").write_text("x = 1\n")
    (here / "autograder/source/solution.py").write_text(FORGETFUL)
    script = run.replace("/autograder", "autograder").replace("/tmp/runs", "../runs")
    script = script.replace("mlhw grade autograder", "mlhw grade .")
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", script], check=True, env=os.environ | {"PATH": path})
    results = json.loads((here / "autograder/results/results.json").read_text())
    assert results["score"] == 7.75
    assert results["tests"][0]["name"] == "output layer"
