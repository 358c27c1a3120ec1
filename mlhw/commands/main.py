"""The command line: arguments in, a configuration out, errors to exit codes; nothing else.

``mlhw --help`` imports no experiment. A command's options are made from its configuration's model
when that command is called (``run.py``).
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mlhw.commands.help import WHOLE_WIDTH, Group
from mlhw.errors import (
    FAILED,
    FINISHED,
    USAGE,
    ConfigError,
    Interrupted,
    MlhwError,
    reason_of,
    worst,
)
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.system import early, streams
from mlhw.system.interrupts import Interrupts
from mlhw.system.torchrun import Ranks, of_environment

_EPILOG = (
    "Exit codes: 0 finished and every claim holds; 1 the run failed; 2 usage, configuration or data "
    "error; 3 a claim fails; 130 Ctrl-C; 143 SIGTERM; 129 SIGHUP.\n\n"
    "mlhw COMMAND --help, or mlhw help COMMAND, has a command's options and examples."
)


# Commands that are no experiments: the module whose ``command()`` makes them, and their line of help.
TOOLS: dict[str, tuple[str, str]] = {
    "all": ("mlhw.commands.all", "Every experiment, and one report that answers the assignment."),
    "data": ("mlhw.commands.data", "What a file of points holds, before any run."),
    "doctor": (
        "mlhw.commands.doctor",
        "Python, torch, device, caches and browser: what mlhw finds here.",
    ),
    "evaluate": ("mlhw.commands.evaluate", "How good a fine-tuned network is on labelled images."),
    "export": ("mlhw.commands.export", "A fine-tuned network as a file that other programs run."),
    "grade": (
        "mlhw.commands.grade",
        "A class of back-propagations: verdicts, points and feedback for everybody.",
    ),
    "grid": (
        "mlhw.commands.grid",
        "An experiment at every point of a grid, on several processes or machines.",
    ),
    "init": ("mlhw.commands.init", "Write a commented configuration to change."),
    "open": ("mlhw.commands.open", "Show a run's report in the browser."),
    "predict": ("mlhw.commands.predict", "What a fine-tuned network sees in images."),
    "runs": (
        "mlhw.commands.runs",
        "List, show, compare, run again, export, verify and clean up runs.",
    ),
    "schema": (
        "mlhw.commands.schema",
        "The JSON schema of a command's configuration, for editors.",
    ),
}


class _LazyGroup(Group):
    """Lists the commands from their one-line descriptions and builds one when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        alone: list[str] = []
        if name is not None and of_environment() is not None:
            _require_shared(name)
        if name in EXPERIMENTS:
            from mlhw.runs.figures import start_early

            start_early(name, rest)
            from mlhw.commands.run import command_of

            command = command_of(experiment(name), without=("junit",))
            alone = [a.option for a in experiment(name).actions if a.may_be_alone]
        elif name in TOOLS:
            module = importlib.import_module(TOOLS[name][0])
            # Its options depend on the experiment that stands behind it.
            command = module.command(rest) if name == "grid" else module.command()
        if name is not None:
            from mlhw.commands.configurable import GRADE, configuration_of
            from mlhw.commands.options import with_flags, with_values

            rest = with_values(rest, alone)
            if name in (*EXPERIMENTS, GRADE):
                rest = with_flags(rest, configuration_of(name))
            _calm_matplotlib()
        early.arrived()
        return name, command, rest


def _require_shared(name: str) -> None:
    """Raise ConfigError for a command that several processes cannot work on."""
    if name not in EXPERIMENTS or not experiment(name).shared:
        shared = " and ".join(f"mlhw {one}" for one in EXPERIMENTS if experiment(one).shared)
        raise ConfigError(
            f"mlhw {name} works in one process, and here several are started (WORLD_SIZE, by torchrun); "
            f"{shared} can share their work"
        )


def _shared(arguments: Sequence[str]) -> str:
    """The experiment that is asked for, if several processes can work on it; else an empty text."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    works = name in EXPERIMENTS and "--help" not in arguments and experiment(name).shared
    return name if works else ""


def _followed(arguments: Sequence[str], name: str, ranks: Ranks) -> int:
    """What a process does that is not the first of several: what that one is asked for, and in silence."""
    if not name:
        return FINISHED  # the first process answers
    from mlhw.runs.together import take_part

    _calm_matplotlib()
    early.arrived()
    try:
        return take_part(experiment(name), ranks)
    except (MlhwError, Interrupted) as error:
        return _report(arguments, error.exit_code, error.lines)


def _calm_matplotlib() -> None:
    """Without a home that can be written it says so at length, and draws all the same."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _version(value: bool) -> None:
    if value:
        from mlhw.system.provenance import version_line

        print(version_line())
        raise typer.Exit(FINISHED)


