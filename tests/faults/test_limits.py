"""Disks that are full, closed or gone, few descriptors, little memory, no home, long names, another user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhw.runs.history import Run, all_runs
from tests.conftest import PROGRAM, smoke
from tests.faults.limited import NOT_ALLOWED
from tests.faults.tally import LONG, Outcome, Tally

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts are Linux's")

SWEEP = ["lr-sweep", "-q", "--no-plots", "--etas", "0.5,0.1", "--tolerance", "0"]
SWEEP += ["--max-iterations", "150"]
TUNE = ["finetune", "-c", smoke("finetune"), "-q", "--no-plots"]
NOBODY = 65534


def limited(
    folder: Path, asked: dict[str, Any], *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """The program under ``limited.py``; the test is skipped where it may mount nothing."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "limited.py"), json.dumps(asked), *arguments],
        cwd=folder,
        env={
            **os.environ,
            "MLHW_RUNS_DIR": str(folder / "runs"),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **env,
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    if done.returncode == NOT_ALLOWED:
        pytest.skip("mounting in a namespace of its own is not allowed here")
    return done


def judged(
    done: subprocess.CompletedProcess[str], runs: list[Run], says: str = "", lost: bool = False
) -> tuple[Outcome, str]:
    """One line of ``says``, the documented code, and a record that tells the same, unless it is ``lost``.

    Without ``says`` the run has to finish, and without a word on stderr.
    """
    detail = f"exit {done.returncode}: {done.stderr[-500:]}"
    if "Traceback" in done.stderr or "internal error" in done.stderr:
        return "traceback", detail
    lines = done.stderr.splitlines()
    if not says:
        good = done.returncode == 0 and not lines and all(r.status == "finished" for r in runs)
        return ("survived" if good else "lost"), detail
    good = done.returncode in (1, 2) and any(re.search(says, line) for line in lines)
    good &= len(lines) == 1 or lost
    told = all(r.status == "failed" and re.search(says, r.text("reason")) for r in runs)
    return (
        "survived" if good and (told or lost) else "lost"
    ), f"{detail} {[r.record for r in runs]}"


@pytest.mark.slow
@pytest.mark.parametrize("size", ["40k", *(["4k", "8k", "16k", "64k"] if LONG else [])])
def test_a_full_disk_is_named_with_its_room(
    size: str, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    disk, kept, one = tmp_path / "disk", tmp_path / "kept", tally("disk")
    disk.mkdir()
    for number, command in enumerate([SWEEP, *([TUNE] if LONG else [])]):
        asked = {"tmpfs": [str(disk), size], "kept": f"{kept}{number}"}
        done = limited(tmp_path, asked, *command, "--runs-dir", str(disk))
        runs = all_runs(Path(f"{kept}{number}"))
        outcome, detail = judged(done, runs, r"no space left on device \((needs .*, )?.* free\)")
        one.note(f"{command[0]} on a disk of {size}", outcome, detail)


LIMITS: list[tuple[list[str], dict[str, int], str]] = [
    (SWEEP, {"FSIZE": 3_000}, "file too large"),
    (SWEEP, {"NOFILE": 6}, "too many open files"),
]
if LONG:
    LIMITS += [(SWEEP, {"FSIZE": n}, "file too large") for n in (0, 1, 500, 1_500, 6_000, 12_000)]
    LIMITS += [(TUNE, {"FSIZE": n}, "file too large") for n in (2_000, 10_000, 200_000)]
    LIMITS += [(SWEEP, {"NOFILE": n}, "|too many open files") for n in (5, 7, 8, 10, 16, 32)]
    LIMITS += [(TUNE, {"NOFILE": n}, "|too many open files") for n in (8, 16, 24, 32, 64)]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "limits", "says"), LIMITS)
def test_a_limit_of_the_system_is_one_line(
    command: list[str],
    limits: dict[str, int],
    says: str,
    tmp_path: Path,
    tally: Callable[[str], Tally],
) -> None:
    done = limited(tmp_path, {"limits": limits}, *command)
    runs = all_runs(tmp_path / "runs")
    said = says.removeprefix("|")
    if says != said and done.returncode == 0:  # may be enough
        said = ""
    nothing = limits.get("FSIZE", 9_999) < 600  # not even the record of a run fits
    outcome, detail = judged(done, [] if nothing else runs, said)
    tally("limits").note(f"{command[0]} {limits}", outcome, detail)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="several runs of seconds")
