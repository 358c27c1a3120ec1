"""torchrun itself: two agents, as on two machines, and what they say of a run that ends badly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import smoke

pytestmark = pytest.mark.slow

PROGRAMS = Path(sys.executable).parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def agent(folder: Path, port: int, number: int, *arguments: str) -> subprocess.Popen[str]:
    """torchrun on one of two machines, with a folder of its own."""
    own = folder / f"machine-{number}"
    own.mkdir()
    words = [
        *(str(PROGRAMS / "torchrun"), "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"),
        *(f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=test", "--local-addr=127.0.0.1"),
        *("--no-python", str(PROGRAMS / "mlhw"), *arguments),
    ]
    return subprocess.Popen(
        words,
        cwd=own,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MLHW_RUNS_DIR": "runs"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_machines_train_one_network(tmp_path: Path) -> None:
    port = free_port()
    options = ("finetune", "--config", smoke("finetune"), "--backbone-lr", "null", "--no-plots")
    agents = [agent(tmp_path, port, number, *options, "-q") for number in range(2)]
    ended = [one.communicate(timeout=300) for one in agents]
    assert [one.returncode for one in agents] == [0, 0], ended
    runs = list(tmp_path.glob("machine-*/runs/2*"))
    assert len(runs) == 1
    record = json.loads((runs[0] / "run.json").read_text())
    assert (record["status"], record["exit_code"], record["processes"]) == ("finished", 0, 2)
    assert sum("run folder: " in out for out, _ in ended) == 1


def test_a_machine_that_is_gone_ends_the_run_and_it_can_go_on(tmp_path: Path) -> None:
    """The other agent's process is told at once, and not by torchrun, which watches its own processes."""
    port = free_port()
    options = ["finetune", "--config", smoke("finetune"), "--backbone-lr", "null", "--no-plots"]
    options += ["-q", "--unfreeze-at", "0", "--epochs", "300"]
    agents = [agent(tmp_path, port, number, *options) for number in range(2)]
    until = time.monotonic() + 240
    while not (tables := list(tmp_path.glob("machine-*/runs/2*/metrics.csv"))) or (
        len(tables[0].read_text().splitlines()) < 2
    ):
        assert time.monotonic() < until
        time.sleep(0.1)
    run = tables[0].parent
    leads = run.relative_to(tmp_path).parts[0] == "machine-0"
    other = agents[1 if leads else 0]
    for pid in Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text().split():
        os.kill(int(pid), 9)
    other.kill()
    before = time.monotonic()
    while json.loads((run / "run.json").read_text())["status"] == "running":
        assert time.monotonic() - before < 60
        time.sleep(0.1)
    for one in agents:
        one.kill() if one is other else one.communicate(timeout=120)
    other.communicate(timeout=60)
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("failed", 1)
    assert "process 1 of 2" in record["reason"]
    assert (run / "checkpoints" / "last.pt").exists()
