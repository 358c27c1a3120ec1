"""What a person sees while a run goes on: log lines on stderr, a progress bar on a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

_PATIENCE = 0.3  # seconds; work that ends sooner shows no bar


class Screen:
    """Log lines, warnings, errors and progress; results go to stdout elsewhere.

    ``quiet`` keeps log lines and bars away, ``verbose`` also shows the detailed lines.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._started = time.monotonic()
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def log(self, message: str, *, detail: bool = False) -> None:
        if not self.quiet and (self.verbose or not detail):
            self._print(message)

    def warn(self, message: str) -> None:
        self._print(f"warning: {message}")

    def error(self, message: str) -> None:
        self._print(f"error: {message}")

    def progress(self, done: float, total: float, what: str) -> None:
        if self.quiet or time.monotonic() - self._started < _PATIENCE or not on_terminal():
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._tasks = None, {}

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


def on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
