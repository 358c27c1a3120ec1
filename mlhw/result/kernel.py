"""Progress in a notebook: one line below the cell while a run goes on, gone when it has ended."""

from __future__ import annotations

import sys
import time
from typing import Any

from mlhw.result.recorder import Recorder
from mlhw.text.markup import escaped

_PATIENCE = 0.3  # seconds; work that ends sooner shows nothing
_REST = 0.1  # seconds between two updates: each is a message to the browser


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook. IPython is not imported for it."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


class KernelRecorder(Recorder):
    """One that keeps all in memory and shows below the cell how far the work is."""

    def __init__(self) -> None:
        super().__init__()
        self._started = self._shown = time.monotonic()
        self._handle: Any = None

    def progress(self, done: float, total: float, what: str) -> None:
        now = time.monotonic()
        if now - self._started < _PATIENCE or now - self._shown < _REST:
            return
        self._shown = now
        self._show(line(done, total, what))

    def close(self) -> None:
        """Take the line away; the cell keeps what it returns."""
        if self._handle is not None:
            self._show("")
            self._handle = None

    def _show(self, text: str) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(text), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(HTML(text))  # type: ignore[no-untyped-call]


def line(done: float, total: float | None, what: str) -> str:
    """The bar of a browser and the share in words; without a total only what is done."""
    if not total:
        return f"<span>{escaped(what)}</span>"
    share = min(1.0, max(0.0, done / total))
    bar = f'<progress max="1" value="{share:.3f}"></progress>'
    return f"<span>{escaped(what)} {bar} {share:.0%}</span>"
