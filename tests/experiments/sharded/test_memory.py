"""Rows that are larger than memory: gone through under a limit that the page cache counts for too."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROWS, COLUMNS = 4_500_000, 21  # 756 MB
LIMIT = 400_000_000
"""Of all that the process and the cache of its files take. Python with its libraries is some 200 MB of it."""

PROGRAM = """
import json, os, re, sys
place, file = sys.argv[1:]
if place:
    open(place, "w").write(str(os.getpid()))
import numpy as np
from mlhw.experiments.lr_sweep.experiment import Config
from mlhw.experiments.sharded import begin, processes
config = Config(data={"name": None, "file": file}, etas=[0.5, 0.1])
with processes.crew_led(processes.Muster(config, 16, 60_000_000, 2), None) as (crew, _, names):
    problem = begin.problem_of(config, crew, names, 2)
    nll = [problem.slopes(np.array([problem.w0]).T)[0][0] for _ in range(2)]
# Not getrusage's ru_maxrss, which begins with what the process that started this one has had.
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
print(json.dumps({"nll": nll, "peak": int(peak[1]) * 1024}))
"""


@pytest.fixture
def group() -> Iterator[Path | None]:
    """A control group with the limit, of version 1 or 2; None where none can be made."""
    for parent, name, tasks in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "cgroup.procs"),
        ("/sys/fs/cgroup", "memory.max", "cgroup.procs"),
    ):
        folder = Path(parent) / f"mlhw-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / name).write_text(str(LIMIT))
        except OSError:
            folder.rmdir()
            continue
        yield folder / tasks
        folder.rmdir()
        return
    yield None


@pytest.mark.slow
def test_rows_larger_than_memory_are_gone_through_within_the_limit(
    group: Path | None, tmp_path: Path
) -> None:
    file = tmp_path / "rows.npy"
    rng = np.random.default_rng(0)
    piece = rng.normal(size=(ROWS // 20, COLUMNS))
    with open(file, "wb") as out:
        form = {"descr": "<f8", "fortran_order": False, "shape": (ROWS, COLUMNS)}
        np.lib.format.write_array_header_2_0(out, form)
        for _ in range(20):
            piece[:, -1] = piece[:, 0] + rng.logistic(size=len(piece)) > 0
            out.write(piece.tobytes())
        out.flush()
        os.fsync(out.fileno())
        # What is in the cache counts for whoever has brought it there.
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if group is None:  # without: address space, in which libraries map much that they never touch
        limits = (resource.RLIMIT_AS, (2_500_000_000, 2_500_000_000))
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(group or ""), str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=None if group else lambda: resource.setrlimit(*limits),
    )
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["peak"] < 300_000_000 < file.stat().st_size / 2
    assert told["nll"][0] == told["nll"][1] == pytest.approx(0.69, abs=0.1)
