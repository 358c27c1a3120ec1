"""From what a grid is asked for to its points: each validated, each with the digest of what it computes."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mlhw.config.layers import Layers
from mlhw.config.load import absolute_path, resolve
from mlhw.config.messages import placed
from mlhw.config.model import ExperimentConfig, InputFile, Leaf, leaves, section_of
from mlhw.errors import ConfigError, UsageError
from mlhw.experiments.registry import experiment
from mlhw.grids.by import typed_by
from mlhw.grids.config import GridConfig
from mlhw.grids.identity import identity_of, paths_in
from mlhw.grids.values import (
    Combination,
    Range,
    ends_of,
    expanded,
    first_with_each,
    items_of,
    one_by_one,
    settings_of,
    space_of,
)
from mlhw.result.recorder import Recorder

Found = TypeVar("Found")

MOST_UNASKED = 1000
"""Points; more are run only with ``--yes``."""

CHECKING_S = 20.0
"""Seconds that may go by with reading the input of settings before the first point starts."""


@dataclass(frozen=True)
class Point:
    """One run of the grid: ``number`` from 1, a setting, a repeat from 0, its configuration."""

    number: int
    setting: Combination
    repeat: int
    config: dict[str, Any]
    identity: str

    @property
    def folder(self) -> str:
        """The name of its run folder, below ``points/``."""
        return f"{self.number:04}"


@dataclass(frozen=True)
class Begun:
    """What an experiment resolves and knows of its input when it begins."""

    config: ExperimentConfig
    data_digest: str | None
    device: str


@dataclass(frozen=True)
class GridPlan:
    """A grid's points; ``grid`` with its whole configuration, and with what ``auto`` was resolved to.

    With ``optuna`` the points come later (``search.py``), out of ``space``: for each key a range, or the
    values to choose from. ``inputs`` is what reading the input of settings has found.
    """

    grid: GridConfig
    points: list[Point]
    device: str
    space: Mapping[str, Range | list[Any]] = field(default_factory=dict)
    inputs: dict[str, Begun] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many points there will be."""
        chosen = self.grid.optuna
        return len(self.points) if chosen is None else chosen * self.grid.repeats


class _BeginsNow(BaseException):
    """All input has been read and checked. No Exception, so that no experiment takes it for a failure."""


class _UntilBegin(Recorder):
    def begin(self, config: ExperimentConfig, **facts: Any) -> None:
        super().begin(config, **facts)
        raise _BeginsNow


def begun(name: str, config: ExperimentConfig) -> Begun:
    """Let an experiment read and check its input, and stop it where its work would begin.

    Raises UsageError as the experiment does.
    """
    recorder = _UntilBegin()
    with contextlib.suppress(_BeginsNow):
        experiment(name).run(config, recorder)
    assert recorder.config is not None
    device = str(recorder.facts.get("device", "cpu")).partition(" ")[0]
    return Begun(recorder.config, recorder.facts.get("data_digest"), device)


def plan_of(grid: GridConfig, *, yes: bool = False) -> GridPlan:
    """Every point of a grid, validated; Optuna's come later, one by one (``numbered``).

    Raises
    ------
    ConfigError, DataError
        A key, a value or the data of some point cannot be used; a line for each, before any starts.
    """
    model = experiment(grid.experiment).Config
    errors: list[str] = []
    base = _noting(errors, lambda: _base(grid, model)) or {}
    _noting(errors, lambda: _check_repeats(grid))
    _noting(errors, lambda: typed_by(grid.by, grid.experiment))
    items = items_of(model, grid.over, errors)
    values = expanded(items, errors)
    if grid.optuna is None:
        settings = _noting(errors, lambda: settings_of(grid, values)) or []
        count = len(settings) * grid.repeats
    else:
        # Both ends of every range, and every other value, each beside the first ones of the other keys.
        settings = one_by_one({key: ends_of(items[key], values[key]) for key in items})
        count = grid.optuna * grid.repeats
    if count > MOST_UNASKED and not yes:
        errors.append(f"{count:,} points are more than {MOST_UNASKED:,}: --yes runs them all")
    if base:
        grid = grid.model_copy(update={"config": _without_seed(base)})
        configs = _noting(errors, lambda: configs_of(grid, settings)) or []
    if errors:
        raise ConfigError(*dict.fromkeys(errors))
    found, fixed = _inputs(grid, settings, configs)
    grid = grid.model_copy(update={"fixed": fixed})
    device = next(iter(found.values())).device
    if grid.optuna is not None:
        space = {key: space_of(items[key], values[key]) for key in items}
        return GridPlan(grid, [], device, space, found)
    return GridPlan(grid, numbered(grid, settings, configs, found), device, {}, found)


