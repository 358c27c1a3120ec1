"""A dict dW1, db1, dW2 ... and samples in columns: a forward and a backward function beside each other.

As in deeplearning.ai's first course: parameters W1 (outputs, inputs), b1 (outputs, 1) ..., X (n, m) and
Y (k, m). Either forward_propagation(X, parameters) -> (A, cache) and backward_propagation(parameters,
cache, X, Y), or L_model_forward(X, parameters) -> (AL, caches) and L_model_backward(AL, Y, caches); each
returns grads for the mean over the samples.
"""

import inspect

import numpy as np


def adapt(module, weights, x, t):
    X, T = np.atleast_2d(x).T, np.atleast_2d(t).T
    biased = weights[0].shape[1] > X.shape[0]
    parameters = {}
    for number, w in enumerate(weights, start=1):
        parameters[f"W{number}"] = np.ascontiguousarray(w[:, :-1] if biased else w)
        parameters[f"b{number}"] = w[:, -1:].copy() if biased else np.zeros((len(w), 1))
    forward, backward = find(module, "forward"), find(module, "backward")
    output, cache = call(forward, {"x": X, "parameters": parameters, "params": parameters})
    values = {"x": X, "y": T, "parameters": parameters, "params": parameters}
    values |= {"al": output, "a2": output, "output": output, "cache": cache, "caches": cache}
    grads = call(backward, values)
    names = [f"d{kind}{n}" for n in range(1, len(weights) + 1) for kind in ("W", "b")]
    missing = [n for n in names if n not in grads and (biased or n.startswith("dW"))]
    if missing:
        raise TypeError(f"grads has no {', '.join(missing)} (it has: {', '.join(map(str, grads))})")
    return {name: grads[name] for name in names if name in grads}


def find(module, word):
    """``L_model_forward``, ``forward_propagation`` or the like: of several the one for the whole network."""
    whole = [f"L_model_{word}", f"{word}_propagation", f"{word}_prop", f"{word}_pass", word]
    for name in whole:
        function = getattr(module, name, None)
        if callable(function):
            return function
    raise TypeError(f"no function {whole[0]} and no function {whole[1]}")


def call(function, values):
    """With arguments known by their names, in any order."""
    given = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name.lower() in values:
            given[name] = values[name.lower()]
        elif parameter.default is parameter.empty:
            raise TypeError(f"{function.__name__}: what is its argument {name}?")
    return function(**given)
