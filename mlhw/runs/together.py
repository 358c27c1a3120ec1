"""A run in several processes: process 0 makes its folder and speaks, the others take part in its work.

They get its configuration from process 0, call the same ``run`` with a recorder that keeps all in memory,
and end with its exit code once it has recorded how the run ended.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from mlhw.errors import FAILED, Interrupted, UsageError
from mlhw.result.recorder import Recorder
from mlhw.system import provenance
from mlhw.system.interrupts import UNWINDING, Interrupts
from mlhw.system.ranks import (
    LEAVING,
    CalledOffError,
    ProcessGroup,
    together,
)
from mlhw.system.torchrun import Ranks, of_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlhw.config.model import ExperimentConfig
    from mlhw.result.result import Result


class Sharing(Protocol):
    """An experiment that several processes can work on."""

    @property
    def Config(self) -> type[ExperimentConfig]: ...
    @property
    def run(self) -> Callable[..., Result]: ...


class FollowingRecorder(Recorder):
    """The recorder of a process other than the first: silent, and without files."""

    def __init__(self, group: ProcessGroup, interrupts: Interrupts) -> None:
        super().__init__()
        self.group = group
        self.interrupts = interrupts

    @contextmanager
    def holding_interrupts(self, patience: float = UNWINDING) -> Iterator[None]:
        with self.interrupts.hold(patience):
            yield

    def progress(self, done: float, total: float, what: str) -> None:
        self.interrupts.raise_pending()


@contextmanager
def leading(config: ExperimentConfig, interrupts: Interrupts) -> Iterator[ProcessGroup | None]:
    """The processes that work on the run of ``config``, from process 0's side; None where it is alone.

    Raises UsageError if they do not come.
    """
    ranks = of_environment()
    if ranks is None:
        yield None
        return
    with together(ranks) as group:
        with interrupts.released():
            given = {
                "version": provenance.own_version(),
                "config": config.model_dump(mode="python"),
            }
            group.broadcast(json.dumps(given).encode())
        yield group


def take_part(experiment: Sharing, ranks: Ranks) -> int:
    """Take part in a run as one of the other processes; the exit code of process 0.

    Raises UsageError where the processes do not come together.
    """
    warnings.simplefilter("ignore")  # process 0 has the same
    try:
        return _followed(experiment, ranks)
    except CalledOffError as error:
        return error.code


def _followed(experiment: Sharing, ranks: Ranks) -> int:
    with Interrupts(repeats_end=False) as interrupts, together(ranks) as group:
        interrupts.last_words = group.leave  # and process 0 says the rest
        try:
            experiment.run(
                experiment.Config.model_validate(_given(group)),
                FollowingRecorder(group, interrupts),
            )
        except (Exception, Interrupted) as error:
            group.leave(error)
            interrupts.acknowledge()
            code = group.wait_end(LEAVING)
        else:
            code = group.wait_end()
        interrupts.ended(FAILED if code is None else code)
    return FAILED if code is None else code


def _given(group: ProcessGroup) -> Any:
    """The configuration of the run. Raises UsageError where process 0 is another version of mlhw."""
    given = json.loads(group.broadcast(None))
    own = provenance.own_version()
    if given["version"] != own:
        raise UsageError(f"has mlhw {own}, and process 0 mlhw {given['version']}; install the same")
    return given["config"]
