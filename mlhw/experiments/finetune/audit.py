"""Parts of a fine-tuning worked out again by textbook formulas: rates, a head's first epochs, temperature.

A frozen backbone is a fixed map, so the first epochs are the training of a small network on fixed features.
Its start is drawn from the seed, its order too; what comes in between is written down here once more, with
optimizers by their papers' formulas, and has to give the recorded losses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.maths.calibration import COLDEST, HOTTEST
from mlhw.vision.names import DATA_SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from mlhw.vision.config import Config
    from mlhw.vision.training.probe import Probe
    from mlhw.vision.training.session import Finetuned

STEPS = 5_000  # an epoch of more steps is not worked out again
EPOCHS = 2  # rounding grows from step to step


# ------------------------------------------------------------------------------------- rates


def scheduled(config: Config, steps_an_epoch: int) -> np.ndarray:
    """The share of the full rate at every step, (steps,), as the schedule's name says.

    It begins anew where layers are unfrozen, and where epochs were added: of what was planned before,
    only the part that was done counts. A half cosine from u to v is u + (v − u) sin²(πs/2) over the share s
    of its steps.
    """
    first = config.first_open_epoch
    name, warmup = config.schedule.name, config.schedule.warmup
    done, shares = 0, np.empty(0)
    for ended, planned in [*config.continued, (config.epochs, config.epochs)]:
        border = planned if first is None else first
        border = min(max(border, done), planned)
        parts = [n * steps_an_epoch for n in (border - done, planned - border) if n]
        course = np.concatenate([_course(name, np.arange(n), n, warmup) for n in parts])
        shares = np.concatenate([shares, course[: (ended - done) * steps_an_epoch]])
        done = ended
    return shares


def _course(name: str, k: np.ndarray, steps: int, warmup: float | None) -> np.ndarray:
    if name == "one-cycle":
        # Smith and Topin 2018: up from 1/25, down to 1/250,000; the peak at 30 % of the steps.
        peak = max((0.3 if warmup is None else warmup) * steps - 1.0, 0.0)
        up = 0.04 + 0.96 * np.sin(np.pi / 2 * k / peak) ** 2 if peak > 0 else np.ones(steps)
        fall = np.sin(np.pi / 2 * (k - peak) / max(steps - 1.0 - peak, 1.0)) ** 2
        return np.where((k <= peak) & (peak > 0), up, 1.0 + (4e-6 - 1.0) * fall)
    rising = round((warmup or 0.0) * steps)
    done = (k - rising) / (steps - rising)
    after = {
        "constant": np.ones(steps),
        "cosine": np.cos(np.pi / 2 * done) ** 2,
        "step": np.where(done < 0.5, 1.0, np.where(done < 0.75, 0.1, 0.01)),
    }[name]
    return np.where(k < rising, (k + 1) / (rising + 1), after)


def steps_an_epoch(images: int, config: Config) -> int:
    """Steps in an epoch, one for every ``accumulate`` batches.

    A last batch of a single image joins the one before where batch norm learns.
    """
    whole, rest = divmod(images, config.batch_size)
    joins = config.trains_backbone and config.batch_norm == "train" and config.batch_size > 1
    batches = max(1, whole + (rest > 0) - (rest == 1 and joins and whole > 0))
    return math.ceil(batches / config.accumulate)


def group_rates(o: Finetuned) -> Iterator[tuple[float, float]]:
    """Each group's learning rate at the last step, in the optimizer and by the configuration."""
    optim, backbone = o.config.optim, o.task.backbone
    shares = scheduled(o.config, steps_an_epoch(len(o.task.train), o.config))
    last = shares[min(o.progress.step, len(shares)) - 1]
    stages = {
        id(parameter): backbone.stage_of(name)
        for name, parameter in o.task.network.backbone.named_parameters()
    }
    for group in o.task.optimizer.param_groups:
        stage = stages.get(id(group["params"][0]))
        full = optim.lr
        if stage is not None:
            away = len(backbone.stages) - 1 - stage
            full = optim.backbone_rate * optim.layer_decay**away
        yield group["lr"], full * last


