"""Ranges of numbers as they are typed: ``0.01:1:log9``, ``0.1:0.5:lin5``."""

from __future__ import annotations

import math
import re

_RANGE = re.compile(r"([^:]+):([^:]+):(log|lin)([0-9]+)")


def range_parts(text: str) -> tuple[str, str, str, int] | None:
    """Start and stop as they are written, ``log`` or ``lin``, and how many; None for no range."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return None
    return match[1].strip(), match[2].strip(), match[3], int(match[4][:9])


def spread(start: float, stop: float, kind: str, count: int) -> list[float]:
    """``count`` numbers, two or more, from ``start`` to ``stop``, evenly or (``log``) by even factors.

    0.1 rather than 0.10000000000000002: twelve digits are what anybody means by a range.
    """
    found = []
    for i in range(count):
        f = i / (count - 1)
        if kind == "log":
            value = math.exp(math.log(start) * (1 - f) + math.log(stop) * f)
        else:
            value = start * (1 - f) + stop * f
        found.append(float(f"{value:.12g}"))
    found[0], found[-1] = start, stop
    return found
