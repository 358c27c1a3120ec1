"""``mlhw open``: a run's report in the browser, or its path."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from mlhw.commands.main import main


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, the newer one without a report; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)
    for name, status in (
        ("20261124-115632-lr-sweep", "finished"),
        ("20261125-1-vanishing", "failed"),
    ):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        record = {"experiment": name.split("-", 2)[2], "status": status, "reason": "out of memory"}
        (folder / "run.json").write_text(json.dumps(record))
    (tmp_path / "runs" / "20261124-115632-lr-sweep" / "report.html").write_text("<p>")
    return tmp_path / "runs"


def test_the_report_is_shown_in_the_browser(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: shown.append(url) or True)
    assert main(["open", "lr-sweep"]) == 0
    report = runs / "20261124-115632-lr-sweep" / "report.html"
    assert shown == [report.as_uri()]
    assert "report.html: shown in the browser" in capsys.readouterr().out


def test_print_gives_the_path_alone_and_opens_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("a browser was opened"))
    assert main(["open", "lr-sweep", "--print"]) == 0
    assert capsys.readouterr().out == "runs/20261124-115632-lr-sweep/report.html\n"


def test_without_a_browser_one_line_says_so(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert main(["open", "lr-sweep"]) == 1
    assert capsys.readouterr().err == (
        "error: runs/20261124-115632-lr-sweep/report.html: there is no browser here to show it; "
        "BROWSER names one, --print prints the path\n"
    )


def test_a_run_without_a_report_says_why_and_the_newest_is_meant(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["open"]) == 2
    line = capsys.readouterr().err
    assert "20261125-1-vanishing: has no report.html (the run is failed: out of memory)" in line
    assert main(["open", "sgd-sweep"]) == 2
    assert "no run 'sgd-sweep'" in capsys.readouterr().err
