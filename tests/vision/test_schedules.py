"""Learning rates and frozen layers, against torch's own schedulers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlhw.vision.schedules import Plan, rate_factor

NAMES = ["constant", "cosine", "one-cycle", "step"]


def torch_rates(scheduler: object, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()  # type: ignore[attr-defined]
    return rates


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.3), (135, 0.3), (40, 0.1), (7, 0.5)])
def test_one_cycle_is_that_of_torch(steps: int, warmup: float) -> None:
    o = optimizer()
    theirs = torch_rates(
        torch.optim.lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=steps, pct_start=warmup),
        o,
        steps - 1,
    )
    ours = [rate_factor("one-cycle", i, steps, warmup) for i in range(steps)]
    assert ours[:-1] == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert ours[-1] == pytest.approx(1 / 25e4)


def test_cosine_is_that_of_torch() -> None:
    o = optimizer()
    theirs = torch_rates(torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=50), o, 50)
    ours = [rate_factor("cosine", i, 50) for i in range(50)]
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_step_is_torchs_multi_step_at_half_and_three_quarters() -> None:
    o = optimizer()
    theirs = torch_rates(
        torch.optim.lr_scheduler.MultiStepLR(o, milestones=[20, 30], gamma=0.1), o, 40
    )
    assert [rate_factor("step", i, 40) for i in range(40)] == pytest.approx(theirs)


@given(
    st.sampled_from(NAMES),
    st.integers(1, 500),
    st.one_of(st.none(), st.floats(0, 0.99)),
)
def test_a_rate_is_above_0_and_at_most_the_full_one_which_some_step_nearly_reaches(
    name: str, steps: int, warmup: float | None
) -> None:
    factors = [rate_factor(name, i, steps, warmup) for i in range(steps)]  # type: ignore[arg-type]
    assert all(0 < f <= 1 + 1e-12 for f in factors)
    assert max(factors) > 0.4
    assert all(map(math.isfinite, factors))


def test_warm_up_rises_in_equal_steps_to_the_full_rate() -> None:
    factors = [rate_factor("constant", i, 10, 0.4) for i in range(10)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


def test_a_step_outside_the_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="step 10 is not one of 10"):
        rate_factor("cosine", 10, 10)


def plan(**changes: object) -> Plan:
    values: dict[str, object] = {
        "epochs": 6,
        "steps_per_epoch": 5,
        "unfreeze_at": 4,
        "stages": 3,
        "unfreeze_stages": None,
        "schedule": "one-cycle",
        "warmup": None,
        "lr": 0.1,
        "backbone_lr": 0.01,
        "layer_decay": 0.5,
    }
    return Plan(**(values | changes))  # type: ignore[arg-type]


def test_the_schedule_starts_again_when_the_backbone_is_unfrozen() -> None:
    p = plan()
    factors = [p.factor(step) for step in range(30)]
    assert factors[:20] == [rate_factor("one-cycle", i, 20) for i in range(20)]
    assert factors[20:] == [rate_factor("one-cycle", i, 10) for i in range(10)]


@pytest.mark.parametrize("unfreeze_at", [None, 6, 9, 0])
def test_one_phase_has_one_schedule(unfreeze_at: int | None) -> None:
    p = plan(unfreeze_at=unfreeze_at)
    expected = [rate_factor("one-cycle", i, 30) for i in range(30)]
    assert [p.factor(step) for step in range(30)] == expected
    assert p.ever_unfreezes == (unfreeze_at == 0)


def test_what_is_open_depends_on_the_epoch_alone() -> None:
    assert [plan().first_open_stage(e) for e in range(6)] == [3, 3, 3, 3, 0, 0]
    assert [plan(unfreeze_stages=2).first_open_stage(e) for e in range(6)] == [3, 3, 3, 3, 1, 1]
    assert plan(unfreeze_stages=9).first_open_stage(5) == 0
    assert plan(unfreeze_at=None).first_open_stage(5) == 3


def test_rates_fall_with_the_distance_from_the_output() -> None:
    assert [plan().full_rate(s) for s in (None, 2, 1, 0)] == pytest.approx(
        [0.1, 0.01, 0.005, 0.0025]
    )
