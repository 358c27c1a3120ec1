"""Compiled code that is kept between processes, damaged in every way: made anew, and never run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlhw.runs.history import all_runs
from mlhw.system import checked
from tests.conftest import Mlhw, mlhw_in
from tests.faults.damage import damages, flipped
from tests.faults.tally import LONG, Outcome, Tally

SWEEP = ["sgd-sweep", "-c", "smoke/sgd-sweep", "-q", "--no-plots"]

# A small function, since the loop of sgd-sweep takes seconds to compile. Says for each line that it is
# given whether the code was kept, and what it computes.
CHILD = """
import sys
import numba, numpy as np
from mlhw.system.machine_code import keep

def total(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i] * i
    return s

x = np.arange(7.0)
for _ in sys.stdin:
    loop = numba.njit(total)
    keep(loop)
    loads = loop._cache.load_overload
    seen = []
    loop._cache.load_overload = lambda *a: seen.append(loads(*a)) or seen[-1]
    print(loop(x), seen[0] is not None, flush=True)
"""


class Process:
    """A process that calls a compiled function anew for each question; a crash of it is an answer too."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._child: subprocess.Popen[str] | None = None

    def ask(self) -> str:
        """``91.0 True``: what the function computes, and whether its code was kept."""
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-c", CHILD],
                env={**os.environ, "XDG_CACHE_HOME": str(self.cache)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline().strip()
        if not answer or "Traceback" in answer:
            answer += f"ended with {self.end()}"
        return answer

    def end(self) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        assert child.stdin is not None
        child.stdin.close()
        assert child.stdout is not None
        child.stdout.close()
        return child.wait()


def damaged(content: bytes) -> dict[str, bytes]:
    """Each damage and the file that it leaves: all in the long form, a few otherwise."""
    found = dict(damages(content, "code", 400 if LONG else 3))
    # In the digest, and at the beginning of the pickle.
    found |= {f"bit {bit}": flipped(content, bit) for bit in (3, 8 * 32 + 1)}
    return found | {"twice": content * 2}


def test_code_that_is_not_as_it_was_written_is_never_run(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    process, one = Process(tmp_path), tally("numba_cache")
    assert process.ask() == "91.0 False"
    assert process.ask() == "91.0 True"
    (kept,) = (tmp_path / "mlhw" / "compiled").iterdir()
    content = kept.read_bytes()
    for name, changed in damaged(content).items():
        kept.write_bytes(changed)
        answer = process.ask()
        mended = kept.read_bytes() != changed and process.ask() == "91.0 True"
        outcome: Outcome = "survived" if answer == "91.0 False" and mended else "silent"
        one.note(name, outcome, f"{answer}, mended: {mended}")
    for name, make in PLACES.items():
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
        make(kept)
        answer = process.ask()
        one.note(name, "survived" if answer == "91.0 False" else "lost", answer)
    assert process.end() == 0


def _folder(path: Path) -> None:
    (path / "inner").mkdir(parents=True)


PLACES: dict[str, Callable[[Path], None]] = {
    "a pipe in its place": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a folder in its place": _folder,
}


@pytest.mark.slow
def test_a_sweep_is_right_whatever_is_in_the_cache(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    one = tally("numba_cache")
    cache = tmp_path / "cache"
    env = {"XDG_CACHE_HOME": str(cache), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    run = mlhw_in(tmp_path)
    assert run(*SWEEP, env=env).returncode == 0
    true = all_runs(tmp_path / "runs")[0].table("metrics")
    files = list((cache / "mlhw" / "compiled").iterdir())
    assert files
    before = {file: file.read_bytes() for file in files}
    for name in ["flipped", *(["half", "no folder", "garbage", "unwritable"] if LONG else [])]:
        for file in files:
            content = before[file]
            file.write_bytes(
                {
                    "half": content[: len(content) // 2],
                    "flipped": flipped(content, 4 * len(content)),
                    "garbage": np.random.default_rng(1).bytes(len(content)),
                }.get(name, content)
            )
        if name == "no folder":
            shutil.rmtree(cache)
            cache.write_text("a file")
        outcome, said = sweep_outcome(run, env | unwritable(name), true, tmp_path)
        one.note(name, outcome, said)
        if name == "no folder":
            cache.unlink()
            files[0].parent.mkdir(parents=True)


def unwritable(name: str) -> dict[str, str]:
    """An environment in which nothing can be kept; root may write everywhere but here."""
    return {"XDG_CACHE_HOME": "/proc/1/none"} if name == "unwritable" else {}


def sweep_outcome(
    run: Mlhw, env: dict[str, str], true: list[dict[str, str]], folder: Path
) -> tuple[Outcome, str]:
    done = run(*SWEEP, env=env)
    if "Traceback" in done.stderr:
        return "traceback", done.stderr
    if done.returncode != 0 or done.stderr:
        return "lost", f"exit {done.returncode}: {done.stderr}"
    same = all_runs(folder / "runs")[0].table("metrics") == true
    return ("survived" if same else "silent"), ""


def test_no_more_code_is_kept_than_stated(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / ".0.1.tmp").write_bytes(b"of a process that was killed")
    os.utime(folder / ".0.1.tmp", ns=(0, 0))
    for number in range(9):
        checked.remember(folder / f"{number}", b"x", most=4)
        os.utime(folder / f"{number}", ns=(number, number))
    assert [checked.recall(folder / f"{i}") for i in range(9)] == [None] * 5 + [b"x"] * 4
    assert len(list(folder.iterdir())) == 4
