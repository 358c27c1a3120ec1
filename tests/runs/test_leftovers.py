"""What killed processes have left in the runs folder: shown, and taken away by whom it says."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.config.model import ExperimentConfig
from mlhw.runs import leftovers
from mlhw.runs.folder import FolderRecorder
from mlhw.runs.new_folder import create_folder
from mlhw.runs.options import RunOptions
from mlhw.system.digests import manifest_entries, with_own_digest, write_manifest
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen

NAMES = [f"20261124-1156{number:02}-lr-sweep" for number in range(3)]


@pytest.fixture
def dead() -> int:
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three finished runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)
    for name in NAMES:
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(
            json.dumps({"experiment": "lr-sweep", "status": "finished"})
        )
        (folder / "log.txt").write_text("")
        (folder / "config.yaml").write_text("{}\n")
    return Path("runs")


@pytest.fixture
def left(runs: Path, dead: int) -> list[Path]:
    """A half-written state, a link, the folder of a run that was not put together, an empty one."""
    state = runs / NAMES[0] / "checkpoints" / f".last.pt.{dead}.tmp"
    state.parent.mkdir()
    state.write_bytes(bytes(2_000_000))
    link = runs / f".latest.{dead}.tmp"
    link.symlink_to(NAMES[0])
    staged = runs / f".20261124-115700-lr-sweep.{dead}.tmp"
    staged.mkdir()
    (staged / "log.txt").write_text("")
    empty = runs / "20261124-115800-lr-sweep"
    empty.mkdir()
    (empty / "log.txt").write_text("")
    os.utime(empty, (0, 0))
    return [empty, staged, link, state]


def recorder(resume: Path | None = None) -> FolderRecorder:
    options = RunOptions(("mlhw", "lr-sweep"), runs_dir="runs", resume=resume)
    return FolderRecorder("lr-sweep", ExperimentConfig(), options, Screen(quiet=True), Interrupts())


def test_a_list_shows_what_is_left_and_a_clean_takes_it_and_no_run(
    runs: Path, left: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-6:] == [
        "",
        "4 leftovers of killed processes, 2.0 MB; mlhw runs clean removes them:",
        *(f"  {path}" for path in left),
    ]
    assert main(["runs", "clean", "--dry-run"]) == 0
    assert capsys.readouterr().out == "".join(f"would delete {path}\n" for path in left)
    assert all(os.path.lexists(path) for path in left)
    assert main(["runs", "clean"]) == 0
    assert capsys.readouterr().out == "".join(f"deleted {path}\n" for path in left)
    assert sorted(os.listdir(runs)) == NAMES
    assert os.listdir(runs / NAMES[0] / "checkpoints") == []
    assert main(["runs", "clean"]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"
    assert main(["runs", "list"]) == 0
    assert "leftover" not in capsys.readouterr().out


def test_a_clean_names_a_run_that_goes_once(
    runs: Path, left: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "clean", "--keep", "0"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert sorted(out) == sorted(
        f"deleted {path}" for path in [*left[1:3], left[0], *map(runs.joinpath, NAMES)]
    )
    assert os.listdir(runs) == []


def test_what_somebody_still_works_on_is_left_alone(runs: Path, left: list[Path]) -> None:
    empty, staged, link, state = left
    files = [open(path, "rb") for path in (empty / "log.txt", staged / "log.txt", state)]  # noqa: SIM115
    for file in files:
        fcntl.flock(file, fcntl.LOCK_EX)
    assert leftovers.in_runs(runs) == [link]
    for file in files:
        file.close()
    assert leftovers.in_runs(runs) == left


@pytest.fixture
def unneeded(runs: Path) -> Path:
    """The state that a finished run was killed before it had removed."""
    state = runs / NAMES[1] / "checkpoints" / "prev.pt"
    state.parent.mkdir()
    for name in ("prev.pt", "last.pt"):
        state.with_name(name).write_bytes(name.encode())
    write_manifest(state.parent, {name: {"sha256": name} for name in ("prev.pt", "last.pt")})
    record = {"experiment": "lr-sweep", "status": "finished", "unneeded": ["checkpoints/prev.pt"]}
    (runs / NAMES[1] / "run.json").write_text(json.dumps(with_own_digest(record)))
    return state


@pytest.mark.parametrize("by", ["clean", "start"])
def test_a_state_that_a_finished_run_did_not_come_to_remove_is_one(
    runs: Path, unneeded: Path, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    assert leftovers.in_runs(runs) == [unneeded]
    if by == "clean":
        assert main(["runs", "clean"]) == 0
        assert capsys.readouterr().out == f"deleted {unneeded}\n"
    else:
        run = recorder()
        run.begin(ExperimentConfig())
        run.finish("finished", 0, None)
    assert sorted(os.listdir(unneeded.parent)) == ["last.pt", "manifest.json"]
    assert manifest_entries(unneeded.parent) == {"last.pt": {"sha256": "last.pt"}}


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "crashed"},
        {"unneeded": ["checkpoints/../../../outside.pt"]},
        {"unneeded": ["log.txt", 7, None]},
        {"unneeded": "prev.pt"},
        {"seconds": 1},  # it is not as it was written
    ],
)
def test_nothing_else_is_taken_for_one(
    runs: Path, unneeded: Path, changed: dict[str, object]
) -> None:
    (runs.parent / "outside.pt").write_text("")
    path = runs / NAMES[1] / "run.json"
    record = json.loads(path.read_text()) | changed
    path.write_text(json.dumps(record if "seconds" in changed else with_own_digest(record)))
    assert leftovers.in_runs(runs) == []


def test_a_run_that_still_works_on_them_keeps_its_states(runs: Path, unneeded: Path) -> None:
    with open(runs / NAMES[1] / "log.txt", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert leftovers.in_runs(runs) == []


def test_an_empty_folder_that_is_new_or_holds_something_is_no_leftover(
    runs: Path, left: list[Path]
) -> None:
    empty = left[0]
    os.utime(empty)
    assert empty not in leftovers.in_runs(runs)
    (empty / "log.txt").write_text("a line\n")
    os.utime(empty, (0, 0))
    assert empty not in leftovers.in_runs(runs)


def test_the_next_start_takes_away_what_is_left_of_the_newest_runs(
    runs: Path, left: list[Path]
) -> None:
    run = recorder()
    run.begin(ExperimentConfig())
    run.finish("finished", 0, None)
    assert run.folder is not None
    assert leftovers.in_runs(runs) == [left[0]]
    assert sorted(os.listdir(runs)) == sorted([*NAMES, left[0].name, run.folder.name, "latest"])


def test_a_run_that_goes_on_takes_away_what_it_left_on_whatever_machine(
    runs: Path, left: list[Path]
) -> None:
    folder = runs / NAMES[0]
    other = folder / f".run.json.habcdef.{os.getpid()}.tmp"
    other.write_text("half")
    run = recorder(folder)
    assert not other.exists()
    assert not left[-1].exists()
    assert leftovers.in_runs(runs) == left[:-1]
    run.close()


def test_a_run_appears_with_all_that_it_needs_and_locked(runs: Path) -> None:
    seen = []
    run = recorder()
    write = run._write_config

    def look(text: str) -> None:
        write(text)
        seen.extend(path for path in runs.iterdir() if path.name not in NAMES)

    run._write_config = look  # type: ignore[method-assign]
    run.begin(ExperimentConfig())
    assert [path.name[0] for path in seen] == ["."]
    assert run.folder is not None
    assert sorted(os.listdir(run.folder)) == ["config.yaml", "log.txt", "run.json"]
    with open(run.folder / "log.txt", "rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    run.log("a line")
    run.finish("finished", 0, None)
    assert (run.folder / "log.txt").read_text() == "a line\n"


def test_a_run_that_cannot_be_put_together_leaves_nothing(runs: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "log.txt").write_text("")
        with open(folder / "no" / "such", "w"):
            pass

    with pytest.raises(FileNotFoundError) as caught:
        create_folder(runs, "lr-sweep", None, fill)
    assert caught.value.filename.endswith("-lr-sweep/no/such")
    assert "/." not in caught.value.filename
    assert sorted(os.listdir(runs)) == NAMES