# ------------------------------------------------------------------------------------- the first epochs


def why_not(o: Finetuned) -> str | None:
    """Why the first epoch cannot be worked out again; None where it can."""
    if o.config.first_open_epoch == 0:
        return "the backbone learns from the first epoch on"
    if o.task.store is None or o.task.recomputes:
        return "no epoch used stored features"
    if not o.task.store.stored(o.task.val):
        return "the run went on with a trained backbone, and the features of before were not kept"
    if o.config.head.dropout:
        return "dropout draws what no formula gives again"
    if steps_an_epoch(len(o.task.train), o.config) > STEPS:
        return f"an epoch has more than {STEPS} steps"
    return None


def first_epochs(o: Finetuned) -> list[dict[str, float]]:
    """``train_loss``, ``train_acc``, ``val_loss``, ``val_acc`` of the first frozen epochs."""
    import torch

    from mlhw.vision.networks.head import new_head

    config, store = o.config, o.task.store
    assert store is not None
    t = torch.from_numpy(o.task.train.images.labels)
    z = torch.from_numpy(np.array(store.features(o.task.val))).double()
    labels = o.task.val.images.labels
    classes, count = len(o.splits.classes), len(t)
    head = new_head(z.shape[1], classes, hidden=config.head.hidden, seed=config.seed)
    if o.task.head_start is not None:
        head.load_state_dict(o.task.head_start)
    w = [p.detach().double().requires_grad_() for p in head.parameters()]
    steps = steps_an_epoch(count, config)
    shares = scheduled(config, steps)
    judged = [p.detach().clone() for p in w] if config.ema else w
    update = _averaging(config, w, judged)
    found = []
    first = config.first_open_epoch
    frozen = config.epochs if first is None else first
    for epoch in range(min(EPOCHS, frozen, len(o.table))):
        x = store.features(
            o.task.train,
            change=config.augment if config.views else "none",
            seed=config.seed,
            view=epoch % config.views if config.views else 0,
        )
        order = o.task.order(epoch)
        loss_sum, right = _epoch(
            config,
            w,
            update,
            torch.from_numpy(np.array(x)[order]).double(),
            t[order],
            shares[epoch * steps :],
            class_weights(config, o.task.train.images.labels, classes),
        )
        with torch.no_grad():
            log_p = torch.log_softmax(_forward(judged, z), 1).numpy()
        found.append(
            {
                "train_loss": loss_sum / count,
                "train_acc": right / count,
                "val_loss": float(-log_p[np.arange(len(labels)), labels].mean()),
                "val_acc": float((log_p.argmax(1) == labels).mean()),
            }
        )
    return found


def class_weights(config: Config, labels: np.ndarray, classes: int) -> torch.Tensor:
    """float64 (K,): 1, or what makes the images of each class weigh N/K together."""
    import torch

    if config.class_weights == "none":
        return torch.ones(classes, dtype=torch.float64)
    counts = np.array([(labels == k).sum() for k in range(classes)])
    return torch.from_numpy(counts.sum() / counts / classes)


def _epoch(
    config: Config,
    w: list[torch.Tensor],
    update: Callable[[Any, float], None],
    x: torch.Tensor,
    t: torch.Tensor,
    shares: np.ndarray,
    weights: torch.Tensor,
) -> tuple[float, int]:
    """One epoch over features and labels in its order: the sum of the losses, the right answers."""
    import torch

    steps = steps_an_epoch(len(x), config)
    classes = len(w[-1])
    loss_sum, right = 0.0, 0
    images = config.batch_size * config.accumulate
    for k in range(steps):
        rows = slice(k * images, len(x) if k == steps - 1 else (k + 1) * images)
        log_p = torch.log_softmax(_forward(w, x[rows]), 1)
        nll = -log_p[torch.arange(len(log_p)), t[rows]]
        loss_sum += float(nll.detach().sum())
        right += int((log_p.argmax(1) == t[rows]).sum())
        s = config.optim.label_smoothing
        each = (1 - s) * weights[t[rows]] * nll - s / classes * (log_p @ weights)
        loss = each.sum() / weights[t[rows]].sum()
        gradients = torch.autograd.grad(loss, w)
        if config.optim.clip is not None:
            size = math.sqrt(sum(float((g**2).sum()) for g in gradients))
            gradients = tuple(g * min(1.0, config.optim.clip / (size + 1e-6)) for g in gradients)
        update(gradients, config.optim.lr * float(shares[k]))
    return loss_sum, right


