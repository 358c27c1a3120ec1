"""The optimizers of torch, stepping on groups of equal settings at once.

The groups keep the rates of a network's stages apart. Most have the same settings in most runs, and a GPU is
asked for less in a step where they are one. Numbers, state and what is saved are those of separate groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_NOT_SETTINGS = ("params", "full_rate", "stage")


class _Joining(torch.optim.Optimizer):
    """Before an optimizer among a class's bases: its step takes joined groups."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        separate = self.param_groups
        self.param_groups = self.joined()
        try:
            return super().step(closure)
        finally:
            self.param_groups = separate

    def joined(self) -> list[dict[str, Any]]:
        """The groups, no two of them alike in their settings and in whether they have made a step.

        torch's first step of a parameter, which makes its momentum, is one for all of a group.
        """
        found: dict[tuple[object, ...], dict[str, Any]] = {}
        for group in self.param_groups:
            began = frozenset(
                bool(self.state.get(p)) for p in group["params"] if p.grad is not None
            )
            settings = (began, *(v for k, v in group.items() if k not in _NOT_SETTINGS))
            if settings in found:
                found[settings]["params"] += group["params"]
            else:
                found[settings] = {**group, "params": list(group["params"])}
        return list(found.values())


class JoinedSGD(_Joining, torch.optim.SGD):
    """``torch.optim.SGD``."""


class JoinedAdamW(_Joining, torch.optim.AdamW):
    """``torch.optim.AdamW``."""
