"""``mlhw grade``: a folder of submissions in, grades and feedback out."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlhw.commands.main import main
from mlhw.commands.marking.cells import plain_cell, safe_cell
from mlhw.commands.marking.config import GradeConfig
from mlhw.config.load import load_config
from mlhw.grading.isolation.rungs import RUNGS, rung_in_words, why_no_rung
from tests.commands.graded_class import (
    SIGN,
    Graded,
    by_student,
    hand_in,
    rows,
)
from tests.grading.handed_in import BATCHED


def test_everybody_has_a_grade_and_a_wrong_one_is_no_failure(done: Graded) -> None:
    assert done.code == 0
    found = {name: (row["verdict"], row["codes"]) for name, row in by_student(done.run).items()}
    assert found == {
        "anna": ("correct", ""),
        "ben": ("wrong", "missing_derivative"),
        "<b>carl": ("wrong", "sign"),
        "=1+1": ("wrong", "sign"),
        "dora": ("error", ""),
    }
    header = list(rows(done.run / "grades.csv")[0])
    assert header[:6] == ["student", "score", "verdict", "codes", "first_wrong_layer", "seconds"]
    assert [row["score"] for row in by_student(done.run).values()].count("0.0") == 1
    assert by_student(done.run)["ben"]["first_wrong_layer"] == "2"
    verdicts = {claim["id"]: claim["verdict"] for claim in done.result["claims"]}
    assert verdicts.pop("reference") == "not applicable"
    assert {*verdicts.values()} == {"holds"}
    assert done.result["summary"]["verdicts"] == {
        "correct": 1,
        "wrong": 3,
        "error": 1,
        "timeout": 0,
    }


def test_who_handed_in_another_kind_of_file_has_a_row_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = {"ada/b.py": BATCHED, "bob/backprop.txt": BATCHED, "cyd/backprop.PY": BATCHED}
    folder = hand_in(tmp_path / "class", work)
    assert main(["grade", str(folder), "--runs-dir", str(tmp_path / "runs"), "--no-plots"]) == 0
    run = tmp_path / "runs/latest"
    assert "3 of 3 submissions are graded: 2 correct and 1 error" in capsys.readouterr().out
    found = by_student(run)
    assert {name: row["verdict"] for name, row in found.items()} == {
        "ada": "correct",
        "bob": "error",
        "cyd": "correct",
    }
    assert "found backprop.txt" in (run / "feedback/bob.md").read_text()
    assert "found backprop.txt" in (run / "failed.csv").read_text()


def test_no_cell_is_a_formula_and_no_name_is_markup(done: Graded) -> None:
    for table in done.run.glob("*.csv"):
        for row in rows(table):
            for cell in row.values():
                assert not cell.startswith(("=", "+", "@", "\t")), table
    for page in [*done.run.glob("feedback/*.html"), done.run / "report.html"]:
        text = page.read_text(encoding="utf-8")
        assert "<b>carl" not in text, page
        assert "<script>alert" not in text, page
    assert "&lt;b&gt;carl" in (done.run / "report.html").read_text(encoding="utf-8")
    for page in done.run.glob("feedback/*.md"):
        assert "<b>carl" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["=1", "+1", "-1", "@x", "\t=1", "'=1", "plain", "", "'"])
def test_a_cell_is_read_as_it_was_written(name: str) -> None:
    assert plain_cell(safe_cell(name)) == name
    assert not safe_cell(name).startswith(("=", "+", "-", "@", "\t"))


def test_feedback_says_what_is_right_and_wrong_and_works_one_entry_through(done: Graded) -> None:
    text = (done.run / "feedback/ben.md").read_text(encoding="utf-8")
    for part in (
        "**7.75 of 10**",
        "## What is right\n\n- `dE/dW^(3)`",
        "## What is wrong",
        "`missing_derivative`",
        "## One entry by hand: `dE/dw_11^(2)`",
        "δ_j^(3) = h'(a_j^(3)) Σ_k w_kj^(3) δ_k^(4)",
    ):
        assert part in text, part
    page = (done.run / "feedback/ben.html").read_text(encoding="utf-8")
    assert "ben: <strong>7.75 of 10</strong>" in page
    assert "<i>∂E/∂w</i><sub>11</sub><sup>(2)</sup>" in page
    assert page.count("<math") == 3
    assert "anna" not in page
    right = (done.run / "feedback/anna.md").read_text(encoding="utf-8")
    assert "**10 of 10**" in right
    assert "Yours:" not in right


def test_the_class_report_has_mistakes_clusters_and_failures(done: Graded) -> None:
    assert rows(done.run / "mistakes.csv")[0] | {"who": ""} == {
        "code": "sign",
        "students": "2",
        "who": "",
    }
    (cluster,) = rows(done.run / "alike.csv")
    assert (cluster["students"], cluster["last_bit"]) == ("2", "yes")
    (failed,) = rows(done.run / "failed.csv")
    assert failed["student"] == "dora"
    assert len(rows(done.run / "slowest.csv")) == 5
    page = (done.run / "report.html").read_text(encoding="utf-8")
    for words in (
        "Which mistakes how often",
        "alike.csv",
        "failed.csv",
        "slowest.csv",
        "reasons.csv",
    ):
        assert words in page
    assert sorted(path.stem for path in done.run.glob("plots/*.svg")) == ["mistakes", "scores"]


def test_gradescope_and_junit_have_everybody(done: Graded) -> None:
    results = json.loads((done.run / "gradescope/ben/results.json").read_text())
    assert results["score"] == 7.75
    assert results["output_format"] == "md"
    assert sum(test["score"] for test in results["tests"]) == pytest.approx(7.75)
    assert {test["status"] for test in results["tests"]} == {"passed", "failed"}
    assert {"name", "score", "max_score", "output", "visibility"} <= {*results["tests"][0]}
    suites = ElementTree.parse(done.junit).getroot()
    assert {suite.get("name") for suite in suites} == {"anna", "ben", "<b>carl", "=1+1", "dora"}
    counts = {s.get("name"): (s.get("failures"), s.get("errors")) for s in suites}
    assert counts["anna"] == ("0", "0")
    assert counts["ben"] == ("2", "0")
    assert counts["dora"] == ("0", "1")


def test_moodles_feedback_is_a_zip_by_moodles_folder(done: Graded) -> None:
    with zipfile.ZipFile(done.run / "moodle-feedback.zip") as archive:
        assert archive.namelist() == ["anna_11_assignsubmission_file_/feedback.html"]


def test_the_run_is_a_run_like_any_other(done: Graded, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--runs-dir", str(done.runs)]
    assert main(["runs", "list", *where]) == 0
    assert "mean score" in capsys.readouterr().out
    assert main(["runs", "verify", "grade", *where]) == 0
    assert main(["runs", "show", "grade", *where]) == 0
    assert "everybody who handed something in" in capsys.readouterr().out
    assert main(["runs", "rerun", "grade", *where]) == 2
    assert "mlhw runs compare says what differs" in capsys.readouterr().err
    assert main(["init", "grade", str(done.runs / "mine.yaml")]) == 0
    assert load_config(GradeConfig, str(done.runs / "mine.yaml")) == GradeConfig()
    capsys.readouterr()
    saved = done.run / "config.yaml"
    assert main(["grade", "-c", str(saved), "--print-config"]) == 0
    assert capsys.readouterr().out == saved.read_text(encoding="utf-8")


def test_a_student_by_name_with_rubric_reference_and_worksheet(
    done: Graded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = (
        "\ufeffIdentifier,Full name,Grade,Maximum grade,Last modified (grade),Feedback comments\r\n"
        "Participant 11,anna,,20,-,\r\nParticipant 12,zoe,,20,-,\r\n"
    )
    (tmp_path / "sheet.csv").write_text(sheet)
    (tmp_path / "points.yaml").write_text("out_of: 20\n")
    (tmp_path / "right.py").write_text(BATCHED)
    options = ["--rubric", "points.yaml", "--reference", "right.py", "--worksheet", "sheet.csv"]
    options = [str(tmp_path / o) if "." in o else o for o in options]
    where = ["-q", "--no-plots", "--runs-dir", str(tmp_path / "runs")]
    assert main(["grade", str(done.handed_in), "--only", "anna", *options, *where]) == 0
    run = (tmp_path / "runs/latest").resolve()
    filled = (run / "moodle.csv").read_text(encoding="utf-8-sig")
    anna, zoe = list(csv.DictReader(filled.splitlines()))
    assert (anna["Grade"], zoe["Grade"], zoe["Full name"]) == ("20", "", "zoe")
    assert anna["Feedback comments"].startswith("correct: right in all")
    claims = json.loads((run / "result.json").read_text())["claims"]
    assert {claim["verdict"] for claim in claims} == {"holds"}
    capsys.readouterr()

    (tmp_path / "right.py").write_text(SIGN)
    assert main(["grade", str(done.handed_in), *options, *where]) == 2
    error = capsys.readouterr().err
    assert "right.py: gets 15 of 20 points" in error
    assert "nobody was graded" in error
    (tmp_path / "points.yaml").write_text("out_of: 10\n")
    assert main(["grade", str(done.handed_in), *options, *where]) == 2
    assert "write out_of: 20 into the rubric" in capsys.readouterr().err
    assert len(list((tmp_path / "runs").glob("2*"))) == 1, "no folder of a run that did not begin"


def test_wrong_input_is_one_line_and_exit_code_2(
    done: Graded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    heading = "Identifier,Grade,Last modified (grade)\n"
    (tmp_path / "open.csv").write_text(f'{heading}Participant 1,"1,\nParticipant 2,,\n')
    (tmp_path / "wide.csv").write_text(f"{heading}Participant 1,,\nParticipant 2,,,x\n")
    (tmp_path / "no.yaml").write_text("deduct: {sgn: 1}\n")
    folder = str(done.handed_in)
    for arguments, words in {
        (): "SUBMISSIONS: give the folder of a class",
        (folder, "--rubric", "nosuch.yaml"): "no such file",
        (folder, "--rubric", f"{tmp_path}/loop"): "loop: is a link that leads nowhere",
        (folder, "--rubric", f"{tmp_path}/no.yaml"): "there is no code sgn",
        (folder, "--overrides", f"{tmp_path}/no.csv"): "no column points and student",
        (folder, "--worksheet", f"{tmp_path}/no.csv"): "no column Identifier",
        (folder, "--worksheet", f"{tmp_path}/open.csv"): "open.csv:2: a quote",
        (folder, "--worksheet", f"{tmp_path}/wide.csv"): "wide.csv:3: 4 columns, 3 expected",
        (folder, "--only", "nobody"): "nobody of this name",
        (folder, "--function", "a b"): "must be the name of a function",
        (folder, "--jobs", "0"): "jobs",
        (folder, "--targets", "labels"): "needs a cross-entropy",
    }.items():
        code = main(["grade", *arguments, "--runs-dir", str(tmp_path / "runs")])
        error = capsys.readouterr().err
        assert code == 2, arguments
        assert words in error
        assert error.count("\n") == 1, error
    assert not (tmp_path / "runs").exists()


def test_names_of_any_bytes_and_lengths_are_graded(tmp_path: Path) -> None:
    names = [
        b"Anna\xff_5_assignsubmission_file_/b\xfep.py",
        b"c" * 200 + b"/" + b"d" * 200 + b".py",
        b"new\nline.py",
        b"-rf.py",
        "Zoë\u202e.py".encode(),
    ]
    for name in names:
        path = os.path.join(os.fsencode(tmp_path), b"handed-in", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(BATCHED)
    where = ["-q", "--no-plots", "--runs-dir", str(tmp_path / "runs"), "--jobs", "1"]
    junit = tmp_path / "claims.xml"
    assert main(["grade", str(tmp_path / "handed-in"), *where, "--junit", str(junit)]) == 0
    run = (tmp_path / "runs/latest").resolve()
    assert [row["verdict"] for row in rows(run / "grades.csv")] == ["correct"] * 5
    assert len(list(run.glob("feedback/*.html"))) == 5
    assert len(ElementTree.parse(junit).getroot()) == 5
    assert zipfile.ZipFile(run / "moodle-feedback.zip").testzip() is None


def test_the_default_rubric_is_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "points.yaml"
    assert main(["grade", "--write-rubric", str(path)]) == 0
    assert "output_layer: 3" in path.read_text()
    assert main(["grade", "--write-rubric", str(path)]) == 2
    assert "stays as it is" in capsys.readouterr().err


def test_a_class_by_an_adapter_of_the_teachers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_in = hand_in(
        tmp_path / "handed-in",
        {
            "anna.py": BATCHED.replace("def backprop(weights, x, t)", "def grads(x, t, weights)"),
            "ben/net.py": "class Net:\n    def forward(self): ...\n",
            "carl/a.py": "x = 1\nprint('hello')\n",
        },
    )
    adapter = tmp_path / "adapter.py"
    adapter.write_text(
        "def adapt(module, weights, x, t):\n    return module.grads(x, t, weights)\n"
    )
    words = ["grade", str(handed_in), "-q", "--no-plots", "--runs-dir", str(tmp_path / "runs")]
    assert main([*words, "--adapter", str(adapter)]) == 0
    run = (tmp_path / "runs/latest").resolve()
    found = by_student(run)
    assert {name: row["verdict"] for name, row in found.items()} == {
        "anna": "correct",
        "ben": "error",
        "carl": "error",
    }
    assert "grads" in found["ben"]["message"]
    assert (run / "printed/carl.txt").read_text() == "hello\n"
    assert "hello" not in (run / "feedback/carl.html").read_text(encoding="utf-8")
    assert main([*words, "--adapter", "nilsen"]) == 2
    assert "did you mean 'nielsen'" in capsys.readouterr().err
    assert main([*words, "--isolation", "cage"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_of_what_is_printed_each_stream_has_its_share(tmp_path: Path) -> None:
    printing = "import sys\nprint('x' * 20_000)\nprint('not right yet', file=sys.stderr)\n"
    handed_in = hand_in(tmp_path / "handed-in", {"anna.py": printing})
    assert main(["grade", str(handed_in), "-q", "--no-plots", "--runs-dir", str(tmp_path)]) == 0
    printed = (tmp_path / "latest" / "printed" / "anna.txt").read_text()
    assert printed == "x" * 4000 + "\n…\n--- stderr\nnot right yet\n"


@pytest.mark.parametrize("rung", RUNGS)
def test_the_isolation_that_is_asked_for_is_named(rung: str, done: Graded, tmp_path: Path) -> None:
    if reason := why_no_rung(rung):
        pytest.skip(reason)
    words = ["grade", str(done.handed_in), "--only", "ben", "-q", "--no-plots", "--isolation", rung]
    assert main([*words, "--runs-dir", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "latest/result.json").read_text())["summary"]
    assert summary["isolation"] == rung_in_words(rung)
    assert summary["verdicts"]["wrong"] == 1
