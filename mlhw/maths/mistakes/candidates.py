"""The classic mistakes that a network offers, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator

from mlhw.maths.mistakes.kinds import Mistake
from mlhw.maths.mistakes.mistaken import FORMULAS
from mlhw.maths.network import Network

# Terms k of a sum that are tried one by one.
MOST_TERMS = 8

# h' as a formula of the output z, and fed with a instead.
_BY_OUTPUT = {"logistic": ("z(1-z)", "a(1-a)"), "tanh": ("1-z^2", "1-a^2")}
_FORWARD = ("identity", "logistic", "tanh", "relu")


def candidates(network: Network, layer: int, samples: int) -> Iterator[Mistake]:
    """The mistakes that first show in ∂E/∂W^(l): in δ^(l+1), or in the matrix itself."""
    behind = layer + 1
    delta, matrix = f"delta^({behind})", f"dE/dW^({layer})"
    yield Mistake("transposed", f"{matrix} is transposed", "turned", layer, common=True)
    yield Mistake("layer_missing", f"{matrix} is 0: nothing is derived there", "zero", layer)
    for kind, what in (("delta", delta), ("gradient", matrix)):
        at = layer + (kind == "delta")
        yield Mistake("sign", f"{what} has the wrong sign", kind, at, -1.0, common=True)
        yield Mistake("factor", f"{what} is 2 times too large", kind, at, 2.0, common=True)
        half = f"{what} is half as large as it should be"
        yield Mistake("factor", half, kind, at, 0.5, common=True)
    yield from _slopes(network, behind)
    if behind == network.depth:
        yield from _errors(network)
    else:
        yield from _sums(network, behind)
        yield from _matrices(network, behind)
    yield from _other_layers(network, layer)
    yield from _activations(network)
    if network.bias:
        words = "the biases are left out of the forward pass"
        yield Mistake("bias_ignored", words, "bias_ignored", 0)
        words = "the column of the biases comes first, asked is last"
        yield Mistake("bias_column", words, "bias", 0, "first")
    if samples > 1:
        yield from _batches(samples)
    words = "gradients of earlier calls are not cleared and added"
    yield Mistake("accumulated", words, "accumulated", 0)
    yield from _numbers(network, layer)


def _slopes(network: Network, layer: int) -> Iterator[Mistake]:
    """h' missing in ``layer``, there twice, taken in the wrong place or by the wrong formula."""
    name = network.activation(layer)
    if layer == network.depth and (network.loss != "half_squared_error" or name == "softmax"):
        return
    what = f"h' of layer {layer}"
    yield Mistake("missing_derivative", f"{what} is missing", "slope", layer, "none", common=True)
    words = f"{what} is taken at z^({layer}) instead of a^({layer})"
    yield Mistake("derivative_at_z", words, "slope", layer, "z", common=True)
    for other in range(2, network.depth + 1):
        if other != layer and network.layers[other - 1] == network.layers[layer - 1]:
            words = f"{what} is taken at a^({other}) instead of a^({layer})"
            yield Mistake("derivative_at_z", words, "slope", layer, f"at {other}")
    yield Mistake("extra_derivative", f"{what} is there twice", "slope", layer, "squared")
    by_output, fed_a = _BY_OUTPUT.get(name, ("", ""))
    if fed_a:
        words = f"{what}: {by_output} is h' by the output z, and is fed with a"
        yield Mistake("slope_formula", words, "slope", layer, fed_a)
    for formula in FORMULAS:
        if formula not in ("none", by_output, fed_a):
            words = f"{what} is worked out as {formula}"
            yield Mistake("slope_formula", words, "slope", layer, formula)
    for other_name in ("logistic", "tanh", "relu", "softplus", "leaky_relu", "gelu"):
        if other_name != name:
            words = f"{what} is that of {other_name}, not of {name}"
            yield Mistake("slope_formula", words, "slope", layer, f"of {other_name}")
    if 2 < layer + 1 <= network.depth and layer < network.depth:
        words = (
            f"what is passed back to layer {layer} is the error of layer {layer + 1} without its h'"
        )
        yield Mistake("missing_derivative", words, "passed", layer)


