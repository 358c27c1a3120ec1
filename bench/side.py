"""One side of ``performance.py``: a row with the code of one checkout, worked through on request.

    python -P bench/side.py ROW_FILE CHECKOUT

Each line on stdin is a request in JSON, ``["call", NAME]`` for example, each line on stdout its answer.
``mlhw`` comes from ``CHECKOUT``, which is on PYTHONPATH. Whatever a row itself prints goes to stderr.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

Works = dict[str, Callable[[], object]]


def load_row(path: Path) -> ModuleType:
    """A row's file as a module; ``rows`` is importable to it, also as ``bench.rows``."""
    folder = str(Path(__file__).parent)
    if folder not in sys.path:
        sys.path.append(folder)
    import rows

    sys.modules.setdefault("bench.rows", rows)
    spec = importlib.util.spec_from_file_location(f"rows.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def cpu_seconds() -> float:
    """Processor time of this process and of the processes that it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processors."""
    used, start = cpu_seconds(), time.perf_counter()
    function()
    seconds = time.perf_counter() - start
    return seconds, cpu_seconds() - used


def answer(row: ModuleType, works: Works, request: list[Any]) -> Any:
    what, *words = request
    if what == "works":
        works |= row.works()
        return list(works)
    if what == "call":
        return timed(works[words[0]])
    if what == "goals":
        return {text: bool(met) for text, met in row.goals(words[0]).items()}
    assert what == "checks", what
    found = row.checks() if hasattr(row, "checks") else {}
    return {name: float(value) for name, value in found.items()}


def main(row_file: str, checkout: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import mlhw

    row, works = None, Works()
    for line in sys.stdin:
        try:
            if not Path(mlhw.__file__).is_relative_to(checkout):
                raise RuntimeError(f"mlhw came from {mlhw.__file__} instead of {checkout}")
            row = row or load_row(Path(row_file))
            found: dict[str, Any] = {"answer": answer(row, works, json.loads(line))}
        except Exception as error:
            if type(error).__name__ == "Skip":
                found = {"skipped": str(error)}
            else:
                traceback.print_exc()
                found = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
