# It breaks the interpreter.
# verdict: error
import ctypes


def backprop(weights, x, t):
    ctypes.string_at(0)
