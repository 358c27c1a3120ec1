"""Numbers, claims and tables as plain text for people."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from mlhw.result.result import Claim

# Control characters but for tab and newline, and what turns the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Text for a terminal: control characters, which could command it, as ``\\x1b``.

    File and class names, and what a run folder holds, may come from anybody.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of equal width."""
    table = [[printable(cell).replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def claim_lines(claim: Claim, *, note: bool = True) -> list[str]:
    """``holds: no rate below 2/L ever rises``, and indented below it the numbers and the note."""
    words = [
        f"{label} {number_text(value)}"
        for label, value in (
            ("measured", claim.measured),
            ("expected", claim.expected),
            ("tolerance", claim.tolerance),
        )
        if value is not None
    ]
    if note and claim.note:
        words.append(claim.note)
    below = [printable(f"    {'; '.join(words)}")] if words else []
    return [f"  {_coloured(claim.verdict)}: {printable(claim.statement)}", *below]


# ANSI colours of the verdicts, on a terminal: green, bold red, grey.
_COLOURS = {"holds": "32", "fails": "1;31", "not applicable": "90"}


def _coloured(verdict: str) -> str:
    plain = (
        not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )
    return verdict if plain else f"\033[{_COLOURS[verdict]}m{verdict}\033[0m"


def number_text(value: Any) -> str:
    """A measured value for people: six significant digits, mappings as ``name: value``."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {number_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(number_text(item) for item in value) + "]"
    if hasattr(value, "tolist"):
        return number_text(value.tolist())
    return str(value)
