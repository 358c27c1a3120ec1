"""No connection without being asked: every command where there is no network, and none is tried."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlhw.experiments.registry import EXPERIMENTS
from tests.conftest import smoke
from tests.faults.at_once import Job, ends
from tests.faults.tally import Tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the calls are forks of one process"),
]
ALONE = ["unshare", "-r", "-n"]  # a network namespace without interfaces


# All commands that are no experiments but ``all``, which runs these, on what those have left.
OTHERS = """
data points.csv
doctor
evaluate finetune --out judged
export finetune --out model.safetensors
export finetune --out model.pt2
init lr-sweep new.yaml
open lr-sweep --print
predict finetune a.png
runs clean
runs compare lr-sweep sgd-sweep
runs export lr-sweep run.zip
runs list
runs rerun lr-sweep --no-plots
runs show finetune
runs verify --all
schema finetune
""".strip().splitlines()


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
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "points.csv").write_text("0,1,a\n1,0,b\n1,1,a\n0,0,b\n")
    # Port 9 of a documentation address (RFC 5737): shows that the hook sees who does try.
    asks = Job(fetch=("http://192.0.2.1:9/", str(tmp_path / "file"), ""))
    jobs = [Job([name, "-c", smoke(name), "-q"]) for name in EXPERIMENTS]
    others = [Job(words.split()) for words in OTHERS]
    found = ends(
        jobs,
        tmp_path,
        env={"XDG_CACHE_HOME": str(tmp_path / "cache"), "BROWSER": "true"},
        before=[] if why_not else ALONE,
        then=[*others, *([] if why_not else [asks])],
    )
    for job, end in zip([*jobs, *others], found, strict=False):
        words = " ".join(job.argv)
        if end.network:
            one.note(words, "escaped", "; ".join(end.network))
        elif "Traceback" in end.err:
            one.note(words, "traceback", end.err)
        else:
            one.note(words, "survived" if end.code == 0 else "lost", end.err)
    if why_not:
        pytest.skip(f"only the calls were watched: {why_not}")
    assert "socket.connect" in "".join(found[-1].network)
    assert "network is unreachable" in found[-1].err
