"""The file that ``--write-template`` writes: where to begin one's own derivation."""

from __future__ import annotations

from pathlib import Path

from mlhw.errors import UsageError
from mlhw.maths.network import Network
from mlhw.system.files import encoded, write_new


def write(path: Path, network: Network) -> None:
    """Write a starting file for ``network``; what is there already is never overwritten.

    Raises UsageError where that cannot be done.
    """
    try:
        write_new(path, encoded(text(network, path.name)))
    except FileExistsError:
        raise UsageError(
            f"{path}: is there already and stays as it is; give another name"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {(error.strerror or '').lower()}") from None


def text(network: Network, name: str) -> str:
    """The file for ``network``, to be saved as ``name``."""
    shapes = "\n".join(
        f"    weights[{layer - 1}]  W^({layer})  shape {shape}"
        for layer, shape in enumerate(network.shapes, start=1)
    )
    bias = (
        "The last column of W^(l) holds the biases: give z^(l) a last entry of 1."
        if network.bias
        else "There are no biases."
    )
    return _TEMPLATE.format(
        name=name,
        layers=", ".join(map(str, network.layers)),
        depth=network.depth,
        hidden=", ".join(network.hidden) or "none",
        output=network.output,
        loss=_LOSSES[network.loss],
        shapes=shapes,
        bias=bias,
        first=network.layers[0],
        last=network.layers[-1],
    )


_LOSSES = {
    "half_squared_error": "E_n = 1/2 sum_k (z_k - t_k)^2, z the outputs",
    "binary_cross_entropy": "E_n = -sum_k t_k ln z_k + (1 - t_k) ln(1 - z_k), z the outputs",
    "cross_entropy": "E_n = -sum_k t_k ln z_k, z the outputs",
}

_TEMPLATE = '''"""My own back-propagation, to be checked with

    mlhw backprop-check --implementation {name}

(give the same --layers, --hidden, --loss ... as when this file was written, if any).

The network has {depth} layers of {layers} units; hidden activations: {hidden}; output: {output};
{loss}. For a batch of N inputs E is the mean of the E_n.

Notation: w_ji^(l) goes from unit i of layer l to unit j of layer l+1; z^(1) = x,
a^(l+1) = W^(l) z^(l), z^(l) = h(a^(l)) and delta_j^(l) = dE_n/da_j^(l).
{bias}
"""

import numpy as np


def backprop(weights, x, t):
    """The gradient of the loss by every weight.

    weights: a list of arrays, weights[l-1] is W^(l)
{shapes}
    x: the input, shape ({first},); a function that takes batches gets (N, {first}) too
    t: the target, shape ({last},), or (N, {last})

    Returns a list of arrays, one for each weight matrix and of its shape: dE/dW^(1), dE/dW^(2), ...
    (or a dict {{"gradients": that list, "deltas": [delta^(2), ..., delta^({depth})]}}).
    """
    # 1. Forward: a^(l+1) = W^(l) z^(l) and z^(l+1) = h(a^(l+1)), from z^(1) = x on. Keep them all.

    # 2. Backward: delta of the output, then
    #    delta_j^(l) = h'(a_j^(l)) * sum over k of w_kj^(l) * delta_k^(l+1).

    # 3. dE/dw_ji^(l) = delta_j^(l+1) * z_i^(l).

    return [np.zeros_like(W) for W in weights]  # replace by your gradients
'''
