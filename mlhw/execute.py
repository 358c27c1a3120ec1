"""One run from start to end: experiment, files, figures, report, exit code.

Exit codes: 0 finished and every applicable claim holds; 1 the run failed; 2 usage, configuration or
data error found before work began; 3 finished, and a claim fails; 130 Ctrl-C; 143 SIGTERM.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from mlhw import trackers
from mlhw.config import ExperimentConfig
from mlhw.errors import CLAIM_FAILS, FAILED, FINISHED, Interrupted, MlhwError, UsageError, reason_of
from mlhw.experiments import Experiment
from mlhw.interrupts import Interrupts
from mlhw.result import Result
from mlhw.runs import FolderRecorder, check_name, write_whole
from mlhw.screen import Screen, print_nowhere
from mlhw.texts import claim_lines, printable


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
    check_name(options.name)
    trackers.check_installed(options.tensorboard, options.mlflow)
    screen = Screen(quiet=options.quiet, verbose=options.verbose)
    with Interrupts() as interrupts:
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
            try:
                result = module.run(config, recorder)
                write_result(result, recorder, module, options)
                if options.check and result.fails:
                    exit_code = CLAIM_FAILS
            finally:
                screen.close()
        except Exception as error:
            if isinstance(error, UsageError) and recorder.folder is None:
                recorder.close()
                raise
            status, exit_code, lines = _failure(error, recorder)
        with interrupts.hold():
            _finish(recorder, screen, status, exit_code, lines)
            for tracker in recorder.trackers:
                tracker.finish(result, status)
            try:
                if options.json:
                    print_json(name, result, recorder.folder, status, exit_code, lines)
                elif result is not None and status == "finished":
                    print_answers(result, recorder.folder)
            except BrokenPipeError:
                print_nowhere()  # the exit code still says how it went
            # Whatever came while this was written: the run has ended.
            interrupts.pending = None
    return exit_code


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
        from mlhw import plots

        for done, plot in enumerate(result.plots):
            recorder.progress(done, len(result.plots), "figures")
            pictures[plot.name] = plots.save(plot, folder / "plots")
    from mlhw import report

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


def _failure(error: Exception, recorder: FolderRecorder) -> tuple[str, int, tuple[str, ...]]:
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
        return "failed", FAILED, (f"{place}{reason_of(error)}",)
    where = traceback.extract_tb(error.__traceback__)[-1]
    line = f"internal error: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    if recorder.folder is not None:
        line += f"; traceback in {recorder.folder / 'log.txt'}"
    return "failed", FAILED, (line,)


def _finish(
    recorder: FolderRecorder, screen: Screen, status: str, exit_code: int, lines: tuple[str, ...]
) -> None:
    for line in lines:
        screen.error(line)
    if status == "interrupted" and recorder.folder is not None:
        screen.error(f"finished rows are kept in {recorder.folder}")
    try:
        for line in lines:
            recorder.log_traceback(f"error: {line}")
        recorder.finish(status, exit_code, "; ".join(lines) or None)
    except OSError as error:
        screen.error(f"the end of the run could not be recorded: {error}")


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