def points_for(plan: GridPlan, setting: Combination, first: int) -> list[Point]:
    """The points of one setting more; raises UsageError where it, or its input, cannot be used."""
    configs = configs_of(plan.grid, [setting], idle=True)
    key = _input_key(plan.grid, setting)
    if key not in plan.inputs:
        fixed = configs[0].model_copy(update=plan.grid.fixed)
        plan.inputs[key] = begun(plan.grid.experiment, fixed)
    return numbered(plan.grid, [setting], configs, plan.inputs, first)


def base_with(grid: GridConfig, setting: Combination) -> dict[str, Any]:
    """The configuration of a setting as it is, right or wrong."""
    values = copy.deepcopy(grid.config) | grid.fixed
    for key, value in setting.values.items():
        *sections, last = key.split(".")
        holder: Any = values
        for section in sections:
            holder = holder.setdefault(section, {})
        holder[last] = value
    return values


def _noting(errors: list[str], function: Callable[[], Found]) -> Found | None:
    """What a function returns; None, and its lines among ``errors``, where it raises ConfigError."""
    try:
        return function()
    except ConfigError as error:
        errors += error.lines
        return None


def numbered(
    grid: GridConfig,
    settings: Sequence[Combination],
    configs: Sequence[ExperimentConfig],
    inputs: dict[str, Begun],
    first: int = 1,
) -> list[Point]:
    """The points of some settings, each with all its repeats, numbered from ``first`` on."""
    points: list[Point] = []
    for setting, config in zip(settings, configs, strict=True):
        begin = inputs[_input_key(grid, setting)]
        values = config.model_dump(mode="python")
        for repeat in range(grid.repeats):
            seed = values["seed"] + repeat
            points.append(
                Point(
                    first + len(points),
                    setting,
                    repeat,
                    values | grid.fixed | {"seed": seed},
                    identity_of(grid.experiment, config, seed, begin.data_digest),
                )
            )
    return points


# ------------------------------------------------------------------------------------- validation


