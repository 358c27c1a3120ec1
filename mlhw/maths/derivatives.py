"""Two more ways to the derivatives of a network's loss, to hold back-propagation against.

``autograd`` is torch's reverse mode; ``complex_step`` knows only the forward pass and the loss, and so
do the finite differences of ``differences.py``. These two move one activation at a time and recompute the
layers behind it, all units of a network as one batch. Changing w_ji^(l) by ε changes a_j^(l+1) of input n by
ε z_i^(l) and nothing else in that layer, so that E_n goes the same way whichever weight into a unit is moved:
with the step h/z_i of the weight through the very places of the step h of the activation. They are visited
once. Values not worked out are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


# ------------------------------------------------------------------------------------- one activation


def unit_pieces(network: Network, inputs: int, steps: int) -> list[range]:
    """All units of layers 2 … L, numbered through, in pieces that times all steps stay below a chunk."""
    units = sum(network.layers[1:])
    at_once = max(1, CHUNK // (steps * inputs * max(network.layers[1:])))
    return [range(start, min(start + at_once, units)) for start in range(0, units, at_once)]


def losses_after(
    network: Network,
    weights: Sequence[Array],
    activity: Activity,
    T: Array,
    units: range,
    steps: Array,
) -> tuple[Array, Array | None]:
    """E_n after ``steps`` (S,), real or complex, of the activation of each of some units, for each input.

    Returns E (S, len(units), N), and of the same shape whether a layer with a kink has an activation on
    the other side of it then; None where no layer has one.
    """
    inputs = len(T)
    crossed = np.zeros((len(steps), len(units), inputs), bool) if network.kinked else None
    first = 0
    a = np.zeros((len(steps), 0, inputs, 1), steps.dtype)
    for layer, here in enumerate(activity.a, start=2):
        width = here.shape[-1]
        moved = np.arange(max(units.start, first), min(units.stop, first + width)) - first
        first += width
        if first <= units.start:
            continue
        fresh = np.empty((len(steps), len(moved), inputs, width), steps.dtype)
        fresh[:] = here
        fresh[:, np.arange(len(moved)), :, moved] += steps[:, None]
        if a.shape[1]:
            z = with_bias(network, value(network, layer - 1, a))
            # One product of two matrices: NumPy multiplies stacks of small ones one by one.
            a = (z.reshape(-1, z.shape[-1]) @ weights[layer - 2].T).reshape(*z.shape[:-1], -1)
            fresh = np.concatenate([a, fresh], axis=1) if len(moved) else a
        a = fresh
        if crossed is not None and network.kinked_at(layer):
            crossed[:, : a.shape[1]] |= ((a > 0) != (here > 0)).any(axis=-1)
    return losses(network, a, T), crossed


class Movers:
    """The weights that are due, the activation that each moves, and how fast.

    ``entries[l-1]`` holds the (j, i) of W^(l); w_ji moves a_j of input n z_i times as fast as itself. Units
    are numbered through from layer 2 on.
    """

    def __init__(self, network: Network, activity: Activity, entries: Sequence[Array]) -> None:
        self.network = network
        self._units = np.cumsum([0, *network.layers[1:]])
        self._sizes = np.cumsum([0, *(rows * columns for rows, columns in network.shapes)])
        moved, factors, places = [], [], []
        for k, part in enumerate(entries):
            j, i = part[:, 0], part[:, 1]
            moved.append(self._units[k] + j)
            factors.append(with_bias(network, activity.z[k])[:, i])
            places.append(self._sizes[k] + j * network.shapes[k][1] + i)
        self._moved, self._places = np.concatenate(moved), np.concatenate(places)
        self._factors = np.concatenate(factors, axis=1)

    def gradients(self, slopes: Array, share: Callable[[Array], Array] = lambda z: z) -> Gradients:
        """From what each E_n has by each activation, (units, N), what E has by weights and E_n by δ.

        E is the mean of the E_n, and a weight has ``share`` of z_i times what its activation has. Weights
        that are not due stay NaN.
        """
        factors = share(self._factors)
        # Where z_i is 0 the derivative is exactly 0, whatever that by the activation.
        each = np.where(factors != 0, slopes[self._moved].T * factors, 0.0)
        found = np.full(self.network.size, np.nan)
        found[self._places] = each.sum(axis=0) / len(each)
        weights = [
            found[start:stop].reshape(shape)
            for start, stop, shape in zip(
                self._sizes, self._sizes[1:], self.network.shapes, strict=False
            )
        ]
        units = zip(self._units, self._units[1:], strict=False)
        return Gradients(weights, [slopes[start:stop].T.copy() for start, stop in units])


def losses_behind(
    network: Network, weights: Sequence[Array], layer: int, a: Array, T: Array
) -> Array:
    """E_n (…, N) from a^(l) (…, N, n_l) on, real or complex."""
    for m in range(layer, network.depth):
        a = with_bias(network, value(network, m, a)) @ weights[m - 1].T
    return losses(network, a, T)


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
    slopes = [
        losses_after(network, weights, activity, T, units, np.array([1j * step]))[0].imag[0] / step
        for units in unit_pieces(network, len(X), 1)
    ]
    return Movers(network, activity, entries).gradients(np.concatenate(slopes))


def complex_step_along(
    network: Network, weights: Sequence[Array], X: Array, T: Array, direction: Sequence[Array]
) -> float:
    """dE/ds of the weights W + s·direction at s = 0, by the complex step."""
    moved = [W + 1j * COMPLEX_STEP * D for W, D in zip(weights, direction, strict=True)]
    E = losses(network, forward(network, moved, X).a[-1], T)
    return float(E.imag.mean() / COMPLEX_STEP)
