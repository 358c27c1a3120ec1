"""Gradient descent over few points: 500 iterations at five rates, every step recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from rows import either, jax_in_double

ROW = "14"
TITLE = "gradient descent, 200 points of 2 features, 5 rates, 500 iterations, every step recorded"
GOAL = "at most 7 ms, or 6.6 times as fast as before"

ITERATIONS = 500
ETAS = (0.5, 0.3, 0.1, 0.05, 0.01)


@cache
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(200, 2)), np.ones(200)])
    t = (X @ [1.0, -1.0, 0.2] + rng.logistic(size=200) > 0).astype(float)
    return X, t


def descent() -> list[Any]:
    from mlhw.maths.descent import gradient_descent

    X, t = problem()
    return list(gradient_descent(X, t, np.array([0.1, 0.0, 0.0]), ETAS, ITERATIONS))


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """The bare loop in NumPy: one product an iteration serves all rates, nothing is looked at."""
    X, t = problem()
    eta, targets = np.array(ETAS), t[:, None]
    W = np.repeat([[0.1], [0.0], [0.0]], len(ETAS), axis=1)
    losses, path = np.empty((ITERATIONS, len(ETAS))), np.empty((ITERATIONS, 3, len(ETAS)))
    for k in range(ITERATIONS):
        a = X @ W
        losses[k], path[k] = np.mean(np.logaddexp(0.0, a) - targets * a, axis=0), W
        W = W - eta * (X.T @ (1.0 / (1.0 + np.exp(-a)) - targets)) / len(X)
    return losses, path


def works() -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {"mlhw": descent, "a loop in NumPy": arrays}
    jax = _in_jax()
    if jax is not None:
        found["JAX"] = jax
    return found


def _in_jax() -> Callable[[], object] | None:
    found = jax_in_double()
    if found is None:
        return None
    jax, jnp = found
    X, t = (jnp.asarray(part) for part in problem())
    eta, start = jnp.array(ETAS), jnp.repeat(jnp.array([[0.1], [0.0], [0.0]]), len(ETAS), axis=1)

    def step(W: Any, _: Any) -> Any:
        a = X @ W
        loss = jnp.mean(jnp.logaddexp(0.0, a) - t[:, None] * a, axis=0)
        slope = X.T @ (jax.nn.sigmoid(a) - t[:, None]) / len(X)
        return W - eta * slope, (loss, W)

    run = jax.jit(lambda W: jax.lax.scan(step, W, None, length=ITERATIONS)[1])
    return lambda: jax.block_until_ready(run(start))


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        GOAL: either(times, 0.007, 6.6),
        "no slower than a loop in NumPy": times["mlhw"] <= times["a loop in NumPy"],
    }


def checks() -> dict[str, float]:
    losses, _ = arrays()
    mine = np.array([step.nll for step in descent()])
    return {"losses apart from the loop in NumPy, relative": float(np.abs(mine / losses - 1).max())}
