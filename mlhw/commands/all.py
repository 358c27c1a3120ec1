"""``mlhw all``: every experiment in a run of its own, and one report that answers the assignment.

Each experiment runs in a process of its own, so that one that fails, or dies, stops none of the others.
The exit code is the worst of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from mlhw.commands.run import command_of
from mlhw.config.files import shipped_name
from mlhw.config.model import ExperimentConfig, InputFile, draw_seed
from mlhw.experiments.actions import Action
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.result.claims import claim_lines
from mlhw.result.observations import observation_lines
from mlhw.result.recorder import Recorder
from mlhw.result.result import Part, Result
from mlhw.runs.folder import FolderRecorder
from mlhw.runs.history import Run
from mlhw.runs.isolated import run_one
from mlhw.runs.new_folder import point_latest
from mlhw.runs.options import RunOptions
from mlhw.system.screen import print_fitting
from mlhw.text.values import number_text
from mlhw.text.words import hint, nearest, not_there, printable


def _existing(path: str | None) -> str | None:
    if path is not None and not os.path.isfile(path):
        raise ValueError(printable(f"{path}: {not_there(path)}"))
    return path


class AllConfig(ExperimentConfig):
    """Which experiments, each with its configuration file."""

    # Wider than an experiment's own: each has a seed already.
    seed: Annotated[
        # The bounds within the union: pydantic holds those of the field against null as well.
        Annotated[int, Field(ge=0, lt=2**63)] | None,
        BeforeValidator(draw_seed),
        Field(description="seed of every experiment; null: the one of its own configuration"),
    ] = None  # type: ignore[assignment]
    experiments: Annotated[
        dict[str, Annotated[str | None, AfterValidator(_existing)]],
        InputFile(or_shipped=True),
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
                known = f" (known: {', '.join(EXPERIMENTS)})"
                raise ValueError(f"unknown experiment '{name}'{hint(near) or known}")
        # The order of the course, whatever the order of the file.
        return {name: experiments[name] for name in EXPERIMENTS if name in experiments}


class Assignment:
    """All experiments as one run, in the order of the course, each in a process of its own."""

    name = "all"
    question = "Run every experiment and write one report that answers the assignment."
    examples = (
        ("mlhw all", "everything at its default, and one report"),
        ("mlhw all -c smoke/all --junit claims.xml", "the short versions, for CI"),
        ("mlhw all --seed 1 --name again", "other random draws"),
    )
    Config = AllConfig
    actions: Sequence[Action] = ()
    resumable = False
    going_on = None
    curves = None
    tracked = False  # each of the experiments is, by itself

    def run(self, config: AllConfig, recorder: Recorder) -> Result:
        """Run every experiment in turn and print what each has found as soon as it ends.

        Raises Interrupted after a signal, when the experiment that it stopped has ended.
        """
        assert isinstance(recorder, FolderRecorder)
        parts: list[Part] = []
        recorder.so_far = lambda: result_of(parts, config)
        recorder.begin(config)
        # A signal is let through only while an experiment's process works: no answer is lost.
        with recorder.holding_interrupts():
            try:
                for number, (name, file) in enumerate(config.experiments.items(), 1):
                    recorder.interrupts.raise_pending()
                    title = f"{number}/{len(config.experiments)} {name}"
                    recorder.log(title)
                    part, interrupted = run_one(
                        name,
                        words(config, file, recorder),
                        recorder.screen,
                        recorder.interrupts,
                        title,
                        ["mlhw", name, *by_hand(config, file, recorder)],
                    )
                    parts.append(part)
                    if not recorder.options.json:
                        print_part(number, part, verbose=recorder.options.verbose)
                    recorder.log(part.line(), screen=False)
                    if interrupted is not None:
                        raise interrupted
            finally:
                # Each experiment has pointed it to its own folder.
                if recorder.folder is not None:
                    point_latest(recorder.folder)
        return recorder.so_far()


def words(config: AllConfig, file: str | None, recorder: FolderRecorder) -> list[str]:
    """The options of the process of an experiment."""
    options = of_one(file, recorder)
    return [*replace(options, json=True, quiet=not options.verbose).words(), *_seed(config)]


def by_hand(config: AllConfig, file: str | None, recorder: FolderRecorder) -> list[str]:
    """The options by which a person would start the experiment alone; paths as they are from here."""
    if file is not None:
        below = os.path.relpath(file)
        file = shipped_name(file) or (file if below.startswith("..") else below)
    return [*replace(of_one(file, recorder), json=False).as_typed(), *_seed(config)]


def of_one(file: str | None, recorder: FolderRecorder) -> RunOptions:
    """What was asked of all, for an experiment by itself with this configuration."""
    files = () if file is None else (file,)
    return replace(recorder.options, config_files=files, sets=(), junit=None)


def _seed(config: AllConfig) -> list[str]:
    return [] if config.seed is None else ["--seed", str(config.seed)]


def result_of(parts: Sequence[Part], config: AllConfig) -> Result:
    """All claims and observations in one result, their ids behind the experiment's name."""
    runs = [
        {
            "experiment": part.name,
            "run": part.found.get("run"),
            "status": part.status,
            "exit_code": part.exit_code,
            "seconds": round(part.seconds, 3),
            "summary": part.found.get("summary", {}),
        }
        for part in parts
    ]
    claims = [
        replace(claim, id=f"{part.name}/{claim.id}") for part in parts for claim in part.claims
    ]
    sights = [
        replace(seen, id=f"{part.name}/{seen.id}") for part in parts for seen in part.observations
    ]
    finished = sum(part.status == "finished" for part in parts)
    line = f"{finished} of {len(config.experiments)} experiments finished"
    return Result("all", {"runs": runs}, claims, [line], parts=list(parts), observations=sights)


MOST_NUMBERS = 5
"""Of an experiment's headline numbers so many are printed; the others are in its report."""


def print_part(number: int, part: Part, *, verbose: bool = False) -> None:
    """Print an experiment's headline numbers, what was observed and claimed, and its run folder.

    ``verbose``: claims with their ids and numbers.
    """
    lines = [f"{number}. {part.line()}"]
    if part.folder is not None:
        found = list(Run(part.folder, {"experiment": part.name}).headlines().items())
        if found:
            lines.append(f"  {number_text(dict(found[:MOST_NUMBERS]))}")
    for seen in part.observations:
        lines += observation_lines(seen)
    for claim in part.claims:
        lines += claim_lines(claim, verbose=verbose)
    if part.folder is not None:
        lines.append(f"  run folder: {part.folder}")
    print_fitting(lines)
    print(flush=True)


def command() -> Any:
    """The Typer command."""
    return command_of(Assignment())
