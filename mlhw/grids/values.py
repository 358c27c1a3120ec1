"""The values that keys run over, and the settings that they make together."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlhw.config.model import ExperimentConfig, Leaf, leaves, section_of
from mlhw.errors import ConfigError
from mlhw.grids.config import GridConfig
from mlhw.text import yaml12
from mlhw.text.ranges import range_parts, spread
from mlhw.text.values import number_text

MOST_VALUES = 10_000
"""Of a range."""

MOST_POINTS = 100_000


@dataclass(frozen=True)
class Range:
    """A range of a number key: ``kind`` is ``log`` or ``lin``; ``whole`` where it takes no fractions."""

    start: float
    stop: float
    kind: str
    count: int
    whole: bool

    def values(self) -> list[Any]:
        """Its numbers; of whole ones that are equal, one."""
        found: list[Any] = spread(self.start, self.stop, self.kind, self.count)
        return list(dict.fromkeys(map(round, found))) if self.whole else found


@dataclass(frozen=True)
class Combination:
    """A value for each key; ``number`` counts from 1."""

    number: int
    values: Mapping[str, Any]

    def words(self) -> str:
        """``optim.lr 0.03, head.hidden [32]``"""
        return ", ".join(
            f"{key} {number_text(v) if isinstance(v, float) else value_text(v)}"
            for key, v in self.values.items()
        )


def value_text(value: Any) -> str:
    """A value in a table: a text as it is, everything else as YAML has it, ``1e-5`` without zeros."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not isinstance(value, bool):
        return repr(value).removesuffix(".0")
    return yaml12.inline(value)


def items_of(
    model: type[ExperimentConfig], over: Mapping[str, Sequence[Any]], errors: list[str]
) -> dict[str, list[Any]]:
    """For each key its values as given, ranges read; a line for each mistake goes to ``errors``."""
    known = {leaf.key: leaf for leaf in leaves(model)}
    found: dict[str, list[Any]] = {}
    for key, values in over.items():
        if key in known and known[key].is_section and not _are_texts_of(known[key], values):
            inner = [one for one in known if one.startswith(f"{key}.")]
            errors.append(f"--over {key}: is a section; give one of its keys: {', '.join(inner)}")
            continue
        for number, value in enumerate(values, 1):
            try:
                found.setdefault(key, []).append(_item(known.get(key), value))
            except ValueError as error:
                errors.append(f"--over {key}: value {number} {error}")
    return found


def _are_texts_of(leaf: Leaf, values: Sequence[Any]) -> bool:
    """Whether a section can be given by these values, as in ``data=iris,points.csv``."""
    takes = hasattr(section_of(leaf.annotation), "from_text")
    return takes and all(isinstance(value, str) for value in values)


def _item(leaf: Leaf | None, value: Any) -> Any:
    if leaf is None or leaf.is_section:
        return value  # that there is no such key is said where the points are validated
    if value is None and leaf.nullable:
        return value
    if leaf.types == (list,) and not isinstance(value, list):
        raise ValueError(
            f"must be a list, as the key is one: --over {leaf.key}=[…],[…] (got {value_text(value)})"
        )
    parts = range_parts(value) if isinstance(value, str) else None
    if parts is None or not {int, float} & set(leaf.types):
        return value
    start, stop = (yaml12.parse_scalar(part) for part in parts[:2])
    for end in (start, stop):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise ValueError(f"must be a range of numbers (got {value})")
        if parts[2] == "log" and end <= 0:
            raise ValueError(f"must be greater than 0 at both ends of a log range (got {value})")
    if not 2 <= parts[3] <= MOST_VALUES:
        raise ValueError(f"must be a range of 2 to {MOST_VALUES:,} values (got {value})")
    return Range(start, stop, parts[2], parts[3], float not in leaf.types)


def expanded(items: Mapping[str, Sequence[Any]], errors: list[str]) -> dict[str, list[Any]]:
    """For each key its values, ranges written out; a line for one that stands twice goes to ``errors``."""
    found: dict[str, list[Any]] = {}
    for key, given in items.items():
        values = [v for one in given for v in (one.values() if isinstance(one, Range) else [one])]
        seen: set[str] = set()
        for value in values:
            if repr(value) in seen:
                errors.append(f"--over {key}: {value_text(value)} stands twice")
            seen.add(repr(value))
        found[key] = values
    return found


def settings_of(grid: GridConfig, values: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Every combination, the last key running fastest, or with ``random`` so many of them.

    Raises ConfigError for more points than a grid can have.
    """
    total = math.prod(map(len, values.values()))
    chosen: Sequence[int] = range(total)
    if grid.random is not None and grid.random < total:
        chosen = sorted(random.Random(grid.seed).sample(chosen, grid.random))
    if len(chosen) * grid.repeats > MOST_POINTS:
        raise ConfigError(
            f"--over: {len(chosen) * grid.repeats:,} points; a grid has at most {MOST_POINTS:,} (--random N "
            "draws some)"
        )
    return [Combination(i, _nth(values, place)) for i, place in enumerate(chosen, 1)]


def _nth(values: Mapping[str, Sequence[Any]], place: int) -> dict[str, Any]:
    """The combination at this place, counted from 0 with the last key running fastest."""
    found: dict[str, Any] = {}
    for key in reversed(list(values)):
        place, index = divmod(place, len(values[key]))
        found[key] = values[key][index]
    return {key: found[key] for key in values}


def space_of(items: Sequence[Any], values: list[Any]) -> Range | list[Any]:
    """What a sampler chooses a key's value from: a range that stands alone, or the values."""
    return items[0] if len(items) == 1 and isinstance(items[0], Range) else values


def ends_of(items: Sequence[Any], values: list[Any]) -> list[Any]:
    """Both ends of a range that stands alone; else all values."""
    space = space_of(items, values)
    return [values[0], values[-1]] if isinstance(space, Range) else values


def one_by_one(values: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Every value of every key, beside the first values of the other keys."""
    first = {key: mine[0] for key, mine in values.items()}
    changes = [{}, *({key: value} for key, mine in values.items() for value in mine[1:])]
    return [Combination(i, first | change) for i, change in enumerate(changes, 1)]


def first_with_each(settings: Sequence[Combination]) -> Iterator[Combination]:
    """The settings, those first in which some key has a value for the first time."""
    seen: set[tuple[str, str]] = set()
    later = []
    for setting in settings:
        new = {(key, repr(value)) for key, value in setting.values.items()} - seen
        seen |= new
        if new:
            yield setting
        else:
            later.append(setting)
    yield from itertools.chain(later)
