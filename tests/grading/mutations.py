"""Back-propagation with one term changed, as source text: what a student hands in, by the hundred.

The program is written anew here and shares nothing with ``mlhw.maths``; a mutation replaces one term, in
every layer or in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhw.maths.network import Network

TEMPLATE = """
import numpy as np

def logistic(a): return 1 / (1 + np.exp(-a))
def d_logistic(a): return logistic(a) * (1 - logistic(a))
def tanh(a): return np.tanh(a)
def d_tanh(a): return 1 - np.tanh(a) ** 2
def relu(a): return np.maximum(a, 0)
def d_relu(a): return (a > 0) * 1.0
def identity(a): return a
def d_identity(a): return np.ones_like(a)
def softmax(a):
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

H = {names}
CALLS = []

def backprop(weights, x, t):
    X, T = np.atleast_2d(x), np.atleast_2d(t)
    N, L, BIAS = len(X), len(weights), {bias}
    Ws = [W[:, :-1] if BIAS else W for W in weights]
    bs = [W[:, -1] if BIAS else np.zeros(len(W)) for W in weights]
    A, Z = [X], [X]
    for l in range(L):
        A.append({forward})
        h = globals()[{h}]
        Z.append(h(A[-1]))
    dh = [None] + [globals().get("d_" + name) for name in {d_names}]
    y = Z[-1]
    delta = {output}
    error = y - T
    deltas, G = {{}}, [None] * L
    for l in range(L - 1, -1, -1):
        deltas[l] = delta
        dW = {dW}
        db = {db}
        G[l] = {whole}
        if l:
            W = {W}
            passed = {passed}
            error = passed
            delta = {slope}
    {end}
    return {returned}
