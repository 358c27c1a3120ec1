"""The training loop: epochs, validations, the best model kept, a state that can be saved anywhere.

``train`` reads from top to bottom. What differs between epochs (which layers learn, the rate, the
order, the augmentation) is looked up by epoch and step; what has to be remembered is ``Progress``,
the network and the optimizer. Several processes take the same way through it, each with its share of a
batch, and have the same network after each step.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from mlhw.errors import Interrupted, RunError
from mlhw.maths.calibration import fit_temperature
from mlhw.result.recorder import Recorder, is_logged
from mlhw.vision.networks.head import set_learning
from mlhw.vision.training.batches import pieces, smallest_batch
from mlhw.vision.training.checkpoints import Best, copied, tensor_digests
from mlhw.vision.training.columns import RATE_COLUMNS
from mlhw.vision.training.device import SMALL_STEP, one_thread
from mlhw.vision.training.draws import draws_in_training, keyed_draws
from mlhw.vision.training.epoch_lines import HEADER, epoch_line
from mlhw.vision.training.objective import divisor, minimised
from mlhw.vision.training.probe import harm, probe
from mlhw.vision.training.progress import Progress, keep_alike, state
from mlhw.vision.training.sharing import GradientSums, learning_statistics
from mlhw.vision.training.task import Evaluation, Task, evaluate_network, hits

if TYPE_CHECKING:
    from mlhw.result.tables import Table
    from mlhw.vision.names import BestBy
    from mlhw.vision.training.checkpoints import Checkpoints

# Seconds after a signal that a step, or a save on a slow disk, may take. A second signal ends it at once.
PATIENT = 600.0

# Asking a GPU for a loss makes it wait, so there only every so many steps.
STEPS_BETWEEN_CHECKS = 50


def train(
    task: Task,
    progress: Progress,
    checkpoints: Checkpoints,
    recorder: Recorder,
    table: Table,
    log: Callable[[str], None] | None = None,
    until: int | None = None,
) -> None:
    """Train from where ``progress`` stands to the end; a row in ``table`` and a save each epoch.

    ``log`` takes the lines of the epochs, in the course's form. None is the recorder's log, and the screen
    shows a table of the epochs. ``until`` is the epoch to stop before, on the way through the plan; None goes
    to its end.

    Raises:
        Interrupted: a signal came; everything up to the last whole batch is saved, as it is where another
            process has died.
        RunError: the loss is not finite; the save of the last epoch is kept as it was.
    """
    say = log or partial(recorder.log, screen=False)
    if log is None and progress.epoch < task.plan.epochs:
        recorder.show(HEADER)
    last = task.plan.epochs if until is None else until
    try:
        while progress.epoch < last and not progress.stopped:
            started = time.perf_counter() - progress.seconds
            if is_logged(progress.epoch):
                say(f"INFO:root:Epoch No: {progress.epoch}")
            if is_to_be_probed(task, progress):
                find_rate(task, progress, checkpoints, recorder)
            train_epoch(task, progress, recorder)
            if task.group is not None:
                keep_alike(task, progress, recorder)
            found = None
            planned = task.plan.stretch(progress.epoch)[1]
            if validates(progress.epoch, planned, task.config.val_every):
                found = task.validate(progress.epoch)
            with recorder.holding_interrupts(PATIENT):
                progress.seconds = time.perf_counter() - started
                finish_epoch(task, progress, table, found, say)
                if log is None:
                    show_epoch(task, progress, recorder)
                is_best = found is not None and progress.best_epoch == table.rows[-1][0]
                best = new_best(task, progress, found) if found and is_best else None
                checkpoints.save(lambda: state(task, progress), progress.epoch, best)
    except (Interrupted, RunError) as error:
        if isinstance(error, RunError) and task.group is None:
            raise
        with recorder.holding_interrupts(PATIENT):
            if math.isfinite(task.sums[0].item()):
                checkpoints.save(lambda: state(task, progress), progress.epoch, None)
        raise


def is_to_be_probed(task: Task, progress: Progress) -> bool:
    """Does the backbone learn from now on, at a rate that is still to be found?"""
    optim = task.config.optim
    opens = not task.plan.frozen(progress.epoch) and progress.batch == 0
    return opens and progress.probe is None and (optim.find_lr or optim.backbone_lr == "auto")


def find_rate(task: Task, progress: Progress, checkpoints: Checkpoints, recorder: Recorder) -> None:
    """Try rates for the backbone, settle on one, and record it: in the checkpoint first."""
    found = probe(task, progress.epoch, recorder)
    with recorder.holding_interrupts(PATIENT):
        progress.probe = dataclasses.asdict(found)
        task.open_with(found.chosen)
        checkpoints.save(lambda: state(task, progress), progress.epoch, None)
        record_rate(task, progress, recorder)
    rate = task.plan.backbone_lr
    given = (
        "" if rate == found.chosen else f" as given, where the trial would take {found.chosen:g}"
    )
    recorder.log(f"learning rate of the backbone: {rate:g}{given}; {found.why}")


def record_rate(task: Task, progress: Progress, recorder: Recorder) -> None:
    """The settled rate in ``config.yaml``, and what was tried as the table ``rates``."""
    found = progress.probed
    if found is None:
        return
    task.open_with(found.chosen)
    recorder.settle(task.config)
    recorder.table("rates", RATE_COLUMNS, kept=found.rows)


def show_epoch(task: Task, progress: Progress, recorder: Recorder) -> None:
    """The row of the last epoch on the screen, and what is to be said about it."""
    line = epoch_line(progress.rows, task.plan, len(task.train), progress.best_epoch)
    recorder.show(line)
    if progress.stopped:
        recorder.show(stopped_line(task))
    if not progress.warned:
        warn_of_harm(task, progress, recorder)


def warn_of_harm(task: Task, progress: Progress, recorder: Recorder) -> None:
    """Say so, once, where the backbone's rate has clearly done harm."""
    line = harm(progress.rows, task.plan, len(task.val))
    if line is not None:
        progress.warned = True
        recorder.warn(line)


