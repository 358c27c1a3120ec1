"""A command that starts warm does what one does that starts as a new process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Mlhw, warm_starts
from tests.warm import PROGRAM


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["lr-sweep", "--etas", "0", "--json"],
        ["data", "iris"],
        ["runs", "show", "latest"],
    ],
    ids=" ".join,
)
def test_code_and_streams_are_those_of_a_new_process(mlhw: Mlhw, words: list[str]) -> None:
    warm, fresh = mlhw(*words), mlhw(*words, fresh=True)
    assert (warm.args, warm.returncode) == (fresh.args, fresh.returncode)
    assert (warm.stdout, warm.stderr) == (fresh.stdout, fresh.stderr)
    assert warm.stdout + warm.stderr


def test_folder_and_variables_are_its_own(mlhw: Mlhw, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "p.csv").write_text("x,label\n1,0\n2,1\n3,0\n4,1\n")
    assert mlhw("data", "p.csv", cwd=tmp_path / "here").returncode == 0
    assert mlhw("data", "p.csv").returncode == 2
    assert not warm_starts().knows({**os.environ, "OMP_NUM_THREADS": "7"})


def test_a_run_that_takes_too_long_is_ended_and_the_next_one_starts(tmp_path: Path) -> None:
    run = [str(PROGRAM), "lr-sweep", "--max-iterations", "10000000", "--tolerance", "0", "-q"]
    with pytest.raises(subprocess.TimeoutExpired):
        warm_starts().run(run, tmp_path, dict(os.environ), timeout=0.5)
    done = warm_starts().run([str(PROGRAM), "--version"], tmp_path, dict(os.environ), timeout=60)
    assert done.returncode == 0
