"""Steps on joined groups are those on separate ones, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from mlhw.vision.training.optimizers import JoinedAdamW, JoinedSGD

KINDS: list[tuple[Any, Any, dict[str, Any]]] = [
    (JoinedSGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (JoinedSGD, torch.optim.SGD, {}),
    (JoinedAdamW, torch.optim.AdamW, {}),
]


def groups_of(tensors: list[torch.Tensor]) -> list[dict[str, Any]]:
    """Six groups: two of the head's rate, four of the backbone's, half of them with decay."""
    return [
        {
            "params": [tensors[2 * k], tensors[2 * k + 1]],
            "weight_decay": 0.01 * (k % 2),
            "lr": 0.1 if k < 2 else 0.02,
            "full_rate": 0.1 if k < 2 else 0.02,
            "stage": None if k < 2 else k // 2,
        }
        for k in range(6)
    ]


@pytest.mark.parametrize(("kind", "plain", "keys"), KINDS)
@pytest.mark.parametrize("scaled", [False, True])
def test_bits_and_state_are_those_of_separate_groups(
    kind: Any, plain: Any, keys: dict[str, Any], scaled: bool
) -> None:
    draws = torch.Generator().manual_seed(3)
    starts = [torch.randn(5 + k, 3, generator=draws) for k in range(12)]
    sets = [[torch.nn.Parameter(t.clone()) for t in starts] for _ in range(2)]
    optimizers = [
        kind_(groups_of(tensors), 0.1, fused=True, **keys)  # type: ignore[arg-type]
        for kind_, tensors in zip((kind, plain), sets, strict=True)
    ]
    scalers = [torch.amp.GradScaler("cpu", enabled=scaled, init_scale=8.0) for _ in range(2)]
    for step in range(5):
        gradients = [torch.randn(t.shape, generator=draws) for t in starts]
        for k in range(2):
            for number, (parameter, gradient) in enumerate(zip(sets[k], gradients, strict=True)):
                frozen = step < 2 and number > 7
                parameter.grad = None if frozen else gradient * (8.0 if scaled else 1.0)
            for group in optimizers[k].param_groups:
                group["lr"] = group["full_rate"] * (1 - 0.1 * step)
            if scaled:
                scalers[k].scale(torch.zeros(()))
            scalers[k].step(optimizers[k])
            scalers[k].update()
        if step == 2:  # a copy goes on as the optimizer itself
            sets[0], optimizers[0] = copy.deepcopy((sets[0], optimizers[0]))
    for one, other in zip(*sets, strict=True):
        assert torch.equal(one, other)
    saved, expected = (optimizer.state_dict() for optimizer in optimizers)
    assert saved["param_groups"] == expected["param_groups"]
    for number, state in expected["state"].items():
        for name, value in state.items():
            found = saved["state"][number][name]
            assert value is None if found is None else torch.equal(found, value)


def test_groups_of_the_same_settings_are_one_and_stay_as_they_were() -> None:
    tensors = [torch.nn.Parameter(torch.zeros(1)) for _ in range(12)]
    optimizer = JoinedSGD(groups_of(tensors), 0.1)
    groups = optimizer.param_groups
    found = optimizer.joined()
    assert [len(group["params"]) for group in found] == [2, 2, 4, 4]
    assert [(group["lr"], group["weight_decay"]) for group in found] == [
        (0.1, 0.0),
        (0.1, 0.01),
        (0.02, 0.0),
        (0.02, 0.01),
    ]
    optimizer.step()
    assert optimizer.param_groups is groups
    assert [len(group["params"]) for group in groups] == [2] * 6
