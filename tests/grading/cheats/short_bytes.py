# Arrays whose bytes are fewer, or more, than their shape says.
# verdict: wrong, error, timeout
import numpy as np


class Short(np.ndarray):
    def tobytes(self, order="C"):
        return b"x" * 7


np.ascontiguousarray = lambda a, *_, **__: np.ones((2, 3)).view(Short)


def backprop(weights, x, t):
    return [np.ones(w.shape).view(Short) for w in weights]
