"""A configuration to begin with: every key at its default, what it means beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pydantic import BaseModel

from mlhw.config.model import Leaf, leaves
from mlhw.text import yaml12

WIDTH = 100
COLUMN = 30
"""Where the comments begin, as far as the values leave room."""


def commented(model: type[BaseModel], head: str, schema: str | None = None) -> str:
    """``model`` as YAML that reads back as its defaults, below the line ``head``.

    ``schema`` is the address of its JSON schema, which editors find in a line of its own.
    """
    lines = [f"# yaml-language-server: $schema={schema}"] if schema else []
    lines += textwrap.wrap(head, WIDTH, initial_indent="# ", subsequent_indent="# ")
    before: tuple[str, ...] = ("",)
    for leaf in leaves(model):
        section = leaf.path if leaf.is_section else leaf.path[:-1]
        if section != before:
            lines.append("")
        before = section
        lines += _lines(leaf)
    return "\n".join(lines) + "\n"


def _lines(leaf: Leaf) -> Iterator[str]:
    """A key with its default and its comment, which may take several lines."""
    indent = "  " * (len(leaf.path) - 1)
    value = "" if leaf.is_section else yaml12.dump({leaf.path[-1]: leaf.default}).rstrip()
    first, *others = (value or f"{leaf.path[-1]}:").splitlines()
    words = f"{indent}{first}".ljust(COLUMN) if leaf.description else f"{indent}{first}"
    column = max(COLUMN, len(words) + 1)
    comment = textwrap.wrap(leaf.description, max(WIDTH - column - 2, 30), break_on_hyphens=False)
    for number, text in enumerate(comment or [""]):
        before = words if number == 0 else " " * column
        yield f"{before.ljust(column)}# {text}" if text else before.rstrip()
    yield from (f"{indent}{line}" for line in others)
