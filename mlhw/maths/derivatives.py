"""Two more ways to the derivatives of a network's loss, to hold back-propagation against.

``autograd`` is torch's reverse mode; ``complex_step`` knows only the forward pass and the loss, and so
do the finite differences of ``differences.py``. These two perturb the activations of a layer and
recompute the layers behind it, all perturbations of a layer as one batch: changing w_ji^(l) by ε
changes a_j^(l+1) by ε z_i^(l) and nothing else in that layer. Values not worked out are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.maths.activations import LEAK
from mlhw.maths.arrays import Array
from mlhw.maths.network import (
    Activity,
    Gradients,
    Network,
    forward,
    losses,
    value,
    with_bias,
)

COMPLEX_STEP = 1e-20
"""Its error is of order step², so anything from 1e-9 to 1e-100 gives the same digits."""

CHUNK = 1 << 18
"""At most about so many numbers in one array: bounds memory, and the time between two signals."""

EVALUATIONS = 18
"""So many steps are worked out at once for each perturbation (``differences.py``)."""


# ------------------------------------------------------------------------------------- autograd


def autograd(network: Network, weights: Sequence[Array], X: Array, T: Array) -> Gradients:
    """Every derivative by torch's autograd in float64."""
    import torch

    threads = torch.get_num_threads()
    # On small arrays a second thread costs milliseconds of waiting for each function.
    torch.set_num_threads(1)
    try:
        return _autograd(network, weights, X, T)
    finally:
        torch.set_num_threads(threads)


def _autograd(network: Network, weights: Sequence[Array], X: Array, T: Array) -> Gradients:
    import torch
    from torch.nn import functional

    # logistic, tanh and GELU by forms whose derivatives keep their digits far out: torch differentiates
    # sigmoid as y(1 − y), tanh as 1 − y² and GELU through 1 + erf, and all of them cancel.
    activations: dict[str, Any] = {
        "logistic": lambda a: torch.exp(functional.logsigmoid(a)),
        "tanh": _torch_tanh,
        "relu": torch.relu,
        "leaky_relu": lambda a: functional.leaky_relu(a, LEAK),
        "softplus": lambda a: -functional.logsigmoid(-a),
        "gelu": lambda a: 0.5 * a * torch.special.erfc(-a * 0.5**0.5),
        "identity": lambda a: a,
        "softmax": lambda a: torch.softmax(a, dim=-1),
    }
    W = [torch.tensor(w, requires_grad=True) for w in weights]
    z, t = torch.tensor(X), torch.tensor(T)
    a = []
    for layer, w in enumerate(W, start=2):
        if network.bias:
            z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
        a.append(z @ w.T)
        z = activations[network.activation(layer)](a[-1])
    if network.loss == "half_squared_error":
        loss = 0.5 * ((z - t) ** 2).sum()
    elif network.loss == "binary_cross_entropy":
        loss = functional.binary_cross_entropy_with_logits(a[-1], t, reduction="sum")
    else:
        # −ln z_j as the logarithm of Σ_k exp(a_k − a_j), whose own term has no derivative: torch's
        # log_softmax is differentiated as z − t, which cancels where z is all but t.
        apart = a[-1][:, None, :] - a[-1][:, :, None]
        own = torch.eye(apart.shape[-1], dtype=torch.bool)
        loss = (t * torch.logsumexp(apart.masked_fill(own, 0.0), dim=-1)).sum()
    found = [g.numpy() for g in torch.autograd.grad(loss, [*W, *a])]
    # The sum's derivative by a_n is δ_n; the mean's derivative by W is the sum's over N.
    return Gradients([g / len(X) for g in found[: len(W)]], found[len(W) :])


def _torch_tanh(a: Any) -> Any:
    """tanh a as ±(1 − 2/(1 + exp 2|a|)) beyond ±2, where 1 − tanh² loses more than a digit."""
    import torch
    from torch.nn import functional

    far = torch.sign(a) * (1.0 - 2.0 * torch.exp(functional.logsigmoid(-2.0 * a.abs())))
    return torch.where(a.abs() < 2.0, torch.tanh(a), far)


# ------------------------------------------------------------------------------------- directions


@dataclass(frozen=True)
class Perturbations:
    """Ways to move a^(l): ``change`` (P, N, n_l) for a step of 1, at most 1 in size.

    The derivative by what is perturbed is ``scale`` (P,) times that by the step. ``index`` says where
    the results belong: rows of (j, i) for a weight matrix, of (j,) for δ.
    """

    layer: int
    index: tuple[Array, ...]
    change: Array
    scale: Array