def train_epoch(task: Task, progress: Progress, recorder: Recorder) -> None:
    """The batches of the epoch that are still to come."""
    config, plan, network, optimizer = task.config, task.plan, task.network, task.optimizer
    epoch, on_features = progress.epoch, task.uses_features(progress.epoch)
    order, numbers, share = task.order(epoch), task.numbers(epoch), task.share(epoch)
    started = time.perf_counter() - progress.seconds
    batches = iter(task.training_batches(epoch, progress.batch))  # computes features, if need be
    places = pieces(np.arange(len(order)), config.batch_size, least=smallest_batch(config))
    small = task.head_multiplications if on_features else SMALL_STEP
    set_learning(network, task.backbone, plan.first_open_stage(epoch), batch_norm=config.batch_norm)
    learning = [p for p in network.parameters() if p.requires_grad]
    draws = draws_in_training(network)
    clock = time.perf_counter() - progress.training_seconds
    with one_thread(small), summing(task, epoch, learning) as sums:
        for first in batches:
            # A signal waits until the step is done and counted.
            with recorder.holding_interrupts(PATIENT):
                if sums:
                    sums.begin()
                rate = plan.factor(progress.step)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["full_rate"]
                optimizer.zero_grad(set_to_none=True)
                of_step = places[progress.batch : progress.batch + config.accumulate]
                parts = [first, *islice(batches, len(of_step) - 1)]
                whole = task.weight(order[np.concatenate(of_step)])
                own = [place[share.of(len(place))] for place in of_step]
                last = max((k for k, place in enumerate(own) if len(place)), default=-1)
                whole_sums = task.sums[:2]
                # One part alone is added to the epoch's sums themselves, to the same bits.
                added_up = sums is not None or len(parts) > 1
                step_sums = torch.zeros_like(whole_sums) if added_up else whole_sums
                for k, ((inputs, labels), place) in enumerate(zip(parts, own, strict=True)):
                    if not (len(place) or config.sync_batch_norm):
                        continue
                    with keyed_draws(draws, config.seed, epoch, numbers[place]):
                        logits = network.head(inputs) if on_features else network(inputs)
                    loss = part_loss(task, logits, labels, step_sums) / whole
                    with sums.of_last() if sums and k == last else nullcontext():
                        task.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                if sums:
                    sums.finish(step_sums, sum(map(len, own)) / sum(map(len, of_step)))
                if added_up:
                    whole_sums.add_(step_sums)
                if task.device.type == "cpu" or progress.step % STEPS_BETWEEN_CHECKS == 0:
                    require_finite(task, progress)
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


def part_loss(
    task: Task, logits: torch.Tensor, labels: torch.Tensor, sums: torch.Tensor
) -> torch.Tensor:
    """What a part of a step adds to what is minimised, times the weight of all of the step's images.

    The plain loss and the right answers are added to ``sums``. A part of no images adds nothing, and is
    looked at only where batch norm waits for every process.
    """
    if not len(labels):
        return logits.sum() * 0.0
    nll = functional.cross_entropy(logits, labels)
    # In place, for "sums[0] += …" also makes a GPU copy what is there already.
    sums[0].add_(nll.detach() * len(labels))
    sums[1].add_(hits(logits.detach(), labels).sum())
    smoothing = task.config.optim.label_smoothing
    loss = minimised(nll, logits, labels, smoothing, task.class_weights)
    # The mean over all images of the step is that of each part by its share.
    return loss * divisor(labels, task.class_weights)


