"""``--implementation FILE[:FUNCTION]`` or a folder: which functions of which files are meant."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlhw.errors import DataError, reason_of
from mlhw.grading.adapters.sources import decoded, notebook_source
from mlhw.text.plain_files import read_plain
from mlhw.text.words import hint, nearest, not_there

DEFAULT_FUNCTION = "backprop"
_MOST_BYTES = 1 << 20
_MOST_NOTEBOOK = 32 << 20
_MOST_FILES = 50


@dataclass(frozen=True)
class Implementation:
    """A function in a file. ``missing`` says that the file, one of a folder's, does not define it.

    ``files`` is what it runs with, bytes by names, and ``main`` which of these it is; None: the file at
    ``path``, and with ``together`` those beside it that it imports.
    """

    path: Path
    function: str
    missing: str | None = None
    together: bool = False
    files: Mapping[str, bytes] | None = field(default=None, compare=False)
    main: str = ""

    def __post_init__(self) -> None:
        if not self.main:
            object.__setattr__(self, "main", self.path.name)

    @property
    def name(self) -> str:
        """As it stands in tables: the file's name, and the function's where it is not the usual."""
        return self.path.name + (f":{self.function}" if self.function != DEFAULT_FUNCTION else "")

    def contents(self) -> Mapping[str, bytes]:
        """The bytes of its files; OSError where the file cannot be read."""
        if self.files is not None:
            return self.files
        most = _MOST_NOTEBOOK if self.path.suffix.lower() == ".ipynb" else _MOST_BYTES
        found = {self.main: read_plain(self.path, most)}
        todo = [self.main] if self.together else []
        while todo and len(found) < _MOST_FILES:
            for name in sorted(_imported(found[todo.pop()]) - {Path(n).stem for n in found}):
                with contextlib.suppress(OSError):
                    found[f"{name}.py"] = read_plain(self.path.with_name(f"{name}.py"), _MOST_BYTES)
                    todo.append(f"{name}.py")
        return found

    def programs(self) -> list[bytes | str]:
        """The texts of its files, as far as they can be read."""
        try:
            contents = self.contents()
        except OSError:
            return []
        found: list[bytes | str] = []
        for name, content in contents.items():
            if name.lower().endswith(".py"):
                found.append(content)
            elif name.lower().endswith(".ipynb"):
                with contextlib.suppress(SyntaxError, RecursionError, MemoryError):
                    parts = notebook_source(content, name).parts
                    found.append("\n".join(ast.unparse(part.tree) for part in parts))
        return found


def _imported(program: bytes) -> set[str]:
    """The names of the modules that a program imports, the first part of each."""
    try:
        nodes = list(ast.walk(ast.parse(program)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - {""}


def find_implementations(items: list[str], *, named: bool = True) -> list[Implementation]:
    """The implementations that the texts name, folders opened, each once.

    ``named``: each has to define its function; an adapter looks for itself what it calls.

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
            errors.append(f"--implementation {path}: {not_there(str(path), _near_python)}")
        elif path.is_dir():
            files = [path / name for name in _python_files(path)]
            if not files:
                errors.append(f"--implementation {path}: no .py or .ipynb files in this folder")
            for file in files:
                missing = _missing(file, function) if named else None
                found[file, function] = Implementation(file, function, missing)
        else:
            missing = _missing(path, function) if named else None
            if missing:
                errors.append(f"--implementation {path}: {missing}")
            found[path, function] = Implementation(path, function, together=True)
    if errors:
        raise DataError(*errors)
    return list(found.values())


def _split(item: str) -> tuple[Path, str]:
    path, colon, function = item.rpartition(":")
    if colon and all(map(str.isidentifier, function.split("."))) and not os.path.exists(item):
        return Path(path), function
    return Path(item), DEFAULT_FUNCTION


def _near_python(path: str) -> str:
    return hint(nearest(Path(path).name, _python_files(Path(path).parent)))


def _python_files(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        f.name
        for f in folder.iterdir()
        if f.suffix.lower() in (".py", ".ipynb") and f.name[0] not in "._"
    )


def _missing(path: Path, function: str) -> str | None:
    """A sentence if the file certainly defines no such function; the file is read, not run.

    None also for a file that is no Python: its error comes when it is run.
    """
    if path.suffix.lower() == ".ipynb":
        return None
    try:
        tree = ast.parse(decoded(read_plain(path, _MOST_BYTES))[0])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    except OSError as error:
        return f"cannot be read: {reason_of(error)}"
    names = _bound(tree)
    if function.split(".")[0] in names or names & _DYNAMIC or function in _methods(tree):
        return None
    near = nearest(function, sorted(names))
    return f"no function {function} in this file{hint(f'{path.name}:{near}' if near else None)}"


# With these a name may come into being that is nowhere written down.
_DYNAMIC = {"*", "exec", "eval", "globals", "locals", "vars", "setattr", "__getattr__"}


def _methods(tree: ast.Module) -> set[str]:
    """The methods of the classes of a module."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {n.name for c in classes for n in c.body if isinstance(n, ast.FunctionDef)}


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
