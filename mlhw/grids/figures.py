"""The figure of a grid: a line over one key, a map of two, parallel axes for more."""

from __future__ import annotations

from collections.abc import Mapping

from mlhw.grids.plan import Plan
from mlhw.grids.ranking import Ranking
from mlhw.grids.rows import Row
from mlhw.result.plots import Plot


def plots_of(plan: Plan, rows: Mapping[int, Row], ranking: Ranking) -> list[Plot]:
    return []
