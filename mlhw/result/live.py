"""Figures that a reader can read values from, zoom and move: the run's own numbers, for the report's script.

A live figure stands in for a drawn one of the same name. What it holds is plain numbers, bounded in
size by leaving points out, never a bucket's lowest or highest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from mlhw.result import plots

if TYPE_CHECKING:
    import numpy as np

Evidence = TypeVar("Evidence")

MOST_VALUES = 10_000  # of one live figure: less than 200 kB of text
VALUES_OF_A_STEP = 4  # three weights and the NLL
FIRST_STEPS = 50  # in which a separator moves most; all of them are kept
MOST_DOTS = 2_000  # of a scatter, which a browser moves without stutter
DIGITS = 12  # more than a reader is shown, so that rounding again shows what the table shows


class LiveFigure(Protocol):
    """Anything that says itself in JSON's values."""

    def data(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class LiveCurve:
    """One curve: ``x`` and ``y`` (K,), NaN where there is nothing, in the colour and dash of ``place``.

    ``low`` and ``high`` (K,) are the edges of a band around it. A ``dotted`` one is the other of two in
    the same colour.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    place: int
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    dotted: bool = False


@dataclass(frozen=True)
class LiveCurves:
    """Curves over one axis, each of which can be shown or not.

    Attributes:
        x_name: what the values along are, in a word that can stand before a number: ``iteration``.
        y_name: what the curves are.
        curves: in the order of the legend.
        levels: horizontal lines by name.
        log_x: whether the axis begins logarithmic; below 1 it is straight, so that 0 has a place.
        log_y: whether the other one does.
        most: the highest value that is in view at first; None for all of them.
    """

    x_name: str
    y_name: str
    curves: Sequence[LiveCurve]
    levels: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False
    most: float | None = None

    def data(self) -> dict[str, Any]:
        lines = sum(1 if one.low is None else 3 for one in self.curves)
        per_curve = MOST_VALUES // max(1, lines)
        shown = [(one, kept(one.y, per_curve)) for one in self.curves]
        return {
            "kind": "curves",
            "x": self.x_name,
            "y": self.y_name,
            "logX": self.log_x,
            "logY": self.log_y,
            "most": self.most,
            "points": sum(len(one.y) for one in self.curves),
            "shown": sum(len(places) for _, places in shown),
            "levels": [{"label": name, "y": _number(value)} for name, value in self.levels.items()],
            "series": [
                {
                    "label": one.label,
                    **stroke(one.place, one.dotted),
                    "x": _numbers(one.x[places]),
                    "y": _numbers(one.y[places]),
                    "low": None if one.low is None else _numbers(one.low[places]),
                    "high": None if one.high is None else _numbers(one.high[places]),
                }
                for one, places in shown
            ],
        }


@dataclass(frozen=True)
class LivePath:
    """Weights ``W`` (K, 3) of two features and the bias, and the NLL (K,) there, step by step."""

    label: str
    W: np.ndarray
    nll: np.ndarray
    place: int


@dataclass(frozen=True)
class LivePlane:
    """Points of two classes, and the line p = 1/2 of weights that move step by step.

    Attributes:
        names: of the two features.
        dots: by class name, its points (n, 2).
        paths: all beginning at ``first``; one that ended earlier stays where it was.
        step: what a step is called: ``iteration``.
        first: the number of the first step.
        optimum: weights (3,) and NLL of the best line; None where there is none.
    """

    names: tuple[str, str]
    dots: Mapping[str, np.ndarray]
    paths: Sequence[LivePath]
    step: str
    first: int = 0
    optimum: tuple[np.ndarray, float] | None = None

    def data(self) -> dict[str, Any]:
        import numpy as np

        # Every path has values at the same steps, so that one slider moves all of them.
        steps = np.arange(max(len(one.nll) for one in self.paths))
        if VALUES_OF_A_STEP * sum(len(one.nll) for one in self.paths) > MOST_VALUES:
            each = MOST_VALUES // VALUES_OF_A_STEP // len(self.paths) ** 2
            some = [kept(one.nll, max(each, 20)) for one in self.paths]
            steps = np.unique(np.concatenate([steps[:FIRST_STEPS], *some]))
        paths = [(one, steps[steps < len(one.nll)]) for one in self.paths]
        every = sum(map(len, self.dots.values()))
        return {
            "kind": "plane",
            "names": list(self.names),
            "step": self.step,
            "steps": (steps + self.first).tolist(),
            "every": max(len(one.nll) for one in self.paths),
            "points": every,
            "shown": min(every, MOST_DOTS),
            "dots": [
                {"label": name, "xy": _numbers(_some(xy, MOST_DOTS * len(xy) // max(1, every)))}
                for name, xy in self.dots.items()
            ],
            "paths": [
                {
                    "label": one.label,
                    **stroke(one.place),
                    "w": _numbers(one.W[places]),
                    "nll": _numbers(one.nll[places]),
                }
                for one, places in paths
            ],
            "optimum": self.optimum
            and {"w": _numbers(self.optimum[0]), "nll": _number(self.optimum[1])},
        }


class LiveFigures(Generic[Evidence]):
    """The live figures of one experiment, by the names of the drawn ones that they stand in for.

    ::

        LIVE = LiveFigures[Evidence]()

        @LIVE.figure("nll")
        def nll(e: Evidence) -> LiveCurves: ...

    ``LIVE.of(evidence)`` gives them unmade.
    """

    def __init__(self) -> None:
        self._figures: dict[
            str, tuple[Callable[[Evidence], LiveFigure], Callable[[Evidence], bool]]
        ] = {}

    @property
    def names(self) -> list[str]:
        return list(self._figures)

    def figure(
        self, name: str, *, when: Callable[[Evidence], bool] = lambda evidence: True
    ) -> Callable[[Callable[[Evidence], LiveFigure]], Callable[[Evidence], LiveFigure]]:
        """Declare the function below it as the live form of the figure ``name``, where ``when`` says so."""

        def register(
            function: Callable[[Evidence], LiveFigure],
        ) -> Callable[[Evidence], LiveFigure]:
            if name in self._figures:
                raise ValueError(f"two live figures are called {name!r}")
            self._figures[name] = (function, when)
            return function

        return register

    def of(self, evidence: Evidence) -> dict[str, Callable[[], LiveFigure]]:
        """Every live figure that this evidence has, unmade."""
        return {
            name: partial(function, evidence)
            for name, (function, when) in self._figures.items()
            if when(evidence)
        }


def kept(y: np.ndarray, most: int) -> np.ndarray:
    """Places of at most ``most`` values of ``y`` (K,), rising: all, or enough to draw the same curve.

    Of each of equally long stretches the lowest and the highest, and the first and the last of all.
    A value that is not a number counts as the highest, so that gaps stay.
    """
    import numpy as np

    if len(y) <= most:
        return np.arange(len(y))
    edges = np.linspace(0, len(y), max(1, (most - 2) // 2) + 1).astype(int)
    found = {0, len(y) - 1}
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = np.where(np.isnan(y[start:end]), np.inf, y[start:end])
        found |= {start + int(part.argmin()), start + int(part.argmax())}
    return np.array(sorted(found))


def stroke(place: int, dotted: bool = False) -> dict[str, str]:
    """How the line of this place is drawn in the other figures too: a colour, and dashes in pixels."""
    dash = (0, (1, 2)) if dotted else plots.dash(place)
    dashes = "" if isinstance(dash, str) else " ".join(f"{1.5 * part:g}" for part in dash[1])
    return {"colour": plots.colour(place), "dash": dashes}


def _some(xy: np.ndarray, most: int) -> np.ndarray:
    """Some of the points (n, 2), evenly spread over their order; the outermost of each axis among them."""
    import numpy as np

    if len(xy) <= max(most, 4):
        return xy
    outermost = [xy[:, 0].argmin(), xy[:, 0].argmax(), xy[:, 1].argmin(), xy[:, 1].argmax()]
    evenly = np.linspace(0, len(xy) - 1, max(most - 4, 1)).astype(int)
    return np.asarray(xy[np.unique([*outermost, *evenly])])


def _numbers(values: Any) -> Any:
    """An array, or lists in lists, as lists of numbers with ``DIGITS`` digits."""
    rows = values if isinstance(values, list) else values.tolist()
    return [_numbers(row) if isinstance(row, list) else _number(row) for row in rows]


def _number(value: float) -> float | int | None:
    """JSON has neither NaN nor infinity; whole numbers are shorter without their point."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
