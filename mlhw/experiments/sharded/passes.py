"""What is worked out in one pass over all rows: a function of a block of them, and how blocks add up.

A pass has a name, since the process that leads asks the others for it by that. Its function takes a
``Block`` and the numbers asked about, and gives several arrays; ``ways`` says how those of two neighbours
become one (``maths.tree``). Nothing here depends on how many processes or threads there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from mlhw.maths import row_blocks
from mlhw.maths.activations import logistic
from mlhw.maths.tree import Parts

Numbers = Mapping[str, np.ndarray]

SAMPLE = 2000
"""So many rows, evenly spread, are kept for figures."""
MOST_CLASSES = 6


@dataclass(frozen=True)
class Block:
    """Some rows that stand beside each other.

    ``read`` (m, d) are the features as they were read, ``labels`` (m,) the classes, ``first`` the number of
    the first row of ``total``. ``frame`` has what is done to the columns: ``second`` is the label of t = 1;
    ``shift`` and ``scale`` (d,), where there, are taken out of the columns that gradient descent sees;
    ``centre`` and ``unit`` (d,) out of those on which the optimum is looked for. ``compiled``: whether there
    are so many rows in all that compiled loops pay.
    """

    read: np.ndarray
    labels: np.ndarray
    first: int
    total: int
    frame: Numbers
    compiled: bool

    @cached_property
    def s(self) -> np.ndarray:
        """(m,), +1 for the second class, else −1."""
        return np.where(self.labels == self.frame["second"], 1.0, -1.0)

    @cached_property
    def t(self) -> np.ndarray:
        return 0.5 + 0.5 * self.s

    @cached_property
    def X(self) -> np.ndarray:
        """(m, d), the columns of gradient descent."""
        if "shift" not in self.frame:
            return self.read
        return (self.read - self.frame["shift"]) / self.frame["scale"]

    @cached_property
    def X1(self) -> np.ndarray:
        """(m, d+1), the same and ones."""
        return row_blocks.with_ones(self.X)

    @cached_property
    def Z(self) -> np.ndarray:
        """(m, d), the columns of the optimum, centred and scaled by powers of two."""
        return (self.read - self.frame["centre"]) / self.frame["unit"]


@dataclass(frozen=True)
class RowPass:
    """``work`` on each block, put together by ``ways``."""

    ways: tuple[str, ...]
    work: Callable[[Block, Numbers], Parts]


PASSES: dict[str, RowPass] = {}


def over_rows(*ways: str) -> Callable[[Callable[[Block, Numbers], Parts]], RowPass]:
    """Make a pass of a function, known by the function's name."""

    def made(work: Callable[[Block, Numbers], Parts]) -> RowPass:
        PASSES[work.__name__] = found = RowPass(ways, work)
        return found

    return made


# ------------------------------------------------------------------------------------- the data


