"""The first passes over rows in shards, and the beginning of the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlhw.experiments.sharded.columns import Read, keep_varying, read_columns
from mlhw.experiments.sharded.problem import ShardedProblem
from mlhw.experiments.sharded.team import Crew
from mlhw.experiments.sweeps.problem import SweepConfig, check_start
from mlhw.maths.descent import start_weights
from mlhw.result.recorder import Recorder


def problem_of(
    config: SweepConfig, crew: Crew, names: tuple[str, ...], iterations: int
) -> ShardedProblem:
    """What the first passes make of the rows. DataError or ConfigError for what cannot be used."""
    files = crew.shards.files
    name = config.data.file or config.data.name or ""
    read = read_columns(crew, files, name, names, tuple(crew.shards.columns))
    scaling = None
    if config.standardize:
        read = keep_varying(crew, read)
        scaling = {"mean": read.mean.tolist(), "standard_deviation": read.deviation.tolist()}
    d = len(read.names)
    check_start(config.w0, d)
    crew.frame(frame_of(read, standardize=config.standardize))
    patience = int(np.clip(4 * iterations / d, 3, 2000))
    found = ShardedProblem(crew, read, read.classes, start_weights(config.w0, d), scaling, patience)
    _ = found.shown  # figures are drawn when the rows are no longer at hand
    return found


def frame_of(read: Read, *, standardize: bool) -> dict[str, np.ndarray]:
    """What every block does to its columns."""
    found = {"second": read.labels[1], "centre": read.centre, "unit": read.unit}
    if standardize:
        found |= {"shift": read.mean, "scale": read.deviation}
    return found


def begin(
    config: SweepConfig, problem: ShardedProblem, notes: Sequence[str], recorder: Recorder
) -> None:
    """Begin the run and log what was recognised in the rows."""
    read = problem.read
    before = config.data.digest
    data = config.data.model_copy(update={"digest": read.digest})
    recorder.begin(config.model_copy(update={"data": data}), data_digest=read.digest)
    kind = read.digest.partition(":")[0]
    if before is not None and before.partition(":")[0] == kind and before != read.digest:
        recorder.warn(f"{read.name}: the data has changed: it was {before}, it is {read.digest}")
    for note in (*notes, *read.notes):
        recorder.log(f"{read.name}: {note}")
    a, b = problem.classes
    recorder.log(
        f"{read.name}: {problem.n} points, {problem.d} features; class {a} is t = 0, class {b} is t = 1"
    )
    if not config.standardize and read.advice:
        recorder.log(f"{read.name}: {read.advice}")
    if problem.no_optimum is not None:
        recorder.log(f"{read.name}: {problem.no_optimum}")
