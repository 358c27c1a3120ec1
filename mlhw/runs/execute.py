"""One run from start to end: experiment, files, figures, report, exit code.

Exit codes: 0 finished and every applicable claim holds; 1 the run failed; 2 usage, configuration or
data error found before work began; 3 finished, and a claim fails; 130 Ctrl-C; 143 SIGTERM; 129 SIGHUP.
"""

from __future__ import annotations

import json
import shlex
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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
from mlhw.experiments.actions import Action
from mlhw.experiments.curves import Curves
from mlhw.experiments.going_on import GoingOn
from mlhw.result.claims import verdicts_line
from mlhw.result.findings import finding_lines
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.runs import html, trackers
from mlhw.runs.figures import SecondProcess, draw_all, second_process
from mlhw.runs.folder import FolderRecorder, cut_short_status
from mlhw.runs.gallery import GALLERY, gallery_page
from mlhw.runs.history import Run
from mlhw.runs.new_folder import check_name
from mlhw.runs.options import RunOptions
from mlhw.runs.together import leading
from mlhw.system import early
from mlhw.system.files import check_writable, write_to, write_whole
from mlhw.system.interrupts import Interrupts
from mlhw.system.screen import Screen, print_fitting, table_width
from mlhw.system.torchrun import of_environment
from mlhw.text.values import to_json
from mlhw.text.words import TableLine, printable


