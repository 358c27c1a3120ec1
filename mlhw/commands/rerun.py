"""``mlhw runs rerun RUN``: the same configuration again; are the numbers identical?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from mlhw.commands.help import examples
from mlhw.commands.options import NoPlots, RunName, RunsDir
from mlhw.config.load import load_config
from mlhw.config.model import ExperimentConfig
from mlhw.errors import CLAIM_FAILS, FINISHED, ConfigError, worst
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.grids.config import GridConfig
from mlhw.grids.grid import GridRun
from mlhw.runs.compare import differences
from mlhw.runs.execute import Runnable, execute
from mlhw.runs.history import GRID, TOGETHER, Run, find
from mlhw.runs.options import RunOptions
from mlhw.runs.verification import require_own_config, warn_of_changes
from mlhw.text.words import one_line

RERUN: dict[str, Any] = {
    "short_help": "Run again; are the numbers identical?",
    "epilog": examples(
        ("mlhw runs rerun latest", "the newest run"),
        ("mlhw runs rerun all --no-plots", "every run of the newest mlhw all"),
    ),
}


def rerun(name: RunName, runs_dir: RunsDir = "runs", no_plots: NoPlots = False) -> int:
    """Run the same configuration again and say whether the numbers are identical, and where not.

    A run of all experiments is repeated run by run, a grid as a grid. Exit code 3 if the numbers are not
    identical.
    """
    run = find(name, Path(runs_dir))
    if run.text("identity"):
        # A point of runs/latest, which leads somewhere else when the rerun has begun.
        run = Run(run.folder.resolve(), run.record)
    parts = run.parts if run.experiment == "all" else [run]
    if not parts:
        raise ConfigError(f"{run.folder}: names no runs to repeat")
    # Before the first of them takes its hour.
    configs = [_repeatable(part) for part in parts]
    warn_of_changes(parts)
    codes: list[int] = []
    for part, config in zip(parts, configs, strict=True):
        codes.append(_rerun(part, config, Path(runs_dir), plots=not no_plots))
        if codes[-1] > 128:
            break  # a signal is meant for all of them
    return worst(codes)


def _repeatable(before: Run) -> ExperimentConfig:
    """The configuration of a run; raises ConfigError if it cannot be repeated and compared."""
    if not before.folder.is_dir():
        raise ConfigError(f"{before.folder}: the run is not there to be repeated")
    if before.damage:
        raise ConfigError(f"{before.folder}: the run is damaged ({before.damage})")
    if before.experiment in TOGETHER:
        raise ConfigError(
            f"{before.folder}: is no experiment; mlhw {before.experiment} -c {before.folder / 'config.yaml'} "
            "is a run of its own, and mlhw runs compare says what differs"
        )
    if before.experiment not in (GRID, *EXPERIMENTS):
        raise ConfigError(
            f"{before.folder}: '{before.experiment}' is no experiment of this version"
        )
    if before.status != "finished":
        raise ConfigError(
            f"{before.folder}: the run is {before.status}; only finished ones compare"
        )
    require_own_config(before.folder, f"mlhw {before.experiment} -c with it is a run of its own")
    return load_config(_runnable(before).Config, str(before.folder / "config.yaml"))


def _runnable(before: Run) -> Runnable:
    return GridRun(yes=True) if before.experiment == GRID else experiment(before.experiment)


def _rerun(before: Run, config: ExperimentConfig, runs_dir: Path, *, plots: bool) -> int:
    name = before.experiment
    command = ("mlhw", name, "--config", str(before.folder / "config.yaml"))
    options = RunOptions(command, runs_dir=str(runs_dir), plots=plots, quiet=True, check=False)
    if isinstance(config, GridConfig):
        options = replace(options, name=config.experiment)
    # A point is held to as many threads as it had in its grid; more would sum in another order.
    held = before.record.get("threads") if before.text("identity") else None
    with threadpool_limits(held if isinstance(held, int) else None):
        code, folder = execute(_runnable(before), config, options)
    if code != FINISHED:
        return code
    lines = differences(before, find(str(folder), runs_dir))
    if not lines:
        print(f"\nidentical: every number of {before.name} came out again", flush=True)
        return FINISHED
    print(f"\nnot identical to {before.name}:")
    for line in lines:
        print(one_line(f"  {line}"))
    return CLAIM_FAILS
