"""Many at once: starts in one runs folder, resumes of one run, cold stores and downloads that are shared."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.faults.at_once import End, Job, ends
from tests.faults.tally import LONG, Outcome, Tally
from tests.faults.tiny import OPTIONS, images, numbers

MANY = 20 if LONG else 4
EPOCHS = 6
Tallies = Callable[[str], Tally]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the calls are forks of one process"),
]


@dataclass(frozen=True)
class Started:
    """So many fine-tunes started at one moment with cold stores, and one that was killed on its way."""

    folder: Path
    ends: list[End]
    killed: Path

    @property
    def runs(self) -> list[Path]:
        return sorted(p for p in (self.folder / "runs").iterdir() if not p.is_symlink())


def together(folder: Path, jobs: list[Job]) -> list[End]:
    cold = {"XDG_CACHE_HOME": str(folder / "cache"), "MLHW_RUNS_DIR": str(folder / "runs")}
    return ends(jobs, folder, env=cold)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Started:
    folder = tmp_path_factory.mktemp("many")
    data = images(folder / "images")
    argv = ["finetune", "--data", f"folder:{data}", "--epochs", str(EPOCHS), *OPTIONS]
    aside = Job([*argv, "--runs-dir", str(folder / "aside")], killed_at=("last.pt", 3))
    *found, killed = together(folder, [*[Job(argv)] * MANY, aside])
    assert killed.code == -9, killed.err
    return Started(folder, found, (folder / "aside" / "latest").resolve())


def ended(one: Tally, fault: str, end: End, code: int, *, right: bool = True) -> None:
    """Count one of many: with the exit code that it should have, and right in what it left."""
    if "Traceback" in end.err:
        one.note(fault, "traceback", end.err)
    elif end.code != code:
        one.note(fault, "lost", f"exit code {end.code}: {end.err}")
    else:
        one.note(fault, "survived" if right else "silent")


def test_runs_that_start_at_one_moment_have_a_folder_each(started: Started, tally: Tallies) -> None:
    one = tally("many")
    assert len(started.runs) == MANY
    records = [json.loads((run / "run.json").read_text()) for run in started.runs]
    for number, end in enumerate(started.ends):
        ended(one, f"start {number} of {MANY}", end, 0)
    assert {(record["status"], record["exit_code"]) for record in records} == {("finished", 0)}
    assert len({record["pid"] for record in records}) == MANY
    latest = started.folder / "runs" / "latest"
    assert latest.resolve() in [run.resolve() for run in started.runs]
    assert not list((started.folder / "runs").glob(".*"))


def test_cold_stores_that_all_of_them_fill_give_all_the_same_numbers(
    started: Started, tally: Tallies
) -> None:
    one = tally("many")
    first = numbers(started.runs[0])
    assert len(first[0]) == EPOCHS
    for run in started.runs:
        warned = [x for x in (run / "log.txt").read_text().splitlines() if x.startswith("warning:")]
        outcome: Outcome = "lost" if warned else "survived"
        if numbers(run) != first:
            outcome = "silent"
        one.note(f"cold stores: {run.name}", outcome, "; ".join(warned))
    kept = [p for p in (started.folder / "cache" / "mlhw").rglob("*") if p.is_file()]
    assert {path.suffix for path in kept} >= {".npy", ".npz"}
    assert not [path for path in kept if path.name.startswith(".")]


def test_of_many_resumes_one_goes_on_and_the_others_are_refused_in_a_line(
    started: Started, tmp_path: Path, tally: Tallies
) -> None:
    one = tally("many")
    run = tmp_path / "runs" / started.killed.name
    shutil.copytree(started.killed, run)
    before = hidden(run)
    argv = ["finetune", "--resume", str(run), "--no-plots", "-q", "--no-check"]
    found = sorted(together(tmp_path, [Job(argv)] * MANY), key=lambda end: end.code)
    right = numbers(run) == numbers(started.runs[0])
    ended(one, f"resume that got the run, of {MANY}", found[0], 0, right=right)
    for number, end in enumerate(found[1:]):
        line = end.err.strip()
        told = line.startswith("error: ") and "\n" not in line and run.name in line
        ended(one, f"resume {number} that was refused, of {MANY}", end, 2, right=told)
    assert any("another process is working on this run" in end.err for end in found)
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], len(record["resumed"])) == ("finished", 1)
    assert hidden(run) <= before


def hidden(run: Path) -> set[Path]:
    """Half-written files."""
    return {path for path in run.rglob(".*") if path.is_file()}


CONTENT = bytes(range(256)) * 4096 * (4 if LONG else 1)


class Slow(BaseHTTPRequestHandler):
    """Sends the file in pieces, so that the downloads overlap."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        for start in range(0, len(CONTENT), 1 << 16):
            self.wfile.write(CONTENT[start : start + (1 << 16)])

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/file"
        listening.shutdown()
        thread.join()


def test_downloads_of_one_file_at_one_moment_leave_one_whole_file(
    tmp_path: Path, server: str, tally: Tallies
) -> None:
    one = tally("many")
    target = tmp_path / "data" / "file.bin"
    job = Job(fetch=(server, str(target), sha256(CONTENT).hexdigest()))
    for number, end in enumerate(together(tmp_path, [job] * MANY)):
        ended(one, f"download {number} of {MANY}", end, 0)
        assert end.network, "the hook did not see the connection"
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
