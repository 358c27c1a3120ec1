"""A class with forward(x) and backward(...): weights and biases are its attributes, and so are gradients.

The class is made with the list of layer sizes, or with a size for each argument, or with nothing. Its
weights are ``weights`` (a list) or W1, W2 ..., its biases ``biases`` or b1, b2 ..., each (outputs, inputs) or
(inputs, outputs), as they are after making it. backward gets what its arguments' names say: the target, the
input, the output. The gradients are what it returns, or its attributes dW1, db1 ..., or lists such as dW and
db. Samples are columns where the biases are, else rows; where it takes no rows, each is a vector by itself
and the gradients are averaged.
"""

import inspect

import numpy as np

TARGETS = {"t", "y", "target", "targets", "y_true", "labels", "label", "expected"}
INPUTS = {"x", "input", "inputs", "data"}
OUTPUTS = {"output", "outputs", "out", "o", "y_hat", "yhat", "y_pred", "pred", "prediction", "a"}


def adapt(module, weights, x, t):
    biased = weights[0].shape[1] > np.shape(x)[-1]
    W = [w[:, :-1] if biased else w for w in weights]
    b = [w[:, -1] if biased else np.zeros(len(w)) for w in weights]
    network = made(find(module), [W[0].shape[1], *(len(w) for w in W)])
    turned, columns = put(network, W, b)
    X, T = np.atleast_2d(x), np.atleast_2d(t) if np.ndim(t) == np.ndim(x) else np.atleast_1d(t)

    def asked(x, t):
        output = network.forward(x)
        returned = network.backward(*arguments(network.backward, x, t, output))
        dW, db = gradients(network, returned, len(W))
        dW = [np.array(g).T if turned else np.array(g) for g in dW]
        return (dW, [np.array(g) for g in db]) if biased and db is not None else (dW, None)

    if columns:
        dW, db = asked(X.T, T.T)
    else:
        try:
            dW, db = asked(X, T)
            good = all(g.shape == w.shape for g, w in zip(dW, W, strict=True))
        except Exception:
            good = False
        if not good:
            found = [asked(xn, tn) for xn, tn in zip(X, T, strict=True)]
            dW, db = (mean([pair[i] for pair in found]) for i in (0, 1))
    return dW if db is None else (dW, db)


def mean(lists):
    """Entry by entry the mean of lists of arrays."""
    return (
        None if lists[0] is None else [sum(some) / len(lists) for some in zip(*lists, strict=True)]
    )


def find(module):
    kinds = [
        k
        for k in vars(module).values()
        if isinstance(k, type) and k.__module__ == module.__name__
        if hasattr(k, "forward") and hasattr(k, "backward")
    ]
    if not kinds:
        raise TypeError("no class with forward and backward")
    # Layers have the two as well; the network is what comes last.
    return kinds[-1]


def made(kind, sizes):
    needed = [
        p
        for p in inspect.signature(kind).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if not needed:
        return kind()
    return kind(sizes) if len(needed) == 1 else kind(*sizes[: len(needed)])


def put(network, W, b):
    """Set both in the shapes that they have; whether matrices are (inputs, outputs), and biases columns."""
    old = attribute(network, "weights", "W", "Ws", count=len(W))
    turned = np.shape(old[0]) == W[0].T.shape != W[0].shape
    new = [np.array(w.T if turned else w) for w in W]
    store(network, ("weights", "W", "Ws"), new)
    if (biases := attribute(network, "biases", "b", "bs", count=len(W), needed=False)) is not None:
        shaped = [v.reshape(np.shape(old)) for v, old in zip(b, biases, strict=True)]
        store(network, ("biases", "b", "bs"), shaped)
    columns = biases is not None and not turned and np.ndim(biases[0]) == 2
    return turned, columns and np.shape(biases[0])[1] == 1


def attribute(network, *names, count, needed=True):
    for name in names:
        value = getattr(network, name, None)
        if isinstance(value, (list, tuple)) and len(value) == count:
            return list(value)
        if hasattr(network, f"{name}1"):
            return [getattr(network, f"{name}{n}") for n in range(1, count + 1)]
    if needed:
        raise TypeError(
            f"the network has no attribute {names[0]} (a list of {count}), nor {names[1]}1 ..."
        )
    return None


def store(network, names, values):
    for name in names:
        if isinstance(getattr(network, name, None), (list, tuple)):
            setattr(network, name, values)
            return
        if hasattr(network, f"{name}1"):
            for number, value in enumerate(values, start=1):
                setattr(network, f"{name}{number}", value)
            return


def arguments(function, x, t, output):
    given = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name.lower() in TARGETS:
            given.append(t)
        elif name.lower() in INPUTS:
            given.append(x)
        elif name.lower() in OUTPUTS:
            given.append(output)
        elif parameter.default is parameter.empty:
            raise TypeError(f"backward: what is its argument {name}?")
        else:
            break
    return given


def gradients(network, returned, count):
    if isinstance(returned, dict):
        names = [
            [f"{head}{kind}{n}" for n in range(1, count + 1)] for kind in "Wb" for head in ("d", "")
        ]
        lists = [
            [returned[n] for n in some] if all(n in returned for n in some) else None
            for some in names
        ]
        return lists[0] or lists[1], lists[2] or lists[3]
    if isinstance(returned, (list, tuple)) and len(returned) == count and np.ndim(returned[0]) == 2:
        return returned, None
    if isinstance(returned, (list, tuple)) and len(returned) == 2 and len(returned[0]) == count:
        one, other = returned
        return (one, other) if np.ndim(one[0]) == 2 and np.shape(one[0])[1] > 1 else (other, one)
    names = ("dW", "dWs", "grad_W", "nabla_w", "grads_w", "weight_gradients", "gradients", "grads")
    dW = attribute(network, *names, count=count)
    return dW, attribute(
        network, "db", "dbs", "grad_b", "nabla_b", "grads_b", count=count, needed=False
    )