def build_app() -> typer.Typer:
    """The whole program, with a placeholder for each experiment."""
    app = typer.Typer(
        cls=_LazyGroup,
        help="Run, understand and prove machine-learning experiments.",
        epilog=_EPILOG,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        invoke_without_command=True,
        context_settings=WHOLE_WIDTH,
    )

    @app.callback()
    def top(
        ctx: typer.Context,
        version: Annotated[
            bool,
            typer.Option(
                "--version", callback=_version, is_eager=True, help="name the versions and end"
            ),
        ] = False,
    ) -> None:
        if ctx.invoked_subcommand is None:
            print(ctx.get_help())

    def placeholder() -> None:
        """Replaced by the real command when it is called."""

    for name, line in {**EXPERIMENTS, **{name: line for name, (_, line) in TOOLS.items()}}.items():
        app.command(name, short_help=line)(placeholder)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program on ``argv`` (without its name) and return the exit code."""
    arguments = _with_help(list(sys.argv[1:] if argv is None else argv))
    try:
        ranks = of_environment()
    except ConfigError as error:
        return _report(arguments, USAGE, error.lines)
    if ranks is None:
        return _answered(arguments)
    name = _shared(arguments)
    if not ranks.leads:
        return _followed(arguments, name, ranks)
    code = _answered(arguments)
    if name and code:
        from mlhw.system.ranks import call_off

        early.ended(code)
        call_off(ranks, code)
    return code


def _answered(arguments: Sequence[str]) -> int:
    """Do what is asked for, report what is wrong, and return the exit code."""
    try:
        # Completion has silent handlers of its own.
        with contextlib.nullcontext() if "_MLHW_COMPLETE" in os.environ else Interrupts():
            code = typer.main.get_command(build_app()).main(
                arguments, prog_name="mlhw", standalone_mode=False
            )
        return int(code or FINISHED)
    except typer.TyperException as error:
        from mlhw.commands.usage import usage_line

        return _report(arguments, USAGE, [usage_line(error, arguments)])
    except typer.Abort:
        return Interrupted().exit_code
    except (MlhwError, Interrupted) as error:
        return _report(arguments, error.exit_code, error.lines)
    except KeyboardInterrupt:
        return _report(arguments, Interrupted().exit_code, Interrupted().lines)
    except OSError as error:
        # Modules are files too; whatever a command opens for itself it answers for.
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        return _report(arguments, FAILED, [f"{error.filename}: {reason_of(error)}"])


def _with_help(arguments: list[str]) -> list[str]:
    """``mlhw help runs list``, as git has it, or ``mlhw runs help list``, as an option of that command."""
    place = 1 if arguments[:1] == ["runs"] else 0
    if arguments[place : place + 1] != ["help"]:
        return arguments
    return [*arguments[:place], *arguments[place + 1 :], "--help"]


def script() -> None:
    """The console script."""
    streams.guard()
    # For windows, which mlhw opens none of; a name that matplotlib does not know would end the run.
    os.environ.pop("MPLBACKEND", None)
    try:
        code = main()
    except SystemExit as end:  # completion ends the program itself
        code = end.code if isinstance(end.code, int) else FAILED if end.code else FINISHED
    error = streams.lost()
    if error is not None:
        code = worst([code, FAILED])
        print(f"error: stdout: {reason_of(error)}", file=sys.stderr)
    sys.stderr.flush()
    early.ended(code)
    if code > 128:
        # Interrupted: what a person waits for now is the prompt, not the libraries' farewells.
        os._exit(code)
    sys.exit(code)


def _report(arguments: Sequence[str], code: int, lines: Sequence[str]) -> int:
    from mlhw.text.words import one_line

    if early.is_silent() and os.environ.get("LOCAL_RANK", "0") != "0":
        return code  # the first process of the machine has the same to say
    for line in lines:
        print(one_line(f"error: {line}"), file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": list(lines)}, ensure_ascii=False))
    return code
