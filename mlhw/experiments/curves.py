"""Which columns of an experiment's tables are curves, for trackers and for runs laid over each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Curves:
    """Where an experiment's curves stand.

    Attributes:
        table: the table whose curves are laid over those of other runs.
        x: the column that they run along.
        y: the columns that are curves; ``y_name`` is what the axis is called.
        groups: columns whose values tell the curves of one table apart, each with what stands before its
            value in a label, such as ``{"eta": "η = "}``.
        repeats: a column that counts repeats, of which only the first is drawn or tracked.
        steps: whether ``x`` counts steps of the run; trackers follow every table that has this column.
    """

    table: str
    x: str
    y: tuple[str, ...]
    y_name: str
    groups: Mapping[str, str] = field(default_factory=dict)
    repeats: str | None = None
    steps: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that are no numbers of a curve: its steps, its group, its repeat."""
        return (self.x, *self.groups, *([self.repeats] if self.repeats else []))
