"""``mlhw grid COMMAND --over KEY=VALUES``: an experiment at every point of a grid."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands import options
from mlhw.commands.options import complete_run
from mlhw.commands.run import typer_command
from mlhw.config.load import as_yaml, load_config
from mlhw.config.model import leaves
from mlhw.errors import FINISHED, ConfigError
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.grids.config import GridConfig
from mlhw.grids.dry_run import print_plan
from mlhw.grids.grid import GridRun
from mlhw.grids.plan import plan_of, with_absolute_paths
from mlhw.grids.where import where_of
from mlhw.runs.execute import execute
from mlhw.runs.new_folder import check_name
from mlhw.runs.options import RunOptions, command_line

# A grid's points have figures, trackers and test cases of their own, if somebody runs them again.
_WITHOUT = ("junit", "tensorboard", "mlflow")

_GOING_ON = ("by", "engine", "timeout", "retries", "fail_fast", "keep")
"""Keys of a grid that may be said anew when it goes on."""

Values = dict[str, tuple[tuple[str, ...], Any]]

Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUES",
        help="with --resume: run exactly the rows of grid.csv again that have one of these values "
        "(repeatable: all must hold), such as status=killed or point=3,7",
        rich_help_panel="Configuration",
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="GRID",
        help="run what is missing, failed or was interrupted, in the same folder (without COMMAND)",
        rich_help_panel="Configuration",
        autocompletion=complete_run,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="list the points and say how long they take",
        rich_help_panel="In place of a run",
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="run more than 1,000 points", rich_help_panel="Grid"),
]


def complete_experiment(incomplete: str) -> list[str]:
    """Names of experiments for the shell's completion."""
    return [name for name in EXPERIMENTS if name.startswith(incomplete)]


Name = Annotated[
    str | None,
    typer.Argument(
        metavar="COMMAND",
        help="the experiment, whose own options may be given too; mlhw grid COMMAND --help lists them",
        autocompletion=complete_experiment,
    ),
]


def command(words: Sequence[str] = ()) -> Any:
    """The Typer command, with the options of the experiment that is named in ``words``."""
    name = next((word for word in words if word in EXPERIMENTS), None)
    grid_keys = {f"grid_{leaf.path[0]}": leaf for leaf in leaves(GridConfig) if leaf.has_option}
    taken = {spelling for leaf in grid_keys.values() for spelling in leaf.spellings}
    keys = (
        {
            "_".join(leaf.path): leaf
            for leaf in leaves(experiment(name).Config)
            # What the grid has itself, such as --repeats, is set for every point by --set.
            if leaf.has_option and not taken & set(leaf.spellings)
        }
        if name is not None
        else {}
    )

    def function(**given: Any) -> int:
        run_options = RunOptions(command_line(("mlhw", *sys.argv[1:])), **options.run_values(given))
        check_name(run_options.name)
        of_grid = _given(grid_keys, given)
        if given["resume"] is not None:
            if given["experiment"] is not None:
                raise ConfigError("--resume takes the experiment from the grid; leave COMMAND out")
            return _resume(given, run_options, of_grid)
        if given["where"]:
            raise ConfigError("--where: chooses rows of a grid that goes on; give --resume GRID")
        grid = _grid(given["experiment"], run_options, of_grid, _given(keys, given))
        if given["dry_run"]:
            return print_plan(plan_of(grid, yes=True), None, run_options)
        if run_options.print_config:
            plan_of(grid, yes=True)
            print(as_yaml(grid), end="")
            return FINISHED
        named = "-".join(filter(None, [grid.experiment, run_options.name]))
        return execute(GridRun(yes=given["yes"]), grid, replace(run_options, name=named)).exit_code

    parameters: dict[str, options.Parameter] = {"experiment": (Name, None)}
    parameters |= {key: options.key_parameter(leaf) for key, leaf in grid_keys.items()}
    parameters |= {
        "yes": (Yes, False),
        "where": (Where, None),
        "resume": (Resume, None),
        "dry_run": (DryRun, False),
    }
    parameters |= {key: options.key_parameter(leaf) for key, leaf in keys.items()}
    parameters |= options.run_parameters(without=_WITHOUT)
    return typer_command("grid", GridRun.question, function, parameters, GridRun.examples)


def _given(keys: dict[str, Any], given: dict[str, Any]) -> Values:
    """By option the path of its key and its value, of those that were typed."""
    return {
        leaf.option: (leaf.path, options.key_value(leaf, given[parameter]))
        for parameter, leaf in keys.items()
        if given[parameter] not in (None, [])
    }


def _grid(
    name: str | None, run_options: RunOptions, of_grid: Values, of_experiment: Values
) -> GridConfig:
    """What was asked for.

    With an experiment's name, files and ``--set`` are its configuration; without, the grid's own.
    """
    files, sets = run_options.config_files, run_options.sets
    if name is None:
        if not files:
            raise ConfigError(
                f"grid: which experiment? mlhw grid {next(iter(EXPERIMENTS))} --over KEY=VALUES, or -c with "
                "a grid's configuration, or --resume GRID"
            )
        grid = load_config(GridConfig, files, sets, of_grid)
        return with_absolute_paths(grid, str(Path(files[-1]).absolute().parent))
    if name not in EXPERIMENTS:
        return load_config(GridConfig, (), (), {**of_grid, "grid": (("experiment",), name)})
    model = experiment(name).Config
    config = load_config(model, files, sets, of_experiment).model_dump(mode="python")
    seed = config.pop("seed")
    grid = load_config(
        GridConfig,
        options={
            "--seed": (("seed",), seed),  # a file's, where none was typed
            **of_grid,
            "grid": (("experiment",), name),
            "config": (("config",), config),
        },
    )
    return with_absolute_paths(grid, str(Path.cwd()))


def _resume(given: dict[str, Any], run_options: RunOptions, of_grid: Values) -> int:
    """Go on with a grid in its folder."""
    from mlhw.runs.history import run_of
    from mlhw.runs.lookup import locate
    from mlhw.runs.verification import require_own_config

    refused = [option for option, (path, _) in of_grid.items() if path[0] not in _GOING_ON]
    refused += ["--config"] if run_options.config_files else []
    refused += ["--set"] if run_options.sets else []
    refused += ["--name"] if run_options.name else []
    if refused:
        names = ", ".join(leaf.option for leaf in leaves(GridConfig) if leaf.key in _GOING_ON)
        raise ConfigError(
            f"--resume takes its points from the grid; leave {', '.join(refused)} out ({names} may be given)"
        )
    folder = locate(given["resume"], Path(run_options.runs_dir)).resolve()
    record = run_of(folder, GridRun.name)
    require_own_config(folder, "mlhw grid -c with it is a grid of its own")
    grid = load_config(GridConfig, str(folder / "config.yaml"), options=of_grid)
    where = where_of(given["where"] or (), grid)
    if given["dry_run"]:
        return print_plan(plan_of(grid, yes=True), folder, run_options)
    if run_options.print_config:
        print(as_yaml(grid), end="")
        return FINISHED
    finished = record.get("status") == "finished"
    run_options = replace(run_options, resume=folder, longer=finished)
    return execute(GridRun(yes=True, where=where), grid, run_options).exit_code
