"""Figures that two processes draw: what goes well with them, and what goes wrong in the other one alone."""

from __future__ import annotations

import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mlhw.result import plots
from mlhw.result.plots import Plot

COUNT = 4


def is_beside() -> bool:
    """Whether this is the process beside the run's own."""
    return Path(sys.argv[0]).stem == "drawing_process"


def line(slope: Any) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    axes.plot([0, 1, 2], [0, slope, 3], label=r"$\eta$")
    axes.legend()
    return figure


def failing(slope: Any) -> Figure:
    raise RuntimeError("no such line")


def failing_beside(slope: Any) -> Figure:
    return failing(slope) if is_beside() else line(slope)


def endless_beside(slope: Any) -> Figure:
    if is_beside():
        time.sleep(1000)
    return line(slope)


def warning(slope: Any) -> Figure:
    warnings.warn("a steep line", UserWarning, stacklevel=1)
    return line(slope)


def printing(slope: Any) -> Figure:
    print("a line")
    return line(slope)


def some(function: Any = line, evidence: Any = 1.0) -> list[Plot]:
    """Figures of which the last is the function's."""
    functions = [line] * (COUNT - 1) + [function]
    return [Plot(f"f{i}", "", "", "", partial(f, evidence)) for i, f in enumerate(functions)]
