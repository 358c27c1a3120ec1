"""What a person sees of a run on a terminal: tallies, ids, tables, progress, completion."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.config.files import near_configs, shipped_names
from mlhw.system import screen as screens
from mlhw.system.screen import Screen
from tests.conftest import PROGRAM, ROOT

QUICK = ["--etas", "0.5,0.1", "--max-iterations", "20", "--no-plots"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with two runs, and what they printed, with ``-v`` and without."""
    folder = tmp_path_factory.mktemp("terminal")
    printed = {}
    for words in ("", "-v"):
        out, sys.stdout = sys.stdout, io.StringIO()
        try:
            runs = ["--runs-dir", str(folder / "runs"), "-q"]
            assert main(["lr-sweep", *QUICK, *runs, *words.split()]) == 0
            printed[words] = sys.stdout.getvalue()
        finally:
            sys.stdout = out
    return folder, printed


def verdicts(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "result.json").read_text())["claims"]
    return found


def test_the_last_line_counts_the_verdicts_and_names_the_report(
    ran: tuple[Path, dict[str, str]],
) -> None:
    _, printed = ran
    found = re.fullmatch(
        r"(\d+) claims hold, (\d+) fail, (\d+) (?:is|are) not applicable; report: (\S+)",
        printed[""].splitlines()[-1],
    )
    assert found is not None
    report = Path(found[4])
    assert report.is_file()
    told = [claim["verdict"] for claim in verdicts(report.parent)]
    kinds = ("holds", "fails", "not applicable")
    assert [int(found[n]) for n in (1, 2, 3)] == [told.count(kind) for kind in kinds]


