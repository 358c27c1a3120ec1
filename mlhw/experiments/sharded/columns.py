"""The first passes over rows in shards: which columns, which classes, how large, where their middle is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlhw.errors import DataError
from mlhw.experiments.sharded import passes
from mlhw.experiments.sharded.team import Crew
from mlhw.experiments.sweeps.problem import check_sizes
from mlhw.maths.centring import exponents
from mlhw.points.cells import brief, tidy
from mlhw.points.points import Label
from mlhw.points.row_files import RowFiles
from mlhw.points.spreads import LARGE_RATIO, SpreadRatio

WIDEST = 4096
"""So many features may there be: Hessians are summed whole."""


@dataclass(frozen=True)
class Read:
    """What is known of the features (d,) that are kept.

    ``low`` and ``high`` are the least and the largest value, ``mean`` and ``deviation`` as they say,
    ``centre`` and ``unit`` what the columns of the optimum have taken out: the mean, and the power of two
    from half the root mean square about it to the whole. ``sample`` (m, d) are some rows, ``counts`` the
    rows of each class. ``notes`` are sentences on what was left out.
    """

    name: str
    names: tuple[str, ...]
    places: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    centre: np.ndarray
    unit: np.ndarray
    sample: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    digest: str
    notes: tuple[str, ...]

    @property
    def classes(self) -> list[Label]:
        if self.labels.dtype.kind in "US":
            return [str(label) for label in self.labels]
        return [tidy(float(label)) for label in self.labels]

    @property
    def advice(self) -> str | None:
        """A sentence that recommends ``--standardize``; None where spreads are alike."""
        varying = np.flatnonzero(self.deviation > 0)
        if len(varying) < 2:
            return None
        low, high = (varying[int(f(self.deviation[varying]))] for f in (np.argmin, np.argmax))
        ratio = float(self.deviation[high] / self.deviation[low])
        return (
            SpreadRatio(ratio, self.names[high], self.names[low]).advice
            if ratio > LARGE_RATIO
            else None
        )


def read_columns(
    crew: Crew, files: RowFiles, name: str, names: tuple[str, ...], places: tuple[int, ...]
) -> Read:
    """Look at all rows, three times where a column is left out; ``places`` has the class last.

    Raises
    ------
    DataError
        A cell that is no number, with its row; other than two classes; too many columns.
    """
    if len(names) > WIDEST:
        raise DataError(f"{name}: {len(names):,} features; in shards at most {WIDEST:,}")
    low, high, sums, cell, labels, sample, digest = crew.over(passes.survey_rows)
    _check_cells(files, names, float(cell[0]))
    _check_classes(name, labels)
    ones = (low == 1.0) & (high == 1.0)
    if ones.all():
        raise DataError(f"{name}: no features beside the bias column")
    notes = tuple(
        f"column {names[j]} is one throughout: taken as the bias column"
        for j in np.flatnonzero(ones)
    )
    about = sums / crew.rows
    zeros = np.zeros(len(names))
    found = Read(
        name,
        names,
        places[:-1],
        low,
        high,
        zeros,
        zeros,
        about,
        zeros,
        sample,
        labels,
        zeros,
        f"sha256-of-{crew.shards.count}:{digest.tobytes().hex()}",
        notes,
    )
    found = _keep(crew, found, ~ones, places[-1])
    sizes = np.maximum(np.abs(found.low), np.abs(found.high))
    check_sizes(found.name, found.names, sizes, "take another unit for it")
    return _with_moments(crew, found)


def keep_varying(crew: Crew, read: Read) -> Read:
    """The same without features that have one value throughout, which no scaling can spread."""
    constant = read.low == read.high
    if constant.all():
        raise DataError(f"{read.name}: every feature is constant ({', '.join(read.names[:5])})")
    if not constant.any():
        return read
    gone = [name for name, out in zip(read.names, constant, strict=True) if out]
    some = ", ".join(f"'{name}'" for name in gone[:5]) + (", …" if len(gone) > 5 else "")
    note = f"{some} {'is' if len(gone) == 1 else 'are'} constant: left out by standardize"
    kept = _keep(crew, read, ~constant, crew.shards.columns[-1])
    return replace(kept, notes=(*kept.notes, note))


def _keep(crew: Crew, read: Read, which: np.ndarray, target: int) -> Read:
    """Go on with some of the columns."""
    if which.all():
        return read
    names = tuple(np.array(read.names, object)[which].tolist())
    places = tuple(np.array(read.places)[which].tolist())
    crew.keep([*places, target])
    arrays = ("low", "high", "mean", "deviation", "centre", "unit")
    few = {key: getattr(read, key)[which] for key in arrays}
    return replace(read, names=names, places=places, sample=read.sample[:, which], **few)


def _with_moments(crew: Crew, read: Read) -> Read:
    """The columns' means and deviations, from sums about what the first pass takes for the mean."""
    crew.frame({"second": read.labels[1]})
    sums, squares, counts = crew.over(passes.moments, about=read.centre)
    n = crew.rows
    mean = read.centre + sums / n
    deviation = np.sqrt(np.maximum(squares / n - (sums / n) ** 2, 0.0))
    deviation[read.low == read.high] = 0.0
    # A constant column is 0 throughout.
    centre = np.where(deviation > 0, mean, read.low)
    root = np.where(deviation > 0, np.sqrt(squares / n), 1.0)
    unit = np.ldexp(1.0, exponents(root))
    return replace(read, mean=mean, deviation=deviation, centre=centre, unit=unit, counts=counts)


def _check_cells(files: RowFiles, names: tuple[str, ...], cell: float) -> None:
    if np.isfinite(cell):
        row, column = divmod(int(cell), len(names) + 1)
        what = names[column] if column < len(names) else "the class"
        raise DataError(
            f"{files.place(row)}: {what} is missing or no finite number; rows in shards are all used: "
            "leave such rows out before"
        )


def _check_classes(name: str, labels: np.ndarray) -> None:
    if len(labels) < 2:
        raise DataError(f"{name}: only one class ({brief(labels[0])}), two needed")
    if len(labels) > 2:
        some = ", ".join(map(brief, labels[:5])) + (", …" if len(labels) > 5 else "")
        raise DataError(
            f"{name}: more than two classes, two needed ({some}); which column is the class says --label"
        )
