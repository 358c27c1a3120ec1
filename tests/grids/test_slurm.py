"""``--engine slurm``: by submitit's local executor, by stand-ins of SLURM's commands, and by SLURM."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlhw.grids.engines.cluster.spool import Spool
from mlhw.grids.tasks import PointTask
from tests.acceptance.test_documentation import blocks
from tests.conftest import ROOT, mlhw_in
from tests.grids.batch_system import NODES, BatchSystem, batch_system, jobs_in
from tests.grids.cluster import processes
from tests.grids.killing import Driven, attempts, kill_one, wrong

pytestmark = [
    pytest.mark.skipif(
        find_spec("submitit") is None, reason="submitit is not installed (mlhw[slurm])"
    ),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

GRID = (
    *("lr-sweep", "--set", "tolerance=0", "--set", "max_iterations=2000", "--no-plots"),
    *("--over", "etas=[0.5],[0.3],[0.1],[0.02]", "--retries", "5"),
)
POINTS = 4

# A batch system of one machine: jobs of an array are processes, squeue lists those that live.
SBATCH = """#!/bin/sh
echo $$ > "$FAKE/number"
array=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
cp "$1" "$FAKE/script"
for index in $(seq 0 ${array:-0}); do
  [ -n "$array" ] && export SLURM_ARRAY_JOB_ID=$$ SLURM_ARRAY_TASK_ID=$index
  SLURM_JOB_ID=$$ SLURM_NTASKS=1 SLURM_PROCID=0 setsid bash "$1" > "$FAKE/$$_$index.out" 2>&1 &
  echo "$! $$${array:+_$index}" >> "$FAKE/jobs"
done
echo "Submitted batch job $$"
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case $1 in --output|--error) shift;; esac; shift; done
exec "$@"
"""
SQUEUE = """#!/bin/sh
[ -f "$FAKE/jobs" ] && while read pid job; do kill -0 "$pid" 2>/dev/null && echo "$job"; done < "$FAKE/jobs"
exit 0
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do
  grep " $job\\$" "$FAKE/jobs" | while read pid _; do kill -TERM -"$pid"; done
done
"""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    driven = Driven(tmp_path_factory.mktemp("local") / "runs", "local:2", {}, GRID)
    code, errors = driven.wait()
    assert code == 0, errors
    assert driven.folder is not None
    return driven.folder


nodes = pytest.fixture(scope="module", name="nodes")(batch_system)


@pytest.fixture(params=["stand-in", "slurm"])
def slurm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with commands of SLURM's, or stand-ins; what they have started is gone after it."""
    if request.param == "slurm":
        system: BatchSystem = request.getfixturevalue("nodes")
        yield system.environment
        until = time.monotonic() + 20
        while system.jobs() and time.monotonic() < until:
            time.sleep(0.1)
        assert not system.jobs()
        return
    fake = tmp_path / "fake"
    fake.mkdir()
    for name, text in {
        "sbatch": SBATCH, "srun": SRUN, "squeue": SQUEUE, "scancel": SCANCEL
    }.items():  # fmt: skip
        (fake / name).write_text(text)
        (fake / name).chmod(0o755)
    yield {"FAKE": str(fake), "PATH": f"{fake}:{os.environ['PATH']}"}
    if (fake / "jobs").exists():
        started = {int(line.split()[0]) for line in (fake / "jobs").read_text().splitlines()}
        for pid, (session, _) in processes().items():
            if session in started:
                os.kill(pid, signal.SIGKILL)


def ended(one: Driven, reference: Path) -> list[dict[str, str]]:
    code, errors = one.wait()
    assert code == 0, errors
    assert one.folder is not None
    assert wrong(one.folder, reference) == []
    return attempts(one.folder)


