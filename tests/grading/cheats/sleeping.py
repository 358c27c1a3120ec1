# It sleeps past its time.
# verdict: timeout
import time


def backprop(weights, x, t):
    time.sleep(99)
