"""What rounding does to gradients, and whether torch autograd finds the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, block_size
from mlhw.maths.arrays import Array
from mlhw.maths.chain import LogGradients, decades

# Draws, and copies of each with everything shifted by an ulp, that show what rounding does.
SHIFTED, COPIES = 25, 4
CHECKED = 5
# Shifts up and down may cancel in one copy, not in all of so many.
TORCH_COPIES = 20
# Weights of all the copies that go through torch at once: 128 MB.
COPIED = 2**24
# Numbers that are shifted in one call.
AT_ONCE = 2**18
# A gradient that an ulp moves by less (in log10) must agree with torch; e^±640 is well in float64.
SURE, HELD = 1e-11, 640.0
# Numbers of such a size are far from where float64 ends.
PLAIN = 1e-250, 1e250
# Layers that torch goes back through in one call.
PIECE = 1000


@dataclass(frozen=True)
class Rounding:
    """What float64 leaves of log10 |gradient|, and how the first draws agree with torch autograd.

    ``accuracy``: the largest change of a log10 when all weights and inputs move by an ulp (infinite
    where a sign or a zero changes). ``compared`` entries of ``CHECKED`` draws differ by
    ``difference`` at most; ``unheld`` could not be compared because float64 cannot hold the numbers,
    ``unsure`` because rounding alone moves them.
    """

    accuracy: float
    difference: float | None
    compared: int
    unheld: int
    unsure: int


def rounding_of(
    network: NetworkKind, w: tuple[Array, ...], g: LogGradients, setting: Setting
) -> Rounding:
    """Shift the first draws of the block ``w`` by an ulp, and put ``CHECKED`` of them through torch.

    ``g`` are the gradients of ``w``.
    """
    n = min(SHIFTED, w[-1].shape[-1])
    copies = max(1, min(COPIES, block_size(network) // n))
    rng = np.random.default_rng([setting.seed, network.depth, network.width, 1])
    shifted = tuple(moved_by_ulps(rng, part[..., :n], copies) for part in w)
    other = block_gradients(
        network, shifted, moved_by_ulps(rng, np.full(n, setting.x), copies), setting
    )
    sign, log = np.tile(g.sign[:, :n], copies), np.tile(g.log[:, :n], copies)
    with np.errstate(invalid="ignore"):
        moved = np.where((sign == 0) & (other.sign == 0), 0.0, np.abs(other.log - log))
    moved = decades(np.where(other.sign == sign, moved, np.inf))
    moved = moved.reshape(len(moved), copies, n).max(axis=1)

    k = min(n, CHECKED)
    found = torch_gradients(network, tuple(part[..., :k] for part in w), setting)
    held = _held(g, k) & np.isfinite(found)
    # torch's own digits: a sum of its activations may cancel to the last bit.
    again = np.empty((len(found), TORCH_COPIES, k))
    # As many copies at once as memory allows.
    at_once = max(1, min(TORCH_COPIES, COPIED // (k * sum(part[..., 0].size for part in w))))
    for first in range(0, TORCH_COPIES, at_once):
        some = min(at_once, TORCH_COPIES - first)
        copied = tuple(moved_by_ulps(rng, part[..., :k], some) for part in w)
        rows = torch_gradients(network, copied, setting, rng)
        again[:, first : first + some] = rows.reshape(len(rows), some, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.log10(np.abs(again / found[:, None]))
        steady = np.where(found == 0, again.any(axis=1) == 0, (np.abs(apart) < SURE).all(axis=1))
    # Where torch's numbers are of ordinary size, no excuse of the gradients in question counts.
    sizes = np.abs(found)
    plain = (sizes > PLAIN[0]) & (sizes < PLAIN[1]) & plain_forward(network, w, k, setting)
    held |= steady & plain
    compared = held & steady & ((moved[:, :k] < SURE) | plain)
    # Where the signs differ, or only one of both is zero, the difference is infinite.
    difference = np.where(np.sign(found) == g.sign[:, :k], 0.0, np.inf)
    both = (found != 0) & ~g.zero[:, :k]
    difference[both] += np.abs(decades(g.log[:, :k][both]) - np.log10(np.abs(found[both])))
    return Rounding(
        float(moved.max()),
        float(difference[compared].max()) if compared.any() else None,
        int(compared.sum()),
        int(np.sum(~held)),
        int(np.sum(held & ~compared)),
    )


def moved_by_ulps(rng: np.random.Generator, values: Array, copies: int) -> Array:
    """So many copies of values (…, n), as (…, copies · n), each number moved by an ulp up or down.

    In pieces: what is computed on the way takes no memory to speak of, and no call takes long.
    """
    found = np.ascontiguousarray(np.tile(values, copies))
    flat = found.reshape(-1)
    for first in range(0, flat.size, AT_ONCE):
        part = flat[first : first + AT_ONCE]
        part *= 1.0 + np.finfo(np.float64).eps * rng.choice([-1.0, 1.0], part.shape)
    return found


def _held(g: LogGradients, k: int) -> Array:
    """(L−1, k): whether float64 holds a gradient of the first k draws and what torch needs for it.

    That is z in every layer, and of the layers behind ∂E/∂z and ∂E/∂a, the factors of their gradients
    ∂E/∂z · h'(a) · z. A zero counts as held.
    """
    slope = np.concatenate([g.slope_log[:, :k], np.zeros((1, k))])
    log, z_log = g.log[:, :k], g.z_log[:, :k]
    there = np.isfinite(log)
    sizes = np.zeros((3, *log.shape))
    sizes[0, there] = log[there]
    sizes[1, there] = log[there] - z_log[there]
    sizes[2, there] = sizes[1, there] - slope[there]
    behind = np.maximum.accumulate(np.abs(sizes).max(axis=0)[::-1], axis=0)[::-1]
    forward = np.abs(np.where(np.isfinite(z_log), z_log, 0.0)).max(axis=0)
    held: Array = np.maximum(behind, forward) < HELD
    return held


def torch_gradients(
    network: NetworkKind,
    w: tuple[Array, ...],
    setting: Setting,
    rng: np.random.Generator | None = None,
) -> Array:
    """∂E/∂w_11^(l) (L−1, n) by torch autograd in float64; ``w`` as ``kinds.blocks`` gives it.

    With ``rng`` each activation moves by an ulp: where a unit saturates, an ulp of its weights changes
    nothing, and the rounding of its output still shows once such outputs cancel.
    """
    import torch

    h = torch_activation(network.activation)
    m, n = network.width, w[-1].shape[-1]
    z = torch.full((m, n), setting.x, dtype=torch.float64)
    zeros = torch.zeros((len(w[0]), m, n), dtype=torch.float64)
    biases, last_bias = map(torch.tensor, w[-2:]) if setting.biased else (zeros, zeros[0, 0])
    if m == 1:
        layers = [torch.tensor(row.reshape(1, 1, n)) for row in w[0]]
    else:
        layers = [torch.tensor(layer) for layer in w[0]] + [torch.tensor(w[1][None])]
    for weight in layers:
        weight.requires_grad_()
    # In pieces, since a signal waits for the end of a backward pass.
    pieces = []
    for first in range(0, len(layers) - 1, PIECE):
        start = z = z.detach().requires_grad_()
        for row in range(first, min(first + PIECE, len(layers) - 1)):
            value = h(torch.einsum("ijn,jn->in", layers[row], z) + biases[row])
            if rng is not None:
                value = value * torch.from_numpy(moved_by_ulps(rng, np.ones(tuple(value.shape)), 1))
            z = z + value if network.residual else value
        pieces.append((start, z))
    output = torch.einsum("ijn,jn->in", layers[-1], z) + last_bias
    residue = output - setting.t
    if setting.output == "sigmoid":
        # Right of 0 as (1 − t) − σ(−a): σ(a) − 1 would cancel.
        sigmoid = torch_activation("sigmoid")
        mirrored = (1.0 - setting.t) - sigmoid(-output)
        residue = torch.where(output > 0, mirrored, sigmoid(output) - setting.t)
    torch.autograd.backward((0.5 * residue**2).sum())
    for (start, _), (_, end) in zip(pieces[:0:-1], pieces[-2::-1], strict=True):
        torch.autograd.backward(end, start.grad)
    rows: list[Any] = [weight.grad for weight in layers]
    return np.array([row[0, 0].numpy() for row in rows])


def plain_forward(network: NetworkKind, w: tuple[Array, ...], k: int, setting: Setting) -> Array:
    """(k,): whether every output of a unit, its slope and its sum with what a residual connection
    brings is 0 or of an ordinary size, by torch's functions."""
    import torch

    h = torch_activation(network.activation)
    layers = w[0][:-1, None, None, :k] if network.width == 1 else w[0][..., :k]
    biases = w[-2][..., :k] if setting.biased else np.zeros((len(layers), network.width, 1))
    z = torch.full((network.width, layers.shape[-1]), setting.x, dtype=torch.float64)
    plain = np.ones(layers.shape[-1], bool)
    for layer, bias in zip(layers, biases, strict=True):
        a = torch.einsum("ijn,jn->in", torch.tensor(np.ascontiguousarray(layer)), z)
        a = (a + torch.tensor(np.ascontiguousarray(bias))).requires_grad_()
        value = h(a)
        (slope,) = torch.autograd.grad(value.sum(), a)
        z = (z + value if network.residual else value).detach()
        for numbers in (value.detach(), slope, z):
            size = np.abs(numbers.numpy())
            plain &= ((size == 0) | ((size > PLAIN[0]) & (size < PLAIN[1]))).all(axis=0)
    return plain


def torch_activation(name: str) -> Any:
    """The activation as torch differentiates it without losing digits.

    ``torch.sigmoid`` is differentiated as h(1 − h), ``torch.tanh`` as 1 − h², GELU's Φ is computed as
    (1 + erf)/2: each cancels where a unit saturates. Softplus and log Φ do not. (Softplus becomes the
    identity at torch's threshold of 20, which shows in the ninth digit; at 50 it does not.)
    """
    import torch
    from torch.nn import functional

    def softplus(a: Any) -> Any:
        return functional.softplus(a, threshold=50.0)

    def tanh(a: Any) -> Any:
        tail = torch.exp(-softplus(2.0 * a.abs()))
        return torch.where(a.abs() < 1.0, torch.tanh(a), torch.sign(a) * (1.0 - 2.0 * tail))

    return {
        "sigmoid": lambda a: torch.exp(-softplus(-a)),
        "relu": torch.relu,
        "tanh": tanh,
        "gelu": lambda a: a * torch.exp(torch.special.log_ndtr(a)),
        "leaky_relu": functional.leaky_relu,
        "softplus": softplus,
    }[name]
