"""TensorBoard and MLflow, where they are asked for: rows as they come, the rest at the end.

A tracker that fails gives one warning and is not used again; it never stops a run. Neither package is a
dependency.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mlhw.errors import ConfigError
from mlhw.experiments.curves import Curves
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.text.values import flat, number_text


class Tracker(Protocol):
    """What a run tells a tracker."""

    def rows(self, table: Table, rows: Sequence[Sequence[Any]]) -> None: ...

    def finish(self, result: Result | None, status: str) -> None: ...


class Scalar(NamedTuple):
    """One number of a row: of which curve, of which group of rows (``eta=0.5``, or none), at which step."""

    name: str
    group: str
    value: float
    step: int


def scalars(table: Table, rows: Sequence[Sequence[Any]], curves: Curves | None) -> list[Scalar]:
    """Rows as numbers: each that is no step or group.

    A table without the experiment's column of steps has none. Of several repeats only the first is
    tracked, as in the log.
    """
    if curves is None or not curves.steps or curves.x not in table.columns:
        return []
    found = []
    for row in rows:
        values = dict(zip(table.columns, row, strict=True))
        if curves.repeats is not None and values.get(curves.repeats, 0) != 0:
            continue
        group = " ".join(
            f"{name}={number_text(values[name])}" for name in curves.groups if name in values
        )
        found += [
            Scalar(name, group, float(value), int(values[curves.x]))
            for name, value in values.items()
            if name not in curves.keys
            and isinstance(value, (int, float))
            and not isinstance(value, bool)
        ]
    return found


def check_installed(tensorboard: bool, mlflow: str | None) -> None:
    """Raise ConfigError, naming the remedy, if what was asked for is not installed."""
    for asked, option, package in (
        (tensorboard, "--tensorboard", "tensorboard"),
        (mlflow is not None, "--mlflow", "mlflow"),
    ):
        if asked and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"{option}: {package} is not installed; pip install 'mlhw[{package}]' brings it"
            )


class Careful:
    """A tracker whose first error becomes a warning; after it the tracker is not called again."""

    def __init__(self, name: str, make: Callable[[], Tracker], warn: Callable[[str], None]) -> None:
        self._name = name
        self._warn = warn
        self._tracker: Tracker | None = None
        with self._guard():
            self._tracker = make()

    def rows(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        if self._tracker is not None:
            with self._guard():
                self._tracker.rows(table, rows)

    def finish(self, result: Result | None, status: str) -> None:
        if self._tracker is not None:
            with self._guard():
                self._tracker.finish(result, status)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Whatever a tracker's library raises: the run is worth more than its record there.
            self._tracker = None
            first = (str(error).splitlines() or [type(error).__name__])[0]
            self._warn(f"{self._name} is not kept up to date any more: {first}")


def event_folder(run: Path) -> Path:
    """Where the event files of a run folder lie: ``runs/tensorboard/RUN``.

    Not in the run: TensorBoard follows links, and would find each newest run a second time by ``latest``.
    """
    return run.parent / "tensorboard" / run.name


class TensorBoard:
    """Event files beside the run folders: ``tensorboard --logdir runs/tensorboard`` shows them.

    Each rate is a run of TensorBoard's own, ``RUN/eta=0.5``, and its curves are called alike, so that the
    rates lie over each other in one chart.
    """

    def __init__(self, folder: Path, curves: Curves | None) -> None:
        # Here and not where it is used: a package that is missing or broken is to fail at the start.
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._folder = folder
        self._curves = curves
        self._new_writer = EventFileWriter
        self._writers: dict[str, Any] = {}

    def rows(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        for name, group, value, step in scalars(table, rows, self._curves):
            self._add(group, step, tag=f"{table.name}/{name}", simple_value=value)
        for writer in self._writers.values():
            writer.flush()

    def finish(self, result: Result | None, status: str) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for plot in result.plots if result else ():
            path = self._folder / "plots" / f"{plot.name}.png"
            if path.exists():
                image = Summary.Image(encoded_image_string=path.read_bytes(), colorspace=4)
                self._add("", 0, tag=f"plots/{plot.name}", image=image)
        for writer in self._writers.values():
            writer.close()

    def _add(self, group: str, step: int, **value: Any) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if group not in self._writers:
            self._writers[group] = self._new_writer(str(event_folder(self._folder) / group))
        summary = Summary(value=[Summary.Value(**value)])
        self._writers[group].add_event(Event(wall_time=time.time(), step=step, summary=summary))


_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_BATCH = 1000  # metrics in one request, MLflow's own limit
_LONGEST = 6000  # characters of a parameter's value, likewise


class MLflow:
    """A run in MLflow's experiment ``mlhw``: parameters, metrics, and the run folder as artefacts."""

    def __init__(
        self,
        uri: str | None,
        folder: Path,
        experiment: str,
        config: dict[str, Any],
        curves: Curves | None,
    ) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._folder = folder
        self._curves = curves
        self._client = MlflowClient(tracking_uri=uri or None)
        found = self._client.get_experiment_by_name("mlhw")
        identity = found.experiment_id if found else self._client.create_experiment("mlhw")
        run = self._client.create_run(
            identity, run_name=folder.name, tags={"experiment": experiment}
        )
        self._id = run.info.run_id
        params = [Param(key, str(value)[:_LONGEST]) for key, value in flat(config)]
        self._client.log_batch(self._id, params=params)

    def rows(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        import time

        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [
            # MLflow allows no "=" in a metric's name.
            Metric(
                "/".join(filter(None, (table.name, name, group.replace("=", " ")))),
                value,
                now,
                step,
            )
            for name, group, value, step in scalars(table, rows, self._curves)
        ]
        for first in range(0, len(metrics), _BATCH):
            self._client.log_batch(self._id, metrics=metrics[first : first + _BATCH])

    def finish(self, result: Result | None, status: str) -> None:
        for claim in result.claims if result else ():
            self._client.set_tag(self._id, f"claim.{claim.id}", claim.verdict)
        for seen in result.observations if result else ():
            self._client.set_tag(self._id, f"observation.{seen.id}", seen.verdict)
        self._client.log_artifacts(self._id, str(self._folder))
        self._client.set_terminated(self._id, _STATUS.get(status, "FAILED"))
