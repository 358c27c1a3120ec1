"""What a training is said to take follows from what was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlhw.errors import RunError
from mlhw.experiments.finetune.dry_run import plan_lines, rehearsal_numbers
from mlhw.result.recorder import Recorder
from mlhw.vision.config import Config, DataSettings, OptimSettings
from mlhw.vision.training import rehearsal as module
from mlhw.vision.training.rehearsal import Rehearsal, Work, rehearse

WORK = Work(image=0.01, head_step=0.001, open_step=0.5)


def rehearsal(**changes: object) -> Rehearsal:
    settings = {
        "model": "cifar_resnet20",
        "weights": "none",
        "image_size": 8,
        "data": DataSettings(name="digits", val=100, test=1597),
        "epochs": 4,
        "unfreeze_at": 3,
        "batch_size": 25,
        "compare": "none",
        "device": "cpu",
        "precision": "fp32",
        "layout": "contiguous",
        "optim": OptimSettings(backbone_lr=1e-3),
        "threads": 1,
    }
    return rehearse(Config(**(settings | changes)), Recorder())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small() -> Rehearsal:
    return rehearsal()


def test_the_seconds_are_those_of_the_parts(small: Rehearsal) -> None:
    """100 to train in 4 steps, 100 to validate, 1,597 to test; three frozen epochs and an open one."""
    found = replace(small, work=WORK).seconds()
    assert found == pytest.approx(
        {
            "features": 200 * 0.01,
            "frozen": 3 * 4 * 0.001,
            "probe": 0,
            "open": 4 * 0.5 + 100 * 0.01,
            "test": 1597 * 0.01,
            "comparison": 0,
            "total": 2 + 0.012 + 3 + 15.97,
        }
    )


@pytest.mark.parametrize(
    ("changes", "features", "frozen"),
    [
        ({"features": "off"}, 0, 3 * (4 * 0.001 + 100 * 0.01) + 3 * 100 * 0.01),
        ({"augment": "flip"}, 200 * 0.01, 3 * 4 * 0.001),
        (
            {"augment": "flip", "unfreeze_at": None},
            100 * 0.01,
            4 * (4 * 0.001 + 100 * 0.01),
        ),
        ({"augment": "flip", "views": 2}, 300 * 0.01, 3 * 4 * 0.001),
        ({"unfreeze_at": 0}, 0, 0),
    ],
)
def test_frozen_epochs_take_what_their_features_take(
    changes: dict[str, object], features: float, frozen: float
) -> None:
    found = replace(rehearsal(**changes), work=WORK).seconds()
    assert (found["features"], found["frozen"]) == pytest.approx((features, frozen))


def test_batches_are_counted_and_not_the_steps_that_they_make(small: Rehearsal) -> None:
    config = small.prepared.config.model_copy(update={"accumulate": 2})
    found = replace(small, work=WORK, prepared=replace(small.prepared, config=config))
    assert found.prepared.plan.steps_per_epoch == 2
    assert found.seconds() == replace(small, work=WORK).seconds()


def test_rates_that_are_tried_take_their_steps_and_images(small: Rehearsal) -> None:
    """Five rates, three steps each; 100 images judged before any of them and after each."""
    optim = small.prepared.config.optim.model_copy(update={"backbone_lr": "auto"})
    config = small.prepared.config.model_copy(update={"optim": optim})
    found = replace(small, work=WORK, prepared=replace(small.prepared, config=config)).seconds()
    assert found["probe"] == pytest.approx(15 * 0.5 + 6 * 100 * 0.01)


def test_an_epoch_too_short_to_try_rates_costs_nothing() -> None:
    optim = OptimSettings(backbone_lr="auto")
    short = rehearsal(batch_size=40, optim=optim)  # three batches
    assert replace(short, work=WORK).seconds()["probe"] == 0
    gathered = rehearsal(accumulate=4, optim=optim)  # one step of four batches
    assert replace(gathered, work=WORK).seconds()["probe"] == pytest.approx(15 * 0.5 + 6)


def test_repeats_take_as_often_as_long(small: Rehearsal) -> None:
    config = small.prepared.config.model_copy(update={"repeats": 3})
    once = replace(small, work=WORK).seconds()
    thrice = replace(small, work=WORK, prepared=replace(small.prepared, config=config))
    assert thrice.seconds() == once | {"total": pytest.approx(3 * once["total"])}
    lines = plan_lines(rehearsal_numbers(thrice)["plan"])
    assert any(line.startswith("time") and line.endswith(", 3 times") for line in lines)


def test_the_comparison_takes_as_long_again(small: Rehearsal) -> None:
    both = replace(
        small.prepared, config=small.prepared.config.model_copy(update={"compare": "random"})
    )
    found = replace(small, work=WORK, prepared=both).seconds()
    assert found["total"] == pytest.approx(2 * replace(small, work=WORK).seconds()["total"])


def test_a_comparison_as_far_as_the_first_open_epoch_takes_that_long() -> None:
    found = replace(rehearsal(compare="first-open", unfreeze_at=1), work=WORK).seconds()
    assert found["comparison"] == pytest.approx(
        found["features"] + found["frozen"] + found["open"] / 3
    )


def test_memory_is_counted_in_bytes(small: Rehearsal) -> None:
    network = small.task.network
    weights = sum(p.numel() for p in network.parameters())
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    assert small.memory.images == 200 * 8 * 8 * 3
    assert small.memory.features == 200 * 64 * 4
    # Weight, gradient, two moments; AdamW counts its steps in one number a tensor.
    steps = 4 * len(list(network.parameters()))
    assert small.memory.parameters == 4 * 4 * weights + buffers + steps
    averaged = rehearsal(ema=0.9).memory.parameters
    assert averaged == small.memory.parameters + 4 * weights + buffers


def test_what_a_step_keeps_grows_with_the_batch(small: Rehearsal) -> None:
    twice = rehearsal(batch_size=50).memory.step
    assert twice == pytest.approx(2 * small.memory.step, rel=0.05)
    assert rehearsal(unfreeze_at=None).memory.step == 0


def test_measuring_trains_no_weight(small: Rehearsal) -> None:
    again = small.prepared
    for (name, tensor), other in zip(
        again.network.state_dict().items(),
        rehearsal().prepared.network.state_dict().values(),
        strict=True,
    ):
        assert np.array_equal(tensor.numpy(), other.numpy()), name
    assert not small.task.optimizer.state


def test_what_deterministic_forbids_is_named_as_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task: object) -> float:
        raise RuntimeError("some_kernel does not have a deterministic implementation, but you set")

    monkeypatch.setattr(module, "_forward_seconds", refuse)
    with pytest.raises(RunError, match=r"^deterministic: some_kernel on this device"):
        rehearsal()