def _errors(network: Network) -> Iterator[Mistake]:
    """What else may stand at the output than the derivative of the loss."""
    depth, loss = network.depth, network.loss
    error, slope = ("error", depth), ("slope", depth)
    if loss == "half_squared_error" and network.output == "softmax":
        words = "softmax's Jacobian is left out at the output: delta is z - t"
        yield Mistake("softmax_jacobian", words, *slope, "none")
        words = "of softmax's Jacobian there is the diagonal alone"
        yield Mistake("softmax_jacobian", words, *slope, "a")
    if loss != "half_squared_error":
        words = f"h' of the output is there, though with {_LOSSES[loss]} it cancels: delta is z - t"
        yield Mistake("extra_derivative", words, *slope, "a", common=True)
    if loss == "cross_entropy":
        words = "of softmax's Jacobian there is the diagonal alone"
        yield Mistake("softmax_jacobian", words, *error, "diagonal")
        words = "softmax's Jacobian is left out: delta is dE/dz"
        yield Mistake("softmax_jacobian", words, *error, "quotient")
    if loss == "binary_cross_entropy":
        words = f"h' of layer {depth} is missing: delta is dE/dz"
        yield Mistake("missing_derivative", words, *error, "binary_quotient")
    for how, said in (
        ("abs", "the error at the output is |z - t|"),
        ("squared", "the error at the output is (z - t)^2, not z - t"),
        ("half_squared", "the loss (z - t)^2/2 is passed back, not its derivative z - t"),
        ("output", "the error at the output is z: the target is left out"),
        ("target", "the error at the output is -t: the output is left out"),
    ):
        yield Mistake("wrong_error", said, *error, how)


_LOSSES = {"binary_cross_entropy": "binary cross-entropy", "cross_entropy": "cross-entropy"}


def _sums(network: Network, layer: int) -> Iterator[Mistake]:
    """The sum over k in δ^(layer) cut short."""
    here, behind = network.layers[layer - 1], network.layers[layer]
    if behind == 1:
        return
    for k in sorted({*range(min(behind, MOST_TERMS)), behind - 1}):
        words = f"delta^({layer}) has only the term k = {k + 1} of its sum over k"
        yield Mistake("missing_sum", words, "sum", layer, k, common=True)
    if here == behind:
        words = f"delta_j^({layer}) has only the term k = j of its sum over k"
        yield Mistake("missing_sum", words, "sum", layer, "own", common=True)


def _matrices(network: Network, layer: int) -> Iterator[Mistake]:
    """Something else where δ^(layer) has W^(layer)."""
    here, behind = network.layers[layer - 1], network.layers[layer]
    delta = f"delta^({layer})"
    if here == behind and here > 1:
        words = f"{delta} is made with W^({layer}) where its transpose should be"
        yield Mistake("transposed", words, "matrix", layer, "transposed", common=True)
    words = f"{delta} is made with dE/dW^({layer}) where W^({layer}) should be"
    yield Mistake("gradient_for_weight", words, "matrix", layer, "gradient")
    words = f"{delta} is a plain sum: W^({layer}) is left out"
    yield Mistake("missing_weight", words, "matrix", layer, "ones")
    if network.bias:
        words = (
            f"{delta} is made with the last columns of W^({layer}), the biases among them, "
            "for the first"
        )
        yield Mistake("bias_column", words, "matrix", layer, "slice")
    words = "weights are updated (learning rate {}) before delta is passed back through them"
    yield Mistake("updated_before_delta", words, "updated", 0, fitted=True)


def _other_layers(network: Network, layer: int) -> Iterator[Mistake]:
    """z or δ of another layer in ∂E/∂W^(layer)."""
    n, behind, matrix = network.layers, layer + 1, f"dE/dW^({layer})"
    for m in range(1, network.depth):
        if m != layer and n[m - 1] == n[layer - 1]:
            words = f"{matrix} is made with z^({m}) instead of z^({layer})"
            yield Mistake("wrong_layer", words, "z", layer, m)
    if layer > 1:
        words = f"{matrix} is made with a^({layer}) instead of z^({layer}): h is left out"
        yield Mistake("activation", words, "z", layer, "a")
    for m in range(2, network.depth + 1):
        if m != behind and n[m - 1] == n[behind - 1]:
            words = f"{matrix} is made with delta^({m}) instead of delta^({behind})"
            yield Mistake("wrong_layer", words, "from_delta", layer, m)


