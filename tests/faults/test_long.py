"""Long runs: after thousands of epochs as little memory, as few open files, as little log an epoch."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlhw.result.recorder import is_logged
from tests.conftest import PROGRAM
from tests.faults.tally import LONG, Tally
from tests.faults.tiny import OPTIONS, images

# Frozen epochs of a fine-tune: a batch of stored features, a checkpoint.
EPOCHS = 10_000 if LONG else 150
EARLY, LATE = EPOCHS // 10, EPOCHS * 9 // 10
# An epoch's row is kept for the report: some numbers of Python, and a line of the log. A batch, a graph
# or a state of the network that stays would be much more.
BYTES_AN_EPOCH = 4096
# What comes once, whenever it comes: the allocator's arenas, a library that is imported late.
BYTES_ONCE = 24 << 20
LOG_ONCE, LOG_LINE = 8192, 150
LOOKS = 20
Tallies = Callable[[str], Tally]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc"),
]


@dataclass(frozen=True)
class Look:
    """What a process held when its table had so many rows."""

    rows: int
    bytes: int
    files: int

    @classmethod
    def at(cls, process: subprocess.Popen[bytes], rows: int) -> Look:
        place = Path(f"/proc/{process.pid}")
        pages = int((place / "statm").read_text().split()[1])
        # The fewest of several looks: a file that is just being written is open for a moment.
        files = []
        for _ in range(LOOKS):
            files.append(len(os.listdir(place / "fd")))
            time.sleep(0.001)
        return cls(rows, pages * os.sysconf("SC_PAGE_SIZE"), min(files))


def environment(folder: Path) -> dict[str, str]:
    places = {"MLHW_RUNS_DIR": str(folder / "runs"), "XDG_CACHE_HOME": str(folder / "cache")}
    return {**os.environ, "OMP_NUM_THREADS": "1", **places}


def watched(folder: Path, words: Sequence[str]) -> tuple[int, str, list[Look], Path]:
    """Exit code and messages of a run, its looks when rows EARLY and LATE were written, and its folder."""
    looks: list[Look] = []
    with (
        open(folder / "messages", "w+") as messages,
        subprocess.Popen(
            [str(PROGRAM), *words], env=environment(folder), stdout=messages, stderr=messages
        ) as process,
    ):
        rows, table = 0, None
        while process.poll() is None:
            table = table or next((folder / "runs").glob("*/metrics.csv"), None)
            if table is not None:
                rows = max(rows, table.read_bytes().count(b"\n") - 1)
                if len(looks) < 2 and rows >= (EARLY, LATE)[len(looks)]:
                    looks.append(Look.at(process, rows))
            time.sleep(0.02)
        messages.seek(0)
        said = messages.read()
    return process.returncode, said, looks, (folder / "runs" / "latest").resolve()


def test_a_fine_tune_takes_as_much_memory_and_as_many_open_files_after_thousands_of_epochs(
    tmp_path: Path, tally: Tallies
) -> None:
    one = tally("long")
    data = f"folder:{images(tmp_path / 'images')}"
    code, said, looks, run = watched(
        tmp_path, ["finetune", "--data", data, "--epochs", str(EPOCHS), *OPTIONS]
    )
    fault = f"finetune, {EPOCHS} epochs"
    if code != 0:
        one.note(fault, "traceback" if "Traceback" in said else "lost", said)
        return
    early, late = looks
    wrong = [
        *too_much(late.bytes - early.bytes, late.rows - early.rows),
        *([f"{early.files} open files, then {late.files}"] if late.files > early.files else []),
        *too_long(run, EPOCHS),
    ]
    one.note(fault, "lost" if wrong else "survived", "; ".join(wrong))


SGD_EPOCHS = (1_000, 10_000)


def test_sgd_sweep_takes_as_much_memory_for_ten_times_the_epochs(
    tmp_path: Path, tally: Tallies
) -> None:
    """Its rows come at the end, so two runs are compared; 64 files are all that it may have open."""
    one = tally("long")
    peaks = []
    for epochs in SGD_EPOCHS:
        folder = tmp_path / str(epochs)
        words = ["sgd-sweep", "--etas", "0.01", "--repeats", "1", "--epochs", str(epochs)]
        code, said, peak = at_most_64_files(folder, [*words, "--no-check", "--no-plots", "-q"])
        fault = f"sgd-sweep, {epochs} epochs"
        if code != 0:
            one.note(fault, "traceback" if "Traceback" in said else "lost", said)
            return
        peaks.append(peak)
        wrong = [
            *too_long((folder / "runs" / "latest").resolve(), epochs),
            *too_much(peaks[-1] - peaks[0], epochs - SGD_EPOCHS[0]),
        ]
        one.note(fault, "lost" if wrong else "survived", "; ".join(wrong))


def at_most_64_files(folder: Path, words: Sequence[str]) -> tuple[int, str, int]:
    """Exit code, messages and largest resident memory, in bytes, of a run with that limit."""
    import resource

    folder.mkdir()
    with (
        open(folder / "messages", "w+") as messages,
        subprocess.Popen(
            [str(PROGRAM), *words],
            env=environment(folder),
            stdout=messages,
            stderr=messages,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        ) as process,
    ):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        return process.returncode, messages.read(), usage.ru_maxrss * 1024


def too_much(grown: int, epochs: int) -> list[str]:
    """What is wrong with so many bytes more after so many epochs more."""
    allowed = BYTES_ONCE + BYTES_AN_EPOCH * epochs
    return [f"{grown} bytes more, {allowed} allowed"] if grown > allowed else []


def too_long(run: Path, epochs: int) -> list[str]:
    """What is wrong with the log of so many epochs, most of which have no line."""
    size = (run / "log.txt").stat().st_size
    lines = sum(is_logged(epoch) for epoch in range(1, epochs + 1))
    return [f"log of {size} bytes"] if size > LOG_ONCE + LOG_LINE * lines else []
