"""Column vectors and (nabla_b, nabla_w): a class with weights and biases and a method backprop(x, y).

As in Nielsen's book. Weights are (outputs, inputs), biases (outputs, 1), x and y columns, one sample at a
time; a batch is the mean of its samples' gradients. Instead of a class there may be a function
backprop(x, y, biases, weights), its arguments known by their names.
"""

import inspect

import numpy as np


def adapt(module, weights, x, t):
    X, T = np.atleast_2d(x), np.atleast_2d(t)
    biased = weights[0].shape[1] > X.shape[1]
    W = [w[:, :-1] if biased else w for w in weights]
    b = [w[:, -1:] if biased else np.zeros((len(w), 1)) for w in weights]
    backprop = find(module, W, b)
    found = [backprop(xn[:, None], tn[:, None]) for xn, tn in zip(X, T, strict=True)]
    pairs = [ordered(pair, W) for pair in found]
    nabla_w = [sum(np.asarray(pair[0][n]) for pair in pairs) / len(X) for n in range(len(W))]
    nabla_b = [sum(np.asarray(pair[1][n]) for pair in pairs) / len(X) for n in range(len(W))]
    return nabla_w, nabla_b


def find(module, W, b):
    for kind in vars(module).values():
        if (
            isinstance(kind, type)
            and hasattr(kind, "backprop")
            and kind.__module__ == module.__name__
        ):
            network = kind([W[0].shape[1], *(len(w) for w in W)])
            network.weights, network.biases = W, b
            return network.backprop
    function = getattr(module, "backprop", None)
    if function is None:
        raise TypeError("no class with a method backprop(x, y), and no function backprop")
    names = list(inspect.signature(function).parameters)
    kinds = {"w": W, "weights": W, "b": b, "biases": b}

    def call(x, y):
        free = [x, y]
        return function(*(kinds[n.lower()] if n.lower() in kinds else free.pop(0) for n in names))

    return call


def ordered(pair, W):
    """The gradients by weights first, whichever of the two lists they are."""
    one, other = pair
    return (one, other) if np.shape(one[0]) == W[0].shape else (other, one)
