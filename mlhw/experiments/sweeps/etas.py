"""Lists of learning rates: ``0.5,0.3,0.1``, ``0.01:1:log9``, ``0.1:0.5:lin5``."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mlhw.config.model import Option, Synonyms, comma_list
from mlhw.text.ranges import range_parts, spread
from mlhw.text.yaml12 import parse_scalar

MAX_ETAS = 1000


def parse_etas(value: Any) -> Any:
    """The rates of a list or text, in the order given.

    Raises
    ------
    ValueError
        Naming by its place, from 1, each rate that is empty, not a number, not positive, not finite, or
        repeated.
    """
    items = comma_list(value, read=str)
    if isinstance(items, (int, float)) and not isinstance(items, bool):
        items = [items]
    if not isinstance(items, list):
        raise ValueError("must be a list of numbers, such as 0.5,0.3,0.1 or 0.01:1:log9")
    if not items:
        raise ValueError("must have at least one rate")
    etas: list[float] = []
    errors = []
    for number, item in enumerate(items, 1):
        try:
            new = _item(item)
        except ValueError as error:
            errors.append(f"rate {number} {error}")
            continue
        repeated = [eta for i, eta in enumerate(new) if eta in etas or eta in new[:i]]
        if repeated:
            errors.append(f"rate {number} repeats {repeated[0]:g}")
        etas += new
        if len(etas) > MAX_ETAS:
            errors.append(f"rate {number} is one of more than {MAX_ETAS}")
            break
    if errors:
        raise ValueError("; ".join(errors))
    return etas


def _item(item: Any) -> list[float]:
    if isinstance(item, str):
        text = item.strip()
        if not text:
            raise ValueError("is empty (give a number, or take its comma away)")
        if ":" in text:
            return _range(text)
        word = text.lower().lstrip("+-.")
        item = float(text.replace(".", "")) if word in ("nan", "inf") else parse_scalar(text)
    return [_positive(item)]


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number (got {str(value)[:40]})")
    if not math.isfinite(value):
        raise ValueError(f"must be finite (got {value})")
    if value <= 0:
        raise ValueError(f"must be greater than 0 (got {value:g})")
    return float(value)


def _range(text: str) -> list[float]:
    parts = range_parts(text)
    if parts is None:
        raise ValueError(f"must be START:STOP:logN or START:STOP:linN (got {text[:40]})")
    start, stop = (_positive(parse_scalar(part)) for part in parts[:2])
    if not 2 <= parts[3] <= MAX_ETAS:
        raise ValueError(f"must be a range of 2 to {MAX_ETAS} rates (got {parts[3]})")
    return spread(start, stop, *parts[2:])


Etas = Annotated[
    list[float],
    BeforeValidator(parse_etas),
    Option(metavar="LIST"),
    Synonyms(
        ("lr", "lrs", "learning_rate", "learning_rates", "rate", "rates", "step_size", "alpha")
    ),
    Field(description="learning rates: 0.5,0.3,0.1 or a range 0.01:1:log9, 0.1:0.5:lin5"),
]
