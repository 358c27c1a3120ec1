"""A private copy of the package in which one module at a time is another, and runs in it.

A process for each mutant, under limits of time and memory, without stale bytecode or machine code.
``claims.py`` judges what comes out.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import py_compile
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# One thread each: these runs are small, and no thread may outlive a fork.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from configurations import CONFIGURATIONS, FILES

ROOT = Path(__file__).parents[1]

SECONDS = 30  # of processor time, and three times that by the clock
MEMORY = 8 << 30  # of addresses; torch alone takes half


@dataclass
class Run:
    """One configuration's end: exit code (None: killed), failing claims, numbers by place."""

    code: int | None
    fails: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass
class Workplace:
    """A private copy of the package in ``folder``, in which one module at a time is another."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, modules: Iterable[str]) -> Workplace:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "mlhw", folder / "copy" / "mlhw", ignore=ignore)
        shutil.copytree(ROOT / "configs", folder / "copy" / "configs")
        for path in (folder / "copy").rglob("*.py"):
            # Bytecode that names the hash of its source: that of a mutant never fits.
            mode = py_compile.PycInvalidationMode.CHECKED_HASH
            py_compile.compile(str(path), doraise=True, invalidation_mode=mode)
        (folder / "here").mkdir()
        for name, text in FILES.items():
            (folder / "here" / name).write_text(text)
        five = ROOT / "configs" / "smoke" / "softmax-regions.yaml"
        shutil.copy(five, folder / "here" / "five.yaml")
        made = cls(folder)
        for module in modules:
            made.write(module, (ROOT / module).read_text(encoding="utf-8"))
        return made

    def write(self, module: str, text: str) -> None:
        """Put this text in a module's place. The time of the file is a hash of the text.

        numba keeps machine code by a file's path, size and time; so that of one text is never taken
        for another's.
        """
        path = self.folder / "copy" / module
        path.write_text(text, encoding="utf-8")
        stamp = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
        os.utime(path, (stamp, stamp))

    def run(
        self,
        configurations: Sequence[int],
        trace: Sequence[str] = (),
        stop: Callable[[Run], bool] = lambda run: False,
    ) -> dict[int, Run]:
        """Run configurations by number in a new process; ``stop`` ends it after a run.

        ``trace`` are modules whose executed lines are noted in ``lines-N.json``.
        """
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        found: dict[int, Run] = {}
        left = list(configurations)
        while left:
            child = os.fork()
            if child == 0:
                _in_child(self.folder, left, trace)
            ended = self._wait(child, left, found, stop)
            if ended:
                break
            # The one at work took the process down: it has crashed, the others get a process of their own.
            number = left.pop(0)
            found[number] = Run(None)
            if stop(found[number]):
                break
        return found

    def _wait(
        self,
        child: int,
        left: list[int],
        found: dict[int, Run],
        stop: Callable[[Run], bool],
    ) -> bool:
        """Gather runs as they end; True when all have, or one was to stop at."""
        deadline = time.monotonic() + 3 * SECONDS
        while True:
            gone, _ = os.waitpid(child, os.WNOHANG)
            while left and (self.folder / "out" / f"run-{left[0]}.json").exists():
                number = left.pop(0)
                entry = json.loads((self.folder / "out" / f"run-{number}.json").read_text())
                found[number] = Run(entry["code"], entry["fails"], entry["numbers"])
                deadline = time.monotonic() + 3 * SECONDS
                if stop(found[number]):
                    _kill(child, gone)
                    return True
            if gone:
                return not left
            if time.monotonic() > deadline:
                _kill(child, gone)
                return False
            time.sleep(0.01)


def _kill(child: int, gone: int) -> None:
    """End a child and what it started; ``gone`` if it has been waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not gone:
        os.waitpid(child, 0)


# ------------------------------------------------------------------------------------- in the child


def preload() -> None:
    """What the runs import from elsewhere, once, so that a fork is a process with it ready."""
    for name in [
        "jinja2",
        "latex2mathml.converter",
        "numba",
        "PIL.Image",
        "pydantic",
        "scipy.optimize",
        "scipy.special",
        "scipy.stats",
        "sklearn.datasets",
        "threadpoolctl",
        "torch",
        "typer",
        "yaml",
    ]:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


def _in_child(folder: Path, numbers: Sequence[int], trace: Sequence[str]) -> None:
    """Run configurations, each one's end in ``out/run-N.json``; never returns."""
    import resource

    try:
        os.setsid()
        if not trace:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS * len(numbers),) * 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(folder / "copy"))
        os.chdir(folder / "here")
        log = os.open(folder / "out" / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        lines: dict[str, set[int]] = {str(folder / "copy" / module): set() for module in trace}
        if trace:
            os.environ["NUMBA_DISABLE_JIT"] = "1"
            import numba.core.config

            numba.core.config.reload_config()
            sys.settrace(_tracer(lines))
        for number in numbers:
            entry = _one(folder, CONFIGURATIONS[number])
            if trace:
                reached = {module: sorted(lines[str(folder / "copy" / module)]) for module in trace}
                (folder / "out" / f"lines-{number}.json").write_text(json.dumps(reached))
                for module, known in lines.items():
                    # What an import executed counts for every configuration.
                    known.intersection_update(_at_import(Path(module)))
            part = folder / "out" / f"run-{number}.part"
            part.write_text(json.dumps(entry))
            part.rename(folder / "out" / f"run-{number}.json")
    finally:
        os._exit(0)


def _tracer(lines: dict[str, set[int]]) -> Callable[..., Any]:
    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            lines[frame.f_code.co_filename].add(frame.f_lineno)
        return local

    def call(frame: Any, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename in lines else None

    return call


def _at_import(path: Path) -> set[int]:
    """Lines that stand in no function."""
    import ast

    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or 0) + 1)
    }
    return set(range(1, len(path.read_text().splitlines()) + 1)) - inside


def _one(folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """One run by the program's own entry: its exit code, failing claims and numbers."""
    import io

    runs = folder / "out" / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        from mlhw.commands.main import main

        code = main([*words, "--runs-dir", str(runs), "--no-plots", "--json", "-q"])
    try:
        found = json.loads(text.getvalue())
    except ValueError:
        return {"code": 1, "fails": [], "numbers": {}}
    from mlhw.experiments.registry import experiment

    timing = experiment(words[0]).timing
    numbers = dict(_leaves("summary", found.get("summary", {}), timing))
    for path in sorted(Path(found["run"] or "/nowhere").glob("*.csv")):
        numbers |= _cells(path, timing)
    fails = [claim["id"] for claim in found.get("claims", []) if claim["verdict"] == "fails"]
    return {"code": code, "fails": fails, "numbers": numbers}


def _leaves(key: str, value: Any, timing: Iterable[str]) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name not in timing:
                yield from _leaves(f"{key}.{name}", part, timing)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _leaves(f"{key}.{i}", part, timing)
    else:
        yield key, value


def _cells(path: Path, timing: Iterable[str]) -> dict[str, Any]:
    """The cells of a table, numbers as numbers."""
    import csv

    found: dict[str, Any] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for n, row in enumerate(csv.DictReader(file)):
            for column, cell in row.items():
                if column not in timing:
                    try:
                        found[f"{path.name}.{n}.{column}"] = float(cell or "nan")
                    except (TypeError, ValueError):
                        found[f"{path.name}.{n}.{column}"] = cell
    return found
