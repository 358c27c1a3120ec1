# It aborts.
# verdict: error
import os


def backprop(weights, x, t):
    os.abort()
