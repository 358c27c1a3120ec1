"""The training loop: epochs, validations, the best model kept, a state that can be saved anywhere.

``train`` reads from top to bottom. What differs between epochs (which layers learn, the rate, the
order, the augmentation) is looked up by epoch and step; what has to be remembered is ``Progress``,
the network, the optimizer and the state of torch's generators, which only dropout draws from.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from mlhw.errors import Interrupted, RunError
from mlhw.vision.networks.head import set_learning
from mlhw.vision.training.batches import batch_sizes
from mlhw.vision.training.checkpoints import FORMAT, Best, copied, tensor_digests
from mlhw.vision.training.device import SMALL_STEP, one_thread
from mlhw.vision.training.task import Evaluation, Task, evaluate_network

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.result.tables import Table
    from mlhw.vision.training.checkpoints import Checkpoints

# Asking a GPU for a loss makes it wait, so there only every so many steps.
STEPS_BETWEEN_CHECKS = 50


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
    waited: int = 0
    stopped: bool = False
    skipped_steps: int = 0
    rows: list[list[Any]] = field(default_factory=list)
    changed_while_frozen: int | None = None
    stored_loss: float | None = None
    recomputed_loss: float | None = None


def train(
    task: Task,
    progress: Progress,
    checkpoints: Checkpoints,
    recorder: Recorder,
    table: Table,
    log: Callable[[str], None] | None = None,
) -> None:
    """Train from where ``progress`` stands to the end; a row in ``table`` and a save each epoch.

    ``log`` takes the lines of the epochs, in the course's form; None is the recorder's.

    Raises:
        Interrupted: a signal came; everything up to the last whole batch is saved.
        RunError: the loss is not finite; the save of the last epoch is kept as it was.
    """
    log = log or recorder.log
    try:
        while progress.epoch < task.plan.epochs and not progress.stopped:
            started = time.perf_counter() - progress.seconds
            log(f"INFO:root:Epoch No: {progress.epoch}")
            train_epoch(task, progress, recorder)
            found = None
            planned = task.plan.stretch(progress.epoch)[1]
            if validates(progress.epoch, planned, task.config.val_every):
                found = task.validate(progress.epoch)
            with recorder.holding_interrupts():
                progress.seconds = time.perf_counter() - started
                finish_epoch(task, progress, table, found, log)
                best = (
                    new_best(task, progress) if progress.best_epoch == table.rows[-1][0] else None
                )
                checkpoints.save(lambda: state(task, progress), progress.epoch, best)
    except Interrupted:
        with recorder.holding_interrupts():
            if math.isfinite(task.sums[0].item()):
                checkpoints.save(lambda: state(task, progress), progress.epoch, None)
        raise


def train_epoch(task: Task, progress: Progress, recorder: Recorder) -> None:
    """The batches of the epoch that are still to come."""
    config, plan, network, optimizer = task.config, task.plan, task.network, task.optimizer
    epoch, on_features = progress.epoch, task.uses_features(progress.epoch)
    started = time.perf_counter() - progress.seconds
    batches = iter(task.training_batches(epoch, progress.batch))  # computes features, if need be
    sizes = batch_sizes(config, len(task.train))
    small = task.head_multiplications if on_features else SMALL_STEP
    set_learning(network, task.backbone, plan.first_open_stage(epoch), batch_norm=config.batch_norm)
    learning = [p for p in network.parameters() if p.requires_grad]
    clock = time.perf_counter() - progress.training_seconds
    with one_thread(small):
        for first in batches:
            # A signal waits until the step is done and counted.
            with recorder.holding_interrupts():
                rate = plan.factor(progress.step)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["full_rate"]
                optimizer.zero_grad(set_to_none=True)
                of_step = sizes[progress.batch : progress.batch + config.accumulate]
                for inputs, labels in chain([first], islice(batches, len(of_step) - 1)):
                    logits = network.head(inputs) if on_features else network(inputs)
                    nll = functional.cross_entropy(logits, labels)
                    loss = smoothed(nll, logits, config.optim.label_smoothing)
                    task.sums[0] += nll.detach() * len(labels)
                    task.sums[1] += (logits.detach().argmax(1) == labels).sum()
                    if task.device.type == "cpu" or progress.step % STEPS_BETWEEN_CHECKS == 0:
                        require_finite(task, progress)
                    # The mean over all images of the step is that of each batch by its share.
                    share = len(labels) / sum(of_step)
                    task.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]
                apply_gradients(task, learning)
                if task.average is not None:
                    task.average.update(network, progress.step)
                progress.batch += len(of_step)
                progress.step += 1
                now = time.perf_counter()
                progress.training_seconds, progress.seconds = now - clock, now - started
            recorder.progress(progress.step, plan.epochs * plan.steps_per_epoch, "training")
    require_finite(task, progress)  # waits for a GPU to be done
    progress.training_seconds = time.perf_counter() - clock


def apply_gradients(task: Task, learning: list[torch.nn.Parameter]) -> None:
    """One step of the optimizer, with clipped gradients where asked for.

    In float16 it is skipped where they overflowed. Whether they did is counted on the device: to ask for
    the scale would make a GPU wait in every step.
    """
    clip = task.config.optim.clip
    if task.scaler.is_enabled():
        task.scaler.unscale_(task.optimizer)
        found = [p.grad for p in learning if p.grad is not None]
        norms = torch.stack([gradient.abs().amax() for gradient in found])
        task.sums[2] += ~torch.isfinite(norms).all()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(learning, clip)
    task.scaler.step(task.optimizer)
    task.scaler.update()


def smoothed(nll: torch.Tensor, logits: torch.Tensor, share: float) -> torch.Tensor:
    """The mean cross-entropy to labels of which ``share`` is spread evenly over all classes.

    Szegedy et al. 2015 (arXiv:1512.00567, section 7). The tables hold the plain ``nll``, so that
    training and validation can be compared.
    """
    if not share:
        return nll
    return (1 - share) * nll - share * functional.log_softmax(logits, 1).mean()


def validates(epoch: int, epochs: int, val_every: int) -> bool:
    """Is there a validation after this epoch: every ``val_every`` epochs and after the last?"""
    return (epoch + 1) % val_every == 0 or epoch + 1 == epochs


def require_finite(task: Task, progress: Progress) -> None:
    """Raise RunError if the loss of the epoch under way is NaN or infinite."""
    loss = task.sums[0].item()
    if math.isfinite(loss):
        return
    optim = task.config.optim
    hints = ["a smaller --lr" + ("" if task.plan.frozen(progress.epoch) else " or --backbone-lr")]
    if optim.clip is None:
        hints.append("--clip 1")
    if task.train.compute.precision != "fp32":
        hints.append("--precision fp32")
    rate = task.plan.factor(min(progress.step, task.plan.epochs * task.plan.steps_per_epoch - 1))
    raise RunError(
        f"the training loss is {loss} in epoch {progress.epoch}, step {progress.step}, at a learning "
        f"rate of {rate * task.plan.lr:.3g}; {', '.join(hints)} may help; the state after the last "
        "finite epoch is kept"
    )


def finish_epoch(
    task: Task,
    progress: Progress,
    table: Table,
    found: Evaluation | None,
    log: Callable[[str], None],
) -> None:
    """Count the epoch, write its row and its log lines, and note whether it is the best."""
    epoch, count = progress.epoch, len(task.train)
    loss_sum, correct, skipped = task.sums.tolist()
    progress.skipped_steps += int(skipped)
    row = (
        epoch,
        loss_sum / count,
        correct / count,
        found.loss if found else None,
        found.accuracy if found else None,
        task.plan.lr * task.plan.factor(progress.step - 1),
        count / progress.training_seconds,
        progress.seconds,
    )
    table.append(*row)
    log(f"INFO:root:Training Loss: {row[1]:.4f}")
    if progress.skipped_steps:
        log(f"{progress.skipped_steps} steps so far were skipped: float16 gradients overflowed")
    if found:
        log(f"INFO:root:Validation Loss: {found.loss:.4f}")
        if is_better(found, progress, task.config.best):
            progress.best_epoch, progress.waited = epoch, 0
            progress.best_loss, progress.best_accuracy = found.loss, found.accuracy
        elif task.plan.frozen(epoch) and task.plan.ever_unfreezes:
            progress.waited = 0  # what unfreezing will bring is not known yet
        else:
            progress.waited += 1
        patience, planned = task.config.patience, task.plan.stretch(epoch)[1]
        if task.plan.ends_stretch(epoch):
            progress.waited = 0
        elif patience is not None and progress.waited >= patience and epoch + 1 < planned:
            progress.stopped = True
            log(f"stopped early: {patience} validations without a better one")
    progress.rows.append(list(row))
    progress.epoch, progress.batch = epoch + 1, 0
    progress.training_seconds = progress.seconds = 0.0
    task.sums.zero_()
    ends = progress.stopped or epoch + 1 == task.plan.epochs
    if task.plan.frozen(epoch) and (ends or not task.plan.frozen(epoch + 1)):
        inspect_frozen(task, progress)


def is_better(found: Evaluation, progress: Progress, metric: str) -> bool:
    """Lower loss, or higher accuracy; a tie keeps the earlier, NaN is never better."""
    if not math.isfinite(found.loss):
        return False
    if progress.best_epoch is None:
        return True
    if metric == "accuracy":
        return found.accuracy > progress.best_accuracy
    return found.loss < progress.best_loss


def inspect_frozen(task: Task, progress: Progress) -> None:
    """Note, after the last frozen epoch, how many tensors changed and what stored features give."""
    now = tensor_digests(task.network.backbone.state_dict())
    then = task.backbone_digests
    progress.changed_while_frozen = sum(now[name] != then[name] for name in then)
    if task.store is not None:
        progress.stored_loss = task.validate(progress.epoch - 1).loss
        progress.recomputed_loss = evaluate_network(task.judged, task.val.all()).loss


def new_best(task: Task, progress: Progress) -> Best:
    metadata = task.metadata | {
        "epoch": progress.best_epoch,
        "metric": task.config.best,
        "val_loss": progress.best_loss,
        "val_acc": progress.best_accuracy,
    }
    return Best(copied(task.judged.state_dict()), metadata)


# ------------------------------------------------------------------------------------- state


def state(task: Task, progress: Progress) -> dict[str, Any]:
    """All that ``restore`` needs to go on as if nothing had happened: tensors and JSON values."""
    cuda = task.device.type == "cuda"
    return {
        "format": FORMAT,
        "progress": dataclasses.asdict(progress),
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
    task.network.load_state_dict(saved["network"])
    if task.average is not None:
        task.average.network.load_state_dict(saved["average"])
    task.optimizer.load_state_dict(saved["optimizer"])
    task.scaler.load_state_dict(saved["scaler"])
    task.sums[: len(saved["sums"])] = saved["sums"]
    torch.set_rng_state(saved["generators"]["cpu"])
    if task.device.type == "cuda":
        torch.cuda.set_rng_state(saved["generators"]["cuda"], task.device)
    progress = Progress(**saved["progress"])
    if not progress.batch and task.plan.ends_stretch(progress.epoch - 1):
        progress.waited, progress.stopped = 0, False
    return progress
