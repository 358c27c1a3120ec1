"""What a person sees while a run goes on: log lines on stderr, a progress bar on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable
from typing import Any

from mlhw.system import interrupts
from mlhw.system.pipes import inherited_pipe
from mlhw.text.words import TableLine, VerdictLine, fitted, hanging, one_line, printable

PROGRESS_PIPE = "MLHW_PROGRESS_PIPE"
"""Environment variable with the number of a pipe for progress, in a process that ``mlhw all`` starts."""

_PATIENCE = 0.3  # seconds; work that ends sooner shows no bar
_REST = 0.1  # seconds between two reports through the pipe


class Screen:
    """Log lines, warnings, errors and progress; results go to stdout elsewhere.

    ``quiet`` keeps log lines and bars away, ``verbose`` also shows the detailed lines; without
    ``progress`` there are no bars. Lines of the log, warnings and progress raise ``Interrupted`` if a
    signal has come that something has swallowed.
    """

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, progress: bool = True
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.shows_progress = progress and not quiet
        self._started = time.monotonic()
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._pipe = inherited_pipe(PROGRESS_PIPE)
        self._reported = 0.0

    def log(self, message: str, *, detail: bool = False) -> None:
        interrupts.raise_pending()
        if not self.quiet and (self.verbose or not detail):
            self.line(message)

    def warn(self, message: str) -> None:
        interrupts.raise_pending()
        self.line(one_line(f"warning: {message}"))

    def error(self, message: str) -> None:
        self.line(one_line(f"error: {message}"))

    def line(self, line: str) -> None:
        """Print a line on stderr, above the bar if there is one; an error of stderr is ignored.

        On a terminal a line that is longer is wrapped between words.
        """
        width = _stderr_width()
        lines = "\n".join(p for part in printable(line).split("\n") for p in hanging(part, width))
        with contextlib.suppress(OSError):
            if self._bar is not None:
                self._bar.console.print(lines, markup=False, highlight=False, soft_wrap=True)
            else:
                print(lines, file=sys.stderr, flush=True)

    def progress(self, done: float, total: float | None, what: str) -> None:
        """How far ``what`` is; ``total`` None for work whose length is not known."""
        interrupts.raise_pending()
        if self._pipe is not None:
            self._report(self._pipe, done, total, what)
            return
        if (
            not self.shows_progress
            or time.monotonic() - self._started < _PATIENCE
            or not on_terminal()
        ):
            return
        if self._bar is None:
            self._bar = _new_bar()
            self._bar.start()
        if what not in self._tasks:
            for done_one in [w for w, task in self._tasks.items() if self._is_done(task)]:
                self._bar.remove_task(self._tasks.pop(done_one))
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)

    @property
    def shows_bar(self) -> bool:
        """Whether there is a bar on the screen."""
        return self._bar is not None

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._tasks = None, {}

    def _is_done(self, task: Any) -> bool:
        return any(t.id == task and t.finished for t in self._bar.tasks)

    def _report(self, pipe: int, done: float, total: float | None, what: str) -> None:
        now = time.monotonic()
        if total is None or (now - self._reported < _REST and done < total):
            return
        self._reported = now
        try:
            os.write(pipe, f"{done}\t{total}\t{printable(what)}\n".encode())
        except OSError:
            self._pipe = None  # nobody reads any more


def _stderr_width() -> int | None:
    """The columns of the terminal that stderr is; None where it is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def table_width() -> int | None:
    """The columns of the terminal that stdout is; None where it is none, and lines may have any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_fitting(lines: Iterable[str]) -> None:
    """Print lines on stdout; on a terminal those longer than it are wrapped between words."""
    known = (TableLine, VerdictLine)  # made of safe texts
    safe = (line if isinstance(line, known) else printable(line) for line in lines)
    for line in fitted(safe, table_width()):
        print(_coloured(line) if isinstance(line, VerdictLine) else line)


# ANSI colours of the verdicts, on a terminal: green, bold red, grey.
_COLOURS = {"holds": "32", "fails": "1;31", "not applicable": "90"}


def _coloured(line: VerdictLine) -> str:
    """The line with its verdict coloured, on a terminal that can and where nobody asked for none."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return line
    colour = f"\033[{_COLOURS[line.verdict]}m{line.verdict}\033[0m"
    return line.replace(line.verdict, colour, 1)


def on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Share(ProgressColumn):
        """The share that is done, or how long it has taken where the whole is not known."""

        def render(self, task: Any) -> Text:
            share = f"{task.percentage:>3.0f} %"
            return Text(share if task.total is not None else f"{task.elapsed or 0:>3.0f} s")

    class Remaining(TimeRemainingColumn):
        def render(self, task: Any) -> Text:
            return super().render(task) if task.total is not None else Text("")

    # Nothing but this class writes while the bar is there, and what goes to stdout has to stay there.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        Share(),
        Remaining(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
