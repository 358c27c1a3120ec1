"""Processes that share the shards of one run: process 0 asks, all go through their rows, sums come up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mlhw.errors import ConfigError, DataError
from mlhw.experiments.sharded.passes import PASSES, RowPass
from mlhw.experiments.sharded.rows import rows_named
from mlhw.experiments.sharded.team import Crew, Shards
from mlhw.experiments.sharded.wire import packed, unpacked
from mlhw.experiments.sweeps.problem import SweepConfig
from mlhw.maths import row_blocks
from mlhw.maths.tree import Parts, up_the_tree
from mlhw.system.machine_code import keep
from mlhw.system.provenance import usable_cpus
from mlhw.text.values import is_digits

if TYPE_CHECKING:
    from mlhw.system.ranks import ProcessGroup


def check_processes(shards: int, processes: int) -> None:
    """Raise ConfigError where so many processes cannot share the shards evenly."""
    if shards % processes or processes & (processes - 1):
        fitting = [str(1 << i) for i in range(shards.bit_length())]
        raise ConfigError(
            f"shards: {processes} processes cannot share {shards} shards; start "
            f"{', '.join(fitting[:-1])} or {fitting[-1]} of them, or more shards"
            if shards > 1
            else f"shards: one shard is for one process, not for {processes}; give more shards"
        )


@contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """With two, sums have other bits, whatever the environment says."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


class Muster:
    """The shards of this process and the others', from one configuration that all have."""

    def __init__(self, config: SweepConfig, shards: int, memory: int, work: int) -> None:
        self.config, self.count, self.memory, self.work = config, shards, memory, work

    def shards(self, rank: int, processes: int) -> tuple[Shards, Sequence[str], tuple[str, ...]]:
        """Those of process ``rank``, with notes and the names of the features."""
        files, names, places, notes = rows_named(self.config.data)
        each = self.count // processes
        compiled = files.rows * self.work >= row_blocks.WORTH_COMPILING
        if compiled:
            _keep_code()
        return (
            Shards(
                files,
                list(places),
                self.count,
                range(rank * each, (rank + 1) * each),
                self.memory,
                compiled,
                max(1, usable_cpus() // processes_here()),
            ),
            notes,
            names,
        )


def processes_here() -> int:
    """How many of the processes are on this machine, as torchrun says."""
    said = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(said) if is_digits(said) and int(said) else 1


def _keep_code() -> None:
    for loop in row_blocks.loops():
        keep(loop)


def lead(muster: Muster, group: ProcessGroup | None) -> tuple[Crew, Sequence[str], tuple[str, ...]]:
    """The crew, once every process has opened its rows. DataError where one cannot."""
    processes = 1 if group is None else group.world
    check_processes(muster.count, processes)
    if group is None:
        shards, notes, names = muster.shards(0, 1)
        return Crew(shards), notes, names
    shards, notes, names = muster.shards(group.rank, processes)
    told = _told(shards, names)
    for rank, answer in enumerate(map(json.loads, group.gather(json.dumps(told).encode()))):
        if answer != told:
            raise DataError(f"process {rank} of {processes}: {_difference(told, answer)}")
    return Crew(shards, partial(_asked, group), partial(climb, group)), notes, names


def _told(shards: Shards, names: tuple[str, ...]) -> list[str]:
    """What has to be the same in all processes."""
    return [f"{shards.files.rows:,} rows", f"the features {', '.join(names[:20])}"]


def _difference(told: list[str], answer: list[str]) -> str:
    found = [
        f"{there}, here {here}" for there, here in zip(answer, told, strict=True) if there != here
    ]
    return "has other data: " + "; ".join(found)


def _asked(group: ProcessGroup, data: bytes) -> None:
    group.broadcast(data)


def climb(group: ProcessGroup, one: RowPass, part: Parts | None) -> Parts | None:
    """Send one's branch of the tree to process 0, which puts all of them together; there, the whole."""
    arrays = {} if part is None else {str(i): array for i, array in enumerate(part)}
    branches = _gathered(group, packed("", arrays))
    found = [tuple(unpacked(branch)[1].values()) or None for branch in branches]
    return up_the_tree(one.ways, found) if found else None


def _gathered(group: ProcessGroup, data: bytes) -> list[bytes]:
    """``data`` of every process, at process 0 alone: the others get nothing, and have nothing to wait for.

    Not by messages between two of them: gloo cannot be asked whether one of these has arrived.
    """
    import torch
    from torch import distributed

    own = torch.tensor([len(data)])
    sizes = [torch.zeros_like(own) for _ in range(group.world)]
    group.wait(distributed.all_gather(sizes, own, async_op=True))
    longest = max(int(size) for size in sizes)
    padded = torch.frombuffer(bytearray(data.ljust(longest, b"\0")), dtype=torch.uint8)
    parts = [torch.empty_like(padded) for _ in range(group.world)] if group.leads else None
    group.wait(distributed.gather(padded, parts, async_op=True))
    return [
        bytes(part.numpy()[: int(size)]) for part, size in zip(parts or (), sizes, strict=False)
    ]


@contextmanager
def crew_led(
    muster: Muster, group: ProcessGroup | None
) -> Iterator[tuple[Crew, Sequence[str], tuple[str, ...]]]:
    """``lead``, and at the end the others are let go."""
    with one_thread_of_blas():
        crew, notes, names = lead(muster, group)
        try:
            yield crew, notes, names
            crew.end()
        finally:
            crew.shards.close()


def follow_crew(muster: Muster, group: ProcessGroup) -> None:
    """Do what process 0 asks for, until it says that all is done. Nothing is written or said."""
    check_processes(muster.count, group.world)
    shards, _, names = muster.shards(group.rank, group.world)
    group.gather(json.dumps(_told(shards, names)).encode())
    try:
        with one_thread_of_blas():
            _serve(shards, group)
    finally:
        shards.close()


def _serve(shards: Shards, group: ProcessGroup) -> None:
    while True:
        name, arrays = unpacked(group.broadcast(None))
        if name == "end":
            return
        if name == "frame":
            shards.numbers = arrays
        elif name == "keep":
            shards.keep(arrays["columns"].tolist())
        else:
            climb(group, PASSES[name], shards.part(name, arrays))
