"""Learning rates and frozen layers as pure functions of the step and the epoch.

Nothing here has a state, so a run that is continued cannot disagree with one that never stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlhw.vision.names import ScheduleName

# Smith and Topin 2018 (arXiv:1708.07120) start a cycle well below its peak and end it far below the
# start; these two ratios are those of torch.optim.lr_scheduler.OneCycleLR.
START_DIVISOR = 25.0
END_DIVISOR = 1e4
ONE_CYCLE_WARMUP = 0.3


def rate_factor(name: ScheduleName, step: int, steps: int, warmup: float | None = None) -> float:
    """The share of the full learning rate that step ``step`` of ``steps`` (from 0) uses.

    ==============  ============================================================================
    ``constant``    1
    ``cosine``      (1 + cos πt)/2, t the share of the steps that is done (Loshchilov and Hutter
                    2017, arXiv:1608.03983, eq. 5, without restarts)
    ``one-cycle``   half a cosine up from 1/25 to 1, then half a cosine down to 1/250,000
    ``step``        1, from half of the steps on 0.1, from three quarters on 0.01 (He et al. 2015,
                    arXiv:1512.03385, section 4.2)
    ==============  ============================================================================

    ``warmup`` is the share of the steps that the rate rises: linearly from above 0, ``one-cycle``
    along its cosine. None is 0.3 for ``one-cycle`` and 0 for the others.
    """
    if not 0 <= step < steps:
        raise ValueError(f"step {step} is not one of {steps}")
    if name == "one-cycle":
        return _one_cycle(step, steps, ONE_CYCLE_WARMUP if warmup is None else warmup)
    rising = round((warmup or 0.0) * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    done = (step - rising) / (steps - rising)
    if name == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if name == "step":
        return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01
    return 1.0


def _one_cycle(step: int, steps: int, warmup: float) -> float:
    start, end = 1 / START_DIVISOR, 1 / START_DIVISOR / END_DIVISOR
    peak = max(warmup * steps - 1, 0.0)
    if step <= peak and peak > 0:
        return _half_cosine(start, 1.0, step / peak)
    # A cycle of one step has nowhere to go: it uses the full rate.
    return _half_cosine(1.0, end, (step - peak) / max(steps - 1 - peak, 1.0))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Plan:
    """Which epochs train the head alone, which train the backbone too, at which rates.

    The schedule runs once through the epochs with a frozen backbone and starts again at
    ``unfreeze_at``: layers that begin to learn there are given a whole cycle. So do epochs that were
    added to a run that had ended, which leaves the epochs before them as they were.

    Attributes:
        epochs, steps_per_epoch: lengths of the run.
        unfreeze_at: first epoch (from 0) that trains the backbone too; None never does.
        stages: number of the backbone's stages.
        unfreeze_stages: how many of them, from the output, are trained then; None all.
        schedule, warmup: as ``rate_factor`` takes them.
        lr, backbone_lr: full rates of the head and of the backbone's last stage.
        layer_decay: factor on the rate for each stage further from the output.
        continued: (epochs done, epochs planned) each time that epochs were added.
    """

    epochs: int
    steps_per_epoch: int
    unfreeze_at: int | None
    stages: int
    unfreeze_stages: int | None
    schedule: ScheduleName
    warmup: float | None
    lr: float
    backbone_lr: float
    layer_decay: float
    continued: tuple[tuple[int, int], ...] = ()

    @property
    def ever_unfreezes(self) -> bool:
        return self.unfreeze_at is not None and self.unfreeze_at < self.epochs

    def frozen(self, epoch: int) -> bool:
        """Does the backbone as a whole stay as it is in this epoch?"""
        return self.unfreeze_at is None or epoch < self.unfreeze_at

    def stretch(self, epoch: int) -> tuple[int, int]:
        """The first of the epochs that were planned together with ``epoch``, and the one after the last."""
        starts = [0, *(done for done, _ in self.continued)]
        ends = [*(planned for _, planned in self.continued), self.epochs]
        number = sum(start <= epoch for start in starts) - 1
        return starts[number], ends[number]

    def ends_stretch(self, epoch: int) -> bool:
        """Were epochs added after this one?"""
        return any(done == epoch + 1 for done, _ in self.continued)

    def first_open_stage(self, epoch: int) -> int:
        """Stages from this number on are trained in ``epoch``; ``stages`` where none is."""
        if self.frozen(epoch):
            return self.stages
        if self.unfreeze_stages is None:
            return 0
        return max(self.stages - self.unfreeze_stages, 0)

    def factor(self, step: int) -> float:
        """The schedule at a global step, counted from the start of the run."""
        first, last = self.stretch(step // self.steps_per_epoch)
        if self.unfreeze_at is not None and first < self.unfreeze_at < last:
            border = self.unfreeze_at * self.steps_per_epoch
            first, last = (first, self.unfreeze_at) if step < border else (self.unfreeze_at, last)
        start = first * self.steps_per_epoch
        return rate_factor(
            self.schedule, step - start, (last - first) * self.steps_per_epoch, self.warmup
        )

    def full_rate(self, stage: int | None) -> float:
        """The full rate of a stage of the backbone, or of the head (None)."""
        if stage is None:
            return self.lr
        return self.backbone_lr * self.layer_decay ** (self.stages - 1 - stage)
