"""What a training is going to take, measured on a few batches: nothing is trained, nothing written."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from mlhw.result.recorder import Recorder
from mlhw.system.provenance import usable_cpus
from mlhw.vision.config import Config
from mlhw.vision.networks.head import set_learning
from mlhw.vision.training.announcement import cutting_warning
from mlhw.vision.training.batches import Batch, batch_sizes
from mlhw.vision.training.device import (
    deterministic_errors,
    find_device,
    memory_errors,
    torch_settings,
)
from mlhw.vision.training.preparation import Prepared, load_splits, prepare
from mlhw.vision.training.probe import MOST_IMAGES, RATIOS, STEPS, is_long_enough
from mlhw.vision.training.task import Task

TIMED = 3  # batches, after one that warms up
HEAD_STEPS = 30


@dataclass(frozen=True)
class Work:
    """How long things take, in seconds.

    ``image``: one image through the network, read and decoded; ``head_step``: a batch of stored features,
    for the head; ``open_step``: a batch of images, for all that is unfrozen, None where nothing ever is.
    """

    image: float
    head_step: float
    open_step: float | None


@dataclass(frozen=True)
class Memory:
    """Bytes: of the decoded images, the stored features, the parameters with their gradients and what
    the optimizer keeps of them, and of what a step keeps for its gradients."""

    images: int
    features: int
    parameters: int
    step: int

    @property
    def total(self) -> int:
        return self.images + self.features + self.parameters + self.step


@dataclass(frozen=True)
class Rehearsal:
    """A prepared training, and what it is going to take."""

    prepared: Prepared
    task: Task
    work: Work
    memory: Memory

    @property
    def frozen_epochs(self) -> int:
        plan = self.task.plan
        return sum(plan.frozen(epoch) for epoch in range(plan.epochs))

    def seconds(self) -> dict[str, float]:
        """Estimated: of storing features, the frozen epochs, trying rates, the open epochs, the test, all.

        The comparison with random weights takes as long again as the training that it goes through; ``total``
        is of all repeats.
        """
        config, task, splits = self.prepared.config, self.task, self.prepared.splits
        train, val = len(splits.train), len(splits.val)
        frozen = self.frozen_epochs
        opened = task.plan.epochs - frozen
        batches = len(batch_sizes(config, train))
        of_epochs = -(-frozen // config.val_every), -(-opened // config.val_every)
        stored = 0.0
        each = batches * self.work.head_step
        if task.store is not None:
            views = 0 if task.recomputes else max(config.views, 1)
            stored = (views * train + val) * self.work.image if frozen else 0.0
            each += task.recomputes * train * self.work.image
            first = frozen * each
        else:
            first = frozen * (each + train * self.work.image) + of_epochs[0] * val * self.work.image
        later = (
            opened * batches * (self.work.open_step or 0.0) + of_epochs[1] * val * self.work.image
        )
        test = len(splits.test) * self.work.image if splits.test else 0.0
        found = {"features": stored, "frozen": first, "probe": self._probe(), "open": later}
        found["test"] = test
        compared = sum(found.values()) if config.compare != "none" else 0.0
        if config.compare == "first-open" and opened:
            # One of the epochs with all layers, and no test.
            compared = stored + first + later / opened
        found["comparison"] = compared
        return {**found, "total": config.repeats * sum(found.values())}

    def _probe(self) -> float:
        """Seconds of trying rates for the backbone, where that is still to be done."""
        optim = self.prepared.config.optim
        if not self.work.open_step or not (optim.backbone_lr == "auto" or optim.find_lr):
            return 0.0
        if not is_long_enough(
            len(batch_sizes(self.prepared.config, len(self.prepared.splits.train)))
        ):
            return 0.0
        judging = (len(RATIOS) + 1) * min(MOST_IMAGES, len(self.prepared.splits.train))
        return len(RATIOS) * STEPS * self.work.open_step + judging * self.work.image


def rehearse(config: Config, recorder: Recorder) -> Rehearsal:
    """Prepare the training that ``config`` describes, and measure a few batches of it.

    Raises ConfigError or DataError for what cannot be used, RunError where memory is too small.
    """
    device = find_device(config.device)
    threads = usable_cpus() if config.threads == "auto" else config.threads
    with (
        torch_settings(threads, device, config.deterministic),
        memory_errors(config.batch_size),
        deterministic_errors(),
    ):
        splits = load_splits(config, recorder, remember=False)
        prepared = prepare(config, recorder, device, threads, splits)
        task = prepared.task(recorder, on_disk=False)
        if warning := cutting_warning(prepared):
            recorder.warn(warning)
        recorder.log("measuring a few batches")
        trial = _copied(prepared, recorder)
        per_image = _forward_seconds(trial)
        head_step = _head_seconds(trial)
        open_step, kept = _open_step(trial)
        memory = Memory(_image_bytes(task), _feature_bytes(task), _parameter_bytes(trial), kept)
        return Rehearsal(prepared, task, Work(per_image, head_step, open_step), memory)


def _copied(prepared: Prepared, recorder: Recorder) -> Task:
    """The same task with copies of network and optimizer, which may be trained; they are not compiled."""
    network = copy.deepcopy(prepared.network)
    return replace(prepared, network=network).task(recorder, on_disk=False)


# ------------------------------------------------------------------------------------- time


def _timed(task: Task, steps: Iterable[Callable[[], None]]) -> float:
    """Mean seconds of the steps after the first, or of the first if it is the only one."""
    seconds = []
    for step in steps:
        started = time.perf_counter()
        step()
        if task.device.type == "cuda":
            torch.cuda.synchronize(task.device)
        seconds.append(time.perf_counter() - started)
    return float(np.mean(seconds[1:] or seconds))


def _forward_seconds(task: Task) -> float:
    """Seconds of one image, from its file through the network, without gradients."""
    task.network.eval()
    size = min(task.train.evaluation_batch, len(task.train))
    indices = np.resize(np.arange(len(task.train)), (TIMED + 1) * size)
    batches = task.train.batches(indices, size)

    def step() -> None:
        with torch.inference_mode():
            task.network(next(batches)[0])

    return _timed(task, itertools.repeat(step, TIMED + 1)) / size


def _head_seconds(task: Task) -> float:
    """Seconds of a step of the head on stored features; they are drawn, as their values do not matter."""
    set_learning(task.network, task.backbone, len(task.backbone.stages), batch_norm="eval")
    count = min(task.config.batch_size, len(task.train))
    features = torch.randn(count, task.backbone.features, device=task.device)
    labels = torch.from_numpy(task.train.images.labels[:count]).to(task.device)

    def step() -> None:
        task.optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(task.network.head(features), labels).backward()  # type: ignore[no-untyped-call]
        task.optimizer.step()

    return _timed(task, itertools.repeat(step, HEAD_STEPS))


def _open_step(task: Task) -> tuple[float | None, int]:
    """Seconds of a step of what is unfrozen in the end, and bytes that it keeps for the gradients."""
    plan = task.plan
    if not plan.ever_unfreezes:
        return None, 0
    first = plan.first_open_stage(plan.epochs - 1)
    set_learning(task.network, task.backbone, first, batch_norm=task.config.batch_norm)
    batches = task.training_batches(plan.epochs - 1, 0)
    found = list(itertools.islice(batches, TIMED + 1))
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in task.network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def steps() -> Iterator[Callable[[], None]]:
        for number, batch in enumerate(found):
            yield lambda batch=batch, first=not number: step(batch, first)  # type: ignore[misc]

    def step(batch: Batch, first: bool) -> None:
        inputs, labels = batch
        task.optimizer.zero_grad(set_to_none=True)
        with torch.autograd.graph.saved_tensors_hooks(keep if first else _same, _same):
            loss = functional.cross_entropy(task.network(inputs), labels)
        task.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        task.scaler.step(task.optimizer)
        task.scaler.update()

    return _timed(task, steps()), sum(kept.values())


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


# ------------------------------------------------------------------------------------- memory


def _image_bytes(task: Task) -> int:
    parts = [loader.images for loader in (task.train, task.val)]
    return sum(int(np.prod(part.sizes, axis=1).sum()) * 3 for part in parts if part.resident)


def _feature_bytes(task: Task) -> int:
    if task.store is None:
        return 0
    views = 1 if task.recomputes else max(task.config.views, 1)
    return (views * len(task.train) + len(task.val)) * task.store.width * 4


def _parameter_bytes(task: Task) -> int:
    """Of the trial after a step: parameters, buffers, gradients, what the optimizer keeps, the average."""
    networks = [task.network, *([task.average.network] if task.average else [])]
    tensors = [t for network in networks for t in (*network.parameters(), *network.buffers())]
    tensors += [p.grad for p in task.network.parameters() if p.grad is not None]
    for values in task.optimizer.state.values():
        tensors += [value for value in values.values() if isinstance(value, torch.Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)
