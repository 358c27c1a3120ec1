"""``--optuna N``: points that a sampler chooses, in rounds, by what the earlier ones have found.

Optuna's tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS 24) is asked for four settings at a
time and told their numbers in the order of the points, whatever the order in which they end: so the same seed
chooses the same points on every engine. What was chosen is in ``chosen.json``, and stays chosen when a grid
goes on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlhw.errors import ConfigError, UsageError
from mlhw.grids.plan import GridPlan, Point, base_with, points_for
from mlhw.grids.report import ranked_by
from mlhw.grids.rows import Row
from mlhw.grids.values import Combination, Range
from mlhw.system.files import regular_text, write_whole
from mlhw.text.values import is_number

ROUND = 4
"""Settings that are chosen together."""

CHOSEN = "chosen.json"


def require_optuna() -> None:
    """Raise ConfigError without Optuna."""
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("--optuna: Optuna is not installed; pip install 'mlhw[optuna]'")


def rounds_of(plan: GridPlan, rows: Mapping[int, Row], folder: Path) -> Iterator[list[Point]]:
    """The points, all at once, or as they are chosen, each list once those before are in ``rows``.

    Chosen ones are added to ``plan.points``.
    """
    if plan.grid.optuna is None:
        yield plan.points
        return
    study = _Study(plan)
    chosen = _chosen_in(folder)
    for first in range(0, plan.grid.optuna, ROUND):
        count = min(ROUND, plan.grid.optuna - first)
        settings = study.ask(chosen[first : first + count], first, count)
        chosen[first : first + count] = [dict(one.values) for one in settings]
        write_whole(folder / CHOSEN, json.dumps(chosen, indent=1) + "\n")
        points = [
            point
            for setting in settings
            for point in _points(plan, setting, 1 + (setting.number - 1) * plan.grid.repeats)
        ]
        plan.points.extend(points)
        yield points
        study.tell(settings, rows)


def _chosen_in(folder: Path) -> list[dict[str, Any]]:
    """The settings that an earlier driver of the grid has chosen."""
    try:
        found = json.loads(regular_text(folder / CHOSEN))
    except (OSError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(x, dict) for x in found) else []


def _points(plan: GridPlan, setting: Combination, first: int) -> list[Point]:
    """The points of a setting; one that cannot be used is a point that fails."""
    try:
        return points_for(plan, setting, first)
    except UsageError:
        values = base_with(plan.grid, setting)
        text = json.dumps(values, sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()
        return [
            Point(first + r, setting, r, values | {"seed": plan.grid.seed + r}, name)
            for r in range(plan.grid.repeats)
        ]


class _Study:
    """Optuna's study, asked and told."""

    def __init__(self, plan: GridPlan) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._plan = plan
        self._study: Any = None
        self._trials: list[tuple[Any, bool]] = []
        sampler = optuna.samplers.TPESampler(seed=plan.grid.seed % 2**32)
        # What is told is turned so that less is better.
        self._study = optuna.create_study(sampler=sampler)

    def ask(self, before: Sequence[Mapping[str, Any]], first: int, count: int) -> list[Combination]:
        """The next ``count`` settings; ``before`` are those that were chosen by an earlier driver."""
        self._trials = [(self._study.ask(), False) for _ in range(count)]
        found = []
        for i, (trial, _) in enumerate(self._trials):
            values = {key: self._suggested(trial, key, item) for key, item in self._space.items()}
            if i < len(before) and dict(before[i]) != values:
                # A point that had failed then has a number now; what was run stays.
                self._trials[i] = (trial, True)
                values = dict(before[i])
            found.append(Combination(first + i + 1, values))
        return found

    @property
    def _space(self) -> Mapping[str, Range | list[Any]]:
        return self._plan.space

    def _suggested(self, trial: Any, key: str, item: Range | list[Any]) -> Any:
        if isinstance(item, list):
            return item[trial.suggest_categorical(key, list(range(len(item))))]
        low, high = sorted((item.start, item.stop))
        log = item.kind == "log"
        if item.whole:
            return trial.suggest_int(key, int(low), int(high), log=log)
        # Six digits are what anybody would type.
        return min(high, max(low, float(f"{trial.suggest_float(key, low, high, log=log):.6g}")))

    def tell(self, settings: Sequence[Combination], rows: Mapping[int, Row]) -> None:
        """What the settings that were asked for last have found: the mean over their repeats, or nothing."""
        states = self._optuna.trial.TrialState
        try:
            by = ranked_by(self._plan, rows)
        except ConfigError:
            by = None
        for setting, (trial, replaced) in zip(settings, self._trials, strict=True):
            mine = [p.number for p in self._plan.points if p.setting.number == setting.number]
            found = [rows[n].numbers.get(by.name) for n in mine if by is not None and n in rows]
            numbers = [float(value) for value in found if is_number(value)]
            value = None
            if by is not None and len(numbers) == len(mine):
                value = sum(numbers) / len(numbers) * (1 if by.direction == "min" else -1)
            if replaced or value is None:
                self._study.tell(trial, state=states.FAIL)
            else:
                self._study.tell(trial, value)
            if replaced and value is not None:
                self._add(setting, trial, value)

    def _add(self, setting: Combination, trial: Any, value: float) -> None:
        """Tell of a setting that was not asked for; one that is not of the space is left out."""
        try:
            params = {
                key: item.index(setting.values[key])
                if isinstance(item, list)
                else setting.values[key]
                for key, item in self._space.items()
            }
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    params=params, distributions=trial.distributions, value=value
                )
            )
        except (ValueError, KeyError):
            return