class Runnable(Protocol):
    """What can be run: an experiment of the registry, or all of them as one."""

    @property
    def name(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def examples(self) -> Sequence[tuple[str, str]]: ...
    @property
    def Config(self) -> type[ExperimentConfig]: ...
    @property
    def run(self) -> Callable[[Any, Recorder], Result]: ...
    @property
    def actions(self) -> Sequence[Action]: ...
    @property
    def resumable(self) -> bool: ...
    @property
    def going_on(self) -> GoingOn | None: ...
    @property
    def curves(self) -> Curves | None: ...
    @property
    def tracked(self) -> bool: ...


class Ended(NamedTuple):
    """The exit code of a run, and its folder; None if it ended before it had one."""

    exit_code: int
    folder: Path | None


@dataclass
class _End:
    """How a run ends: gathers the errors that come up until the end is recorded."""

    status: str = "finished"
    codes: tuple[int, ...] = (FINISHED,)
    lines: tuple[str, ...] = ()

    def add(self, error: Exception | Interrupted, recorder: FolderRecorder) -> None:
        """Take in one more error. Of several with one reason, such as a full disk, the first is reported."""
        status, code, lines = failure(error, recorder)
        self.status = status if self.status == "finished" else self.status
        self.codes += (code,)
        if not _is_said(error, self.lines):
            self.lines += lines


def execute(experiment: Runnable, config: ExperimentConfig, options: RunOptions) -> Ended:
    """Run an experiment, write its folder, print its answers, and record how it ended.

    Raises
    ------
    UsageError
        What was asked for cannot be done; no run folder was made.
    """
    check_name(options.name)
    if options.junit is not None:
        check_writable("--junit", options.junit)
    trackers.check_installed(options.tensorboard, options.mlflow)
    screen = Screen(quiet=options.quiet, verbose=options.verbose, progress=options.progress)
    # A signal is let through while the experiment works, and waits while its end is recorded.
    with (
        Interrupts(repeats_end=of_environment() is None) as interrupts,
        interrupts.hold(),
        leading(config, interrupts) as group,
        second_process(experiment.name, options) as second,
    ):
        recorder = FolderRecorder(
            experiment.name,
            config,
            options,
            screen,
            interrupts,
            lambda recorder: _trackers(recorder, experiment),
        )
        recorder.group = group
        interrupts.last_words = lambda error: _cut_short(error, recorder)
        result: Result | None = None
        end = _End()
        try:
            with interrupts.released():
                result = experiment.run(config, recorder)
                write_result(result, recorder, experiment.question, second)
                check_headlines(result, recorder)
                recorder.close_tables()
                interrupts.raise_pending()
        except (Exception, Interrupted) as error:
            # Whatever an interrupted library raises, it was the signal that ended the run.
            reason = interrupts.ending(error)
            reason = group.reason(reason) if group else reason
            if isinstance(reason, UsageError) and recorder.folder is None:
                recorder.close()
                interrupts.acknowledge()
                raise reason from None
            if reason is not error:
                recorder.log_traceback(traceback.format_exc())
            if group:
                group.leave(reason)
            interrupts.acknowledge()
            end.add(reason, recorder)
            result = _so_far(recorder, experiment.question, end) or result
        finally:
            screen.close()
        # What comes from here on: the run has ended.
        interrupts.acknowledge()
        if result is not None:
            end.codes += tuple(part.exit_code for part in result.parts or ())
            end.codes += result.codes
            if options.check and result.fails:
                end.codes += (CLAIM_FAILS,)
        exit_code = _finish(recorder, screen, end)
        for tracker in recorder.trackers:
            tracker.finish(result, end.status)
        if options.json:
            print(
                object_on_stdout(experiment.name, result, recorder.folder, end, exit_code),
                flush=True,
            )
        elif result is not None and (end.status == "finished" or result.is_made_of_runs):
            print_answers(result, recorder.folder, verbose=options.verbose)
        interrupts.ended(exit_code)
        if group:
            group.end(exit_code)
    return Ended(exit_code, recorder.folder)


def _cut_short(signalled: Interrupted, recorder: FolderRecorder) -> int:
    """Record and report a run that a signal did not stop, beside whatever it is doing; its exit code."""
    found = recorder.group.reason(signalled) if recorder.group else signalled
    error = found if isinstance(found, (Interrupted, MlhwError)) else signalled
    recorder.cut_short(error)
    folder = recorder.folder
    kept = [] if folder is None else [f"finished rows are kept in {folder}"]
    early.say_errors([printable(line) for line in (*error.lines, *kept)])
    if recorder.options.json:
        end = _End(cut_short_status(error), (error.exit_code,), error.lines)
        early.say(
            1, object_on_stdout(recorder.experiment, None, folder, end, error.exit_code) + "\n"
        )
    return error.exit_code


def _trackers(recorder: FolderRecorder, experiment: Runnable) -> list[trackers.Careful]:
    """The trackers that were asked for; an error of theirs stops no run."""
    folder, config, options = recorder.folder, recorder.config, recorder.options
    assert folder is not None
    assert config is not None
    curves = experiment.curves
    made: list[trackers.Careful] = []
    if options.tensorboard and experiment.tracked:
        made.append(
            trackers.Careful(
                "TensorBoard", lambda: trackers.TensorBoard(folder, curves), recorder.warn
            )
        )
    if options.mlflow is not None and experiment.tracked:
        uri, keys = options.mlflow, config.model_dump(mode="python")
        made.append(
            trackers.Careful(
                "MLflow",
                lambda: trackers.MLflow(uri, folder, experiment.name, keys, curves),
                recorder.warn,
            )
        )
    return made


def _so_far(recorder: FolderRecorder, question: str, end: _End) -> Result | None:
    """Write what a stopped run has so far as if it had finished, and return it; None if it has nothing."""
    if recorder.so_far is None or recorder.folder is None:
        return None
    result = recorder.so_far()
    try:
        write_result(result, recorder, question)
    except Exception as error:
        end.add(error, recorder)
    return result


def write_result(
    result: Result, recorder: FolderRecorder, question: str, second: SecondProcess | None = None
) -> None:
    """Write ``result.json``, figures, gallery and report: a failing figure costs no numbers."""
    folder, options = recorder.folder, recorder.options
    assert folder is not None
    assert recorder.config is not None
    write_whole(folder / "result.json", json.dumps(result.as_dict(), indent=2) + "\n")
    pictures = (
        draw_all(result.plots, folder / "plots", recorder.progress, second) if options.plots else {}
    )
    if second is not None:
        second.end()
    gallery = None
    if options.plots and result.gallery is not None:
        gallery = GALLERY
        write_whole(folder / GALLERY, gallery_page(result.gallery, folder.name, recorder.progress))
    facts = html.RunFacts(
        question,
        shlex.join(options.command),
        recorder.config,
        folder.name,
        recorder.environment,
        gallery,
        folder,
    )
    write_whole(folder / "report.html", html.page(result, facts, pictures))
    if options.junit is not None:
        from mlhw.runs.junit import junit_xml

        write_to(options.junit, junit_xml(result.parts or result.suites))


def check_headlines(result: Result, recorder: FolderRecorder) -> None:
    """Warn, once, where the run will be listed without numbers because its experiment cannot tell them."""
    assert recorder.folder is not None
    run = Run(recorder.folder, {"experiment": result.experiment})
    try:
        run.told_headlines(to_json(result.summary))
    except Exception as error:
        recorder.log_traceback(traceback.format_exc())
        recorder.warn(f"the run is listed without its headline numbers: {_told(error)}")


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
    if isinstance(error, ImportError):  # too little memory for a library is one too
        said = " ".join(str(error).split())
        return "failed", FAILED, (f"cannot be loaded: {said}; mlhw doctor looks at every package",)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return "failed", FAILED, (" ".join(f"{place}{reason_of(error)}".split()),)
    line = f"internal error: {_told(error)}"
    if recorder.folder is not None:
        line += f"; traceback in {recorder.folder / 'log.txt'}"
    return "failed", FAILED, (line,)


def _told(error: Exception) -> str:
    """``KeyError: 'x' (report.py:12)``. An error's text may have many lines; they are in the log."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{said} ({Path(where.filename).name}:{where.lineno})"


def _finish(recorder: FolderRecorder, screen: Screen, end: _End) -> int:
    """Report and record how the run ended, and return the exit code.

    That is 1 or worse where the end cannot be recorded.
    """
    exit_code = worst(end.codes)
    for line in end.lines:
        screen.error(line)
        recorder.log_traceback(f"error: {line}")
    if end.status == "interrupted" and recorder.folder is not None:
        screen.error(f"finished rows are kept in {recorder.folder}")
    try:
        recorder.finish(end.status, exit_code, "; ".join(end.lines) or None)
    except OSError as error:
        if not _is_said(error, end.lines):
            reason = reason_of(error)
            screen.error(f"{error.filename}: the end of the run could not be recorded: {reason}")
        return worst([exit_code, FAILED])
    return exit_code


def _is_said(error: BaseException, lines: Sequence[str]) -> bool:
    """Whether a line gives this error's reason already, as several files on a full disk have the same."""
    if not isinstance(error, OSError):
        return False
    said, _, _ = reason_of(error).partition(" (")  # of a full disk each file tells what it needs
    return any(said in line for line in lines)


# ------------------------------------------------------------------------------------- stdout


def object_on_stdout(
    name: str, result: Result | None, folder: Path | None, end: _End, exit_code: int
) -> str:
    """Exactly ``result.json`` plus ``run``, ``status`` and ``exit_code``; ``error`` if there is one."""
    found = (result or Result(name, {})).as_dict()
    found |= {
        "run": str(folder) if folder else None,
        "status": end.status,
        "exit_code": exit_code,
    }
    if end.lines:
        found["error"] = list(end.lines)
    return json.dumps(found, indent=2, ensure_ascii=False)


def print_answers(result: Result, folder: Path | None, *, verbose: bool = False) -> None:
    """The answers in sentences, then what was observed and claimed, and where everything is.

    What a result made of parts claims has been printed with each of these. ``verbose``: claims with their
    ids and numbers. The last line counts the verdicts and names the report; it is two where a terminal is
    too narrow for it. On a terminal no word is broken.
    """
    lines = [line if isinstance(line, TableLine) else printable(line) for line in result.answers]
    if result.parts is None:
        lines += finding_lines(result.claims, result.observations, verbose=verbose)
        if folder is not None:
            lines += ["", f"run folder: {folder}"]
    print_fitting(lines if result.answers else lines[1:])
    last = [verdicts_line(result.claims)] if result.claims else []
    if folder is not None and (folder / "report.html").exists():
        last.append(f"report: {folder / 'report.html'}")
    width, line = table_width(), printable("; ".join(last))
    fits = width is None or len(line) <= width
    print(line if fits else printable("\n".join(last)), flush=True)
