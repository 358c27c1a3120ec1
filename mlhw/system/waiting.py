"""How torch's threads wait for each other."""

from __future__ import annotations

import os

SPINS = "1000"
"""How often a thread looks before it sleeps; the library's own number keeps a core busy for milliseconds."""

_SAID = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_calmly() -> None:
    """Let the threads of GNU's OpenMP sleep soon when they wait, unless the environment says how they do.

    Beside another busy process, a thread that spins holds the core that the one it waits for needs. Has
    an effect before torch is imported, and on the platforms whose torch comes with that library.
    """
    if not any(name in os.environ for name in _SAID):
        os.environ["GOMP_SPINCOUNT"] = SPINS
