"""The text of somebody's file in parts that can be run: one of a program, one a cell of a notebook.

CodePart of the program that runs beside somebody's file: the standard library alone.
"""

from __future__ import annotations

import ast
import codecs
import json
import os
import re
from typing import Any, NamedTuple


class CodePart(NamedTuple):
    """A stretch of code, and the name that errors in it have."""

    name: str
    tree: ast.Module


class Source(NamedTuple):
    """The parts of a file, and what is to be said of it."""

    parts: list[CodePart]
    notes: list[str]


def source_of(path: str) -> Source:
    """The file at ``path`` read and parsed.

    Raises
    ------
    SyntaxError
        Where a program, or every cell of a notebook that has any code, is none.
    """
    with open(path, "rb") as file:
        data = file.read()
    if path.lower().endswith(".ipynb"):
        return notebook_source(data, os.path.basename(path))
    text, note = decoded(data)
    return Source([CodePart(path, ast.parse(text, path))], [note] if note else [])


def decoded(data: bytes) -> tuple[bytes | str, str]:
    """Bytes for Python's own rules; text where these would refuse it, with a sentence that says so."""
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return data.decode(name, "replace"), f"the file is read as {name}"
    declared = re.match(rb"(?:[^\n]*\n)?[ \t\f]*#.*?coding[:=]", data)
    try:
        data.decode()
    except UnicodeDecodeError:
        if not declared:
            return data.decode("cp1252", "replace"), "the file is no UTF-8 and is read as cp1252"
    return data, ""


# ------------------------------------------------------------------------------------- notebooks

# These say how a cell is run, others that it is no Python.
_HARMLESS = {"time", "timeit", "capture", "prun", "debug", "memit"}
_ASSIGNED = re.compile(r"^(\s*[\w, ]+=\s*)[%!].*$")


def notebook_source(data: bytes, name: str) -> Source:
    """A notebook's code cells without magics and shell commands; a cell that is no Python is left out."""
    try:
        notebook: Any = json.loads(data)
    except ValueError:
        raise SyntaxError(f"{name} is no notebook: it is no JSON") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if cells is None and isinstance(notebook, dict):  # as version 3 had them
        sheets = notebook.get("worksheets")
        cells = [c for s in sheets for c in s["cells"]] if isinstance(sheets, list) else None
    if not isinstance(cells, list):
        raise SyntaxError(f"{name} is no notebook: it has no cells")
    parts: list[CodePart] = []
    notes: list[str] = []
    first: SyntaxError | None = None
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        text = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, text)) if isinstance(text, list) else str(text)
        label = f"cell {number}"
        try:
            parts.append(CodePart(label, ast.parse(without_magics(text), label)))
        except SyntaxError as error:
            first = first or error
            notes.append(f"{label} is left out: {error.msg} (line {error.lineno})")
    if first is not None and not any(part.tree.body for part in parts):
        raise first
    return Source(parts, notes)


def without_magics(text: str) -> str:
    """A cell with as many lines, those for IPython or the shell empty."""
    lines = text.split("\n")
    for line in lines:
        if line.startswith("%%") and line[2:].split(" ")[0].strip() not in _HARMLESS:
            return ""
        if line.strip():
            break
    try:
        ast.parse(text)
    except SyntaxError:
        return "\n".join(map(_plain_line, lines))
    return text


def _plain_line(line: str) -> str:
    bare = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    if bare.startswith(("%", "!")) or (bare.endswith("?") and not bare.startswith("#")):
        return f"{indent}pass"
    if bare.startswith("?"):
        return f"{indent}pass"
    assigned = _ASSIGNED.match(line)
    return f"{assigned[1]}None" if assigned else line