def _activations(network: Network) -> Iterator[Mistake]:
    """Another activation in the forward pass of one layer."""
    for layer in range(2, network.depth + 1):
        name = network.activation(layer)
        others = [other for other in _FORWARD if other != name]
        if layer == network.depth and network.loss == "cross_entropy":
            others = ["logistic", "identity"]
        for other in others:
            if layer == network.depth:
                words = f"forward: the output is {other}, asked is {name}"
            else:
                words = f"forward: layer {layer} has {other}, asked is {name}"
            yield Mistake("activation", words, "activation", layer, other)
            if name != "softmax":
                said = f"{words} (its h' is that of {name})"
                yield Mistake("activation", said, "activation", layer, f"{other}/own")


def of_biases(network: Network, layer: int, samples: int) -> Iterator[Mistake]:
    """The mistakes that show in the column of the biases alone."""
    for place in (0, layer):
        # The mistake found in the other columns is theirs alone: no mistake of its own.
        yield Mistake("", "", "bias", place, "right")
    for place, where in ((0, ""), (layer, f" of layer {layer + 1}")):
        said = f"the gradient by the biases{where}"
        yield Mistake("bias_ignored", f"{said} is 0", "bias", place, "zero")
        yield Mistake("bias_column", f"{said} is multiplied by z", "bias", place, "times_z")
        if network.layers[layer] > 1:
            words = f"{said} is summed over the units too (a sum without axis)"
            yield Mistake("bias_sum", words, "bias", place, "all")
            words = f"{said} is averaged over the units too (a mean without axis)"
            yield Mistake("bias_sum", words, "bias", place, "units")
        if samples > 1:
            words = f"{said} is summed over the batch, that by the weights averaged"
            yield Mistake("bias_sum", words, "bias_factor", place, float(samples))
            words = f"{said} is averaged over the batch twice"
            yield Mistake("bias_sum", words, "bias_factor", place, 1 / samples)
            words = f"{said} is the sum over the last sample alone, not the mean"
            yield Mistake("bias_sum", words, "bias", place, "last")
        yield Mistake("sign", f"{said} has the wrong sign", "bias_factor", place, -1.0)
        words = f"{said} is the first column of that by the weights"
        yield Mistake("bias_column", words, "bias", place, "weight")
        yield Mistake("factor", f"{said} {{}}", "bias_factor", place, fitted=True)


def _batches(samples: int) -> Iterator[Mistake]:
    for how, code, words in (
        ("sum", "batch_mean", "the gradient is summed over the batch, not averaged"),
        ("twice", "batch_average_twice", f"the gradient is divided by N = {samples} twice"),
        ("each", "batch_average_twice", f"1/N = 1/{samples} comes in anew in each layer"),
        ("last_mean", "last_sample_only", "only the last sample of the batch counts"),
        ("last", "last_sample_only", "only the last sample of the batch counts, without 1/N"),
        ("first_mean", "last_sample_only", "only the first sample of the batch counts"),
        ("first", "last_sample_only", "only the first sample of the batch counts, without 1/N"),
        (
            "means",
            "product_of_means",
            "the mean of delta times the mean of z, for the mean of their products",
        ),
        (
            "means_sum",
            "product_of_means",
            "the sum of delta times the mean of z, for the mean of their products",
        ),
    ):
        yield Mistake(code, words, "batch", 0, how, common=how == "sum")


def _numbers(network: Network, layer: int) -> Iterator[Mistake]:
    """Mistakes with a number to be found."""
    delta, matrix = f"delta^({layer + 1})", f"dE/dW^({layer})"
    yield Mistake("factor", f"{delta} {{}}", "delta", layer + 1, fitted=True)
    yield Mistake("factor", f"{matrix} {{}}", "gradient", layer, fitted=True)
    for place, where in ((0, "the gradients have"), (layer, f"{matrix} has")):
        words = f"{where} {{}} W added (weight decay, a penalty on the weights)"
        yield Mistake("weight_decay", words, "decay", place, fitted=True)
