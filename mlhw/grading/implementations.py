"""``--implementation FILE[:FUNCTION]`` or a folder: which functions of which files are meant."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

from mlhw.errors import DataError, reason_of
from mlhw.text.plain_files import read_plain
from mlhw.text.words import hint, nearest

DEFAULT_FUNCTION = "backprop"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Implementation:
    """A function in a file. ``missing`` says that the file, one of a folder's, does not define it."""

    path: Path
    function: str
    missing: str | None = None

    @property
    def name(self) -> str:
        """As it stands in tables: the file's name, and the function's where it is not the usual."""
        return self.path.name + (f":{self.function}" if self.function != DEFAULT_FUNCTION else "")


def find_implementations(items: list[str]) -> list[Implementation]:
    """The implementations that the texts name, folders opened, each once.

    Raises
    ------
    DataError
        With a line for each file or function that is missing, and for each folder without files. In
        a folder a file without the function is kept: it gets a verdict of its own.
    """
    found: dict[tuple[Path, str], Implementation] = {}
    errors: list[str] = []
    for item in items:
        path, function = _split(item)
        if not os.path.exists(path):  # Path.exists raises for a name that is too long
            near = nearest(path.name, _python_files(path.parent))
            errors.append(f"--implementation {path}: no such file{hint(near)}")
        elif path.is_dir():
            files = [path / name for name in _python_files(path)]
            if not files:
                errors.append(f"--implementation {path}: no .py files in this folder")
            for file in files:
                found[file, function] = Implementation(file, function, _missing(file, function))
        else:
            missing = _missing(path, function)
            if missing:
                errors.append(f"--implementation {path}: {missing}")
            found[path, function] = Implementation(path, function)
    if errors:
        raise DataError(*errors)
    return list(found.values())


def _split(item: str) -> tuple[Path, str]:
    path, colon, function = item.rpartition(":")
    if colon and function.isidentifier() and not os.path.exists(item):
        return Path(path), function
    return Path(item), DEFAULT_FUNCTION


def _python_files(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(f.name for f in folder.iterdir() if f.suffix == ".py" and f.name[0] not in "._")


def _missing(path: Path, function: str) -> str | None:
    """A sentence if the file certainly defines no such function; the file is read, not run.

    None also for a file that is no Python: its error comes when it is run.
    """
    try:
        tree = ast.parse(read_plain(path, _MOST_BYTES))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    except OSError as error:
        return f"cannot be read: {reason_of(error)}"
    names = _bound(tree)
    if function in names or names & _DYNAMIC:
        return None
    near = nearest(function, sorted(names))
    return f"no function {function} in this file{hint(f'{path.name}:{near}' if near else None)}"


# With these a name may come into being that is nowhere written down.
_DYNAMIC = {"*", "exec", "eval", "globals", "locals", "vars", "setattr", "__getattr__"}


def _bound(tree: ast.Module) -> set[str]:
    """The names that a module binds at its top level, and what it could bind others with."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            names.update(
                n for part in ast.walk(node) if isinstance(part, ast.Global) for n in part.names
            )
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((a.asname or a.name).split(".")[0] for a in node.names)
        if isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Store) or node.id in _DYNAMIC):
            names.add(node.id)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return names
