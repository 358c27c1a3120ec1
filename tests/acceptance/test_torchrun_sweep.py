"""lr-sweep in several processes, as torchrun starts them: the same bits, and one voice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PROGRAM
from tests.experiments.sharded.test_sweep import drawn
from tests.faults.tally import LONG

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def torchrun(folder: Path, processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """mlhw in so many processes; each is told another number of BLAS threads than one."""
    return subprocess.run(
        [
            *TORCHRUN,
            "--standalone",
            f"--nproc-per-node={processes}",
            "--no-python",
            str(PROGRAM),
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=280,
        stdin=subprocess.DEVNULL,
    )


SWEEP = ("lr-sweep", "--data", "part*.npy", "--max-iterations", "12", "--no-plots", "--quiet")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Rows in files, and the metrics of one process with one thread of everything."""
    folder = tmp_path_factory.mktemp("rows")
    for i, part in enumerate(np.split(drawn(20_000), [5, 13_000])):
        np.save(folder / f"part{i}.npy", part)
    found = subprocess.run(
        [str(PROGRAM), *SWEEP, "--shards", "16", "--runs-dir", "alone"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert found.returncode == 0, found.stderr
    return folder, (folder / "alone" / "latest" / "metrics.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("processes", (2, 4, 8, 16) if LONG else (4,))
def test_processes_have_the_bits_of_one(alone: tuple[Path, bytes], processes: int) -> None:
    folder, metrics = alone
    runs = f"runs{processes}"
    found = torchrun(folder, processes, *SWEEP, "--runs-dir", runs)
    assert found.returncode == 0, found.stderr
    (run,) = (folder / runs).glob("2*")
    assert (run / "metrics.csv").read_bytes() == metrics
    assert found.stdout.count("run folder: ") == 1
    assert "shards: 16" in (run / "config.yaml").read_text()


@pytest.mark.slow
def test_a_number_of_processes_that_cannot_share_the_shards_is_refused_in_a_line(
    alone: tuple[Path, bytes],
) -> None:
    folder, _ = alone
    found = torchrun(folder, 3, *SWEEP, "--runs-dir", "none")
    assert found.returncode == 1  # torchrun's own, of whatever its processes end with
    ours = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert ours == [
        "error: shards: 3 processes cannot share 16 shards; start 1, 2, 4, 8 or 16 of them, or more "
        "shards"
    ]
    assert not (folder / "none").exists()