@pytest.mark.slow
def test_jobs_on_this_machine_also_where_one_is_killed(reference: Path, tmp_path: Path) -> None:
    one = Driven(tmp_path / "runs", "slurm:local,at_once=2", {}, GRID)
    killed = kill_one(lambda: jobs_in(one.folder), one, random.Random(0))
    assert len(jobs_in(one.folder)) <= 2
    rows = ended(one, reference)
    died = [row for row in rows if row["status"] == "died"]
    assert len(died) <= killed
    assert len(rows) == POINTS + len(died)


@pytest.mark.slow
def test_an_array_is_collected_after_a_log_out(
    reference: Path, slurm: dict[str, str], tmp_path: Path
) -> None:
    one = Driven(tmp_path / "runs", "slurm:partition=short,time=7,mem_gb=1.5", slurm, GRID)
    assert one.until(lambda: one.folder is not None and bool(jobs_in(one.folder)))
    code, _ = one.signal(signal.SIGHUP)
    assert code == 129
    assert one.folder is not None
    script = next((one.folder / ".slurm" / "jobs").glob("*submission*.sh"))
    said = script.read_text()
    for line in (
        "array=0-3%4",
        "partition=short",
        "time=7",
        "mem=1536MB",
        "no-requeue",
        "cpus-per-task=1",
    ):
        assert f"#SBATCH --{line}\n" in said
    one.resume()
    assert one.until(lambda: bool(jobs_in(one.folder)))
    assert one.signal(signal.SIGKILL)[0] == -signal.SIGKILL
    while jobs_in(one.folder):
        time.sleep(0.1)
    one.resume()
    rows = ended(one, reference)
    assert len(rows) == POINTS  # nothing has run twice
    assert not (one.folder / ".slurm").exists()


@pytest.mark.slow
def test_points_of_a_node_that_dies_run_again(
    reference: Path, nodes: BatchSystem, tmp_path: Path
) -> None:
    one = Driven(tmp_path / "runs", "slurm", nodes.environment, GRID)
    assert one.until(lambda: one.folder is not None and bool(jobs_in(one.folder)))
    nodes.kill(NODES[1])
    nodes.start(NODES[1])
    rows = ended(one, reference)
    died = [row for row in rows if row["status"] == "died"]
    assert len(rows) == POINTS + len(died)


@pytest.mark.slow
def test_ctrl_c_cancels_the_jobs(slurm: dict[str, str], tmp_path: Path) -> None:
    one = Driven(tmp_path / "runs", "slurm", slurm, GRID)
    assert one.until(lambda: one.folder is not None and bool(jobs_in(one.folder)))
    assert one.signal(signal.SIGINT)[0] == 130
    until = time.monotonic() + 20
    while jobs_in(one.folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert jobs_in(one.folder) == []


@pytest.mark.slow
def test_the_page_says_what_works(slurm: dict[str, str], tmp_path: Path) -> None:
    [block] = blocks(ROOT / "docs/engines.md", "sh slurm")
    done = mlhw_in(tmp_path)(*shlex.split(block)[1:], env=slurm, fresh=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("slurm", "there is no sbatch here; start it on a login node of the cluster"),
        ("slurm:here", "must be slurm:local, or slurm:KEY=VALUE with partition, account"),
        ("slurm:time=soon", "time=soon: must be a whole number from 1 on"),
        ("slurm:partiton=x", "unknown 'partiton', did you mean 'partition'?"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, engine: str, words: str) -> None:
    if shutil.which("sbatch") and engine == "slurm":
        pytest.skip("SLURM is here")
    done = mlhw_in(tmp_path)("grid", *GRID, "--engine", engine)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_ticket_is_taken_once_and_never_when_it_was_withdrawn(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.make()
    for point in (1, 2):
        spool.issue(PointTask(point, 1, "lr-sweep", {}, "x", "id", "1"))
    assert list(spool.issued()) == ["0001-1", "0002-1"]
    task = spool.take("0001-1")
    assert task is not None
    assert task.point == 1
    assert spool.take("0001-1") is None
    assert not spool.withdraw("0001-1")
    assert spool.withdraw("0002-1")
    assert spool.take("0002-1") is None
    assert spool.at_work()["0001-1"].pid == os.getpid()
