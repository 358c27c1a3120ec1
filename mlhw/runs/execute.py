"""One run from start to end: experiment, files, figures, report, exit code.

Exit codes: 0 finished and every applicable claim holds; 1 the run failed; 2 usage, configuration or
data error found before work began; 3 finished, and a claim fails; 130 Ctrl-C; 143 SIGTERM; 129 SIGHUP.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhw.config.model import ExperimentConfig
from mlhw.errors import (
    CLAIM_FAILS,
    FAILED,
    FINISHED,
    Interrupted,
    MlhwError,
    UsageError,
    reason_of,
    worst,
)
from mlhw.experiments.registry import Experiment
from mlhw.result.claims import claim_lines
from mlhw.result.result import Result
from mlhw.runs import trackers
from mlhw.runs.folder import FolderRecorder, check_name
from mlhw.system.files import write_whole
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen
from mlhw.text.words import printable


@dataclass(frozen=True)
class RunOptions:
    """What the command line says about a run beside its configuration.

    ``resume`` is the folder of a run that goes on, instead of a new one. ``mlflow`` is the address of
    an MLflow store, empty for MLflow's own default, None for none.
    """

    command: tuple[str, ...]
    runs_dir: str = "runs"
    name: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    plots: bool = True
    check: bool = True
    resume: Path | None = None
    tensorboard: bool = False
    mlflow: str | None = None


def execute(name: str, module: Experiment, config: ExperimentConfig, options: RunOptions) -> int:
    """Run the experiment called ``name`` and return the exit code.

    Raises
    ------
    UsageError
        What was asked for cannot be done; no run folder was made.
    """
    return execute_to(name, module, config, options)[0]


def execute_to(
    name: str, module: Experiment, config: ExperimentConfig, options: RunOptions
) -> tuple[int, Path | None]:
    """``execute``, with the folder of the run beside the exit code; None if it came to none."""
    check_name(options.name)
    trackers.check_installed(options.tensorboard, options.mlflow)
    screen = Screen(quiet=options.quiet, verbose=options.verbose)
    # A signal is let through while the experiment works, and waits while its end is recorded.
    with Interrupts() as interrupts, interrupts.hold():
        recorder = FolderRecorder(
            name,
            config,
            runs_dir=Path(options.runs_dir),
            name=options.name,
            command=options.command,
            screen=screen,
            interrupts=interrupts,
            resume=options.resume,
            make_trackers=lambda recorder: _trackers(recorder, options),
        )
        result: Result | None = None
        status, exit_code = "finished", FINISHED
        lines: tuple[str, ...] = ()
        try:
            with interrupts.released():
                result = module.run(config, recorder)
                write_result(result, recorder, module, options)
                recorder.close_tables()
            if options.check and result.fails:
                exit_code = CLAIM_FAILS
        except (Exception, Interrupted) as error:
            if isinstance(error, UsageError) and recorder.folder is None:
                recorder.close()
                raise
            status, exit_code, lines = failure(error, recorder)
        finally:
            screen.close()
        exit_code = _finish(recorder, screen, status, exit_code, lines)
        for tracker in recorder.trackers:
            tracker.finish(result, status)
        if options.json:
            print_json(name, result, recorder.folder, status, exit_code, lines)
        elif result is not None and status == "finished":
            print_answers(result, recorder.folder)
        # Whatever came while this was written: the run has ended.
        interrupts.pending = None
    return exit_code, recorder.folder


def _trackers(recorder: FolderRecorder, options: RunOptions) -> list[trackers.Careful]:
    """What was asked for, each behind its guard."""
    folder, config = recorder.folder, recorder.config
    assert folder is not None
    assert config is not None
    made = []
    if options.tensorboard:
        made.append(
            trackers.Careful("TensorBoard", lambda: trackers.TensorBoard(folder), recorder.warn)
        )
    if options.mlflow is not None:
        keys = config.model_dump(mode="python")
        uri, name = options.mlflow, recorder.experiment
        made.append(
            trackers.Careful(
                "MLflow", lambda: trackers.MLflow(uri, folder, name, keys), recorder.warn
            )
        )
    return made


def write_result(
    result: Result, recorder: FolderRecorder, module: Experiment, options: RunOptions
) -> None:
    """``result.json`` first, so that a failing figure cannot cost the numbers; then plots, report."""
    folder = recorder.folder
    assert folder is not None
    assert recorder.config is not None
    write_whole(folder / "result.json", json.dumps(result.as_dict(), indent=2) + "\n")
    pictures = {}
    if options.plots and result.plots:
        from mlhw.result import plots

        for done, plot in enumerate(result.plots):
            recorder.progress(done, len(result.plots), "figures")
            pictures[plot.name] = plots.save(plot, folder / "plots")
    from mlhw.runs import html as report

    write_whole(
        folder / "report.html",
        report.page(
            result,
            question=module.QUESTION,
            command=" ".join(options.command),
            config=recorder.config,
            run=folder.name,
            pictures=pictures,
            environment=recorder.environment,
        ),
    )


def failure(
    error: Exception | Interrupted, recorder: FolderRecorder
) -> tuple[str, int, tuple[str, ...]]:
    """Status, exit code and lines for an error that ended the run."""
    if isinstance(error, Interrupted):
        return "interrupted", error.exit_code, error.lines
    if isinstance(error, MlhwError):
        # A usage error that comes up after work began is a failed run.
        return "failed", FAILED, error.lines
    recorder.log_traceback(traceback.format_exc())
    if isinstance(error, MemoryError):
        return "failed", FAILED, ("out of memory; use less data or fewer values at once",)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return "failed", FAILED, (" ".join(f"{place}{reason_of(error)}".split()),)
    where = traceback.extract_tb(error.__traceback__)[-1]
    # An error's text may have many lines; they are in the log.
    said = " ".join(f"{type(error).__name__}: {error}".split())
    line = f"internal error: {said} ({Path(where.filename).name}:{where.lineno})"
    if recorder.folder is not None:
        line += f"; traceback in {recorder.folder / 'log.txt'}"
    return "failed", FAILED, (line,)


def _finish(
    recorder: FolderRecorder, screen: Screen, status: str, exit_code: int, lines: tuple[str, ...]
) -> int:
    """Say and record how the run ended; the exit code, another one if it cannot be recorded."""
    for line in lines:
        screen.error(line)
    if status == "interrupted" and recorder.folder is not None:
        screen.error(f"finished rows are kept in {recorder.folder}")
    for line in lines:
        recorder.log_traceback(f"error: {line}")
    try:
        recorder.finish(status, exit_code, "; ".join(lines) or None)
    except OSError as error:
        if not is_said(error, lines):
            screen.error(not_recorded(error))
        return worst([exit_code, FAILED])
    return exit_code


def is_said(error: Exception, lines: Sequence[str]) -> bool:
    """Whether a line gives this reason already: a full disk keeps more than one file from being written."""
    return isinstance(error, OSError) and any(line.endswith(reason_of(error)) for line in lines)


def not_recorded(error: OSError) -> str:
    """The line for a ``run.json`` that cannot be written in the end."""
    return f"{error.filename}: the end of the run could not be recorded: {reason_of(error)}"


# ------------------------------------------------------------------------------------- stdout


def print_json(
    name: str,
    result: Result | None,
    folder: Path | None,
    status: str,
    exit_code: int,
    lines: tuple[str, ...],
) -> None:
    """Exactly ``result.json`` plus ``run``, ``status`` and ``exit_code``; ``error`` if there is one."""
    found = result.as_dict() if result else {"experiment": name, "summary": {}, "claims": []}
    found |= {"run": str(folder) if folder else None, "status": status, "exit_code": exit_code}
    if lines:
        found["error"] = list(lines)
    print(json.dumps(found, indent=2, ensure_ascii=False), flush=True)


def print_answers(result: Result, folder: Path | None) -> None:
    """The answers in sentences, the claims with their numbers, and where everything is."""
    lines = [printable(line) for line in result.answers]
    if result.claims:
        lines += ["", "claims"]
        lines += [line for claim in result.claims for line in claim_lines(claim)]
    if folder is not None:
        lines += ["", f"run folder: {folder}"]
    print("\n".join(lines).lstrip("\n"))
    sys.stdout.flush()
