"""A run's figures are the same drawn by two processes as by one, whatever becomes of the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhw.result import plots
from mlhw.result.plots import Plot, Printed
from mlhw.runs import figures, frames
from mlhw.runs.figures import SecondProcess, can_be_beside, draw_all, second_process
from mlhw.runs.options import Place, RunOptions
from tests.conftest import PROGRAM, ROOT, smoke
from tests.runs import drawings
from tests.runs.drawings import COUNT, some

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pipes that can be waited for")
NAME = "lr-sweep"
PYTHON = (sys.executable, "-P", "-c")


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process counts as the program, on a machine with room for two."""
    monkeypatch.setattr(sys, "argv", ["mlhw"])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("mlhw.runs.figures.usable_cpus", lambda: 2)


def silent(*_: object) -> None: ...


def started() -> SecondProcess:
    return second_process(NAME, RunOptions())


def from_beside(second: SecondProcess, index: int) -> Printed | None:
    """The figure, waited for as long as it takes; None once the process is gone."""
    deadline = time.monotonic() + 60
    while (found := second.drawn(index, 60)) is None and time.monotonic() < deadline:
        if second.pid is None:
            return None
        time.sleep(0.02)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def drawn_alone(found: list[Plot], folder: Path) -> dict[str, bytes]:
    draw_all(found, folder, silent)
    return files(folder)


def is_gone(pid: int | None) -> bool:
    """Whether it has ended; nobody may have asked yet how."""
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return Path("/proc/self/stat").exists()


def test_the_other_process_draws_the_same_bytes(tmp_path: Path) -> None:
    found = some()
    with started() as second:
        pid = second.pid
        second.take(found)
        assert from_beside(second, COUNT - 1) == plots.printed(found[-1])
    assert pid is not None
    assert is_gone(pid)


def test_it_draws_too_where_matplotlib_has_no_folder_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    with started() as second:
        second.take(some())
        assert from_beside(second, COUNT - 1) is not None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_files_and_their_order_are_those_of_one_process(tmp_path: Path) -> None:
    found = some()
    with started() as second:
        pictures = draw_all(found, tmp_path / "two", silent, second)
    assert files(tmp_path / "two") == drawn_alone(found, tmp_path / "one")
    assert [*pictures] == [plot.name for plot in found]


@pytest.mark.parametrize("function", [drawings.warning, drawings.printing, drawings.failing])
def test_a_figure_that_has_something_to_say_is_left_to_the_run(
    function: Callable[[Any], Any],
) -> None:
    with started() as second:
        second.take(some(function))
        assert from_beside(second, COUNT - 2) is not None  # which comes after the last
        assert second.drawn(COUNT - 1, 0) is None


def test_a_drawing_that_raises_raises_in_the_run_alone(tmp_path: Path) -> None:
    with started() as second, pytest.raises(RuntimeError, match="no such line"):
        draw_all(some(drawings.failing), tmp_path / "two", silent, second)
    assert len(files(tmp_path / "two")) == 2 * (COUNT - 1)
    found = some(drawings.failing_beside)
    with started() as second:
        draw_all(found, tmp_path / "three", silent, second)
    assert files(tmp_path / "three") == drawn_alone(found, tmp_path / "one")


def test_a_process_that_is_killed_in_the_middle_of_drawing_costs_nothing(tmp_path: Path) -> None:
    found = some(drawings.endless_beside)
    with started() as second:
        second.take(found)
        time.sleep(0.5)
        assert second.pid is not None
        os.kill(second.pid, signal.SIGKILL)
        draw_all(found, tmp_path / "two", silent, second)
        assert second.pid is None
    assert files(tmp_path / "two") == drawn_alone(found, tmp_path / "one")


def test_a_process_that_hangs_is_not_waited_for_long(tmp_path: Path) -> None:
    found = some(drawings.endless_beside)
    with started() as second:
        second.take(found)
        deadline = time.monotonic() + 60
        while second.pid is not None and time.monotonic() < deadline:
            assert second.drawn(COUNT - 1, 0.2) is None  # it is killed once that figure is begun
            time.sleep(0.02)
        assert second.pid is None


@pytest.mark.parametrize(
    "program",
    [
        ("/no/such/program",),
        (*PYTHON, "raise SystemExit(1)"),
        (*PYTHON, "import os; os.write(1, b'fig:' * 100000)"),
        (*PYTHON, "import os; os.write(1, b'beg:' + bytes(8))"),
        (*PYTHON, "import time; time.sleep(1000)"),
    ],
    ids=["missing", "ends", "garbage", "half a word", "deaf"],
)
@pytest.mark.parametrize("evidence", [1.0, np.ones(3_000_000)], ids=["small", "large"])
def test_without_the_other_process_the_run_draws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: tuple[str, ...], evidence: Any
) -> None:
    monkeypatch.setattr(figures, "PROGRAM", program)
    found = [replace(plot, draw=_Drawn(evidence)) for plot in some()]
    with started() as second:
        draw_all(found, tmp_path / "two", silent, second)
    assert second.pid is None
    assert files(tmp_path / "two") == drawn_alone(some(), tmp_path / "one")


class _Drawn:
    """A drawing with something behind it that has to be sent."""

    def __init__(self, evidence: Any) -> None:
        self.evidence = evidence

    def __call__(self) -> Any:
        return drawings.line(1.0)


