"""What answers show beside being right or wrong: low precision, differences for derivatives, moods."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlhw.grading.returned import Returned

if TYPE_CHECKING:
    import numpy as np

# In the order in which they are named, after the mistakes.
TRAITS = (
    "single_input_only",
    "this_network_only",
    "some_draws",
    "not_deterministic",
    "low_precision",
    "finite_differences",
    "automatic_differentiation",
)

ROUNDING = 3e-11
"""A derivation in double precision is closer than that, also through six layers."""
LARGEST_STEP_ERROR = 1e-3
"""Differences with a step of 1e-3 are about so wrong; more is another mistake."""


def precision(got: Sequence[np.ndarray], worst: float) -> str:
    """The name of the numbers' type where it is less than double precision; else ''."""
    import numpy as np

    if worst <= ROUNDING:
        return ""
    for name in ("float16", "float32"):
        with np.errstate(all="ignore"):
            if all((g == g.astype(name)).all() for g in got):
                return name
    return ""


def looks_like_differences(errors: np.ndarray) -> bool:
    """Whether errors (D,), the largest of each draw, have the size of finite differences' in all."""
    import numpy as np

    low, high = float(np.median(errors)), float(errors.max())
    return low > ROUNDING and high < LARGEST_STEP_ERROR


def differs(first: Sequence[Returned], again: Sequence[Returned]) -> bool:
    """Whether the same questions had other answers the second time."""
    import numpy as np

    for one, other in zip(first, again, strict=False):
        if other.refused is not None or other.numbers is None or one.numbers is None:
            return other.refused is not None
        if one.shapes != other.shapes:
            return True
        if any(
            not np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
            for a, b in zip(one.numbers, other.numbers, strict=True)
        ):
            return True
    return False


_AUTOMATIC = {"autograd", "requires_grad", "requires_grad_", "GradientTape", "jax", "autodiff"}


def derives_automatically(program: bytes | str) -> bool:
    """Whether a program's text names a library's automatic differentiation; it is not run."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.keyword) and node.arg:
            names = [node.arg]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            names = (node.module or "").split(".") + [alias.name for alias in node.names]
        if _AUTOMATIC & set(names):
            return True
    return False