@contextmanager
def summing(
    task: Task, epoch: int, learning: list[torch.nn.Parameter]
) -> Iterator[GradientSums | None]:
    """What adds up the gradients of the processes that share an epoch's batches; None where none do."""
    if task.group is None or not task.shares(epoch):
        yield None
        return
    sums = GradientSums(task.group, learning, learning_statistics(task.network))
    try:
        yield sums
    finally:
        sums.close()


def apply_gradients(task: Task, learning: list[torch.nn.Parameter]) -> None:
    """One step of the optimizer, with clipped gradients where asked for.

    In float16 it is skipped where they overflowed. Whether they did is counted on the device: to ask for
    the scale would make a GPU wait in every step.
    """
    clip = task.config.optim.clip
    if task.scaler.is_enabled():
        task.scaler.unscale_(task.optimizer)
        found = [p.grad for p in learning if p.grad is not None]
        largest = torch.nn.utils.get_total_norm(found, math.inf)
        task.sums[2] += ~torch.isfinite(largest)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(learning, clip)
    task.scaler.step(task.optimizer)
    task.scaler.update()


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
    tell = log if is_logged(epoch) else _nobody
    loss_sum, correct, skipped = task.sums.tolist()
    progress.skipped_steps += int(skipped)
    row = (
        epoch,
        loss_sum / count,
        correct / count,
        found.loss if found else None,
        found.accuracy if found else None,
        task.plan.lr * task.plan.factor(progress.step - 1),
        None
        if task.plan.frozen(epoch)
        else task.plan.backbone_lr * task.plan.factor(progress.step - 1),
        count / progress.training_seconds,
        progress.seconds,
        found.balanced_accuracy if found else None,
        found.macro_f1 if found else None,
    )
    table.append(*row)
    tell(f"INFO:root:Training Loss: {row[1]:.4f}")
    if progress.skipped_steps:
        tell(f"{progress.skipped_steps} steps so far were skipped: float16 gradients overflowed")
    if found:
        tell(f"INFO:root:Validation Loss: {found.loss:.4f}")
        if is_better(found, progress, task.config.best_by):
            progress.best_epoch, progress.waited = epoch, 0
            progress.best_loss, progress.best_accuracy = found.loss, found.accuracy
            progress.best_balanced_accuracy = found.balanced_accuracy
            progress.best_macro_f1 = found.macro_f1
        elif task.plan.frozen(epoch) and task.plan.ever_unfreezes:
            progress.waited = 0  # what unfreezing will bring is not known yet
        else:
            progress.waited += 1
        patience, planned = task.config.patience, task.plan.stretch(epoch)[1]
        if task.plan.ends_stretch(epoch):
            progress.waited = 0
        elif patience is not None and progress.waited >= patience and epoch + 1 < planned:
            progress.stopped = True
            log(stopped_line(task))
    progress.rows.append(list(row))
    progress.epoch, progress.batch = epoch + 1, 0
    progress.training_seconds = progress.seconds = 0.0
    task.sums.zero_()
    ends = progress.stopped or epoch + 1 == task.plan.epochs
    if task.plan.frozen(epoch) and (ends or not task.plan.frozen(epoch + 1)):
        inspect_frozen(task, progress)


def _nobody(line: str) -> None:
    """Takes the log lines of an epoch that the log has none of."""


def stopped_line(task: Task) -> str:
    return f"stopped early: {task.config.patience} validations without a better one"


def is_better(found: Evaluation, progress: Progress, metric: BestBy) -> bool:
    """Lower loss; or a higher share, of equal ones the lower loss. A tie keeps the earlier.

    What has no finite loss is never better.
    """
    if not math.isfinite(found.loss):
        return False
    if progress.best_epoch is None:
        return True
    if metric == "loss":
        return found.loss < progress.best_loss
    share = metric.replace("-", "_")
    now, before = getattr(found, share), getattr(progress, f"best_{share}")
    return bool((now, -found.loss) > (before, -progress.best_loss))


def inspect_frozen(task: Task, progress: Progress) -> None:
    """Note, after the last frozen epoch, how many tensors changed and what stored features give."""
    now = tensor_digests(task.network.backbone.state_dict())
    then = task.backbone_digests
    progress.changed_while_frozen = sum(now[name] != then[name] for name in then)
    if task.store is not None:
        progress.stored_loss = task.validate(progress.epoch - 1).loss
        progress.recomputed_loss = evaluate_network(
            task.judged, task.val.all(), group=task.group
        ).loss


def new_best(task: Task, progress: Progress, found: Evaluation) -> Best:
    """The network as it is, with its validation and the temperature fitted on that."""
    metadata = task.metadata | {
        "epoch": progress.best_epoch,
        "metric": task.config.best_by,
        "val_loss": progress.best_loss,
        "val_acc": progress.best_accuracy,
        "temperature": fit_temperature(found.logits, found.labels),
    }
    return Best(copied(task.judged.state_dict()), metadata)
