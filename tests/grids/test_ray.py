"""``--engine ray`` on a cluster of two nodes on this machine, whose parts are killed."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlhw.grids.elsewhere import scratch_root
from tests.acceptance.test_documentation import blocks
from tests.commands.graded_class import CLASS, hand_in, rows
from tests.conftest import ROOT, mlhw_in
from tests.grids.cluster import Cluster, processes
from tests.grids.killing import GRID, POINTS, Driven, attempts, kill_one, wrong

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (mlhw[ray])"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]
KILLS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="mlhw-ray-"))  # Ray's sockets need a short path
    try:
        with Cluster(folder) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same grid by the local engine."""
    driven = Driven(tmp_path_factory.mktemp("local") / "runs", "local:2", {})
    code, errors = driven.wait()
    assert code == 0, errors
    assert driven.folder is not None
    return driven.folder


def driven(cluster: Cluster, folder: Path) -> Driven:
    return Driven(folder / "runs", f"ray://{cluster.address}", cluster.environment)


def at_work(cluster: Cluster) -> list[int]:
    return cluster.pids("ray::attempt")


def ended(one: Driven, reference: Path) -> Path:
    code, errors = one.wait()
    assert code == 0, errors
    assert one.folder is not None
    assert wrong(one.folder, reference) == []
    return one.folder


def test_workers_that_are_killed_cost_an_attempt_each(
    cluster: Cluster, reference: Path, tmp_path: Path
) -> None:
    one, draw = driven(cluster, tmp_path), random.Random(1)
    kills = sum(kill_one(lambda: at_work(cluster), one, draw) for _ in range(KILLS))
    rows = attempts(ended(one, reference))
    died = [row for row in rows if row["status"] == "died"]
    # One that had just ended its point when it was killed has lost nothing.
    assert kills >= 1
    assert len(died) <= kills
    assert len(rows) == POINTS + len(died)
    # What a run has written names home, not the scratch space of its node, which is gone.
    point = one.folder / "points/0001"  # type: ignore[operator]
    assert str(scratch_root()) not in (point / "run.json").read_text()
    assert f"{point.name}/config.yaml" in json.loads((point / "run.json").read_text())["command"]


def test_a_driver_that_is_killed_goes_on_where_it_was(
    cluster: Cluster, reference: Path, tmp_path: Path
) -> None:
    one, draw = driven(cluster, tmp_path), random.Random(3)
    for _ in range(KILLS):
        if one.until(lambda: one.folder is not None and bool(at_work(cluster))):
            time.sleep(draw.uniform(0, 1.5))
            one.signal(signal.SIGKILL)
            time.sleep(draw.uniform(0, 1))
            one.resume()
    rows = attempts(ended(one, reference))
    # Nothing has run twice: what worked went on without a driver.
    assert len(rows) == POINTS


def test_the_loss_of_the_results_runs_the_missing_points_again(
    cluster: Cluster, reference: Path, tmp_path: Path
) -> None:
    one = driven(cluster, tmp_path)
    assert one.until(lambda: bool(at_work(cluster)))
    assert kill_one(lambda: cluster.pids("ray::Desk"), one, random.Random(4))
    rows = attempts(ended(one, reference))
    assert any("keeps the results" in row["reason"] for row in rows)


def test_ctrl_c_stops_the_cluster_and_a_log_out_does_not(
    cluster: Cluster, reference: Path, tmp_path: Path
) -> None:
    one = driven(cluster, tmp_path)
    assert one.until(lambda: one.folder is not None and bool(at_work(cluster)))
    code, _ = one.signal(signal.SIGINT)
    assert code == 130
    assert at_work(cluster) == []
    until = time.monotonic() + 60
    while cluster.pids("ray::Desk"):  # the desk has been told to end; nothing else ends it
        assert time.monotonic() < until
        time.sleep(0.1)
    one.resume()
    assert one.until(lambda: bool(at_work(cluster)))
    code, _ = one.signal(signal.SIGHUP)
    assert code == 129
    assert len(cluster.pids("ray::Desk")) == 1
    one.resume()
    ended(one, reference)


def test_a_machine_that_is_killed_costs_its_attempts(
    cluster: Cluster, reference: Path, tmp_path: Path
) -> None:
    # Behind those that count tries: the cluster lists a dead node a while, and may send it one.
    one, draw = driven(cluster, tmp_path), random.Random(2)
    for _ in range(KILLS):
        if one.until(lambda: bool(at_work(cluster))):
            time.sleep(draw.uniform(0, 1.5))
            cluster.kill("b")
            cluster.start("b")
    ended(one, reference)


