"""One iteration of gradient descent over a million points at 32 rates."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from rows import either, jax_in_double

ROW = "5"
TITLE = "an iteration of gradient descent, 1,000,000 × 20, 32 rates: losses and gradients"
GOAL = "at most 1.2 times the bare products or 8.1 times as fast as before, at most 100 MB beside the data"

ROWS, FEATURES, RATES = 1_000_000, 20, 32


@cache
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.ones((ROWS, FEATURES + 1))
    X[:, :-1] = rng.standard_normal(out=np.empty((ROWS, FEATURES)))
    w = rng.normal(size=FEATURES + 1) / np.sqrt(FEATURES)
    t = (X @ w + rng.logistic(size=ROWS) > 0).astype(float)
    return X, t, 0.3 * rng.normal(size=(FEATURES + 1, RATES))


def slopes() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    try:
        from mlhw.maths.in_blocks import slopes_in_blocks
    except ImportError:
        from mlhw.maths.logistic import nll_and_gradient

        return nll_and_gradient
    return slopes_in_blocks


def iteration() -> tuple[np.ndarray, np.ndarray]:
    return slopes()(*problem())


def works() -> dict[str, Callable[[], object]]:
    X, _, W = problem()
    found: dict[str, Callable[[], object]] = {
        "mlhw": iteration,
        "bare products": lambda: X.T @ (X @ W),
    }
    jax = _in_jax()
    if jax is not None:
        found["JAX"] = jax
    return found


def _in_jax() -> Callable[[], object] | None:
    found = jax_in_double()
    if found is None:
        return None
    jax, jnp = found
    X, t, W = (jnp.asarray(part) for part in problem())

    @jax.jit
    def slopes(W: Any) -> Any:
        a = X @ W
        loss = jnp.mean(jnp.logaddexp(0.0, a) - t[:, None] * a, axis=0)
        return loss, X.T @ (jax.nn.sigmoid(a) - t[:, None]) / ROWS

    return lambda: jax.block_until_ready(slopes(W))


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        "at most 1.2 times the bare products, or 8.1 times as fast as before": (
            either(times, 1.2 * times["bare products"], 8.1)
        )
    }


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from rows import descent_iteration as row
X, t, W = row.problem()
row.slopes()(X[:200_000], t[:200_000], W)
Path("/proc/self/clear_refs").write_text("5")
memory = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
row.iteration()
most = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(int(most["VmHWM"].split()[0]) - int(memory["VmRSS"].split()[0]))
"""
"""Its data and machine code are there; the peak of memory is then counted anew, in kB."""


def checks() -> dict[str, float]:
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, "-P", "-c", SCRIPT, here]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    most = int(done.stdout)
    X, t, W = problem()
    loss, _ = iteration()
    direct = np.zeros(RATES)
    for first in range(0, ROWS, 50_000):
        rows = slice(first, first + 50_000)
        a = X[rows] @ W
        direct += np.logaddexp(0.0, np.where(t[rows, None] > 0.5, -a, a)).sum(axis=0)
    return {
        "most memory beyond what the process held before, MB": most * 1024 / 1e6,
        "losses apart from logaddexp, relative": float(np.abs(loss / (direct / ROWS) - 1.0).max()),
    }