def _forward(w: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A network of ReLU layers, w = [weights, biases, weights, biases, …]."""
    for k in range(0, len(w), 2):
        x = x @ w[k].T + w[k + 1]
        x = x.clamp(min=0.0) if k + 2 < len(w) else x
    return x


def _averaging(
    config: Config, w: list[torch.Tensor], judged: list[torch.Tensor]
) -> Callable[[Any, float], None]:
    """An update of the weights, and of their exponential average where one is kept.

    Its decay is at most (1 + t)/(10 + t) at the t-th update.
    """
    update, count = _optimizer(config, w), 0

    def both(gradients: Any, rate: float) -> None:
        nonlocal count
        update(gradients, rate)
        if config.ema:
            kept = min(config.ema, (count + 1) / (count + 10))
            for mean, now in zip(judged, w, strict=True):
                mean.mul_(kept).add_((1 - kept) * now.detach())
        count += 1

    return both


def _optimizer(config: Config, w: list[torch.Tensor]) -> Callable[[Any, float], None]:
    """One update by the formulas of SGD with momentum, or of AdamW with decoupled decay.

    Sutskever et al. 2013, section 2, in torch's form v ← μv + g; Loshchilov and Hutter 2019
    (arXiv:1711.05101), algorithm 2, with β = 0.9, 0.999 and ε = 1e-8. Vectors have no weight decay.
    """
    import torch

    optim = config.optim
    first = [torch.zeros_like(p) for p in w]
    second = [torch.zeros_like(p) for p in w]
    count = 0

    def update(gradients: Any, rate: float) -> None:
        nonlocal count
        count += 1
        with torch.no_grad():
            for p, g, m, v in zip(w, gradients, first, second, strict=True):
                decay = optim.weight_decay if p.ndim > 1 else 0.0
                if optim.name == "sgd":
                    g = g + decay * p
                    m.mul_(optim.momentum).add_(g)
                    p -= rate * (g + optim.momentum * m if optim.nesterov else m)
                    continue
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                m_hat, v_hat = m / (1 - 0.9**count), v / (1 - 0.999**count)
                p *= 1 - rate * decay
                p -= rate * m_hat / (v_hat.sqrt() + 1e-8)

    return update


# ------------------------------------------------------------------------------------- the course


def on_built_in_images(o: Finetuned) -> bool:
    """Whether the images are a named data set, on which the course of a training is known."""
    return o.splits.name in DATA_SETS


def training_losses(o: Finetuned) -> dict[str, tuple[float, float]]:
    """The first and the last epoch's loss of the frozen and of the open part, where it has two epochs.

    Without a part whose images are mixed: how hard they are is drawn anew in each epoch.
    """
    losses = o.table.column("train_loss")
    first = o.config.first_open_epoch
    border = len(losses) if first is None else min(first, len(losses))
    parts = {"frozen": losses[:border], "open": losses[border:]}
    if o.config.mixes:
        parts = {"frozen": parts["frozen"]} if o.task.uses_features(0) else {}
    return {name: (float(p[0]), float(p[-1])) for name, p in parts.items() if len(p) > 1}


def ends(parts: dict[str, tuple[float, float]]) -> Iterator[tuple[str, str, float]]:
    """The parts' losses one by one: part, ``first`` or ``last``, loss."""
    for name, (first, last) in parts.items():
        yield name, "first", first
        yield name, "last", last


def rate_by_rule(found: Probe, lr: float) -> float:
    """The rate that the recorded losses lead to: the largest within an error of the loss before.

    Where none was tried, 0.03 of the head's.
    """
    if not found.rates:
        return 0.03 * lr
    within = [
        rate
        for rate, loss, error in zip(found.rates, found.losses, found.errors, strict=True)
        if loss - found.before <= error  # false for a loss that is NaN
        and math.isfinite(loss)
    ]
    return sorted(within)[-1] if within else sorted(found.rates)[0]


def validated(o: Finetuned, epoch: int) -> bool:
    """Whether there is a validation after this epoch: every so many, and after the last one planned."""
    due = o.config.val_every
    lasts = {o.config.epochs, *(planned for _, planned in o.config.continued)}
    return epoch % due == due - 1 or epoch + 1 in lasts


def validated_as_asked(o: Finetuned) -> bool:
    """Whether every epoch has a validation that should have one, and no other has."""
    known = ~np.isnan(o.table.column("val_acc").astype(float))
    return all(bool(known[n]) == validated(o, n) for n in range(len(known)))


SLOW = 1e-6  # a full rate below which a stage's weights need not change in float32


def learned(o: Finetuned) -> tuple[list[int], list[int]]:
    """The stages whose weights in the best model are others than at the start, and which have to be.

    Stages whose rate is next to nothing count as they are.
    """
    from mlhw.vision.training.checkpoints import tensor_digests

    config, backbone, first = o.config, o.task.backbone, o.config.first_open_epoch
    now = tensor_digests(dict(o.task.network.backbone.named_parameters()))
    stages = {name: backbone.stage_of(name) for name in now}
    changed = {stages[name] for name in now if now[name] != o.task.backbone_digests[name]}
    count = len(backbone.stages)
    is_open = first is not None and o.best.metadata["epoch"] >= first
    lowest = max(0, count - (config.unfreeze_stages or count)) if is_open else count
    due = set()
    for stage in set(stages.values()):
        rate = config.optim.backbone_rate * config.optim.layer_decay ** (count - 1 - stage)
        if stage >= lowest and (rate >= SLOW or stage in changed):
            due.add(stage)
    return sorted(changed), sorted(due)


def waited(o: Finetuned) -> int:
    """Validations after the best one; while the backbone is still to be unfrozen they do not count.

    Nor do those before epochs were added.
    """
    epochs = np.arange(len(o.table))
    known = ~np.isnan(o.table.column("val_loss").astype(float))
    first = (o.config.first_open_epoch or 0) if o.config.trains_backbone else 0
    first = max([first, *(done for done, _ in o.config.continued)])
    return int(np.sum(known & (epochs > o.best.metadata["epoch"]) & (epochs >= first)))


# ------------------------------------------------------------------------------------- temperature

NEIGHBOUR = 1.0005  # far beyond what rounding moves a fitted temperature by


def neighbouring_losses(o: Finetuned) -> dict[str, float]:
    """The validation's cross-entropy at the model's temperature, one below it and one above.

    Targets by Szegedy's formula, (1 − ε) [k = t] + ε/K: with ε = K/((K − 1)(N + 2)) they are Platt's,
    (N + 1)/(N + 2) for the image's own class.
    """
    import torch
    from torch.nn import functional

    a, t = torch.from_numpy(o.reloaded.logits).double(), torch.from_numpy(o.reloaded.labels)
    count, classes = a.shape
    smoothing = classes / ((classes - 1) * (count + 2))
    found = {}
    for name, temperature in (
        ("own", o.temperature),
        ("below", max(o.temperature / NEIGHBOUR, COLDEST)),
        ("above", min(o.temperature * NEIGHBOUR, HOTTEST)),
    ):
        found[name] = float(functional.cross_entropy(a / temperature, t, label_smoothing=smoothing))
    return found
