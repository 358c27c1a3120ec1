"""Values as JSON has them, as dotted keys, and as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from mlhw.text.words import listing


def to_json(value: Any) -> Any:
    """Plain JSON values from NumPy scalars, arrays, tuples and mappings; NaN and infinity as null.

    JSON has no NaN; strict readers reject files that hold one.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return to_json(value.tolist())
    return str(value)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a finite number and no bool; False for a whole number too long for a float."""
    try:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    except OverflowError:
        return False


def is_digits(text: str) -> bool:
    """Whether a text is a whole number in the digits 0 to 9, without a sign."""
    return text.isascii() and text.isdecimal()


def as_number(text: str) -> float:
    """The number that a text is, in the digits 0 to 9. Raises ValueError for any other.

    Python's ``float`` also takes ``1_000`` and the digits of other scripts, which most readers do not.
    """
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return float(text)


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def numbers_text(values: Iterable[Any]) -> str:
    """Numbers in a sentence: ``0.5, 0.3 and 0.1``."""
    return listing([number_text(value) for value in values])


def bytes_text(count: int) -> str:
    """Bytes in the unit that keeps the number short."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def clock(seconds: float) -> str:
    """A time in little room: ``0.7 s``, ``0:14``, ``12:05``, ``2:10:00``."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


NOTHING = "-"
"""How a value that there is not is shown: None, and NaN, which files of JSON hold as null."""


def is_nothing(value: Any) -> bool:
    """Whether there is no value: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def digits_text(value: float, digits: int) -> str:
    """A number with exactly so many significant digits, zeros at its end too, for a column of them."""
    return f"{value:#.{digits}g}".removesuffix(".")


def number_text(value: Any, *, digits: int = 6) -> str:
    """A value for people: so many significant digits, mappings as ``name: value``, yes and no.

    None and NaN are ``NOTHING``.
    """

    def text(item: Any) -> str:
        return number_text(item, digits=digits)

    if is_nothing(value):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    if hasattr(value, "tolist"):
        return text(value.tolist())
    return str(value)
