# An error that cannot be printed, and is raised again when one tries.
# verdict: error
class Nasty(Exception):
    def __str__(self):
        raise MemoryError("x" * 10_000_000)

    __repr__ = __str__


def backprop(weights, x, t):
    raise Nasty
