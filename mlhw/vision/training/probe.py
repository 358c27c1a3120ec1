"""Which rate a pre-trained backbone bears: a few steps at each of several, on copies, judged by the loss.

A rate that is right for a new head can undo in ten steps what the backbone has learnt. Smith 2017
(arXiv:1506.01186, section 3.3) finds rates by trying them; here each starts from the same state, and
what decides is the loss of training images that its steps have not seen.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from mlhw.text.words import quantity
from mlhw.vision.networks.head import set_full_rates, set_learning
from mlhw.vision.training.batches import batch_sizes, pieces
from mlhw.vision.training.checkpoints import tensor_digests
from mlhw.vision.training.columns import EPOCH_COLUMNS
from mlhw.vision.training.draws import draws_in_training, keyed_draws
from mlhw.vision.training.sharing import (
    GradientSums,
    gathered,
    learning_statistics,
    share_of,
)

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.system.ranks import ProcessGroup
    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.schedules import Plan
    from mlhw.vision.training.batches import Batch
    from mlhw.vision.training.task import Task

RATIOS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""The rates that are tried, as shares of the head's."""
STEPS = 3
MOST_IMAGES = 256
UNTRIED = 0.03
"""The share of the head's rate where there are too few images to try any."""
CLEARLY = 3.0
"""Standard errors by which accuracies differ that differ by no accident."""


@dataclass(frozen=True)
class Probe:
    """What ``STEPS`` steps at each rate did to the mean loss of ``images`` other training images.

    Attributes:
        chosen: the rate for the backbone; ``why`` in words.
        images: number of the images that judge; 0 where nothing was tried.
        before: their mean loss (cross-entropy, not smoothed) before any step.
        rates: falling; empty where nothing was tried.
        losses: their mean loss after the steps at each rate.
        excess: by how much that is above ``before``.
        errors: the standard error of this paired difference.
        given: the rate of the configuration, where it leaves nothing to choose.
        changed: tensors of the network and the optimizer that are no longer what they were: none.
    """

    chosen: float
    why: str
    images: int
    before: float
    rates: list[float]
    losses: list[float]
    excess: list[float]
    errors: list[float]
    given: float | None
    changed: int = 0

    @property
    def rows(self) -> list[list[float]]:
        """A row a rate, as in ``rates.csv``."""
        columns = (self.rates, self.losses, self.excess, self.errors)
        return [list(row) for row in zip(*columns, strict=True)]


def probe(task: Task, epoch: int, recorder: Recorder) -> Probe:
    """Try the rates on copies of the network and the optimizer as they are at the start of ``epoch``.

    Each rate trains from the same copy, on the epoch's first batches without random changes, at a
    constant rate, the head at its own; a step on each batch also where the run gathers several for one,
    which is noisier and so no kinder to a rate. What judges is drawn by the seed from the other training
    images; validation images are not used. Nothing of it is seen in the run: not in the network, not in
    the optimizer, and not in the generators of torch, NumPy and Python.
    """
    plan, config = task.plan, task.config
    order = task.order(epoch)
    used = STEPS * config.batch_size
    judges = other_images(config.seed, unused(order, used))
    rates = [plan.lr * ratio for ratio in RATIOS]
    given = None if config.optim.backbone_lr == "auto" else config.optim.backbone_rate
    count = len(batch_sizes(config, len(order)))
    if not is_long_enough(count) or len(judges) < 2:
        chosen = plan.lr * UNTRIED
        why = f"{UNTRIED:g} × lr, untried: an epoch of {quantity(count, 'batch', 'batches')} is too short"
        return Probe(chosen, why, 0, math.nan, [], [], [], [], given)
    before = digests(task)
    with untouched_generators(task.device):
        numbers = pieces(task.numbers(epoch)[:used], config.batch_size)
        share = share_of(task.group, task.least_share)
        shared = share if task.group is not None else None
        batches = list(task.train.batches(order[:used], config.batch_size, share=shared))
        trials = list(zip(batches, pieces(order[:used], config.batch_size), numbers, strict=True))
        own = judges[share_of(task.group).of(len(judges))]
        judging = list(task.train.batches(own, task.train.evaluation_batch))
        unprobed = losses_of(task.network, judging, task.group)
        after = []
        for done, rate in enumerate(rates):
            recorder.progress(done, len(rates), "rates of the backbone")
            with untouched_generators(task.device):  # dropout draws the same at every rate
                trial = replace(plan, backbone_lr=rate)
                tried = trained_copy(task, trial, epoch, trials)
                after.append(losses_of(tried, judging, task.group))
    excess, errors = paired(after, unprobed)
    chosen = choice(rates, excess, errors)
    return Probe(
        chosen,
        reason(rates, excess, errors, chosen, len(judges)),
        len(judges),
        float(unprobed.mean()),
        rates,
        [float(loss.mean()) for loss in after],
        excess,
        errors,
        given,
        len(dict(before.items() ^ digests(task).items())),
    )


def is_long_enough(batches: int) -> bool:
    """Whether an epoch of so many batches has some left to judge by when rates have been tried."""
    return batches > STEPS


def unused(order: np.ndarray, used: int) -> np.ndarray:
    """The samples of an epoch that are not among its first ``used``, each once, as they come."""
    rest = order[used:][~np.isin(order[used:], order[:used])]
    return rest[np.sort(np.unique(rest, return_index=True)[1])]


def other_images(seed: int, others: np.ndarray) -> np.ndarray:
    """At most ``MOST_IMAGES`` of ``others``, drawn by the seed, in ascending order."""
    draws = np.random.default_rng([seed, *b"probe"])
    return np.sort(draws.choice(others, min(MOST_IMAGES, len(others)), replace=False))


