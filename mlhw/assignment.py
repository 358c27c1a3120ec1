"""``mlhw all``: every experiment in a run of its own, and one report that answers the assignment.

Each experiment runs in a process of its own, so that one that fails, or dies, stops none of the others.
The exit code is the worst of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field, field_validator

from mlhw import config as configuration
from mlhw.config import ExperimentConfig
from mlhw.config_files import shipped
from mlhw.errors import (
    CLAIM_FAILS,
    FAILED,
    FINISHED,
    USAGE,
    ConfigError,
    Interrupted,
    reason_of,
)
from mlhw.experiments import EXPERIMENTS
from mlhw.interrupts import Interrupts
from mlhw.junit import junit_xml
from mlhw.result import Claim, Recorder, Result, to_json
from mlhw.runs import FolderRecorder, check_name, write_whole
from mlhw.screen import Screen
from mlhw.suggestions import nearest
from mlhw.texts import claim_line

WORST_FIRST = (130, 143, FAILED, USAGE, CLAIM_FAILS, FINISHED)


class Config(ExperimentConfig):
    """Which experiments, each with its configuration file."""

    experiments: Annotated[
        dict[str, str | None],
        Field(min_length=1, description="experiments to run; null: its defaults, or a YAML file"),
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


@dataclass(frozen=True)
class Answer:
    """What one experiment's process left: its exit code, its ``--json`` object, how long it took."""

    name: str
    exit_code: int
    found: dict[str, Any]
    seconds: float

    @property
    def status(self) -> str:
        return str(self.found.get("status", "failed"))

    @property
    def claims(self) -> list[Claim]:
        return [Claim(**claim) for claim in self.found.get("claims", [])]

    @property
    def folder(self) -> Path | None:
        run = self.found.get("run")
        return Path(run) if run else None

    def line(self) -> str:
        """One line for people."""
        judged = [claim for claim in self.claims if claim.verdict != "not applicable"]
        held = sum(claim.verdict == "holds" for claim in judged)
        text = (
            f"{self.name}: {self.status}, {held} of {len(judged)} claims hold, {self.seconds:.1f} s"
        )
        return text + "".join(f"; {line}" for line in self.found.get("error", []))


def load_config(file: str | None) -> Config:
    """The configuration, with the paths of the experiments' files made absolute.

    Raises ConfigError, one line for each error, also for a file that does not exist.
    """
    file = file and (shipped(file) or file)
    config = configuration.load(Config, file)
    folder = os.path.dirname(os.path.abspath(file)) if file else os.getcwd()
    experiments = {}
    for name, path in config.experiments.items():
        experiments[name] = None if path is None else os.path.normpath(os.path.join(folder, path))
        if experiments[name] is not None and not os.path.isfile(experiments[name] or ""):
            raise ConfigError(f"{file}: experiments.{name}: {experiments[name]}: no such file")
    return config.model_copy(update={"experiments": experiments})


def run_one(
    name: str, file: str | None, arguments: Sequence[str], interrupts: Interrupts
) -> Answer:
    """Run one experiment in a process of its own; a signal is passed on and waited for.

    Raises Interrupted after the process has ended.
    """
    command = [sys.executable, "-m", "mlhw", name, "--json", *arguments]
    if file is not None:
        command += ["--config", file]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    output = b""
    interrupted: Interrupted | None = None
    while True:
        try:
            output, _ = process.communicate()
            break
        except Interrupted as error:
            interrupted = error
            # Ctrl-C on a terminal reaches the child by itself; a second one would end it at once.
            if error.signum != signal.SIGINT or not sys.stdin.isatty():
                process.send_signal(error.signum)
    try:
        found = json.loads(output)
    except ValueError:
        found = {"error": [_death(process.returncode)]}
    code = process.returncode if process.returncode >= 0 else FAILED
    if interrupted is not None:
        raise interrupted
    return Answer(name, code, found, time.monotonic() - started)


def _death(code: int) -> str:
    if code < 0:
        try:
            return f"the process was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"the process was ended by signal {-code}"
    return f"the process ended with exit code {code} and said nothing"


