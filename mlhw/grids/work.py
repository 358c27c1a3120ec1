"""One try at a point, in whatever process an engine has for it.

``work`` is all that an engine calls: it runs the experiment as ``mlhw EXPERIMENT`` does, with the run folder
at exactly ``task.folder``, and prints nothing. It knows no engine.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import shutil
import signal
import socket
import threading
import time
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mlhw.config.load import from_keywords, load_config
from mlhw.config.model import ExperimentConfig
from mlhw.errors import FAILED, USAGE, Interrupted, MlhwError, UsageError
from mlhw.experiments.registry import experiment
from mlhw.grids.tasks import Keep, PointEnd, PointTask, Status, time_over
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.runs.execute import Runnable, execute
from mlhw.runs.history import Run, run_at
from mlhw.runs.options import Place, RunOptions
from mlhw.system import temporaries

PATIENCE = 20.0
"""Seconds that the worker of a driver that was killed has to leave a point's folder."""

GRACE = 10.0
"""Seconds that a run whose time is over has to end by itself."""


def work(task: PointTask, runnable: Runnable | None = None) -> PointEnd:
    """Run a point, and say how that ended; whatever it raises is a status.

    A folder with a finished run of the same identity is left as it is. An interrupted one of an experiment
    that can go on is gone on with; any other is removed and begun anew. ``runnable`` is what runs where the
    task's experiment is none of the registry, as a bench has it.
    """
    started = time.time()
    late = _Deadline(task.timeout)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), late:
        status, code, reason = _tried(task, runnable)
    if status == "interrupted" and late.over:
        status, code, reason = "timeout", None, time_over(task)
    seconds = time.time() - started
    return PointEnd(
        task.point, task.attempt, status, code, reason, started, seconds, socket.gethostname(), worker_name()
    )  # fmt: skip


def worker_name() -> str:
    """What tells this worker from the others of its host."""
    return f"process {os.getpid()}"


@cache
def own_version() -> str:
    """Of mlhw, as a worker has to have it."""
    return metadata.version("mlhw")


def is_done(folder: Path, identity: str) -> bool:
    """Whether a folder has a finished run of just this."""
    record = run_at(folder).record
    return record.get("status") == "finished" and record.get("identity") == identity


def remove_point(folder: Path) -> None:
    """Remove a run folder; it has another name before anything in it is gone.

    Raises OSError where it cannot be renamed.
    """
    if os.path.lexists(folder):
        hidden = temporaries.temporary_of(folder)
        temporaries.remove(hidden)
        folder.rename(hidden)
        temporaries.remove(hidden)


def _tried(task: PointTask, runnable: Runnable | None) -> tuple[Status, int | None, str | None]:
    """Status, exit code and reason."""
    if task.version != own_version():
        return (
            "failed",
            USAGE,
            f"this worker has mlhw {own_version()}, the grid {task.version}; install the same",
        )
    folder = Path(task.folder)
    try:
        if not _free(folder):
            return "failed", FAILED, f"{folder}: another process is working on this point"
        if not is_done(folder, task.identity):
            _run(task, folder, _Kept(runnable or experiment(task.experiment), task.keep))
    except Interrupted as error:
        return "interrupted", error.exit_code, str(error)
    except UsageError as error:
        return "failed", error.exit_code, "; ".join(error.lines)
    except MlhwError as error:
        return "failed", error.exit_code, "; ".join(error.lines)
    except Exception as error:  # of this module's own, such as a folder that cannot be removed
        return "failed", FAILED, " ".join(f"{type(error).__name__}: {error}".split())
    return _recorded(run_at(folder))


def _recorded(run: Run) -> tuple[Status, int | None, str | None]:
    """How a run has ended, by its own record."""
    status, code = run.record.get("status"), run.record.get("exit_code")
    if status not in ("finished", "failed", "interrupted"):
        return "failed", FAILED, run.damage or "the end of the run could not be recorded"
    return status, code if isinstance(code, int) else FAILED, run.text("reason") or None


def _free(folder: Path) -> bool:
    """Wait until no process has the folder: the worker of a driver that was killed needs a moment to end."""
    until = time.monotonic() + PATIENCE
    while temporaries.is_locked(folder):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _run(task: PointTask, folder: Path, runnable: Any) -> None:
    config_file = str(folder / "config.yaml")
    options = RunOptions(
        ("mlhw", task.experiment, "--config", config_file),
        quiet=True,
        progress=False,
        place=Place(folder, task.identity, task.threads),
        **task.options,
    )
    if runnable.resumable and _can_go_on(folder, task.identity):
        with contextlib.suppress(UsageError):  # what it has left cannot be used: anew
            config = load_config(runnable.Config, config_file)
            execute(runnable, config, replace(options, resume=folder))
            return
    remove_point(folder)
    config = from_keywords(runnable.Config, task.config)
    execute(runnable, _keeping(config, task.keep), options)


def _can_go_on(folder: Path, identity: str) -> bool:
    run = run_at(folder)
    return run.record.get("identity") == identity and run.status in ("interrupted", "crashed")


def _keeping(config: ExperimentConfig, keep: Keep) -> ExperimentConfig:
    """The configuration of an experiment that chooses its checkpoints by a key, with what the grid keeps."""
    if "keep" not in type(config).only_kept:
        return config
    return config.model_copy(update={"keep": "last" if keep == "all" else "best"})


@dataclass(frozen=True)
class _Kept:
    """An experiment whose checkpoints go before its end is recorded, where none are kept."""

    of: Runnable
    keep: Keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def run(self, config: Any, recorder: Recorder) -> Result:
        result = self.of.run(config, recorder)
        if self.keep == "none" and recorder.folder is not None:
            recorder.unneeded.clear()  # it would look for them
            for folder in recorder.folder.rglob("checkpoints"):
                shutil.rmtree(folder)
        return result


class _Deadline:
    """Ends what runs in the block after so many seconds, also where a library does not come back.

    First by SIGTERM, as for any run; then by the end of the process, from a thread of C's, which no lock of
    the interpreter keeps from working.
    """

    def __init__(self, seconds: float | None) -> None:
        self.over = False
        self._seconds = seconds
        self._main = threading.get_ident()
        self._timer: threading.Timer | None = None
        self._nowhere: io.TextIOWrapper | None = None

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        self._nowhere = open(os.devnull, "w")
        faulthandler.dump_traceback_later(self._seconds + GRACE, exit=True, file=self._nowhere)
        self._timer = threading.Timer(self._seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None and self._nowhere is not None:
            self._timer.cancel()
            faulthandler.cancel_dump_traceback_later()
            self._nowhere.close()

    def _end(self) -> None:
        self.over = True
        if self._main == threading.main_thread().ident:
            signal.pthread_kill(self._main, signal.SIGTERM)
        else:  # no signal raises anything there
            os._exit(FAILED)