@pytest.mark.parametrize("megabytes", [120, 160, 200, 250, 300, 600, 1_000])
def test_too_little_memory_ends_in_words(
    megabytes: int, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    one = tally("limits")
    for command in (SWEEP, TUNE):
        done = limited(tmp_path, {"limits": {"AS": megabytes * 1_000_000}}, *command)
        going = [r.name for r in all_runs(tmp_path / "runs") if r.status == "running"]
        said = "Traceback" in done.stderr or "internal error" in done.stderr
        # Where Python or a library cannot even be loaded, their own words are all there is.
        outcome: Outcome = "lost" if going else "traceback" if said else "survived"
        one.note(f"{command[0]} in {megabytes} MB", outcome, done.stderr[-600:])


REMOVER = """
import os, shutil, sys
seen = [0]
def hook(event, arguments):
    if event != "open" or seen[0] < 0 or not isinstance(arguments[0], str):
        return
    parts = arguments[0].split(os.sep)
    if "runs" in parts and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        seen[0] += 1
        if seen[0] == int(os.environ["REMOVED_BEFORE"]):
            seen[0] = -1
            shutil.rmtree(os.sep.join(parts[: parts.index("runs") + 1]))
sys.addaudithook(hook)
"""


@pytest.mark.slow
@pytest.mark.parametrize("event", range(2, 11) if LONG else [5])
def test_a_folder_that_is_removed_under_a_run_is_one_line(
    event: int, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(REMOVER)
    path = os.pathsep.join([str(tmp_path / "hook"), os.environ.get("PYTHONPATH", "")])
    done = limited(tmp_path, {}, *SWEEP, PYTHONPATH=path, REMOVED_BEFORE=str(event))
    assert not all_runs(tmp_path / "runs")
    # The end cannot be recorded either, which is a second line where it has another reason.
    outcome, detail = judged(done, [], "no such file or directory", lost=True)
    tally("disk").note(f"removed before file {event} is opened", outcome, detail)


NOWHERE = "/proc/1/nowhere"  # cannot be made or written, not by root either
PLACES = {
    "no home, no caches": {"HOME": NOWHERE, "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""},
    "no folder for temporary files": {"TMPDIR": NOWHERE},
    "files in place of the caches": {"XDG_CACHE_HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null"},
    "nothing at all": dict.fromkeys(
        ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), NOWHERE
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES if LONG else ["nothing at all"])
def test_without_home_and_caches_a_run_finishes_and_says_nothing(
    place: str, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    one = tally("limits")
    with_figures = [word for word in SWEEP if word != "--no-plots"]
    others = [["sgd-sweep", "-c", smoke("sgd-sweep"), "-q"], [*TUNE[:-1]]]
    for command in [with_figures, *(others if LONG else [])]:
        done = limited(tmp_path, {}, *command, **PLACES[place])
        one.note(f"{place}: {command[0]}", *judged(done, all_runs(tmp_path / "runs")))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter and write; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="mlhw-") as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_can_run_and_is_told_what_is_closed(
    open_folder: Path, tally: Callable[[str], Tally]
) -> None:
    one, user = tally("limits"), {"user": NOBODY}
    done = limited(open_folder, user, *SWEEP, "--runs-dir", "theirs")
    runs = all_runs(open_folder / "theirs")
    one.note("root's home, an own folder", *judged(done, runs))
    assert [os.stat(r.folder).st_uid for r in runs] == [NOBODY]
    (open_folder / "ours").mkdir(0o755)
    done = limited(open_folder, user, *SWEEP, "--runs-dir", "ours")
    one.note("another's folder", *judged(done, [], "ours cannot be written: permission denied"))
    assert not list((open_folder / "ours").iterdir())


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_one_line(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    done = limited(tmp_path, {"read_only": str(closed)}, *SWEEP, "--runs-dir", f"{closed}/runs")
    says = "closed/runs cannot be written: read-only file system; choose another with --runs-dir"
    tally("disk").note("read-only", *judged(done, [], says))


LONG_NAME = "x" * 256
DEEP = "/".join(["d" * 200] * 21)  # longer than a path may be
NAMES = {
    LONG_NAME: "cannot be written: file name too long",
    DEEP: "cannot be written: file name too long",
    "d" * 250: "",
    "ünï 漢字 🎲 'q' \"; $(x) \u202etxt": "",
    " a\nb\tc\x1b[31m": "",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES if LONG else [DEEP, " a\nb\tc\x1b[31m"])
def test_long_and_strange_names_work_or_are_refused(
    name: str, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    done = subprocess.run(
        [str(PROGRAM), *SWEEP, "--runs-dir", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    says = NAMES[name]
    runs = [] if says else all_runs(tmp_path / name)
    outcome, detail = judged(done, runs, says)
    if not says and not runs:
        outcome = "lost"
    if "\x1b" in done.stdout + done.stderr or "\u202e" in done.stdout + done.stderr:
        outcome, detail = "escaped", repr(done.stdout[-300:])
    tally("names").note(name[:30], outcome, detail)