def with_absolute_paths(grid: GridConfig, folder: str) -> GridConfig:
    """The same with paths of its configuration and of its values as they are from ``folder``."""
    config, over = copy.deepcopy(grid.config), dict(grid.over)
    for leaf in leaves(experiment(grid.experiment).Config):
        mark = leaf.marked(InputFile)
        if mark is None:
            continue
        mark = mark() if isinstance(mark, type) else mark
        holder: Any = config
        for key in leaf.path[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and leaf.path[-1] in holder:
            holder[leaf.path[-1]] = _absolute(holder[leaf.path[-1]], mark, folder)
        # A text for the whole section may be such a path too.
        section, of_section = ".".join(leaf.path[:-1]), _section_of(grid, leaf)
        if leaf.key in over:
            over[leaf.key] = _absolute(over[leaf.key], mark, folder)
        elif section in over and hasattr(of_section, "from_text"):
            over[section] = [
                _absolute(text, mark, folder)
                if isinstance(text, str) and of_section.from_text(text).get(leaf.path[-1]) == text
                else text
                for text in over[section]
            ]
    return grid.model_copy(update={"config": config, "over": over})


def _section_of(grid: GridConfig, leaf: Leaf) -> Any:
    """The model of the section that a key is in; None for a key of the top."""
    model = experiment(grid.experiment).Config
    around = next((one for one in leaves(model) if one.path == leaf.path[:-1]), None)
    return section_of(around.annotation) if around is not None else None


def _absolute(value: Any, mark: InputFile, folder: str) -> Any:
    if isinstance(value, list):
        return [_absolute(item, mark, folder) for item in value]
    return absolute_path(value, mark, folder) if isinstance(value, str) and value else value


def _base(grid: GridConfig, model: type[ExperimentConfig]) -> dict[str, Any]:
    """The whole configuration that all points have in common; raises ConfigError."""
    config = resolve(_layers(grid, model))
    values: dict[str, Any] = config.model_dump(mode="python")
    if any(value == "-" for value in paths_in(config).values()):
        raise ConfigError(
            "the standard input can be read once, and every point reads its data; give a file"
        )
    return values


def _layers(grid: GridConfig, model: type[ExperimentConfig]) -> Layers:
    layers = Layers(model)
    for key, value in grid.config.items():
        layers.add_option(f"config.{key}", (key,), value)
    layers.add_option("--seed", ("seed",), grid.seed)
    if "threads" in model.of_machine and grid.config.get("threads", "auto") == "auto":
        layers.add_option("--threads", ("threads",), grid.threads)
    return layers


def _without_seed(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "seed"}


def configs_of(
    grid: GridConfig, settings: Sequence[Combination], *, idle: bool = False
) -> list[ExperimentConfig]:
    """The configuration of each setting; raises ConfigError with the lines of all of them.

    Without ``idle`` a key that does nothing in any of them is an error.
    """
    model = experiment(grid.experiment).Config
    configs: list[ExperimentConfig] = []
    errors: dict[str, None] = {}
    asleep: list[set[str]] = []
    for setting in settings:
        layers = _layers(grid, model)
        for key, value in setting.values.items():
            layers.add_option(f"--over {key}", tuple(key.split(".")), value)
        try:
            config = resolve(layers)
        except ConfigError as error:
            errors |= dict.fromkeys(error.lines)
            continue
        configs.append(config)
        reasons = dict(config.idle())
        asleep.append(
            {
                placed(layers, tuple(key.split(".")), f"would do nothing: {reasons[key]}")
                for key in setting.values
                if key in reasons
            }
        )
    # What does nothing in some settings only is a part of the others.
    for line in sorted(set.intersection(*asleep)) if asleep and not errors and not idle else ():
        errors[line] = None
    if errors:
        raise ConfigError(*errors)
    return configs


def _check_repeats(grid: GridConfig) -> None:
    if grid.repeats == 1:
        return
    if "seed" in grid.over:
        raise ConfigError("--over seed and --repeats: both choose the seeds; give one of them")
    if not experiment(grid.experiment).draws:
        raise ConfigError(
            f"--repeats {grid.repeats}: {grid.experiment} draws nothing at random, so every repeat would "
            "find the same numbers; leave it out"
        )
    if grid.seed + grid.repeats > 2**63:
        raise ConfigError(f"--repeats {grid.repeats}: seeds end below 2^63 (from {grid.seed} on)")


# ------------------------------------------------------------------------------------- input


def _input_key(grid: GridConfig, setting: Combination) -> str:
    """What tells the settings with other data, or other files, apart."""
    model = experiment(grid.experiment).Config
    sections = {leaf.path[0] for leaf in leaves(model) if leaf.marked(InputFile) is not None}
    mine = {k: v for k, v in setting.values.items() if k.split(".")[0] in sections}
    return json.dumps(mine, sort_keys=True, default=str)


def _inputs(
    grid: GridConfig, settings: Sequence[Combination], configs: Sequence[ExperimentConfig]
) -> tuple[dict[str, Begun], dict[str, Any]]:
    """What is found by reading the input of settings, by ``_input_key``, and what ``auto`` is fixed to.

    The input of every key's every value is read, and of other settings as long as there is time. Raises
    UsageError with the lines of all.
    """
    by_setting = {setting.number: config for setting, config in zip(settings, configs, strict=True)}
    found: dict[str, Begun] = {}
    fixed: dict[str, Any] = dict(grid.fixed)
    errors: dict[str, None] = {}
    started = time.monotonic()
    for setting in first_with_each(settings):
        key = _input_key(grid, setting)
        if key in found and time.monotonic() - started > CHECKING_S:
            continue
        config = by_setting[setting.number]
        try:
            one = begun(grid.experiment, config.model_copy(update=fixed))
        except UsageError as error:
            errors |= dict.fromkeys(error.lines)
            continue
        found.setdefault(key, one)
        fixed = _fixed(config, one.config) | fixed
    if errors:
        raise ConfigError(*errors)
    return found, fixed


def _fixed(asked: ExperimentConfig, resolved: ExperimentConfig) -> dict[str, Any]:
    """What ``auto`` of the keys about the machine was resolved to, for every point of the grid."""
    return {
        key: getattr(resolved, key)
        for key in asked.of_machine
        if getattr(asked, key) == "auto" and getattr(resolved, key) != "auto"
    }
