"""The planes of ``softmax-regions`` as they are written down, and the range in which they can be."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mlhw.config.model import comma_list
from mlhw.errors import ConfigError
from mlhw.maths.rational import dot
from mlhw.maths.regions import Envelope
from mlhw.text.yaml12 import parse_value

# Weights are 0 or between 1e-100 and this in size: squares and quotients of them then fit float64.
LIMIT = 1e100
# More labels than this are no classes but a column of numbers, and no figure tells their regions apart.
MAX_CLASSES = 100


def _items(value: Any) -> Any:
    """``1,2,2`` or ``[1, 2, 2]`` as given on the command line, to the list that a file would hold."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return comma_list(value)
    try:
        return parse_value(value, "the list")
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _rows(value: Any) -> Any:
    """``3,1; 1,3`` as given on the command line, to rows."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [_items(row) for row in value.strip().rstrip(";").split(";")]
    rows = _items(value)
    if not isinstance(rows, list):
        return rows
    return [list(row) if isinstance(row, tuple) else row for row in rows]  # tuples, from Python


def _words(value: Any) -> Any:
    return comma_list(value, read=str)


def _different(names: list[str]) -> list[str]:
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise ValueError(f"two classes are called '{twice[0]}'")
    return names


def _in_range(value: float) -> float:
    if value != 0 and not 1 / LIMIT <= abs(value) <= LIMIT:
        raise ValueError(f"must be 0 or {1 / LIMIT:g} to {LIMIT:g} in size (got {value:g})")
    return value


Number = Annotated[float, AfterValidator(_in_range)]
Numbers = Annotated[list[Number], BeforeValidator(_items)]
Rows = Annotated[
    list[Annotated[list[Number], Field(min_length=2, max_length=2)]], BeforeValidator(_rows)
]
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=60)]],
    BeforeValidator(_words),
    AfterValidator(_different),
]


def check_range(envelope: Envelope) -> None:
    """Raise ConfigError where a boundary lies, or ends, beyond what float64 can work with."""
    for b in envelope.boundaries:
        i, j = (k + 1 for k in b.classes)
        ends = [b.start] if b.end is None else [b.start, b.end]
        if not all(abs(c) <= LIMIT for end in ends for c in end):
            raise ConfigError(
                f"weights: the boundary of classes {i} and {j} begins or ends beyond {LIMIT:g}, since "
                "weights are all but equal; make them equal, or more different"
            )
        if b.end is not None and dot(b.direction, b.direction) < 1 / Fraction(LIMIT) ** 2:
            raise ConfigError(
                f"weights: the boundary of classes {i} and {j} is shorter than {1 / LIMIT:g}; make the "
                "biases equal, or more different"
            )
