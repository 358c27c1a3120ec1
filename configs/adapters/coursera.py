"""The bias column first and one flat vector: nnCostFunction(nn_params, sizes ..., X, y, lambda).

As in the fourth exercise of Coursera's Machine Learning, in Python: Theta1 and Theta2 are (outputs,
1 + inputs), unrolled into one vector; y are labels. Returned are the cost J and the gradient, unrolled the
same way: column by column where the program has order 'F', else row by row.
"""

import inspect

import numpy as np

FIRST_LABEL = 0  # 1 where classes are counted from 1, as in Octave


def adapt(module, weights, x, t):
    X, T = np.atleast_2d(x), np.atleast_2d(t) if np.ndim(t) == np.ndim(x) else np.atleast_1d(t)
    if len(weights) != 2:
        raise TypeError(f"nnCostFunction has three layers; these are {len(weights) + 1}")
    function = find(module)
    order = "F" if unrolls_columns(module, function) else "C"
    thetas = [np.roll(w, 1, axis=1) for w in weights]
    vector = np.concatenate([theta.ravel(order=order) for theta in thetas])
    sizes = [X.shape[1], *(len(w) for w in weights)]
    y = T if T.ndim == 1 or T.shape[1] == 1 else T.argmax(axis=1) + FIRST_LABEL
    needed = list(inspect.signature(function).parameters)[:7]
    returned = function(*[vector, *sizes, X, y, 0.0][: len(needed)])
    found = (
        [part for part in returned if np.size(part) == vector.size]
        if isinstance(returned, (tuple, list))
        else [returned]
    )
    if len(found) != 1:
        raise TypeError(f"J and a gradient of {vector.size} numbers are needed")
    gradient, at, gradients = np.ravel(found[0]), 0, []
    for theta in thetas:
        part = gradient[at : at + theta.size].reshape(theta.shape, order=order)
        gradients.append(np.roll(part, -1, axis=1))
        at += theta.size
    return gradients


def find(module):
    for name, function in vars(module).items():
        if inspect.isfunction(function) and name.lower().replace("_", "") in (
            "nncostfunction",
            "nncost",
        ):
            return function
    raise TypeError("no function nnCostFunction")


def unrolls_columns(module, function):
    """Whether the program names the order F anywhere in its text."""
    constants = [
        c for f in vars(module).values() if inspect.isfunction(f) for c in f.__code__.co_consts
    ]
    return "F" in constants or any(isinstance(c, tuple) and "F" in c for c in constants)