def trained_copy(
    task: Task,
    plan: Plan,
    epoch: int,
    trials: Sequence[tuple[Batch, np.ndarray, np.ndarray]],
) -> TunedNetwork:
    """A copy of the network after a step on each batch, at the full rates of ``plan``.

    Of each batch in ``trials`` there are this process's images and labels, and of all its samples where they
    stand and what their draws follow from.
    """
    config = task.config
    network, optimizer, scaler = copy.deepcopy((task.network, task.optimizer, task.scaler))
    set_full_rates(optimizer, plan)
    set_learning(network, task.backbone, plan.first_open_stage(epoch), batch_norm=config.batch_norm)
    learning = [p for p in network.parameters() if p.requires_grad]
    for group in optimizer.param_groups:
        group["lr"] = group["full_rate"]
    draws = draws_in_training(network)
    share = share_of(task.group, task.least_share)
    statistics = learning_statistics(network)
    sums = GradientSums(task.group, learning, statistics) if task.group is not None else None
    for (inputs, labels), samples, numbers in trials:
        own = share.of(len(samples))
        optimizer.zero_grad(set_to_none=True)
        if len(labels) or config.sync_batch_norm:
            with keyed_draws(draws, config.seed, epoch, numbers[own]):
                logits = network(inputs)
            loss = functional.cross_entropy(
                logits,
                labels,
                weight=task.class_weights,
                label_smoothing=config.optim.label_smoothing,
            )
            if sums is not None and len(labels):
                loss = loss * (task.weight(samples[own]) / task.weight(samples))
            elif sums is not None:
                loss = logits.sum() * 0.0
            with sums.of_last() if sums is not None else nullcontext():
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if sums is not None:
            sums.finish(torch.zeros(0), len(labels) / len(samples))
        if config.optim.clip is not None:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(learning, config.optim.clip)
        scaler.step(optimizer)
        scaler.update()
    return network


def losses_of(
    network: TunedNetwork, batches: Sequence[Batch], group: ProcessGroup | None = None
) -> np.ndarray:
    """The cross-entropy of each image in evaluation mode, float64 (n,); with a ``group``, of those of all."""
    network.eval()
    found = [np.empty(0)]
    with torch.inference_mode():
        for inputs, labels in batches:
            loss = functional.cross_entropy(network(inputs), labels, reduction="none")
            found.append(loss.cpu().double().numpy())
    return gathered(np.concatenate(found), group)


def paired(after: Sequence[np.ndarray], before: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard error of the differences to ``before``, image by image, for each of ``after``."""
    with np.errstate(invalid="ignore", over="ignore"):
        differences = [loss - before for loss in after]
        means = [float(d.mean()) for d in differences]
        errors = [float(d.std(ddof=1) / math.sqrt(len(d))) for d in differences]
    return means, errors


def choice(rates: Sequence[float], excess: Sequence[float], errors: Sequence[float]) -> float:
    """The largest rate whose loss is at most a standard error above the one before, else the smallest."""
    harmless = [
        rate
        for rate, more, error in zip(rates, excess, errors, strict=True)
        if math.isfinite(more) and more <= error
    ]
    return max(harmless, default=min(rates))


def reason(
    rates: Sequence[float],
    excess: Sequence[float],
    errors: Sequence[float],
    chosen: float,
    images: int,
) -> str:
    """Why ``chosen``, with what each rate did."""
    harmless = excess[list(rates).index(chosen)] <= errors[list(rates).index(chosen)]
    which = "the largest that does not raise" if harmless else "the smallest tried; all raise"
    tried = ", ".join(
        f"{rate:.3g} by {more:+.4f} ± {error:.4f}"
        for rate, more, error in zip(rates, excess, errors, strict=True)
    )
    return f"{which} the loss of {images} other training images in {STEPS} steps ({tried})"


def harm(rows: Sequence[Sequence[Any]], plan: Plan, images: int) -> str | None:
    """What to say where the last epoch, with the backbone open, is far below the best of the frozen ones.

    ``rows`` are those of ``metrics.csv``; ``images`` were validated. Both accuracies are of the same
    images, so that taking them for independent makes the standard error of their difference too large:
    what is said is no accident.
    """
    place, first, epoch = list(EPOCH_COLUMNS).index("val_acc"), plan.unfreeze_at, len(rows) - 1
    now = rows[-1][place]
    frozen = [row[place] for row in rows[:first] if row[place] is not None] if first else []
    if plan.frozen(epoch) or now is None or not frozen:
        return None
    best = max(frozen)
    error = math.sqrt((best * (1 - best) + now * (1 - now)) / images)
    if best - now <= CLEARLY * error:
        return None
    rate = plan.backbone_lr
    return (
        f"epoch {epoch}, with the backbone open, has a validation accuracy of {now:.4f}, and the best with "
        f"it frozen {best:.4f} (standard error of the difference {error:.4f}): the backbone's rate of "
        f"{rate:.3g} is too high; --backbone-lr {rate / 10:.3g} may help"
    )


# ------------------------------------------------------------------------------------- without a trace


@contextmanager
def untouched_generators(device: torch.device) -> Iterator[None]:
    """The generators of torch, NumPy and Python stand afterwards where they stood before.

    A user's layers may draw from any of them.
    """
    numpy, python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(numpy)
        random.setstate(python)


def digests(task: Task) -> dict[str, str]:
    """sha256 of every tensor of the network and of the optimizer's state."""
    tensors = dict(task.network.state_dict())
    for position, state in task.optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer {position} {name}": value
            for name, value in state.items()
            if isinstance(value, torch.Tensor)
        }
    return tensor_digests(tensors)
