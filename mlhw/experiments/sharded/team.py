"""Passes over all rows by one process or several, each with threads: the same bits whoever does what.

Rows are cut into shards, whose number is a power of two. A shard is gone through block by block, on one
thread and with one thread of BLAS, and its sums go up a binary tree (``maths.tree``). A process has
neighbouring shards, a whole branch of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mlhw.experiments.sharded import checks  # noqa: F401 - its passes are known then
from mlhw.experiments.sharded.passes import PASSES, Block, Numbers, RowPass, bounds
from mlhw.experiments.sharded.wire import packed
from mlhw.maths.tree import Parts, joined, up_the_tree
from mlhw.points.row_files import RowFiles
from mlhw.system.provenance import usable_cpus

BLOCK = 1 << 17
"""Numbers in a block, 1 MB, as long as it has 512 rows."""
READ = 1 << 19
"""And so many are read at once."""


def block_rows(columns: int) -> int:
    """Rows of a block; it depends on nothing that differs between processes."""
    return max(512, 1 << (BLOCK // columns).bit_length() - 1)


@dataclass
class Shards:
    """The shards of one process, ``own`` of ``count``: all of them where it works alone.

    ``columns`` are the places of the features and of the class in ``files``. Rows are kept in memory up to
    ``memory`` bytes; the others are read again in each pass.
    """

    files: RowFiles
    columns: list[int]
    count: int
    own: range
    memory: int
    compiled: bool = False
    threads: int = field(default_factory=usable_cpus)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    ended: bool = False

    def __post_init__(self) -> None:
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(min(self.threads, len(self.own)))

    def close(self) -> None:
        self.ended = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def keep(self, columns: list[int]) -> None:
        """Go on with these columns. What is in memory is read anew."""
        if columns != self.columns:
            self.columns = columns
            self._kept.clear()
            self._bytes = 0

    def part(self, name: str, numbers: Numbers) -> Parts | None:
        """What a pass finds in the shards of this process."""
        one = PASSES[name]
        found = self._pool.map(lambda number: self._shard(one, number, numbers), self.own)
        return up_the_tree(one.ways, list(found))

    def _shard(self, one: RowPass, number: int, numbers: Numbers) -> Parts | None:
        total: Parts | None = None
        for block in self._blocks(number):
            if self.ended:
                break
            with np.errstate(over="ignore", invalid="ignore"):
                total = joined(one.ways, total, one.work(block, numbers))
        return total

    def _blocks(self, number: int) -> Iterator[Block]:
        start, stop = bounds(self.count, self.files.rows)[number]
        size = block_rows(len(self.columns))
        at_once = size * max(1, READ // (size * len(self.columns)))
        for first in range(start, stop, at_once):
            last = min(stop, first + at_once)
            if last < stop and last not in self._kept:
                self.files.ahead(last, min(stop, last + at_once))
            X, labels = self._rows(first, last)
            for k in range(0, last - first, size):
                part = slice(k, k + size)
                yield Block(
                    X[part], labels[part], first + k, self.files.rows, self.numbers, self.compiled
                )

    def _rows(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows from memory, or from their file."""
        kept = self._kept.get(first)
        if kept is not None:
            return kept
        X, labels = self.files.read(first, last, self.columns)
        held = X.base if isinstance(X.base, np.ndarray) else X
        size = held.nbytes + labels.nbytes
        with self._lock:
            if self._bytes + size <= self.memory:
                self._kept[first] = X, labels
                self._bytes += size
        return X, labels


@dataclass
class Crew:
    """All processes, of which this one leads: it says what is asked, and has the top of the tree.

    ``ask`` sends bytes to all others, ``climb`` puts this process's branch of the tree together with theirs;
    both are None where it works alone.
    """

    shards: Shards
    ask: Callable[[bytes], None] | None = None
    climb: Callable[[RowPass, Parts | None], Parts | None] | None = None

    @property
    def rows(self) -> int:
        return self.shards.files.rows

    def frame(self, numbers: Numbers) -> None:
        self._tell("frame", numbers)
        self.shards.numbers = dict(numbers)

    def keep(self, columns: list[int]) -> None:
        self._tell("keep", {"columns": np.array(columns)})
        self.shards.keep(columns)

    def over(self, one: RowPass, **numbers: np.ndarray) -> Parts:
        name = one.work.__name__
        self._tell(name, numbers)
        found = self.shards.part(name, numbers)
        if self.climb is not None:
            found = self.climb(one, found)
        assert found is not None  # there is at least one row
        return found

    def end(self) -> None:
        self._tell("end", {})
        self.shards.close()

    def _tell(self, name: str, numbers: Numbers) -> None:
        if self.ask is not None:
            self.ask(packed(name, numbers))
