"""Where a run stands, as it is saved: ``Progress``, the network, the optimizer, the generators."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from mlhw.vision.training.checkpoints import FORMAT, tensor_digests
from mlhw.vision.training.columns import EPOCH_COLUMNS
from mlhw.vision.training.probe import Probe
from mlhw.vision.training.sharing import learning_statistics

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.vision.training.task import Task


@dataclass
class Progress:
    """Where a run stands. JSON values only.

    ``epoch`` epochs are complete and ``batch`` batches of the next one; ``step`` counts the optimizer's
    steps from the start. In ``skipped_steps`` float16 gradients overflowed: the optimizer made no step, and
    the loss is scaled less from then on.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    training_seconds: float = 0.0
    seconds: float = 0.0
    best_epoch: int | None = None
    best_loss: float = math.nan
    best_accuracy: float = math.nan
    best_balanced_accuracy: float = math.nan
    best_macro_f1: float = math.nan
    waited: int = 0
    stopped: bool = False
    skipped_steps: int = 0
    rows: list[list[Any]] = field(default_factory=list)
    changed_while_frozen: int | None = None
    stored_loss: float | None = None
    recomputed_loss: float | None = None
    probe: dict[str, Any] | None = None
    warned: bool = False
    _texts: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def saved(self) -> dict[str, Any]:
        """The values as they are saved. Of the rows, which come one by one and stay, their JSON: a save would
        otherwise take the longer the more epochs there have been."""
        self._texts += [json.dumps(row) for row in self.rows[len(self._texts) :]]
        found = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.init}
        return {**found, "rows": f"[{', '.join(self._texts)}]"}

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Progress:
        """From what was saved, by an earlier version too."""
        rows = saved["rows"]
        rows = json.loads(rows) if isinstance(rows, str) else rows
        return cls(**{**saved, "rows": [with_all_columns(row) for row in rows]})

    @property
    def probed(self) -> Probe | None:
        """What was found out about the backbone's rate, once it is."""
        return Probe(**self.probe) if self.probe else None


def state(task: Task, progress: Progress) -> dict[str, Any]:
    """All that ``restore`` needs to go on as if nothing had happened: tensors and JSON values."""
    cuda = task.device.type == "cuda"
    return {
        "format": FORMAT,
        "progress": progress.saved(),
        "sums": task.sums.cpu(),
        "network": task.network.state_dict(),
        "average": task.average.network.state_dict() if task.average else None,
        "optimizer": task.optimizer.state_dict(),
        "scaler": task.scaler.state_dict(),
        "generators": {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(task.device) if cuda else None,
        },
        "data": task.metadata["data"],
    }


def restore(task: Task, saved: Mapping[str, Any]) -> Progress:
    """Put ``task`` and torch's generators into a saved state, and give the progress made."""
    put_into(task, saved)
    progress = Progress.restored(saved["progress"])
    if not progress.batch and task.plan.ends_stretch(progress.epoch - 1):
        progress.waited, progress.stopped = 0, False
    return progress


def put_into(task: Task, saved: Mapping[str, Any]) -> None:
    """Give network, average, optimizer, sums and torch's generators what was saved of them."""
    task.network.load_state_dict(saved["network"])
    if task.average is not None:
        task.average.network.load_state_dict(saved["average"])
    task.optimizer.load_state_dict(saved["optimizer"])
    task.scaler.load_state_dict(saved["scaler"])
    task.sums[: len(saved["sums"])] = saved["sums"]
    torch.set_rng_state(saved["generators"]["cpu"])
    if task.device.type == "cuda":
        torch.cuda.set_rng_state(saved["generators"]["cuda"], task.device)


# ------------------------------------------------------------------------------------- several processes


def shared_start(task: Task, progress: Progress) -> Progress:
    """The progress of process 0, with whose state ``task`` goes on in every process."""
    group = task.group
    if group is None:
        return progress
    content = group.broadcast(_bytes(state(task, progress)) if group.leads else None)
    return progress if group.leads else restore(task, _state_in(content))


def keep_alike(task: Task, progress: Progress, recorder: Recorder) -> None:
    """Give all processes the network of process 0, with a warning, should theirs be another.

    The same sums of gradients make the same steps, but for the last bits of other kinds of processors.
    """
    group = task.group
    assert group is not None
    learning = [p for p in task.network.parameters() if p.requires_grad]
    tensors = dict(enumerate([*learning, *learning_statistics(task.network)]))
    own = tensor_digests({str(number): tensor for number, tensor in tensors.items()})
    digests = group.gather("".join(own.values()).encode())
    other = [str(rank) for rank, digest in enumerate(digests) if digest != digests[0]]
    if not other:
        return
    content = group.broadcast(_bytes(state(task, progress)) if group.leads else None)
    if not group.leads:
        put_into(task, _state_in(content))
    recorder.warn(
        f"the weights of process {', '.join(other)} differed from those of process 0 after epoch "
        f"{progress.epoch}, as on processors of another kind; they have been made the same"
    )


def _bytes(found: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(found), buffer)
    return buffer.getvalue()


def _state_in(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return found


def with_all_columns(row: list[Any]) -> list[Any]:
    """A row of ``metrics.csv``; what an earlier version did not note is empty."""
    if len(row) == len(EPOCH_COLUMNS):
        return row
    place = list(EPOCH_COLUMNS).index("backbone_lr")
    missing = len(EPOCH_COLUMNS) - len(row) - 1
    return [*row[:place], None, *row[place:], *[None] * missing]
