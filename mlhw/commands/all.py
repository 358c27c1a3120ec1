"""``mlhw all``: every experiment in a run of its own, and one report that answers the assignment.

Each experiment runs in a process of its own, so that one that fails, or dies, stops none of the others.
The exit code is the worst of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BeforeValidator, Field, field_validator

from mlhw.commands.shared_options import (
    ConfigFile,
    Json,
    Mlflow,
    Name,
    NoCheck,
    NoPlots,
    PrintConfig,
    Quiet,
    RunsDir,
    Sets,
    Tensorboard,
    Verbose,
)
from mlhw.config.files import shipped
from mlhw.config.layers import Layers
from mlhw.config.load import as_yaml, resolve
from mlhw.config.model import ExperimentConfig, draw_seed
from mlhw.errors import (
    FAILED,
    FINISHED,
    ConfigError,
    Interrupted,
    worst,
)
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.result.claims import Claim, claim_lines, tally
from mlhw.result.result import Result
from mlhw.runs import trackers
from mlhw.runs.execute import failure, is_said, not_recorded
from mlhw.runs.folder import FolderRecorder, check_name, point_latest
from mlhw.runs.isolated import Answer, run_one
from mlhw.runs.junit import junit_xml
from mlhw.system.files import check_writable, write_to, write_whole
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen
from mlhw.text import yaml12
from mlhw.text.values import to_json
from mlhw.text.words import nearest


class Config(ExperimentConfig):
    """Which experiments, each with its configuration file."""

    # Wider than an experiment's own: each has a seed already.
    seed: Annotated[
        int | None,
        BeforeValidator(draw_seed),
        Field(
            ge=0,
            lt=2**63,
            description="seed of every experiment; null: the one of its own configuration",
        ),
    ] = None  # type: ignore[assignment]
    experiments: Annotated[
        dict[str, str | None],
        Field(
            min_length=1,
            description="experiments to run; null: its defaults, or a YAML file, or the name of one "
            "that comes with mlhw",
        ),
    ] = dict.fromkeys(EXPERIMENTS)

    @field_validator("experiments")
    @classmethod
    def _known(cls, experiments: dict[str, str | None]) -> dict[str, str | None]:
        for name in experiments:
            if name not in EXPERIMENTS:
                near = nearest(name, list(EXPERIMENTS))
                hint = (
                    f", did you mean '{near}'?" if near else f" (known: {', '.join(EXPERIMENTS)})"
                )
                raise ValueError(f"unknown experiment '{name}'{hint}")
        # The order of the course, whatever the order of the file.
        return {name: experiments[name] for name in EXPERIMENTS if name in experiments}


def load_config(file: str | None, sets: Sequence[str] = (), seed: str | None = None) -> Config:
    """The configuration, with the paths of the experiments' files made absolute.

    Raises ConfigError, one line for each error, also for a file that does not exist.
    """
    layers = Layers(Config)
    if file is not None:
        layers.add_file(file)
    for item in sets:
        layers.add_set(item)
    if seed is not None:
        layers.add_option("--seed", ("seed",), yaml12.parse_scalar(seed))
    config = resolve(layers)
    experiments: dict[str, str | None] = {}
    errors = []
    for name, given in config.experiments.items():
        experiments[name] = None
        if given is not None:
            source = layers.source(("experiments", name))
            folder = source.folder if source else os.getcwd()
            path = os.path.normpath(os.path.join(folder, given))
            found = path if os.path.isfile(path) else shipped(given)
            experiments[name] = found
            if found is None:
                place = source.label if source else "--config"
                errors.append(f"{place}: experiments.{name}: {path}: no such file")
    if errors:
        raise ConfigError(*errors)
    return config.model_copy(update={"experiments": experiments})  # type: ignore[no-any-return]


def run_all(
    config: Config,
    recorder: FolderRecorder,
    screen: Screen,
    arguments: Sequence[str],
    take: Callable[[Answer], None],
) -> None:
    """Every experiment in turn, its answer handed to ``take``.

    Called inside ``interrupts.hold()``. Raises Interrupted before the next experiment, once the one that
    a signal stopped has ended and its answer is taken.
    """
    for number, (name, file) in enumerate(config.experiments.items(), 1):
        recorder.interrupts.raise_pending()
        title = f"{number}/{len(config.experiments)} {name}"
        recorder.log(title)
        file_option = ["--config", file] if file else []
        answer, interrupted = run_one(
            name, [*arguments, *file_option], screen, recorder.interrupts, title
        )
        take(answer)
        recorder.log(answer.line(), screen=False)
        if interrupted is not None:
            raise interrupted


def as_result(answers: Sequence[Answer]) -> Result:
    """All claims in one result, their ids behind the experiment's name."""
    runs = [
        {
            "experiment": answer.name,
            "run": answer.found.get("run"),
            "status": answer.status,
            "exit_code": answer.exit_code,
            "seconds": round(answer.seconds, 3),
            "summary": answer.found.get("summary", {}),
        }
        for answer in answers
    ]
    claims = [
        Claim(
            f"{answer.name}/{c.id}",
            c.statement,
            c.verdict,
            c.measured,
            c.expected,
            c.tolerance,
            c.note,
        )
        for answer in answers
        for c in answer.claims
    ]
    return Result("all", {"runs": runs}, claims, [answer.line() for answer in answers])


