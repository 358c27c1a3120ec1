"""Several processes of one run inside Ray and as SLURM starts them, as docs/several-devices.md has it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.acceptance.test_documentation import blocks
from tests.acceptance.test_torchrun import PROGRAMS, free_port
from tests.conftest import ROOT, mlhw_in, smoke
from tests.grids.batch_system import BatchSystem, batch_system
from tests.grids.cluster import Cluster

pytestmark = pytest.mark.slow

COMMAND = ("finetune", "--config", smoke("finetune"), "--backbone-lr", "null", "--no-plots", "-q")

# A task on each machine that calls torchrun.
IN_RAY = """
import subprocess, sys
import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

address, folder, *words = sys.argv[1:]
ray.init(address=address, log_to_driver=False)
group = placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")

@ray.remote(num_cpus=1)
def machine(number):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    return ray.get_runtime_context().get_node_id(), done.returncode, done.stdout + done.stderr

spread = [PlacementGroupSchedulingStrategy(group, i) for i in range(2)]
ended = ray.get([machine.options(scheduling_strategy=s).remote(i) for i, s in enumerate(spread)])
print([output for _, code, output in ended if code])
sys.exit(any(code for _, code, _ in ended) or len({node for node, _, _ in ended}) != 2)
"""

# The line of the page, for each process of a job of two tasks on a node.
IN_SLURM = """
RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID \
LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE exec "$@"
"""


def test_ray_places_a_torchrun_on_each_machine(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    own = {"OMP_NUM_THREADS": "1", "MLHW_RUNS_DIR": str(tmp_path / "runs")}
    words = [
        *(str(PROGRAMS / "torchrun"), "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"),
        *(f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=ray", "--local-addr=127.0.0.1"),
        *("--no-python", str(PROGRAMS / "mlhw"), *COMMAND),
    ]
    # Sockets lie below it, whose names may have 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="mlhw-ray-", ignore_cleanup_errors=True) as folder,
        Cluster(Path(folder)) as cluster,
    ):
        done = subprocess.run(
            [sys.executable, "-c", IN_RAY, cluster.address, tmp_path, "env"]
            + [f"{name}={value}" for name, value in own.items()]
            + words,
            env={**os.environ, **cluster.environment},
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    of_two_processes(tmp_path / "runs")


def test_slurm_starts_the_processes_without_torchrun(tmp_path: Path) -> None:
    job = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "MASTER_ADDR": "127.0.0.1"}
    job["MASTER_PORT"] = str(free_port())
    tasks = [
        subprocess.Popen(
            ["bash", "-c", IN_SLURM, "bash", str(PROGRAMS / "mlhw"), *COMMAND],
            env={
                **os.environ,
                **job,
                "SLURM_PROCID": str(number),
                "SLURM_LOCALID": str(number),
                "OMP_NUM_THREADS": "1",
                "MLHW_RUNS_DIR": str(tmp_path / "runs"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    ended = [one.communicate(timeout=300) for one in tasks]
    assert [one.returncode for one in tasks] == [0, 0], ended
    of_two_processes(tmp_path / "runs")


nodes = pytest.fixture(scope="module", name="nodes")(batch_system)


@pytest.mark.parametrize("way", ["torchrun on each node", "the processes themselves"])
def test_a_batch_script_of_the_page_takes_two_nodes(
    nodes: BatchSystem, tmp_path: Path, way: str
) -> None:
    done = submitted(nodes, tmp_path, way, shlex.join(COMMAND), "--wait")
    assert done.returncode == 0, (tmp_path / "log").read_text()
    of_two_processes(tmp_path / "runs")


@pytest.mark.parametrize("way", ["torchrun on each node", "the processes themselves"])
def test_what_scancel_stops_is_saved(nodes: BatchSystem, tmp_path: Path, way: str) -> None:
    words = shlex.join((*COMMAND, "--epochs", "1000", "--patience", "null"))
    job = submitted(nodes, tmp_path, way, words, "--parsable").stdout.strip()
    until = time.monotonic() + 120
    while not [*tmp_path.glob("runs/2*/checkpoints/last.pt")]:
        assert time.monotonic() < until, (tmp_path / "log").read_text()
        time.sleep(0.1)
    nodes.said("scancel", job)
    (run,) = (tmp_path / "runs").glob("2*")
    while nodes.jobs():
        assert time.monotonic() < until
        time.sleep(0.1)
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("interrupted", 143)
    done = mlhw_in(tmp_path)("runs", "verify", str(run))
    assert done.returncode == 0, done.stderr


def submitted(
    nodes: BatchSystem, folder: Path, way: str, words: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Hand the page's lines to sbatch, with ``words`` in place of its command and one process a node."""
    page = next(b for b in blocks(ROOT / "docs/several-devices.md", "sh machines") if "srun" in b)
    first, _, second = page.partition("# or with")
    lines = first if way.startswith("torchrun") else second.partition("\n")[2]
    for said, ours in {
        "--nproc-per-node=8": "--nproc-per-node=1",
        ":29500": f":{free_port()}",
        "MASTER_PORT=29500": f"MASTER_PORT={free_port()}",
        "srun torchrun": f"srun {PROGRAMS}/torchrun",
        "mlhw finetune": f"{PROGRAMS}/mlhw {words}",
    }.items():
        lines = lines.replace(said, ours)
    (folder / "job").write_text(f"#!/bin/bash\n{lines}\n")
    return subprocess.run(
        ["sbatch", "--nodes=2", "--ntasks-per-node=1", "--output=log", *options, "job"],
        cwd=folder,
        env={
            **os.environ,
            **nodes.environment,
            "OMP_NUM_THREADS": "1",
            "MLHW_RUNS_DIR": str(folder / "runs"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def of_two_processes(runs: Path) -> None:
    (run,) = runs.glob("2*")
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["exit_code"], record["processes"]) == ("finished", 0, 2)
