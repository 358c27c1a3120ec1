"""Files of a run that has ended are what they were, or somebody is told that they are not."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.config.load import as_yaml
from mlhw.config.model import ExperimentConfig
from mlhw.errors import ConfigError
from mlhw.runs.folder import FolderRecorder
from mlhw.runs.history import Run, find, run_at
from mlhw.runs.options import RunOptions
from mlhw.runs.verification import require_own_config, verified
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen

RUNS = Path("runs")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)


@pytest.fixture
def run(capsys: Capture) -> Run:
    """A finished run of a moment."""
    words = ["lr-sweep", "--max-iterations", "5", "--etas", "0.5", "--no-plots", "-q", "--no-check"]
    assert main(words) == 0
    capsys.readouterr()
    return find("latest", RUNS)


def recorder_of(config: ExperimentConfig, resume: Path | None = None) -> FolderRecorder:
    options = RunOptions(("mlhw", "lr-sweep"), runs_dir="runs", resume=resume)
    return FolderRecorder("lr-sweep", config, options, Screen(quiet=True), Interrupts())


def begun(config: ExperimentConfig) -> FolderRecorder:
    """The recorder of a run that has begun."""
    found = recorder_of(config)
    found.begin(config)
    return found


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# ---------------------------------------------------------------- runs verify


def test_verify_tells_whole_changed_missing_and_unknown_files_apart(
    run: Run, capsys: Capture
) -> None:
    assert main(["runs", "verify"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{run.folder}: ")
    assert out.endswith(" whole\n")
    edit(run.folder / "metrics.csv", "0.5", "0.6")
    (run.folder / "report.html").unlink()
    (run.folder / "notes.txt").write_text("mine")
    with open(run.folder / "log.txt", "a") as log:
        log.write("a line\n")
    assert main(["runs", "verify", run.name]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.endswith(" whole, 1 changed, 1 missing, 1 unknown")
    assert [line.split() for line in rest] == [
        ["changed", "metrics.csv"],
        ["missing", "report.html"],
        ["unknown", "notes.txt"],
    ]
    assert main(["runs", "verify", "--all", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["run"], found["status"], found["sound"]) == (run.name, "finished", False)
    assert found["files"]["result.json"] == "whole"
    assert found["files"]["report.html"] == "missing"
    assert "log.txt" not in found["files"]


def test_verify_wants_a_run_or_all(run: Run, capsys: Capture) -> None:
    assert main(["runs", "verify", "--all", run.name]) == 2
    assert "either runs or --all" in capsys.readouterr().err
    shutil.rmtree(RUNS)
    assert main(["runs", "verify", "--all"]) == 0
    assert main(["runs", "verify"]) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [('"seconds": ', '"seconds": 1'), ('"finished"', '"finishes"'), ('"digests"', '"digestr"')],
)
def test_an_edited_record_is_said_to_be_changed(
    run: Run, capsys: Capture, old: str, new: str
) -> None:
    edit(run.folder / "run.json", old, new)
    assert main(["runs", "verify", str(run.folder)]) == 1
    assert "  changed  run.json" in capsys.readouterr().out
    assert main(["runs", "show", str(run.folder)]) == 0
    assert "run.json: since the run ended (mlhw runs verify" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("status", 3, "status is not a text"),
        ("seconds", "long", "seconds is not a number or null"),
        ("digests", [], "digests is not a mapping"),
        ("digests", {"metrics.csv": 1}, "a digest is not a text"),
    ],
)
def test_a_record_of_wrong_types_is_named_in_one_line(
    run: Run, capsys: Capture, key: str, value: Any, words: str
) -> None:
    (run.folder / "run.json").write_text(json.dumps(run.record | {key: value}))
    assert main(["runs", "show", str(run.folder)]) == 0
    assert f"damaged: its run.json is no record: {words}" in capsys.readouterr().out
    assert main(["runs", "verify", str(run.folder)]) == 1
    assert words in capsys.readouterr().out
    assert main(["runs", "rerun", str(run.folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_run_of_before_there_were_digests_is_unknown_and_nothing_else_is_said_of_it(
    run: Run, capsys: Capture
) -> None:
    record = {k: v for k, v in run.record.items() if k not in ("digests", "format")}
    (run.folder / "run.json").write_text(json.dumps(record))
    edit(run.folder / "metrics.csv", "0.5", "0.6")
    assert main(["runs", "verify", run.name]) == 0
    assert capsys.readouterr().out.endswith(" unknown (made before runs had digests)\n")
    assert main(["runs", "show", run.name]) == 0
    assert "changed" not in capsys.readouterr().out
    require_own_config(run.folder, "")


def test_a_run_that_has_not_ended_has_a_digest_of_its_configuration_alone(capsys: Capture) -> None:
    recorder = begun(ExperimentConfig(seed=7))
    recorder.table("metrics", ["epoch"]).append(1)
    assert recorder.folder is not None
    assert main(["runs", "verify"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("2 whole, 1 unknown (running; files get their digests when a run ends)\n")
    recorder.close()
    assert main(["runs", "verify"]) == 0
    assert "(crashed; files" in capsys.readouterr().out
    edit(recorder.folder / "config.yaml", "seed: 7", "seed: 8")
    assert main(["runs", "verify"]) == 1
    assert "  changed  config.yaml" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("interrupted", 130)])
def test_a_run_that_failed_or_was_stopped_has_digests_too(status: str, code: int) -> None:
    recorder = begun(ExperimentConfig(seed=7))
    recorder.table("metrics", ["epoch"]).append(1)
    recorder.finish(status, code, "a reason")
    assert recorder.folder is not None
    found = verified(run_at(recorder.folder))
    assert found.files == dict.fromkeys(("config.yaml", "metrics.csv", "run.json"), "whole")


def test_the_run_of_all_comes_with_those_that_it_is_made_of(capsys: Capture) -> None:
    Path("l.yaml").write_text("etas: [0.5]\nmax_iterations: 5\n")
    Path("all.yaml").write_text("experiments: {lr-sweep: l.yaml}\n")
    assert main(["all", "-c", "all.yaml", "--no-plots", "-q", "--no-check"]) == 0
    part = find("lr-sweep", RUNS)
    capsys.readouterr()
    assert main(["runs", "verify", "all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    edit(part.folder / "metrics.csv", "0.5", "0.6")
    assert main(["runs", "verify", "all"]) == 1
    assert "  changed  metrics.csv" in capsys.readouterr().out
    assert main(["runs", "show", "all", "--json"]) == 0
    out, err = capsys.readouterr()
    assert f"{part.name}: metrics.csv changed since the run ended" in err
    assert json.loads(out)["changed"] == []


# ---------------------------------------------------------------- who reads them


def test_show_compare_export_and_open_say_what_has_changed(
    run: Run, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(run.folder / "result.json", "0.", "1.")
    edit(run.folder / "report.html", "<", " <")
    line = f"warning: {run.folder}: report.html, result.json changed since the run ended"
    assert main(["runs", "show", "latest"]) == 0
    assert "report.html, result.json: since the run ended" in capsys.readouterr().out
    assert main(["runs", "show", "latest", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["changed"] == ["report.html", "result.json"]
    assert err.startswith(line)
    assert main(["runs", "compare", "latest", "latest", "--no-plots"]) == 0
    assert capsys.readouterr().err.startswith(line)
    assert main(["runs", "export", "latest", "x.zip"]) == 0
    assert capsys.readouterr().err.startswith(line)
    assert main(["open", "latest", "--print"]) == 0
    assert "report.html: has changed since the run ended" in capsys.readouterr().err


def test_a_deleted_figure_or_report_is_nobodys_business_and_a_deleted_table_is(
    run: Run, capsys: Capture
) -> None:
    (run.folder / "report.html").unlink()
    assert main(["runs", "show", "latest"]) == 0
    assert "changed" not in capsys.readouterr().out
    (run.folder / "metrics.csv").unlink()
    assert main(["runs", "show", "latest"]) == 0
    assert "metrics.csv (gone): since the run ended" in capsys.readouterr().out


def test_a_record_that_names_pipes_and_files_elsewhere_keeps_nobody_waiting(
    run: Run, capsys: Capture
) -> None:
    os.mkfifo(run.folder / "pipe")
    Path("secret").write_text("x")
    names = ("pipe", "/dev/zero", "../../secret", "a\0b", "metrics.csv/x", "\x1b[31m")
    record = run.record | {"digests": dict.fromkeys(names, "0" * 64)}
    (run.folder / "run.json").write_text(json.dumps(record))
    assert main(["runs", "verify", "--json", run.name]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert {name: found["files"][name] for name in names} == dict(
        zip(names, ["changed"] * 4 + ["missing"] * 2, strict=True)
    )
    assert main(["runs", "show", run.name]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_an_edited_configuration_is_not_repeated_and_runs_with_a_warning(
    run: Run, capsys: Capture
) -> None:
    config = RUNS / run.name / "config.yaml"
    edit(config, "max_iterations: 5", "max_iterations: 6")
    assert main(["runs", "rerun", run.name, "--no-plots"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {config}: has changed since its run wrote it")
    assert "put it back, or mlhw lr-sweep -c with it" in line
    words = ["lr-sweep", "-c", str(config), "--no-plots", "-q", "--no-check"]
    assert main(words) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"warning: {config}: has changed since its run wrote it: this is not the configuration of that run"
    )
    shutil.copy(config, "mine.yaml")
    assert main(["lr-sweep", "-c", "mine.yaml", "--no-plots", "-q", "--no-check"]) == 0
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- while a run writes


def test_between_the_record_and_the_configuration_either_is_the_runs_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed there, a run that goes on with other epochs has the configuration that it had before."""
    recorder = begun(ExperimentConfig(seed=7))
    recorder.finish("interrupted", 130, None)
    folder = recorder.folder
    assert folder is not None
    before = (folder / "config.yaml").read_text()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    again = recorder_of(ExperimentConfig(seed=8), resume=folder.resolve())
    with monkeypatch.context() as patch:
        patch.setattr(FolderRecorder, "_write_config", killed)
        with pytest.raises(KeyboardInterrupt):
            again.begin(ExperimentConfig(seed=8))
    again.close()
    assert (folder / "config.yaml").read_text() == before
    require_own_config(folder, "")
    (folder / "config.yaml").write_text(as_yaml(ExperimentConfig(seed=8)))
    require_own_config(folder, "")
    (folder / "config.yaml").write_text(as_yaml(ExperimentConfig(seed=9)))
    with pytest.raises(ConfigError, match="has changed since its run wrote it"):
        require_own_config(folder, "")


def test_what_is_settled_while_a_run_works_is_its_own_configuration() -> None:
    recorder = begun(ExperimentConfig(seed=7))
    recorder.settle(ExperimentConfig(seed=8))
    recorder.close()
    assert recorder.folder is not None
    require_own_config(recorder.folder, "")
    assert "seed: 8" in (recorder.folder / "config.yaml").read_text()


def test_a_disk_that_is_full_at_the_end_costs_the_digests_and_not_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = begun(ExperimentConfig(seed=7))
    for number in range(60):  # digests that do not fit into the block of the old record
        recorder.table(f"table-{number}", ["a"])
    assert recorder.folder is not None

    def full(path: Path, _: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("mlhw.runs.folder.write_whole", full)
    recorder.finish("interrupted", 128 + signal.SIGTERM, "interrupted by SIGTERM")
    found = run_at(recorder.folder)
    assert found.status == "interrupted"
    assert set(found.record["digests"]) == {"config.yaml", "run.json"}
    assert verified(found).sound
    assert verified(found).note == "it ended without time or room for digests"
