"""One file for each row of ``bench/performance.py``: what is measured, beside whom, and what is aimed at.

A row names ``ROW`` (its place in the table), ``TITLE``, ``GOAL``, and has ``works()``: functions without
arguments by name, the code of the checkout first as ``"mlhw"``. ``"mlhw, 50 classes"`` is the code of the
checkout too, and ``"JAX, 50 classes"`` a peer that is compared with it; a peer of other words, or without a
comma, is compared with the first. ``goals(times)`` says of each goal whether median seconds by name meet it
(``"before"`` is there where an older commit was measured, and ``"before, 50 classes"``), ``checks()``, which
may be missing, how far results are apart. ``TURNS`` may say how often. The file also runs with the older code
on its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Skip(Exception):
    """Raised by a row that cannot be measured here; the text says what is missing."""


def either(times: Mapping[str, float], seconds: float, fold: float, work: str = "mlhw") -> bool:
    """Whether a goal in seconds is met, which is meant for one machine, or the same goal as a ratio.

    ``fold``: what the older code took on that machine, over the goal. Its seconds here are in ``times``.
    """
    older = times.get(work.replace("mlhw", "before", 1), 0.0)
    return times[work] <= seconds or older >= fold * times[work]


def jax_in_double() -> tuple[Any, Any] | None:
    """JAX and its NumPy with numbers of 64 bits; None where it is not installed."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    return jax, jnp
