"""The program that runs beside somebody's file, as one text: it is run where mlhw is not."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

# Each after those that it imports.
MODULES = ("stand_ins", "sources", "definitions", "failures", "loading", "forms", "program")


@cache
def source() -> str:
    """The text; executed in an empty namespace it defines ``prepare`` and ``describe``."""
    texts = [_without_ours(Path(__file__).with_name(f"{name}.py").read_text()) for name in MODULES]
    names = "prepare, describe = load_and_call, failure_of\n"
    return "\n".join(["from __future__ import annotations", *texts, names])


def _without_ours(text: str) -> str:
    """A module's text without what it imports from mlhw, and from the future, which comes first."""
    lines = text.split("\n")
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _LEFT_OUT:
            for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[line] = ""
    return "\n".join(lines)


_LEFT_OUT = {"mlhw", "__future__"}