"""

OUTPUTS = {
    "softmax": "y * ((y - T) - ((y - T) * y).sum(axis=1, keepdims=True))",
    "linked": "y - T",
    "plain": "(y - T) * dh[L](A[L])",
}


def slots_of(network: Network) -> dict[str, str]:
    names = [*network.hidden, network.output]
    output = "linked" if network.loss != "half_squared_error" else "plain"
    if output == "plain" and network.output == "softmax":
        output = "softmax"
    return {
        "names": repr(names),
        "bias": repr(network.bias),
        "forward": "Z[-1] @ Ws[l].T + bs[l]",
        "h": "H[l]",
        "d_names": "H",
        "output": OUTPUTS[output],
        "dW": "delta.T @ Z[l] / N",
        "db": "delta.sum(axis=0) / N",
        "whole": "np.column_stack([dW, db]) if BIAS else dW",
        "W": "Ws[l]",
        "passed": "delta @ W",
        "slope": "passed * dh[l](A[l])",
        "end": "pass",
        "returned": "G",
    }


@dataclass(frozen=True)
class Mutation:
    """One term that is changed: ``codes`` name it, ``text`` is the program, ``right`` the one before."""

    name: str
    codes: frozenset[str]
    text: str
    right: str


Change = tuple[str, str, str, str]  # name, code, slot, its new text


def changes(network: Network, samples: int, rng: np.random.Generator) -> Iterator[Change]:
    """Every single-term change that this network offers."""
    yield from _output(network, rng)
    yield from _forward(network, rng)
    yield from _passing(network, rng)
    yield from _matrices(network, rng)
    if network.bias:
        yield from _biases(network, samples)
    if samples > 1:
        yield "sum", "batch_mean", "whole", "N * ({})"
        yield "1/N twice", "batch_average_twice", "whole", "({}) / N"
        yield "1/N in each layer", "batch_average_twice", "passed", "({}) / N"
        last = "np.outer(delta[-1], Z[l][-1])"
        yield "last sample", "last_sample_only", "dW", last
        yield "last sample / N", "last_sample_only", "dW", last + " / N"
        means = "np.outer(delta.mean(axis=0), Z[l].mean(axis=0))"
        yield "means", "product_of_means", "dW", means
        yield "weights summed", "batch_mean", "dW", "N * ({})"


def _output(network: Network, rng: np.random.Generator) -> Iterator[Change]:
    K, n = network.layers[-1], network.layers[0]
    yield "t - z", "sign", "output", "-({})"
    for c in (2, 0.5, 3, 2 / K, 1 / K, 1 / n, round(float(rng.uniform(1.1, 9)), 3)):
        if c != 1:
            yield f"delta times {c:.3g}", "factor", "output", f"{c!r} * ({{}})"
    yield "update returned", "factor", "whole", "-0.1 * ({})"
    yield "learning rate", "factor", "whole", "0.03 * ({})"
    plain = network.loss == "half_squared_error" and network.output != "softmax"
    slope = " * dh[L](A[L])" if plain else ""
    if network.output == "softmax" and network.loss == "half_squared_error":
        yield "no Jacobian", "softmax_jacobian", "output", "y - T"
        yield "diagonal", "softmax_jacobian", "output", "(y - T) * y * (1 - y)"
        return
    yield "|z - t|", "wrong_error", "output", f"np.abs(y - T){slope}"
    yield "(z - t)^2", "wrong_error", "output", f"(y - T) ** 2{slope}"
    yield "loss passed back", "wrong_error", "output", f"0.5 * (y - T) ** 2{slope}"
    if plain and network.output != "identity":
        yield "no h' at the output", "missing_derivative", "output", "y - T"
        yield "h' twice at the output", "extra_derivative", "output", "({}) * dh[L](A[L])"
        yield "h' at z", "derivative_at_z", "output", "(y - T) * dh[L](y)"
    if network.loss == "cross_entropy":
        yield "h' too much", "extra_derivative", "output", "(y - T) * y * (1 - y)"
        yield "diagonal", "softmax_jacobian", "output", "-T / y * y * (1 - y)"
        yield "dE/dz", "softmax_jacobian", "output", "-T / y"
    if network.loss == "binary_cross_entropy":
        yield "h' too much", "extra_derivative", "output", "(y - T) * d_logistic(A[L])"
        yield "dE/dz", "missing_derivative", "output", "(y - T) / (y * (1 - y))"


def _forward(network: Network, rng: np.random.Generator) -> Iterator[Change]:
    for layer in range(2, network.depth):
        name = network.activation(layer)
        for other in ("logistic", "tanh", "relu", "identity"):
            if other != name:
                which = f"l == {layer - 2}"
                text = f'"{other}" if {which} else H[l]'
                yield f"layer {layer} {other}", "activation", "h", text
                renamed = [*network.hidden, network.output]
                renamed[layer - 2] = other
                code = "missing_derivative" if other == "identity" else "slope_formula"
                yield f"h' of {other} in layer {layer}", code, "d_names", repr(renamed)
    if network.loss == "half_squared_error" and network.output != "softmax":
        for other in ("logistic", "identity", "tanh"):
            if other != network.output:
                names = [*network.hidden, other]
                yield f"output {other}", "activation", "names", repr(names)
                yield f"output {other}, own h'", "activation", "h", f"{names!r}[l]"
    if network.bias:
        yield "no bias forward", "bias_ignored", "forward", "Z[-1] @ Ws[l].T"


def _passing(network: Network, rng: np.random.Generator) -> Iterator[Change]:
    if network.depth < 3:
        return
    layer = int(rng.integers(2, network.depth))  # 2 … L − 1
    at = layer - 1
    for where in ("", f" in layer {layer}"):

        def only(text: str, where: str = where) -> str:
            return f"({text}) if l == {at} else ({{}})" if where else text

        yield f"no h'{where}", "missing_derivative", "slope", only("passed")
        yield f"h' at z{where}", "derivative_at_z", "slope", only("passed * dh[l](Z[l])")
        yield f"h' twice{where}", "extra_derivative", "slope", only("({}) * dh[l](A[l])")
        yield f"h' is z{where}", "slope_formula", "slope", only("passed * Z[l]")
        name = network.activation(layer)
        if len({*network.hidden}) == 1 or where:
            if name == "logistic":
                formula = only("passed * A[l] * (1 - A[l])")
                yield f"z(1-z) fed a{where}", "slope_formula", "slope", formula
            if name == "tanh":
                formula = only("passed * (1 - A[l] ** 2)")
                yield f"1-z^2 fed a{where}", "slope_formula", "slope", formula
        yield f"W left out{where}", "missing_weight", "W", only("np.ones_like(Ws[l])")
        yield f"G for W{where}", "gradient_for_weight", "W", only("G[l][:, :Ws[l].shape[1]]")
        yield f"passed negated{where}", "sign", "passed", only("-({})")
        yield f"passed doubled{where}", "factor", "passed", only("2 * ({})")
        if network.bias:
            text = only("weights[l][:, 1:]")
            yield f"wrong slice{where}", "bias_column", "W", text
        here, behind = network.layers[layer - 1], network.layers[layer]
        if where and behind > 1:
            k = int(rng.integers(behind))
            text = only(f"delta[:, {k}:{k + 1}] * W[{k}]")
            yield f"one term{where}", "missing_sum", "passed", text
        if where and here == behind > 1:
            yield f"own term{where}", "missing_sum", "passed", only("delta * np.diag(W)")
            yield f"W for its transpose{where}", "transposed", "W", only("Ws[l].T")
    rate = float(rng.choice([0.1, 0.05, 0.5, 0.01]))
    updated = f"Ws[l] - {rate} * G[l][:, :Ws[l].shape[1]]"
    yield f"updated before, {rate}", "updated_before_delta", "W", updated
    yield "error without h'", "missing_derivative", "passed", "error @ W"
    for other in range(2, network.depth + 1):
        if other != layer and network.layers[other - 1] == network.layers[layer - 1]:
            text = f"passed * dh[l](A[{other - 1} if l == {at} else l])"
            yield f"h' at a of layer {other}", "derivative_at_z", "slope", text


def _matrices(network: Network, rng: np.random.Generator) -> Iterator[Change]:
    at = int(rng.integers(network.depth - 1))
    matrix = f"matrix {at + 1}"

    def one(new: str) -> str:
        return f"({new}) if l == {at} else ({{}})"

    yield f"{matrix} negated", "sign", "whole", one("-({})")
    yield f"{matrix} times 3", "factor", "whole", one("3 * ({})")
    yield f"dW of {matrix} times 3", "factor", "dW", one("3 * ({})")
    yield "dW negated", "sign", "dW", "-({})"
    yield f"{matrix} transposed", "transposed", "whole", one("({}).T")
    yield "all transposed", "transposed", "whole", "({}).T"
    yield f"{matrix} zero", "layer_missing", "whole", one("0 * ({})")
    yield (
        "accumulated",
        "accumulated",
        "end",
        ("CALLS.append(G); G = [sum(g[i] for g in CALLS) for i in range(L)]"),
    )
    for rate in (0.01, float(np.round(rng.uniform(0.001, 2), 4))):
        yield f"weight decay {rate}", "weight_decay", "whole", f"({{}}) + {rate} * weights[l]"
        yield f"weight decay of weights, {rate}", "weight_decay", "dW", f"({{}}) + {rate} * Ws[l]"
    if at:
        yield f"a for z in {matrix}", "activation", "dW", one("delta.T @ A[l] / N")
    for other in range(network.depth - 1):
        if other != at and network.layers[other] == network.layers[at]:
            text = one(f"delta.T @ Z[{other}] / N")
            yield f"z of layer {other + 1} in {matrix}", "wrong_layer", "dW", text
        if other > at and network.layers[other + 1] == network.layers[at + 1]:
            text = one(f"deltas[{other}].T @ Z[l] / N")
            yield f"delta of layer {other + 2} in {matrix}", "wrong_layer", "dW", text
    if len(set(network.shapes)) == 1 and network.depth > 2:
        yield "order reversed", "order_reversed", "returned", "G[::-1]"


def _biases(network: Network, samples: int) -> Iterator[Change]:
    yield "bias zero", "bias_ignored", "db", "0 * ({})"
    yield "bias times z", "bias_column", "db", "(delta * Z[l + 1]).sum(axis=0) / N"
    yield "bias negated", "sign", "db", "-({})"
    yield "bias times 3", "factor", "db", "3 * ({})"
    yield "bias first", "bias_column", "whole", "np.column_stack([db, dW])"
    if max(network.layers[1:]) > 1:
        text = "np.full(delta.shape[1], delta.sum() / N)"
        yield "bias summed without axis", "bias_sum", "db", text
    if samples > 1:
        yield "bias summed", "bias_sum", "db", "N * ({})"
        yield "bias averaged twice", "bias_sum", "db", "({}) / N"


def drawn_network(rng: np.random.Generator) -> tuple[Network, int]:
    """A network with 1 to 4 hidden layers, and the number of samples of a call."""
    depth = int(rng.integers(3, 7))
    square = rng.random() < 0.25
    layers = tuple(
        int(n) for n in ([rng.integers(2, 5)] * depth if square else rng.integers(2, 6, depth))
    )
    if not square and rng.random() < 0.3:
        layers = (*layers[:-1], 1)
    hidden = tuple(str(n) for n in rng.choice(["logistic", "tanh", "relu"], depth - 2))
    if rng.random() < 0.5:
        hidden = (hidden[0],) * (depth - 2)
    losses = ["half_squared_error", "binary_cross_entropy", "cross_entropy"]
    loss = str(rng.choice(losses, p=[0.5, 0.25, 0.25]))
    if loss == "cross_entropy" and layers[-1] == 1:
        loss = "binary_cross_entropy"
    output = {"binary_cross_entropy": "logistic", "cross_entropy": "softmax"}.get(loss)
    if output is None:
        choices = ["identity", "logistic", "tanh"] + (["softmax"] if layers[-1] > 1 else [])
        output = str(rng.choice(choices))
    samples = int(rng.choice([1, 7]))
    return Network(layers, hidden, output, loss, bool(rng.random() < 0.5)), samples


def program(network: Network, slot: str | None = None, text: str = "") -> str:
    """The source of a right program, or of one whose ``slot`` has this text ({}: what stood there)."""
    slots = slots_of(network)
    if slot is not None:
        slots[slot] = text.replace("{}", slots[slot])
    return TEMPLATE.format(**slots)


def mutations(seed: int, count: int) -> Iterator[tuple[Network, int, Mutation]]:
    """``count`` networks, each with the samples of a call and one mutation drawn for it."""
    rng = np.random.default_rng(seed)
    seen: dict[str, int] = {}
    for _ in range(count):
        network, samples = drawn_network(rng)
        found = list(changes(network, samples, rng))
        # Rare kinds first, so that all of them come up.
        weights = np.array([1.0 / (1 + seen.get(c[1], 0)) for c in found])
        name, code, slot, text = found[rng.choice(len(found), p=weights / weights.sum())]
        seen[code] = seen.get(code, 0) + 1
        changed = program(network, slot, text)
        yield network, samples, Mutation(name, frozenset({code}), changed, program(network))


def function_of(text: str) -> Callable[..., Any]:
    """The ``backprop`` of a program."""
    names: dict[str, Any] = {}
    exec(text, names)
    return names["backprop"]  # type: ignore[no-any-return]