def delta_perturbations(activity: Activity, layer: int) -> Iterator[Perturbations]:
    """a_j^(l) + ε for every unit j; the inputs of a batch do not touch each other."""
    inputs, units = activity.a[layer - 2].shape
    for j in _parts(np.arange(units), inputs * units):
        change = np.zeros((len(j), inputs, units))
        change[np.arange(len(j)), :, j] = 1.0
        yield Perturbations(layer, (j,), change, np.ones(len(j)))


def weight_perturbations(
    network: Network, activity: Activity, layer: int, entries: Array
) -> Iterator[Perturbations]:
    """w_ji^(l) + ε for the ``entries`` of W^(l), rows (j, i) of an (P, 2) array of indices."""
    z = with_bias(network, activity.z[layer - 1])
    inputs, units = activity.a[layer - 1].shape
    largest = np.abs(z).max(axis=0)
    for part in _parts(entries, inputs * units):
        j, i = part[:, 0], part[:, 1]
        change = np.zeros((len(part), inputs, units))
        # Where z_i is 0 for every input the derivative is exactly 0, whatever the step.
        change[np.arange(len(part)), :, j] = (z / np.where(largest > 0, largest, 1.0))[:, i].T
        yield Perturbations(layer + 1, (j, i), change, largest[i])


def _parts(rows: Array, size: int) -> list[Array]:
    """``rows`` in pieces that times ``size`` numbers and all steps stay below a chunk."""
    at_once = max(1, CHUNK // (EVALUATIONS * size))
    return [rows[start : start + at_once] for start in range(0, len(rows), at_once)]


def losses_behind(
    network: Network, weights: Sequence[Array], layer: int, a: Array, T: Array
) -> tuple[Array, list[Array]]:
    """E_n (…, N) from a^(l) (…, N, n_l) on, and the activations of the layers with a kink."""
    kinked = []
    for m in range(layer, network.depth):
        if network.kinked_at(m):
            kinked.append(a)
        z = with_bias(network, value(network, m, a))
        # One product of two matrices: NumPy multiplies stacks of small ones one by one.
        a = (z.reshape(-1, z.shape[-1]) @ weights[m - 1].T).reshape(*z.shape[:-1], -1)
    if network.kinked_at(network.depth):
        kinked.append(a)
    return losses(network, a, T), kinked


# ------------------------------------------------------------------------------------- complex step


def complex_step(
    network: Network,
    weights: Sequence[Array],
    X: Array,
    T: Array,
    entries: Sequence[Array],
    step: float = COMPLEX_STEP,
) -> Gradients:
    """∂E/∂w = Im E(w + i·step)/step (Squire and Trapp, 1998), without any subtraction.

    ``entries[l-1]`` holds the (j, i) of W^(l) to work out; every δ is.

    Raises ValueError for a network with an activation that is not analytic.
    """
    if network.kinked:
        raise ValueError(f"{', '.join(network.kinked)}: not analytic, so there is no complex step")
    activity = forward(network, weights, X)

    def derivative(p: Perturbations) -> Array:
        a = activity.a[p.layer - 2] + 1j * step * p.change
        E, _ = losses_behind(network, weights, p.layer, a, T)
        return np.asarray(E.imag / step * p.scale[:, None])

    found = empty_gradients(network, len(X))
    for p in all_perturbations(network, activity, entries):
        store(found, p, derivative(p))
    return found


def all_perturbations(
    network: Network, activity: Activity, entries: Sequence[Array]
) -> Iterator[Perturbations]:
    """Of the weights ``entries[l-1]``, rows (j, i), of every W^(l), and of every δ."""
    for layer in range(1, network.depth):
        yield from weight_perturbations(network, activity, layer, entries[layer - 1])
        yield from delta_perturbations(activity, layer + 1)


def store(into: Gradients, p: Perturbations, derivative: Array) -> None:
    """Put derivatives (P, N) of each E_n where they belong: δ a column, a weight its mean."""
    if len(p.index) == 1:
        into.deltas[p.layer - 2][:, p.index[0]] = derivative.T
    else:
        into.weights[p.layer - 2][p.index] = derivative.mean(axis=1)


def empty_gradients(network: Network, inputs: int) -> Gradients:
    """Gradients of the right shapes, full of NaN."""
    return Gradients(
        [np.full(shape, np.nan) for shape in network.shapes],
        [np.full((inputs, n), np.nan) for n in network.layers[1:]],
    )


def complex_step_along(
    network: Network, weights: Sequence[Array], X: Array, T: Array, direction: Sequence[Array]
) -> float:
    """dE/ds of the weights W + s·direction at s = 0, by the complex step."""
    moved = [W + 1j * COMPLEX_STEP * D for W, D in zip(weights, direction, strict=True)]
    E = losses(network, forward(network, moved, X).a[-1], T)
    return float(E.imag.mean() / COMPLEX_STEP)
