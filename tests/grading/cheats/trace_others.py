# Other processes are traced and read by calls of the kernel.
# verdict: correct
import os

from honest import backprop  # noqa: F401
from world import JUDGE, got_in

try:
    import ctypes

    libc = ctypes.CDLL(None)
    for process in (JUDGE, os.getppid()):
        if process > 0 and libc.ptrace(16, process, 0, 0) == 0:
            got_in(f"process {process} was traced")
        part = (ctypes.c_size_t * 2)(0, 1)
        if libc.process_vm_readv(process, part, 1, part, 1, 0) >= 0:
            got_in(f"process {process} was read")
except (OSError, ImportError, RuntimeError):
    pass