def run_all(
    config: Config, recorder: Recorder, arguments: Sequence[str], interrupts: Interrupts
) -> list[Answer]:
    """Every experiment in turn."""
    answers: list[Answer] = []
    for number, (name, file) in enumerate(config.experiments.items(), 1):
        recorder.log(f"{number}/{len(config.experiments)} {name}")
        answer = run_one(name, file, arguments, interrupts)
        answers.append(answer)
        recorder.log(answer.line())
    return answers


def worst(codes: Sequence[int]) -> int:
    """The worst of several exit codes: 130 or 143, then 1, 2, 3, 0."""
    return min(codes, key=lambda c: WORST_FIRST.index(c) if c in WORST_FIRST else 2, default=0)


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
    config_file: Annotated[
        str | None,
        typer.Option("--config", "-c", metavar="FILE", help="Names a configuration for each."),
    ] = None,
    runs_dir: Annotated[
        str,
        typer.Option("--runs-dir", metavar="DIR", envvar="MLHW_RUNS_DIR", help="Where runs land."),
    ] = "runs",
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Appended to the folders' names.")
    ] = None,
    junit: Annotated[
        str | None,
        typer.Option("--junit", metavar="FILE", help="Write every claim as a JUnit test case."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the resolved configuration and end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No log lines.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every log line.")] = False,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Draw no figures.")] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="A failing claim does not change the exit code.")
    ] = False,
) -> int:
    """Run every experiment and write one report that answers the assignment."""
    check_name(name)
    config = load_config(config_file)
    if print_config:
        print(configuration.as_yaml(config), end="")
        return FINISHED
    if junit is not None and not os.path.isdir(os.path.dirname(os.path.abspath(junit))):
        raise ConfigError(f"--junit {junit}: the folder does not exist")
    screen = Screen(quiet=quiet, verbose=verbose)
    arguments = ["--runs-dir", runs_dir, *(["--name", name] if name else [])]
    arguments += [] if verbose else ["--quiet"]
    arguments += [
        flag
        for flag, on in (("--verbose", verbose), ("--no-plots", no_plots), ("--no-check", no_check))
        if on
    ]
    with Interrupts() as interrupts:
        recorder = FolderRecorder(
            "all",
            config,
            runs_dir=Path(runs_dir),
            name=name,
            command=("mlhw", *sys.argv[1:]),
            screen=screen,
            interrupts=interrupts,
        )
        recorder.begin(config)
        assert recorder.folder is not None
        status, code = "finished", FINISHED
        lines: tuple[str, ...] = ()
        answers: list[Answer] = []
        try:
            answers = run_all(config, recorder, arguments, interrupts)
            code = worst([answer.exit_code for answer in answers])
            _write(recorder.folder, answers, junit)
        except Interrupted as error:
            status, code, lines = "interrupted", error.exit_code, error.lines
        except OSError as error:
            status, code = "failed", FAILED
            lines = (f"{error.filename or recorder.folder}: {reason_of(error)}",)
        with interrupts.hold():
            for line in lines:
                screen.error(line)
            recorder.finish(status, code, "; ".join(lines) or None)
            if as_json:
                _print_json(recorder.folder, as_result(answers), status, code, lines)
            else:
                _print_answers(recorder.folder, answers)
            interrupts.pending = None
    return code


def _write(folder: Path, answers: Sequence[Answer], junit: str | None) -> None:
    from mlhw import report

    result = as_result(answers)
    write_whole(folder / "result.json", json.dumps(result.as_dict(), indent=2) + "\n")
    write_whole(folder / "report.html", report.assignment(result, answers, folder))
    if junit is not None:
        write_whole(Path(junit), junit_xml(answers))


def _print_json(folder: Path, result: Result, status: str, code: int, lines: Sequence[str]) -> None:
    found = result.as_dict() | {"run": str(folder), "status": status, "exit_code": code}
    if lines:
        found["error"] = list(lines)
    print(json.dumps(to_json(found), indent=2, ensure_ascii=False))


def _print_answers(folder: Path, answers: Sequence[Answer]) -> None:
    """Question by question what holds, with the numbers, and where each run and the report are."""
    for number, answer in enumerate(answers, 1):
        print(f"{number}. {answer.line()}")
        for claim in answer.claims:
            print(claim_line(claim))
        if answer.folder is not None:
            print(f"  run folder: {answer.folder}")
    print(f"report: {folder / 'report.html'}")
