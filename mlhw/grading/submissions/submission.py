"""One student's work: the files, and which of them is to be judged."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlhw.grading.submissions.names import Owner, again, stem

MOST_SOURCE = 1 << 20
"""Bytes of a Python file; beyond them it was not written by hand."""


@dataclass
class Submission:
    """What one student handed in, with nobody else's file among it.

    ``files`` are the bytes by path; ``main`` is the one that is judged, empty where ``problem`` says why none
    is. ``owner`` is who it is from, ``student`` the name that tells apart those who share one, ``file_name``
    that with which names of files begin.
    """

    student: str
    owner: Owner
    file_name: str
    files: dict[str, bytes]
    main: str = ""
    problem: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """sha256 of all files with their names, and of which is judged."""
        hasher = hashlib.sha256(json.dumps([self.main, self.problem]).encode())
        for name, content in sorted(self.files.items()):
            encoded = name.encode("utf-8", "surrogatepass")
            hasher.update(b"%d %d " % (len(encoded), len(content)) + encoded + content)
        return hasher.hexdigest()

    @property
    def digest_of_main(self) -> str:
        """sha256 of the judged file alone."""
        return hashlib.sha256(self.files.get(self.main, b"")).hexdigest()

    def choose(self, candidates: list[str], function: str) -> None:
        """Find the file to be judged: the one of ``candidates`` that defines ``function``, if that is asked.

        Of several attempts that Canvas numbered the last counts, of files that import others those.
        """
        if not candidates:
            return
        defining = [name for name in candidates if not function or self._defines(name, function)]
        newest: dict[str, str] = {}
        for name in sorted(defining or candidates, key=lambda name: again(name)[1]):
            newest[again(name)[0]] = name
        found = sorted(newest.values(), key=lambda name: (name.count("/"), name))
        if len(found) > 1:
            # What another one imports is a module of it.
            imported = {module for name in found for module in self._imports(name)}
            found = [
                name for name in found if stem(PurePosixPath(name).name) not in imported
            ] or found
        if len(found) == 1:
            self.main = found[0]
            return
        some = ", ".join(found[:3]) + (" …" if len(found) > 3 else "")
        if defining:
            define = f" define {function}" if function else ""
            self.problem = f"{len(found)} files{define} ({some}): which one counts? (--pattern)"
        else:
            self.problem = f"no function {function} in any of {len(found)} files ({some})"

    def _imports(self, name: str) -> set[str]:
        try:
            tree = ast.parse(text_of(name, self.files[name]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return set()
        found = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        found |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        return {part for module in found for part in module.split(".")} - {stem(name)}

    def _defines(self, name: str, function: str) -> bool:
        text = text_of(name, self.files[name])
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            # Python 2, say: its own error comes when it is run.
            return f"def {function}" in text
        return binds(tree, function.partition(".")[0])


def binds(tree: ast.Module, name: str) -> bool:
    """Whether a module defines, assigns or imports ``name`` at its top level, in branches too."""
    for node in _top_level(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name == name:
                return True
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            if any((alias.asname or alias.name) == name for alias in node.names):
                return True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
            return True
    return False


def _top_level(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        found.append(child)
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            found += _top_level(child)
    return found


def text_of(name: str, content: bytes) -> str:
    """The text of a Python file, or of a notebook's code cells; undecodable bytes are replaced."""
    text = content.decode("utf-8-sig", "replace")
    if not name.lower().endswith(".ipynb"):
        return text
    try:
        cells = json.loads(text).get("cells", [])
        code = [cell for cell in cells if cell.get("cell_type") == "code"]
        sources = ["".join(cell.get("source", "")) for cell in code]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""
    lines = "\n".join(sources).splitlines()
    return "\n".join("" if line.lstrip()[:1] in ("%", "!", "?") else line for line in lines)


def without_outputs(content: bytes) -> bytes:
    """A notebook with nothing but its code cells: pictures in it may be megabytes. Another file as it is."""
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        cells = [
            {"cell_type": "code", "source": cell.get("source", "")}
            for cell in notebook["cells"]
            if cell.get("cell_type") == "code"
        ]
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return content
    return json.dumps({"cells": cells}).encode()
