"""Every derivative of a hundred random networks in four ways, beside torch's own check of gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rows import either

ROW = "12"
TITLE = "backprop-check, 100 random networks: every derivative by backprop and in three other ways"
GOAL = "at most 0.4 s or 3.5 times as fast as before, every entry checked"

NETWORKS, WIDTH = 100, 16


def _trials() -> list[Any]:
    from mlhw.maths.random_networks import random_trial

    return [
        random_trial(f"network {k}", np.random.default_rng([0, 1, k]), WIDTH)
        for k in range(1, NETWORKS + 1)
    ]


def _four_ways() -> list[Any]:
    """As the command works through them: networks are drawn too."""
    from mlhw.maths.four_ways import differentiate
    from mlhw.maths.random_networks import random_trial

    found = []
    for k in range(1, NETWORKS + 1):
        rng = np.random.default_rng([0, 1, k])
        found.append(differentiate(random_trial(f"network {k}", rng, WIDTH), rng))
    return found


def _one_thread(work: Callable[[], object]) -> Callable[[], object]:
    from threadpoolctl import threadpool_limits

    def limited() -> object:
        with threadpool_limits(1):
            return work()

    return limited


def _gradcheck() -> Callable[[], object]:
    """``gradcheck`` of the same networks' losses by all weights, every entry (not its fast mode)."""
    import torch
    from torch.nn import functional

    activations: dict[str, Any] = {
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": functional.leaky_relu,
        "softplus": functional.softplus,
        "gelu": functional.gelu,
        "identity": lambda a: a,
        "softmax": lambda a: torch.softmax(a, dim=-1),
    }
    torch.set_num_threads(1)

    def loss_of(p: Any) -> Callable[..., Any]:
        X, T, network = torch.tensor(p.X), torch.tensor(p.T), p.network

        def loss(*weights: Any) -> Any:
            z = a = X
            for layer, W in enumerate(weights, start=2):
                if network.bias:
                    z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
                a = z @ W.T
                z = activations[network.activation(layer)](a)
            if network.loss == "half_squared_error":
                return 0.5 * ((z - T) ** 2).sum() / len(X)
            if network.loss == "binary_cross_entropy":
                return functional.binary_cross_entropy_with_logits(a, T, reduction="sum") / len(X)
            return -(T * torch.log_softmax(a, dim=-1)).sum() / len(X)

        return loss

    cases = [
        (loss_of(p), tuple(torch.tensor(W, requires_grad=True) for W in p.weights))
        for p in _trials()
    ]

    def work() -> object:
        return [
            torch.autograd.gradcheck(loss, weights, raise_exception=False)
            for loss, weights in cases
        ]

    return work


def works() -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {"mlhw": _one_thread(_four_ways)}
    with contextlib.suppress(ImportError):  # torch is an optional part
        found["torch.autograd.gradcheck"] = _one_thread(_gradcheck())
    return found


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {"at most 0.4 s, or 3.5 times as fast as before": either(times, 0.4, 3.5)}


def checks() -> dict[str, float]:
    """How far each way is from backprop at worst, and how many entries none of the ways checked."""
    found: dict[str, float] = {}
    unchecked = 0
    for c in _four_ways():
        for way, worst in c.worst.items():
            name = f"largest relative error, {way.replace('_', ' ')}"
            found[name] = max(found.get(name, 0.0), worst.error)
        errors = c.errors["finite_difference"]
        unchecked += sum(int(np.isnan(error).sum()) for error in errors)
    found["entries without a difference (at a kink, or hidden by rounding)"] = float(unchecked)
    return found
