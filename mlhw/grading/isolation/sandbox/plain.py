"""The program for files that follow the convention: ``backprop(weights, x, t)`` and a list returned.

A program defines ``prepare(path, options, send) -> answer``, ``answer(arrays) -> (form, arrays)`` and
``describe(error)``. It is run inside, once for each submission.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

Answer = Callable[[list[Any]], tuple[Any, list[Any] | None]]
_path = ""


def prepare(path: str, options: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> Answer:
    """Load the file; what it returns makes one call."""
    global _path
    _path = path
    function = _load(path, options.get("function", "backprop"))

    def answer(arrays: list[Any]) -> tuple[Any, list[Any] | None]:
        *weights, x, t = arrays
        found = _arrays(function(weights, x, t))
        return len(found), found

    return answer


def describe(error: BaseException) -> dict[str, str]:
    """``ZeroDivisionError: division by zero (line 3)``, whatever its ``__str__`` does."""
    try:
        # A syntax error's own text repeats the place.
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        text = " ".join(text[:2000].split())[:500]
    except Exception:
        text = ""
    name = type(error).__name__
    line = _line(error)
    return {"error": (f"{name}: {text}" if text else name) + (f" (line {line})" if line else "")}


def _line(error: BaseException) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == _path:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _path]
    return lines[-1] if lines else None


def _load(path: str, name: str) -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    # At the end, so that a neighbour called random.py does not stand in for Python's.
    sys.path.append(os.path.dirname(path))
    sys.argv = [path]
    spec = spec_from_file_location("implementation", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["implementation"] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise TypeError(f"no function {name}")
    return function


def _arrays(values: Any) -> list[Any]:
    import numpy as np

    if not isinstance(values, (list, tuple)):
        raise TypeError(f"gradients must be a list of arrays, not {type(values).__name__}")
    found = []
    for value in values:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"gradients must hold numbers, not {array.dtype.name}")
        found.append(np.ascontiguousarray(array, dtype=np.float64))
    return found