app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("all")
def all_command(
    config_file: ConfigFile = None,
    sets: Sets = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="INTEGER", help="Seed of every experiment.")
    ] = None,
    runs_dir: RunsDir = "runs",
    name: Name = None,
    junit: Annotated[
        str | None,
        typer.Option("--junit", metavar="FILE", help="Write every claim as a JUnit test case."),
    ] = None,
    print_config: PrintConfig = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    tensorboard: Tensorboard = False,
    mlflow: Mlflow = None,
    no_plots: NoPlots = False,
    no_check: NoCheck = False,
) -> int:
    """Run every experiment and write one report that answers the assignment."""
    check_name(name)
    config = load_config(config_file, sets or (), seed)
    if print_config:
        print(as_yaml(config), end="")
        return FINISHED
    if junit is not None:
        check_writable("--junit", junit)
    trackers.check_installed(tensorboard, mlflow)
    arguments = ["--verbose" if verbose else "--quiet"]
    arguments += [] if runs_dir == "runs" else ["--runs-dir", runs_dir]
    arguments += ["--name", name] if name else []
    arguments += [] if config.seed is None else ["--seed", str(config.seed)]
    arguments += ["--tensorboard"] if tensorboard else []
    arguments += [] if mlflow is None else [f"--mlflow={mlflow}"]
    arguments += ["--no-plots"] if no_plots else []
    arguments += ["--no-check"] if no_check else []
    screen = Screen(quiet=quiet, verbose=verbose)
    with Interrupts() as interrupts, interrupts.hold():
        recorder = FolderRecorder(
            "all",
            config,
            runs_dir=Path(runs_dir),
            name=name,
            command=("mlhw", *sys.argv[1:]),
            screen=screen,
            interrupts=interrupts,
        )
        answers: list[Answer] = []

        def take(answer: Answer) -> None:
            answers.append(answer)
            if not as_json:
                _print_answer(len(answers), answer)

        status = "finished"
        lines: tuple[str, ...] = ()
        try:
            recorder.begin(config)
            run_all(config, recorder, screen, arguments, take)
            code = worst([answer.exit_code for answer in answers])
        except (Exception, Interrupted) as error:
            if recorder.folder is None:
                recorder.close()
                raise
            status, code, lines = failure(error, recorder)
        finally:
            screen.close()
        code, status, lines = _end(recorder, answers, junit, code, status, lines)
        for line in lines:
            screen.error(line)
        if as_json:
            _print_json(recorder, as_result(answers), status, code, lines)
        else:
            _print_end(recorder, answers, len(config.experiments))
        # Whatever came while this was written: the run has ended.
        interrupts.pending = None
    return code


def _end(
    recorder: FolderRecorder,
    answers: Sequence[Answer],
    junit: str | None,
    code: int,
    status: str,
    lines: tuple[str, ...],
) -> tuple[int, str, tuple[str, ...]]:
    """Write the report of what there is; exit code, status and error lines in the end."""
    folder = recorder.folder
    assert folder is not None
    try:
        _write_report(recorder, answers, junit)
    except Exception as error:
        _, wrong, more = failure(error, recorder)
        lines = lines if is_said(error, lines) else (*lines, *more)
        code, status = worst([code, wrong]), "failed" if status == "finished" else status
    for line in lines:
        recorder.log_traceback(f"error: {line}")
    try:
        recorder.finish(status, code, "; ".join(lines) or None)
    except OSError as error:
        lines = lines if is_said(error, lines) else (*lines, not_recorded(error))
        code = worst([code, FAILED])
    # Each experiment has pointed it to its own folder.
    point_latest(folder)
    return code, status, lines


def _write_report(recorder: FolderRecorder, answers: Sequence[Answer], junit: str | None) -> None:
    from mlhw.runs import html as report

    folder = recorder.folder
    assert folder is not None
    assert recorder.config is not None
    result = as_result(answers)
    write_whole(folder / "result.json", json.dumps(result.as_dict(), indent=2) + "\n")
    page = report.assignment(
        result,
        answers,
        command=" ".join(recorder.command),
        config=recorder.config,
        run=folder.name,
        environment=recorder.environment,
    )
    write_whole(folder / "report.html", page)
    if junit is not None:
        write_to(junit, junit_xml(answers))


# ------------------------------------------------------------------------------------- stdout


def _print_json(
    recorder: FolderRecorder, result: Result, status: str, code: int, lines: Sequence[str]
) -> None:
    found = result.as_dict() | {"run": str(recorder.folder), "status": status, "exit_code": code}
    if lines:
        found["error"] = list(lines)
    print(json.dumps(to_json(found), indent=2, ensure_ascii=False))


def _print_answer(number: int, answer: Answer) -> None:
    """What holds of one question, with the numbers, and where its run is."""
    print(f"{number}. {answer.line()}")
    for claim in answer.claims:
        print("\n".join(claim_lines(claim, note=claim.verdict != "holds")))
    if answer.folder is not None:
        print(f"  run folder: {answer.folder}")
    print(flush=True)


def _print_end(recorder: FolderRecorder, answers: Sequence[Answer], asked: int) -> None:
    assert recorder.folder is not None
    held, judged = tally(claim for answer in answers for claim in answer.claims)
    finished = sum(answer.status == "finished" for answer in answers)
    print(f"{finished} of {asked} experiments finished, {held} of {judged} claims hold")
    report = recorder.folder / "report.html"
    if report.exists():
        print(f"report: {report}", flush=True)
