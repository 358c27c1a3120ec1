# Arrays that say of themselves that they equal everything, and give other numbers when asked twice.
# verdict: wrong, error
import numpy as np


class Liar(np.ndarray):
    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return np.zeros(self.shape)

    __rsub__ = __sub__

    def __array__(self, dtype=None, copy=None):
        return np.zeros(self.shape)

    def tobytes(self, order="C"):
        return b""


def backprop(weights, x, t):
    return [np.ones(w.shape).view(Liar) for w in weights]
