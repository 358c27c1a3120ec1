"""Cells of a table as people and programs write them: numbers, missing values, labels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction

from mlhw.points.points import Label
from mlhw.text.values import as_number
from mlhw.text.words import shortened

MISSING = frozenset(
    (
        "",
        "?",
        "NA",
        "N/A",
        "n/a",
        "NaN",
        "nan",
        "NAN",
        "-nan",
        "-NaN",
        "NULL",
        "null",
        "#N/A",
        "<NA>",
    )
)
"""What stands for a missing value anywhere, also where labels or words are due."""

NO_NUMBER = frozenset(
    (
        "na",
        "none",
        "-",
        "--",
        ".",
        "*",
        "missing",
        "nil",
        "-999.#ind",
        "1.#qnan",
        "-1.#ind",
        "#div/0!",
    )
)
"""What else stands for one where only a number could stand, in any case."""

# Fortran's double precision; without a point it could be somebody's name for something.
_FORTRAN = re.compile(r"([-+]?(?:\d+\.\d*|\.\d+))[dD]([-+]?\d+)", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d{1,400}", re.ASCII)
_LEADING_ZERO = re.compile(r"[-+]?0\d+", re.ASCII)
_THOUSANDS = re.compile(r"[-+]?\d+(?:[,.' ]\d{3})+(?:[.,]\d+)?", re.ASCII)


def brief(text: object) -> str:
    """What a file holds, for a message: sixty characters of it at most."""
    return shortened(str(text), 60)


def is_missing(text: str, *, number: bool = False) -> bool:
    """Whether a cell stands for a missing value; ``number``: where only a number could stand."""
    return text in MISSING or (number and text.lower() in NO_NUMBER)


def cell_number(text: str, *, decimal_comma: bool = False) -> float | None:
    """The number that ``text`` is, or None; Python's ``1_000`` is none, nor are other scripts' digits."""
    plain = text.replace("\u2212", "-").strip()
    if decimal_comma:
        if "." in plain:
            return None
        plain = plain.replace(",", ".", 1)
    try:
        return as_number(plain)
    except ValueError:
        fortran = _FORTRAN.fullmatch(plain)
        return float(f"{fortran[1]}e{fortran[2]}") if fortran else None


def why_no_number(text: str) -> str:
    """What to do about a cell that is no number, where its form says it; else empty."""
    if text.endswith("%"):
        return "write it without the % sign"
    if re.fullmatch(r"[-+]?[0-9]*,[0-9]+", text):
        return "write it with a decimal point, and thousands without separators"
    if _THOUSANDS.fullmatch(text):
        return "write thousands without separators"
    return ""


def as_labels(texts: Sequence[str]) -> list[Label]:
    """Labels are identities: numbers where all are numbers and stay as many, else the texts.

    ``0.000`` and ``0`` are one number; ``01`` and ``1`` are two texts; whole numbers are exact at any
    size.
    """
    distinct = set(texts)
    numbers = {text: _label_number(text) for text in distinct}
    if any(number is None for number in numbers.values()):
        return list(texts)
    exact = {Fraction(text) for text in distinct}
    if len(set(numbers.values())) < len(exact):  # floats that rounding made equal
        return list(texts)
    return [numbers[text] for text in texts]  # type: ignore[misc]


def _label_number(text: str) -> int | float | None:
    if _LEADING_ZERO.fullmatch(text) or not text.isascii():
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    number = cell_number(text)
    if number is None or not math.isfinite(number) or len(text) > 400:
        return None
    try:
        Fraction(text)
    except ValueError:
        return None
    return tidy(number)


def tidy(value: float) -> int | float:
    """A float as a whole number where it is one beyond doubt: ``1.0`` is 1."""
    return int(value) if value == int(value) and abs(value) < 2**53 else value