@pytest.mark.parametrize(
    "evidence",
    [lambda: 0, np.ones(2000), np.ones((2000, 2))[:, 0], b"." * 20_000],
    ids=["no pickle", "array", "column", "bytes"],
)
def test_what_cannot_be_sent_or_is_too_much_is_drawn_by_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, evidence: Any
) -> None:
    monkeypatch.setattr(figures, "MOST_BYTES", 10_000)
    found = [replace(plot, draw=_Drawn(evidence)) for plot in some()]
    with started() as second:
        second.take(found)
        assert second.pid is None
        draw_all(found, tmp_path / "two", silent, second)
    assert files(tmp_path / "two") == drawn_alone(some(), tmp_path / "one")


def test_few_figures_are_drawn_by_the_run() -> None:
    with started() as second:
        second.take(some()[:2])
        assert second.pid is None


def test_another_version_of_mlhw_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "__file__", "/elsewhere/plots.py")
    with started() as second:
        second.take(some())
        assert from_beside(second, COUNT - 1) is None
        assert second.pid is None


def test_it_writes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even the list of fonts that matplotlib makes where there is none."""
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    with started() as second:
        second.take(some())
        assert from_beside(second, COUNT - 1) is not None
    assert [*tmp_path.iterdir()] == []


def test_words_that_make_no_sense_are_refused() -> None:
    for words in (
        frames.ending(1, Printed(b"png", b"svg")),  # never begun
        frames.beginning(COUNT),
        frames.beginning(1) + frames.beginning(1),
        frames.beginning(1) + frames.ending(0, None),
        frames.beginning(1) + frames.ending(1, Printed(b"png", b"svg"))[:-1] + b"-",
    ):
        with pytest.raises(ValueError, match=r"as it was sent|no frame"):
            frames.Received(COUNT).add(words)
    received = frames.Received(COUNT)
    for byte in frames.beginning(1) + frames.ending(1, Printed(b"png", b"svg")):
        received.add(bytes([byte]))
    assert received.printed == {1: Printed(b"png", b"svg")}


def test_it_is_started_only_where_it_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert can_be_beside(NAME)
    assert not can_be_beside("finetune")
    assert not can_be_beside("all")
    with monkeypatch.context() as patched:
        patched.setattr("mlhw.runs.figures.usable_cpus", lambda: 1)
        assert not can_be_beside(NAME)
    with monkeypatch.context() as patched:
        for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost")):
            patched.setenv(name, value)
        patched.setenv("MASTER_PORT", "1")
        assert not can_be_beside(NAME)
    for options in (RunOptions(plots=False), RunOptions(place=Place(tmp_path, "", 1))):
        assert second_process(NAME, options).pid is None
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert not can_be_beside(NAME)


def test_one_that_waits_since_the_start_is_taken_or_ended() -> None:
    figures.start_early(NAME, ["--no-plots"])
    figures.start_early("sgd-sweep", [])
    with second_process(NAME, RunOptions(plots=False)) as second:
        assert second.pid is None
    figures.start_early(NAME, [])
    with second_process(NAME, RunOptions()) as second:
        assert second.name == NAME
        assert second.pid is not None


# ------------------------------------------------------------------------------------- the whole program

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two processors",
)


def beside(pid: int) -> int | None:
    """The process that draws beside this one."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes()
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"mlhw.runs.drawing_process" in words and int(parent) == pid:
            return int(place.name)
    return None


def at_drawing(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A run that has drawn its first figure, in a group of its own, and the process beside it."""
    process = subprocess.Popen(
        [PROGRAM, "softmax-regions", "-c", smoke("softmax-regions"), "-q"],
        cwd=folder,
        env={**os.environ, "MLHW_RUNS_DIR": "runs"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    deadline = time.monotonic() + 120
    while not [*folder.glob("runs/2*/plots/*.svg")]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    other = beside(process.pid)
    assert other is not None
    return process, other


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_gone(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@linux
@two
@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_signal_while_figures_are_drawn_ends_both_at_once(
    tmp_path: Path, send: Callable[[int, int], None], signum: int
) -> None:
    process, other = at_drawing(tmp_path)
    began = time.monotonic()
    send(process.pid, signum)
    _, error = process.communicate(timeout=60)
    print(f"ended after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 5  # half a second on a machine that is free
    assert process.returncode == 128 + signum
    assert b'"status": "interrupted"' in next(tmp_path.glob("runs/2*/run.json")).read_bytes()
    assert error.decode().splitlines()[0].startswith("error: interrupted by ")
    assert gone_within(other, 5)  # where the watcher ended the run, it ends by itself


@linux
@two
@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    process, other = at_drawing(tmp_path)
    process.kill()
    process.communicate()
    assert gone_within(other, 10)


@linux
@two
@pytest.mark.slow
def test_a_run_whose_other_process_is_killed_or_stopped_finishes(tmp_path: Path) -> None:
    for signum in (signal.SIGKILL, signal.SIGSTOP):
        folder = tmp_path / str(int(signum))
        folder.mkdir()
        process, other = at_drawing(folder)
        os.kill(other, signum)
        _, error = process.communicate(timeout=120)
        assert (process.returncode, error) == (0, b"")
        assert is_gone(other)
