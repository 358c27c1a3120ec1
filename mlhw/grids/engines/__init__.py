"""Where the points of a grid are worked on: each module adapts one engine to ``tasks.Engine``."""

from __future__ import annotations

from pathlib import Path

ENGINES: tuple[str, ...] = (
    "local",
    *sorted(
        path.stem
        for path in Path(__file__).parent.glob("[a-z]*.py")
        if path.stem not in ("local",) and not path.stem.startswith("_")
    ),
)
"""Their names, the default first."""
