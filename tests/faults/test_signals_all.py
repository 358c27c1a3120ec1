"""``mlhw all``: whoever is signalled or killed, both processes end, and each run folder says how."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROGRAM, ROOT
from tests.faults.tally import Tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc"),
]


def start(folder: Path, *, terminal: bool = False, session: bool = True) -> subprocess.Popen[bytes]:
    """``mlhw all`` with one endless experiment, in a group of its own, with a terminal or without one."""
    (folder / "lr-sweep.yaml").write_text("max_iterations: 10000000\ntolerance: 0\n")
    (folder / "all.yaml").write_text("experiments: {lr-sweep: lr-sweep.yaml}\n")
    ours, theirs = pty.openpty() if terminal else (None, subprocess.DEVNULL)
    try:
        return subprocess.Popen(
            [PROGRAM, "all", "-c", "all.yaml", "-q", "--json", "--no-plots"],
            cwd=folder,
            env={**os.environ, "MLHW_RUNS_DIR": "runs"},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=session,
            process_group=None if session else 0,
        )
    finally:
        if ours is not None:
            os.close(theirs)
            _open.append(ours)


_open: list[int] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while _open:
        os.close(_open.pop())


def record(folder: Path, name: str) -> dict[str, Any]:
    (path,) = folder.glob(f"runs/2*-{name}/run.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ValueError, OSError, StopIteration):
            if found := what():
                return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def state(pid: int) -> str:
    """The letter of a process: R, S, T for a stopped one; Z where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def working(folder: Path) -> int:
    """The process of the experiment, once it writes rows."""
    until(lambda: next(folder.glob("runs/2*-lr-sweep/metrics.csv")).stat().st_size > 1000)
    return int(record(folder, "lr-sweep")["pid"])


def to_one(process: subprocess.Popen[bytes], signum: int) -> None:
    process.send_signal(signum)


def to_group(process: subprocess.Popen[bytes], signum: int) -> None:
    os.killpg(process.pid, signum)


@pytest.mark.parametrize(
    ("send", "signum", "terminal"),
    [
        (to_one, signal.SIGINT, True),
        (to_group, signal.SIGINT, False),
        (to_one, signal.SIGHUP, False),
        (to_group, signal.SIGTERM, True),
    ],
)
def test_a_signal_to_one_or_to_its_group_ends_both_once(
    tmp_path: Path, tally: Any, send: Any, signum: int, terminal: bool
) -> None:
    counted: Tally = tally("signals_all")
    process = start(tmp_path, terminal=terminal)
    child = working(tmp_path)
    before = time.monotonic()
    send(process, signum)
    out, err = process.communicate(timeout=60)
    seconds = time.monotonic() - before
    code = 128 + signum
    ends = [
        (one["status"], one["exit_code"])
        for one in (record(tmp_path, n) for n in ("all", "lr-sweep"))
    ]
    printed = json.loads(out)
    parts = [(run["status"], run["exit_code"]) for run in printed["summary"]["runs"]]
    fine = (
        process.returncode == code
        and ends == [("interrupted", code)] * 2
        and parts == [("interrupted", code)]
        and b"Traceback" not in err
        and state(child) == "Z"
        and seconds < 15
    )
    detail = f"{process.returncode} {ends} {parts} {seconds:.1f} s {err!r}"
    counted.note(
        f"{signum} {send.__name__} terminal={terminal}", "survived" if fine else "lost", detail
    )


def test_an_experiment_ends_as_interrupted_when_the_process_above_it_is_killed(
    tmp_path: Path, tally: Any
) -> None:
    counted: Tally = tally("signals_all")
    process = start(tmp_path)
    child = working(tmp_path)
    process.kill()
    process.communicate()
    until(lambda: state(child) == "Z", 30)
    found = record(tmp_path, "lr-sweep")
    fine = (found["status"], found["exit_code"]) == ("interrupted", 143)
    counted.note("SIGKILL of mlhw all", "survived" if fine else "lost", str(found))


def test_a_second_signal_ends_both_at_once(tmp_path: Path, tally: Any) -> None:
    counted: Tally = tally("signals_all")
    process = start(tmp_path)
    child = working(tmp_path)
    # It does not hear the first: it is stopped.
    os.kill(child, signal.SIGSTOP)
    process.terminate()
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=30)
    os.kill(child, signal.SIGCONT)
    until(lambda: state(child) == "Z", 30)
    ends = [
        (one["status"], one["exit_code"])
        for one in (record(tmp_path, n) for n in ("all", "lr-sweep"))
    ]
    fine = process.returncode == 143 and ends == [("interrupted", 143)] * 2
    counted.note("SIGTERM twice", "survived" if fine else "lost", f"{process.returncode} {ends}")