def in_sample(block: Block) -> np.ndarray:
    """(m,), which rows are in the sample: where the share of those before passes a whole number."""
    rows = np.arange(block.first, block.first + len(block.labels))
    return np.asarray(rows * SAMPLE // block.total != (rows - 1) * SAMPLE // block.total)


@over_rows("min", "max", "sum", "min", "distinct", "join", "digest")
def survey_rows(block: Block, numbers: Numbers) -> Parts:
    """Least and largest of each column, sums, the first cell that is no number, classes, a sample, a digest.

    The cell is row times columns plus column, infinite where all are numbers, the class the last column.
    """
    X, labels = block.read, block.labels
    finite = np.isfinite(X)
    faulty = ~finite.all(axis=1)
    wrong = ~np.isfinite(labels) if labels.dtype.kind == "f" else labels == ""
    cell = np.inf
    if (labels.dtype.kind in "fUS" and wrong.any()) or faulty.any():
        bad = np.column_stack([~finite, np.broadcast_to(wrong, len(X))])
        row, column = np.argwhere(bad)[0]
        cell = float((block.first + row) * (X.shape[1] + 1) + column)
    chosen = in_sample(block)
    digest = hashlib.sha256(np.ascontiguousarray(X, "<f8").data)
    if labels.dtype.kind in "US":
        digest.update("\n".join(labels.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(labels, "<f8").data)
    return (
        X.min(axis=0),
        X.max(axis=0),
        X.sum(axis=0),
        np.array([cell]),
        np.unique(labels)[:MOST_CLASSES],
        X[chosen],
        np.frombuffer(digest.digest(), np.uint8),
    )


@over_rows("join")
def sample_classes(block: Block, numbers: Numbers) -> Parts:
    """t of the rows of the sample, which the survey has gathered."""
    return (block.t[in_sample(block)],)


@over_rows("sum", "sum", "sum")
def moments(block: Block, numbers: Numbers) -> Parts:
    """Sums and sums of squares about ``about`` (d,), and of each class the rows."""
    inner = block.read - numbers["about"]
    counts = np.array([np.sum(block.s < 0), np.sum(block.s > 0)], float)
    return inner.sum(axis=0), (inner**2).sum(axis=0), counts


@over_rows("sum")
def gram(block: Block, numbers: Numbers) -> Parts:
    """X1ᵀX1."""
    return (block.X1.T @ block.X1,)


# ------------------------------------------------------------------------------------- descent


@over_rows("sum", "sum")
def slopes(block: Block, numbers: Numbers) -> Parts:
    """Losses (r,) and gradients (d+1, r) at the weights ``W`` (d+1, r), summed."""
    return row_blocks.losses_and_slopes(block.X, block.s, numbers["W"], block.compiled)


@over_rows("sum")
def curvature(block: Block, numbers: Numbers) -> Parts:
    """Hessians (r, d+1, d+1) at the weights ``W`` (d+1, r), summed."""
    bends = row_blocks.curvatures(block.X, numbers["W"], block.compiled)
    return (row_blocks.hessians(block.X1, bends),)


@over_rows("sum")
def mean_curvature(block: Block, numbers: Numbers) -> Parts:
    """Σ (σ(a at ``high``) − σ(a at ``low``)) along, for segments from ``W0`` on: twice (r,), each (r,).

    ``unit`` (d+1, r) is the direction, ``change`` (d+1, r) the whole way; ``places`` (3, r) are low, middle
    and high, as shares of it.
    """
    a = block.X1 @ numbers["W0"]
    change, along = block.X1 @ numbers["change"], block.X1 @ numbers["unit"]
    y = [logistic(a + place * change) for place in numbers["places"]]
    return (np.array([np.sum((b - a) * along, axis=0) for a, b in pairwise(y)]),)


# ------------------------------------------------------------------------------------- optimum


@over_rows("sum", "sum", "sum", "max", "min", "min")
def newton(block: Block, numbers: Numbers) -> Parts:
    """At weights ``v`` (d+1,) of Z: loss, gradient, Hessian, the largest |Z ``step``|, the smallest
    σ(−m), and the smallest margin over the rounding of it.
    """
    v, step = numbers["v"], numbers["step"]
    Z1 = row_blocks.with_ones(block.Z)
    losses, slope = row_blocks.losses_and_slopes(block.Z, block.s, v[:, None], block.compiled)
    a = Z1 @ v
    e = np.exp(-np.abs(a))
    hessian = (Z1 * (e / (1.0 + e) ** 2)[:, None]).T @ Z1
    margins = block.s * a
    rounding = 8 * len(v) * np.finfo(float).eps * (np.abs(Z1) @ np.abs(v))
    return (
        losses,
        slope[:, 0],
        hessian,
        np.max(np.abs(Z1 @ step))[None],
        np.min(logistic(-margins))[None],
        np.min(margins - rounding)[None],
    )


@over_rows("sum")
def losses_at_trials(block: Block, numbers: Numbers) -> Parts:
    """Losses (r,) at weights ``V`` (d+1, r) of Z."""
    return (row_blocks.losses_and_slopes(block.Z, block.s, numbers["V"], block.compiled)[0],)


def bounds(shards: int, rows: int) -> Sequence[tuple[int, int]]:
    """The rows of each shard, from and to: as even as whole numbers can be."""
    return [(i * rows // shards, (i + 1) * rows // shards) for i in range(shards)]
