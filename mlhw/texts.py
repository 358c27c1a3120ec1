"""Numbers, claims and tables as plain text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlhw.result import Claim


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of equal width."""
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def claim_line(claim: Claim) -> str:
    """``holds: no rate below 2/L ever rises (measured 0, expected 0)``."""
    words = [
        f"{label} {number_text(value)}"
        for label, value in (("measured", claim.measured), ("expected", claim.expected))
        if value is not None
    ]
    if claim.tolerance is not None:
        words.append(f"tolerance {number_text(claim.tolerance)}")
    if claim.note:
        words.append(claim.note)
    numbers = f" ({', '.join(words)})" if words else ""
    return f"  {claim.verdict}: {claim.statement}{numbers}"


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