def test_verbose_shows_the_ids_of_claims_and_nothing_else_does(
    ran: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, printed = ran
    claims = verdicts(folder / "runs" / "latest")
    shown = ["show", "latest", "--runs-dir", str(folder / "runs")]
    assert main(["runs", *shown]) == 0
    plain = capsys.readouterr().out
    assert main(["runs", *shown, "-v"]) == 0
    told = capsys.readouterr().out
    for claim in claims:
        line = f"  {claim['verdict']}: {claim['statement']}"
        assert f"{line}\n" in printed[""]
        assert f"{line}\n" in plain
        assert f"{line} [{claim['id']}]\n" in printed["-v"]
        assert f"{line} [{claim['id']}]\n" in told


def test_the_list_of_runs_counts_what_holds_what_fails_and_what_is_not_applicable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "20261124-115632-lr-sweep"
    folder.mkdir()
    (folder / "run.json").write_text('{"experiment": "lr-sweep", "status": "finished"}')
    claims = [
        {"id": f"c{n}", "statement": "s", "verdict": verdict}
        for n, verdict in enumerate(["holds"] * 6 + ["not applicable"] + ["fails"] * 2)
    ]
    (folder / "result.json").write_text(json.dumps({"claims": claims}))
    assert main(["runs", "list", "--runs-dir", str(tmp_path)]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[3:6] == ["hold", "fail", "n/a"]
    assert row.split()[3:6] == ["6", "2", "1"]
    assert main(["runs", "list", "--runs-dir", str(tmp_path), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["claims"] == {"holds": 6, "fails": 2, "not_applicable": 1, "judged": 8}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "words", [["runs", "list"], ["runs", "show", "latest"], ["runs", "compare"]]
)
def test_on_a_terminal_of_eighty_columns_no_line_is_longer_and_no_word_broken(
    ran: tuple[Path, dict[str, str]],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = ran[0]
    monkeypatch.chdir(folder)
    if words[1] == "compare":
        words = [*words, "lr-sweep~1", "lr-sweep", "--no-plots"]
    assert main(words) == 0
    whole = capsys.readouterr().out
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(words) == 0
    narrow = terminal.getvalue()
    longest = max(map(len, whole.split()))
    assert all(len(line) <= max(80, longest + 20) for line in narrow.splitlines())
    # Headings that stand before each cell have a colon, and cells behind one a semicolon.
    assert {w.strip(":;") for w in whole.split()} == {w.strip(":;") for w in narrow.split()}


# ---------------------------------------------------------------- progress


def test_no_progress_keeps_the_bar_away_and_the_lines_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screens, "on_terminal", lambda: True)
    monkeypatch.setattr(screens.time, "monotonic", iter(range(100)).__next__)
    bare, usual = Screen(progress=False), Screen()
    for screen in (bare, usual):
        screen.progress(1, 2, "steps")
        screen.log("a line")
    assert not bare.shows_bar
    assert usual.shows_bar
    usual.close()
    assert "a line\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["lr-sweep", "all", "evaluate", "predict", "export"])
def test_every_command_that_works_a_while_takes_the_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    assert "--no-progress" in capsys.readouterr().out


# ---------------------------------------------------------------- completion


def complete(words: str, folder: Path) -> list[str]:
    found = subprocess.run(
        [PROGRAM],
        cwd=folder,
        env={
            **os.environ,
            "_MLHW_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
        },
        capture_output=True,
        text=True,
    )
    return found.stdout.split()


def test_a_configuration_is_completed_by_the_shipped_names_and_by_files(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "more").mkdir()
    offered = complete("mlhw finetune -c ", tmp_path)
    assert offered == ["finetune", "finetune-cifar10", "smoke/finetune", "mine.yaml", "more/"]
    assert complete("mlhw all --config smo", tmp_path) == ["smoke/all"]


def test_the_files_that_are_offered_are_those_of_the_folder(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.csv", ".hidden.yaml"):
        (tmp_path / name).write_text("")
    (tmp_path / "d").mkdir()
    names = ["a.yaml", "b.yml", "d/"]
    assert near_configs(f"{tmp_path}/") == [f"{tmp_path}/{name}" for name in names]
    assert near_configs(f"{tmp_path}/b") == [f"{tmp_path}/b.yml"]
    assert near_configs(f"{tmp_path}/none/") == []
    files = {str(p.relative_to(ROOT / "configs"))[:-5] for p in (ROOT / "configs").rglob("*.yaml")}
    assert set(shipped_names()) == files


def test_ctrl_c_while_a_word_is_completed_is_silent(tmp_path: Path) -> None:
    """The signal comes while the program is still importing what it needs."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mlhw.commands.main':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    asked = {"_MLHW_COMPLETE": "complete_bash", "COMP_WORDS": "mlhw lr", "COMP_CWORD": "1"}
    found = subprocess.run(
        [PROGRAM],
        env={**os.environ, "PYTHONPATH": path, **asked},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert found.returncode == -signal.SIGINT
    assert (found.stdout, found.stderr) == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_verdicts_are_coloured_on_a_terminal_and_no_line_is_longer_than_it(
    ran: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = ran
    text = on_a_terminal("runs", "show", "latest", cwd=folder)
    assert "\x1b[32mholds\x1b[0m: " in text
    assert "\\x1b" not in text
    plain = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    broad = [line for line in plain if len(line) > 80 and " " in line.strip()]
    words = ("data.digest", str(folder))  # one word each, which is not broken
    assert [line for line in broad if not any(word in line for word in words)] == []
    # A statement that goes on does so below its first word, apart from the numbers.
    assert any(re.match(r" {9}\w", line) for line in plain)
    text = on_a_terminal("runs", "show", "latest", cwd=folder, NO_COLOR="1")
    assert "\x1b" not in text


def on_a_terminal(*words: str, cwd: Path, **variables: str) -> str:
    """What the program writes to a terminal of 80 columns."""
    ours, theirs = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [str(PROGRAM), *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**environment, "COLUMNS": "80", "TERM": "xterm", **variables},
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return b"".join(parts).decode().replace("\r\n", "\n")
