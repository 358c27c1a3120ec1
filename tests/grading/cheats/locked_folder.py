# Its folder is left so that it is hard to clear away.
# verdict: correct, error
import contextlib
import os

from honest import backprop  # noqa: F401

start = os.getcwd()
for _ in range(1100):
    os.mkdir("d")
    os.chdir("d")
os.chdir(start)
os.makedirs("locked/inside")
with contextlib.suppress(OSError):
    os.chmod("locked/inside", 0)
    os.chmod("locked", 0)
    os.chmod(".", 0)
