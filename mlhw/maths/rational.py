"""Vectors of the plane with rational components, and their one rounding to floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Vector = tuple[Fraction, Fraction]

ZERO: Vector = (Fraction(0), Fraction(0))


def minus(p: Vector, q: Vector) -> Vector:
    return (p[0] - q[0], p[1] - q[1])


def dot(p: Vector, q: Vector) -> Fraction:
    return p[0] * q[0] + p[1] * q[1]


def cross(p: Vector, q: Vector) -> Fraction:
    """Positive where q points to the left of p."""
    return p[0] * q[1] - p[1] * q[0]


def along(start: Vector, t: Fraction, direction: Vector) -> Vector:
    """start + t direction."""
    return (start[0] + t * direction[0], start[1] + t * direction[1])


def mean(points: Sequence[Vector]) -> Vector:
    count = len(points)
    return (
        sum((p[0] for p in points), Fraction(0)) / count,
        sum((p[1] for p in points), Fraction(0)) / count,
    )


def to_float(value: Fraction) -> float:
    """The nearest float; infinity where there is none (Python itself would raise)."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def over_root(value: Fraction, square: Fraction) -> float:
    """value/√square, right to the last bit or nearly so: 128 bits of the root, rounded once."""
    ratio = value * value / square
    if ratio == 0:
        return 0.0
    bits = ratio.numerator.bit_length() - ratio.denominator.bit_length()
    shift = 128 - bits // 2
    scaled = ratio * (Fraction(4) ** shift)
    root = Fraction(math.isqrt(scaled.numerator // scaled.denominator)) / Fraction(2) ** shift
    return to_float(root if value > 0 else -root)


def unit(direction: Vector) -> np.ndarray:
    """(2,), the direction with length 1."""
    square = direction[0] ** 2 + direction[1] ** 2
    return np.array([over_root(direction[0], square), over_root(direction[1], square)])