def test_data_that_a_node_has_not_got_are_sent_by_their_digest(
    cluster: Cluster, tmp_path: Path
) -> None:
    if cluster.hidden is None:
        pytest.skip("this process may make no mounts, so every node sees the same files")
    data = cluster.hidden / "two words.csv"
    data.write_text("x,y,label\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(40)))
    grid = (
        *("lr-sweep", "--set", "max_iterations=5", "--no-plots", "--data", str(data)),
        *("--over", "etas=[0.5],[0.4],[0.3],[0.2],[0.1],[0.05]"),
    )
    engine = f"ray://{cluster.address},num_cpus={cluster.cpus}"  # one on each node
    one = Driven(tmp_path / "runs", engine, cluster.environment, grid)
    code, errors = one.wait()
    assert code == 0, errors
    assert one.folder is not None
    for point in sorted((one.folder / "points").iterdir()):
        # Where it was read on the other node is nobody's business.
        for path in (
            point / name for name in ("config.yaml", "report.html", "log.txt", "run.json")
        ):
            assert str(scratch_root()) not in path.read_text()
        assert "two words.csv" in (point / "config.yaml").read_text()
    local = Driven(tmp_path / "local", "local:1", {}, grid)
    assert local.wait()[0] == 0
    assert wrong(one.folder, local.folder) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("ray://127.0.0.1:1", "not reachable: connection refused"),
        ("ray://nowhere", "must be ray://HOST:PORT"),
        ("ray://ADDRESS,num_cpus=64", "no node of the cluster has 64 cpus for a point"),
        ("ray://ADDRESS,num_cpu=1", "unknown 'num_cpu', did you mean 'num_cpus'?"),
        ("ray://ADDRESS,num_gpus=x", "num_gpus=x: must be a number from 0 on"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    cluster: Cluster, tmp_path: Path, engine: str, words: str
) -> None:
    engine = engine.replace("ADDRESS", cluster.address)
    done = mlhw_in(tmp_path)("grid", *GRID, "--engine", engine, env=cluster.environment)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_what_answers_but_is_no_cluster_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlhw.errors import ConfigError
    from mlhw.grids.engines import ray as engine
    from mlhw.grids.tasks import Site

    monkeypatch.setattr(engine, "CONNECT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ConfigError, match=f"ray://127.0.0.1:{port}: no answer in 1 s"):
            engine.open_engine(f"//127.0.0.1:{port}", Site(1, "cpu", 1, "1"))


def test_a_node_without_mlhw_says_so_and_not_that_a_module_is_missing() -> None:
    """What asks it travels as code, so that it arrives where mlhw cannot be imported."""
    from ray import cloudpickle

    from mlhw.grids.engines.cluster.remote import guarded_look

    asks = cloudpickle.dumps(guarded_look())
    there = "import sys; sys.modules['mlhw'] = None; import pickle; f = pickle.loads(sys.stdin.buffer.read())"
    done = subprocess.run(
        [sys.executable, "-c", f"{there}; print(f([]))"],
        input=asks,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "(None, [])"


def test_the_page_says_what_works(cluster: Cluster, tmp_path: Path) -> None:
    [block] = blocks(ROOT / "docs/engines.md", "sh ray")
    done = mlhw_in(tmp_path)(
        *shlex.split(block)[1:], env={**cluster.environment, "RAY_ADDRESS": cluster.address}
    )
    assert done.returncode == 0, done.stderr


def test_nodes_with_another_mlhw_are_named(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlhw.errors import ConfigError
    from mlhw.grids.engines.ray import open_engine
    from mlhw.grids.tasks import Site

    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ConfigError, match=r"has mlhw .*, this is 9\.9; there: pip install mlhw==9\.9"
    ):
        open_engine(f"//{cluster.address}", Site(threads=1, device="cpu", points=1, version="9.9"))


def test_a_cluster_of_a_block_that_is_killed_is_gone(tmp_path: Path) -> None:
    """Also where the process that has started it is killed: its end of a pipe ends."""
    cluster = Cluster(tmp_path)
    sleeper = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 100"], os.environ, setsid=True)
    cluster._reaper.watch(sleeper)
    cluster.__exit__()
    assert os.waitpid(sleeper, 0)[1] == signal.SIGKILL
    assert sleeper not in processes()


def test_a_class_is_graded_by_machines_that_see_none_of_its_files(
    cluster: Cluster, tmp_path: Path
) -> None:
    place = cluster.hidden or tmp_path
    adapter = "def adapt(module, weights, x, t):\n    return module.backprop(weights, x, t)\n"
    hand_in(place / "class", CLASS)
    (place / "adapter.py").write_text(adapter)
    # Each part takes all processors of a node.
    engine = f"ray://{cluster.address},num_cpus={cluster.cpus}"
    words = ("grade", "class", "--adapter", "adapter.py", "--no-plots", "-q")
    mlhw, tables = mlhw_in(place), []
    for more in (("--engine", engine), ("--jobs", "2")):
        done = mlhw(*words, *more, env=cluster.environment, fresh=True)
        assert done.returncode == 0, done.stderr
        run = (place / "runs/latest").resolve()
        assert not [path for path in run.iterdir() if path.name.startswith(".")]
        tables.append([row | {"seconds": ""} for row in rows(run / "grades.csv")])
        log = (run / "log.txt").read_text()
        assert ("2 parts, 2 at once by ray" in log) == ("--engine" in more)
        assert "tried again" not in log
    assert tables[0] == tables[1]
    assert [row["verdict"] for row in tables[0]].count("wrong") == 3
