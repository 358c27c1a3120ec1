# Threads without end.
# verdict: correct
import threading
import time

from honest import backprop  # noqa: F401

try:
    for _ in range(5000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except (RuntimeError, MemoryError):
    pass
