# Memory without end.
# verdict: error, timeout
import numpy as np


def backprop(weights, x, t):
    kept = []
    while True:
        kept.append(np.ones(1 << 24))
