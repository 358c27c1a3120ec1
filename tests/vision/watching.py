"""A recorder that remembers how far the work was said to be."""

from __future__ import annotations

from mlhw.result.recorder import Recorder


class Watching(Recorder):
    """``steps`` holds (done, total, what) of every report of progress."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[float, float, str]] = []

    def progress(self, done: float, total: float, what: str) -> None:
        self.steps.append((done, total, what))