def test_ctrl_z_stops_both_and_fg_wakes_both(tmp_path: Path, tally: Any) -> None:
    counted: Tally = tally("signals_all")
    # In the session of its parent: the system stops no group that nobody could wake.
    process = start(tmp_path, session=False)
    child = working(tmp_path)
    os.killpg(process.pid, signal.SIGTSTP)
    until(lambda: state(child) == "T")
    until(lambda: state(process.pid) == "T")
    os.killpg(process.pid, signal.SIGCONT)
    until(lambda: state(child) != "T")
    until(lambda: state(process.pid) != "T")
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    found = record(tmp_path, "lr-sweep")
    fine = process.returncode == 143 and found["status"] == "interrupted" and state(child) == "Z"
    counted.note("Ctrl-Z, fg, SIGTERM", "survived" if fine else "lost", str(found))


def test_files_of_the_current_folder_are_not_imported(tmp_path: Path, tally: Any) -> None:
    counted: Tally = tally("foreign_modules")
    homework = tmp_path / "homework"
    homework.mkdir()
    marker = tmp_path / "it ran"
    names = ("random", "json", "numpy", "torch", "mlhw", "sitecustomize")
    for name in names:
        (homework / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write(__name__)\n")
    (homework / "all.yaml").write_text(
        "experiments: {lr-sweep: short.yaml, backprop-check: null}\n"
    )
    (homework / "short.yaml").write_text("max_iterations: 20\n")
    done = subprocess.run(
        [PROGRAM, "all", "-c", "all.yaml", "-q", "--no-plots"],
        cwd=homework,
        env={**os.environ, "MLHW_RUNS_DIR": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    (homework / "derived.py").write_text("import json, random\n" + NOTHING_DERIVED)
    checked = subprocess.run(
        [PROGRAM, "backprop-check", "-q", "--no-plots", "--implementation", "derived.py"],
        cwd=homework,
        env={**os.environ, "MLHW_RUNS_DIR": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    for ended, good in ((done, (0, 3)), (checked, (3,))):
        fine = ended.returncode in good and not marker.exists()
        outcome: Any = "survived" if fine else "escaped" if marker.exists() else "lost"
        for name in names:
            counted.note(name, outcome, f"{ended.returncode} {ended.stderr}")


NOTHING_DERIVED = """
def backprop(weights, x, t):
    assert json.dumps(random.random())
    return weights
"""

GRADED = """
import os, signal, time

def backprop(weights, x, t):
    return weights

signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
if not os.fork():
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
time.sleep(600)
"""


def below(pid: int) -> set[int]:
    """All processes that descend from one."""
    found = set()
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread may end while it is looked at
            found |= {int(word) for word in listed.read_text().split()}
    return found.union(*map(below, found))


def deaf_but_to_one(pid: int) -> bool:
    """Whether a process blocks signals, SIGUSR1 not: a mark that can be seen from outside its namespaces."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/status").read_text().split()
        blocked = int(words[words.index("SigBlk:") + 1], 16)
        return [blocked >> number - 1 & 1 for number in (signal.SIGUSR1, signal.SIGUSR2)] == [0, 1]
    return False


# The strongest that there is, and the one that ends no namespace with its first process.
@pytest.mark.parametrize("isolation", ["auto", "limits"])
def test_a_file_that_is_checked_ends_when_the_process_above_it_is_killed(
    tmp_path: Path, tally: Any, isolation: str
) -> None:
    counted: Tally = tally("signals_all")
    (tmp_path / "derived.py").write_text(GRADED)
    words = ("--implementation", "derived.py", "--isolation", isolation)
    words += ("--time-limit", "300", "--import-limit", "300")
    with tempfile.TemporaryDirectory() as own:  # for what one that is killed cannot remove
        os.chmod(own, 0o755)  # a file that is checked may run as another user
        process = subprocess.Popen(
            [PROGRAM, "backprop-check", "-q", *words],
            cwd=tmp_path,
            env={**os.environ, "MLHW_RUNS_DIR": "runs", "TMPDIR": own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        until(lambda: any(map(deaf_but_to_one, below(process.pid))))
        pids = below(process.pid)
        assert len(pids) >= 4  # the warm process, the one that watches, the file's, and its child
        process.kill()
        process.communicate()
        until(lambda: all(state(pid) == "Z" for pid in pids), 30)
    counted.note(f"SIGKILL of backprop-check, {isolation}", "survived")
