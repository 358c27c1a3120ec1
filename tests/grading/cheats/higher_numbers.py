# Answers of a size that nobody asked for.
# verdict: wrong, error
import numpy as np


def backprop(weights, x, t):
    return [np.zeros((5000, 5000)) for _ in weights]
