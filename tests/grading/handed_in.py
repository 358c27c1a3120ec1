"""A right file for the course's network, changes to it, and the grade that it gets."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from typing import Any

from mlhw.grading.adapters.standalone import source
from mlhw.grading.asking import Asking
from mlhw.grading.grade import grade
from mlhw.grading.implementations import Implementation
from mlhw.grading.isolation.runner import Runner
from mlhw.grading.judgement import Grade
from mlhw.grading.questions import Targets, plan
from mlhw.maths.network import Network

COURSE = Network((3, 2, 2, 1), ("logistic", "logistic"), "identity", "half_squared_error", False)

RIGHT = """
import numpy as np

def h(a):
    return 1 / (1 + np.exp(-a))

def dh(a):
    return h(a) * (1 - h(a))

def backprop(weights, x, t):
    W1, W2, W3 = weights
    a2 = W1 @ x
    z2 = h(a2)
    a3 = W2 @ z2
    z3 = h(a3)
    a4 = W3 @ z3
    d4 = a4 - t
    d3 = dh(a3) * (W3.T @ d4)
    d2 = dh(a2) * (W2.T @ d3)
    return [np.outer(d2, x), np.outer(d3, z2), np.outer(d4, z3)]
"""

BATCHED = """
import numpy as np

def backprop(weights, x, t):
    X, T = np.atleast_2d(x), np.atleast_2d(t)
    z = [X]
    for W in weights[:-1]:
        z.append(1 / (1 + np.exp(-z[-1] @ W.T)))
    delta = z[-1] @ weights[-1].T - T
    gradients, deltas = [], []
    for l in range(len(weights) - 1, -1, -1):
        deltas.insert(0, delta)
        gradients.insert(0, delta.T @ z[l] / len(X))
        delta = (delta @ weights[l]) * z[l] * (1 - z[l])
    return {"gradients": gradients, "deltas": deltas}
"""


def changed(*replacements: tuple[str, str]) -> str:
    text = RIGHT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


@cache
def runner() -> Runner:
    """One for all tests of a process, on the weakest rung: what isolates has tests of its own."""
    found = Runner("limits", program=source())
    found.__enter__()
    atexit.register(found.__exit__, None, None, None)
    return found


def graded(
    folder: Path,
    text: str,
    network: Network = COURSE,
    inputs: int = 1,
    limit: float = 5.0,
    targets: Targets = "auto",
    **asking: Any,
) -> Grade:
    """The grade of a file with this text; ``asking`` are further keys of ``Asking``."""
    path = folder / "theirs.py"
    path.write_text(text)
    # The machine may be busy with other things.
    how = Asking(**{"import_limit": 60.0, **asking}, targets=targets, time_limit=limit)
    asked = plan(network, inputs, 0, targets)
    return grade(Implementation(path, "backprop"), asked, how, runner())
