# Rights are asked for: root's, namespaces, mounts, higher limits, limits of others.
# verdict: correct
import os
import resource

from honest import backprop  # noqa: F401
from world import JUDGE, got_in

if os.getuid() == 0 or os.geteuid() == 0:
    got_in("it is root")


def raised(kind):
    most = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most + 1, most + 1))


acts = [
    lambda: os.setuid(0),
    lambda: os.setgid(0),
    lambda: os.setgroups([0]),
    lambda: os.chroot("."),
    lambda: raised(resource.RLIMIT_AS),
    lambda: raised(resource.RLIMIT_NPROC),
    lambda: resource.prlimit(JUDGE, resource.RLIMIT_CPU, (1, 1)),
]
for act in acts:
    try:
        act()
        got_in("more rights")
    except (OSError, ValueError):
        continue
try:
    import ctypes

    libc = ctypes.CDLL(None)
    if libc.unshare(0x10000000) == 0 or libc.mount(b"none", b"/", b"tmpfs", 0, None) == 0:
        got_in("a namespace or a mount of its own")
except (OSError, ImportError, RuntimeError):
    pass
