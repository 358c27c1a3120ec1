# It hangs where no signal handler of Python's runs, with all signals blocked.
# verdict: timeout
import signal

signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
signal.alarm(0)


def backprop(weights, x, t):
    return 7 ** (7**12)
