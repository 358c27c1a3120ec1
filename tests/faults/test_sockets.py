"""No connection without being asked: the six commands where there is no network, and none is tried."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhw.experiments.registry import EXPERIMENTS
from tests.conftest import smoke
from tests.faults.at_once import Job, ends
from tests.faults.tally import Tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the calls are forks of one process"),
]
ALONE = ["unshare", "-r", "-n"]  # a network namespace without interfaces


def reason_why_not() -> str | None:
    """Why no namespace can be made here; None where one can."""
    if shutil.which(ALONE[0]) is None:
        return "there is no unshare"
    done = subprocess.run([*ALONE, "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"no network namespace: {done.stderr.strip()}"


def test_no_command_tries_a_connection_and_all_work_without_a_network(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    one = tally("sockets")
    why_not = reason_why_not()
    # Port 9 of a documentation address (RFC 5737): shows that the hook sees who does try.
    asks = Job(fetch=("http://192.0.2.1:9/", str(tmp_path / "file"), ""))
    jobs = {name: Job([name, "-c", smoke(name), "-q"]) for name in EXPERIMENTS}
    calls = [*jobs.values(), *([] if why_not else [asks])]
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    found = ends(calls, tmp_path, env=env, before=[] if why_not else ALONE)
    for name, end in zip(jobs, found, strict=False):
        if end.network:
            one.note(name, "escaped", "; ".join(end.network))
        elif "Traceback" in end.err:
            one.note(name, "traceback", end.err)
        else:
            one.note(name, "survived" if end.code == 0 else "lost", end.err)
    if why_not:
        pytest.skip(f"only the calls were watched: {why_not}")
    assert "socket.connect" in "".join(found[-1].network)
    assert "network is unreachable" in found[-1].err
