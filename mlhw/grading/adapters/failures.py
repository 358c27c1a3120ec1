"""What went wrong in somebody's file, in one line: which error, where, and what it may mean.

Part of the program that runs beside somebody's file: the standard library alone.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import Any

INPUT = "input() is not possible: nobody is there to answer"

# Where NumPy's names went that old files use; its own message speaks of the builtins at length.
_GONE = {
    "float": "float", "int": "int", "bool": "bool", "object": "object", "str": "str",
    "complex": "complex", "long": "int", "unicode": "str", "float_": "np.float64",
    "complex_": "np.complex128", "Inf": "np.inf", "Infinity": "np.inf", "infty": "np.inf",
    "NaN": "np.nan", "NAN": "np.nan", "product": "np.prod", "cumproduct": "np.cumprod",
    "alltrue": "np.all", "sometrue": "np.any", "asscalar": "array.item()", "mat": "np.asmatrix",
    "row_stack": "np.vstack", "round_": "np.round", "in1d": "np.isin", "trapz": "np.trapezoid",
    "msort": "np.sort", "asfarray": "np.asarray", "string_": "np.bytes_", "unicode_": "np.str_",
}  # fmt: skip

_NO_NUMPY = re.compile(r"module 'numpy' has no attribute '(\w+)'|`np\.(\w+)` was removed")

_PYTHON_2_NAMES = {
    "xrange": "range", "raw_input": "input", "unicode": "str", "long": "int", "basestring": "str",
    "reduce": "functools.reduce", "unichr": "chr", "cmp": "(a > b) - (a < b)", "execfile": "exec",
}  # fmt: skip
_PYTHON_2_MODULES = {
    "cPickle",
    "urllib2",
    "Tkinter",
    "StringIO",
    "ConfigParser",
    "Queue",
    "itertools.izip",
}
_PYTHON_2_METHODS = {"iteritems", "itervalues", "iterkeys", "has_key"}
_PYTHON_2_LINES = re.compile(
    r"^\s*(print\s+[^\s(=].*|print\s*$|exec\s+['\"\w].*|raise\s+\w+\s*,.*|except\s+[\w.]+\s*,\s*\w+\s*:.*)"
    r"|<>|\bur['\"]|`\w+`|print\s*>>|\b0[0-7]+\b(?!\.)|\b\d+L\b"
)


class Waiting(BaseException):
    """Raised into a file that takes too long to load; nothing that it catches by name."""


def in_one_line(error: BaseException, folder: str = "", main: str = "") -> str:
    """``ZeroDivisionError: division by zero (line 3)``, whatever the error's ``__str__`` does.

    ``folder`` has somebody's files, ``main`` is the one that was asked; the line is the last that the
    error came through, the file is named where it is another.
    """
    where = _place(error, folder, main)
    return f"{_said(error)}{_meaning(error)}{f' ({where})' if where else ''}"


def _said(error: BaseException) -> str:
    try:
        # A syntax error's own text repeats the place.
        text = str(error.msg) if isinstance(error, SyntaxError) else str(error)
        text = " ".join(text[:2000].split())[:400].removesuffix(".")
    except Exception:
        text = ""
    name = _gone(error)
    if name:
        text = (
            f"np.{name} is gone from NumPy ({_numpy()} is here); write {_GONE.get(name, 'another')}"
        )
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _numpy() -> str:
    import numpy as np

    return str(np.__version__)


def _gone(error: BaseException) -> str:
    """The name that is no longer NumPy's, if the error is that."""
    if not isinstance(error, AttributeError):
        return ""
    found = _NO_NUMPY.search(str(error)[:500])
    return found[1] or found[2] if found and (found[1] or found[2]) in _GONE else ""


def _meaning(error: BaseException) -> str:
    """What an error says to those who know, said to the others."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if isinstance(error, SyntaxError) and not isinstance(error, TabError):
        line = error.text or ""
        if _PYTHON_2_LINES.search(line) or "call to 'print'" in str(error.msg):
            return f"; this is Python 2, here runs Python {python}"
    if isinstance(error, NameError) and error.name in _PYTHON_2_NAMES:
        return f"; this is Python 2, in Python {python} it is {_PYTHON_2_NAMES[error.name]}"
    if isinstance(error, AttributeError) and error.name in _PYTHON_2_METHODS:
        return f"; this is Python 2, here runs Python {python}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        if error.name in _PYTHON_2_MODULES:
            return f"; this is Python 2, here runs Python {python}"
        if error.name.partition(".")[0] != "mlhw":
            return f"; {error.name.partition('.')[0]} is not installed here"
    if isinstance(error, FileNotFoundError):
        return "; there are no data beside it"
    return ""


def _place(error: BaseException, folder: str, main: str) -> str:
    if isinstance(error, SyntaxError) and theirs(str(error.filename), folder):
        return named(str(error.filename), error.lineno, folder, main)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if theirs(f.filename, folder)]
    if own:
        return named(own[-1].filename, own[-1].lineno, folder, main)
    # The teacher's adapter, where the error came no further.
    adapter = [f for f in frames if f.filename.startswith(ADAPTER)]
    return f"{adapter[-1].filename}, line {adapter[-1].lineno}" if adapter else ""


ADAPTER = "adapter "


def theirs(filename: str, folder: str) -> bool:
    """Whether code with this name is of the submission: a file in its folder, or a notebook's cell."""
    return filename.startswith("cell ") or bool(folder and filename.startswith(folder + os.sep))


def named(filename: str, line: Any, folder: str, main: str) -> str:
    """``line 3`` of the main file, ``helper.py, line 3`` of another, ``cell 2, line 3``."""
    if filename == main:
        return f"line {line}"
    if filename.startswith(folder + os.sep):
        filename = filename[len(folder) + 1 :]
    return f"{filename}, line {line}"
