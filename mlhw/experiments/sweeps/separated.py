"""What both sweeps say of classes that a hyperplane separates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlhw.maths.separation import Separation
from mlhw.text.words import listing

NAMED = 5
"""So many features are named, those with the largest weights."""
LISTED = 100
"""So many points on the boundary are listed by their numbers."""


def separation_summary(
    found: Separation | None, infimum: float | None, features: Sequence[str]
) -> dict[str, Any] | None:
    """The kind, the infimum, how many points lie beside the hyperplane and on it, and its features.

    ``features`` are the names of up to five with a weight in its normal, the largest first (each in
    units of its spread); ``features_with_weight`` says how many have one. ``boundary`` are the numbers,
    from 0, of the first hundred points on the hyperplane.
    """
    if found is None:
        return None
    sizes = np.abs(found.weights)
    order = [i for i in np.argsort(-sizes, kind="stable").tolist() if sizes[i] > 0]
    complete = found.kind == "complete"
    boundary = np.zeros(0, int) if complete else np.flatnonzero(~found.strict)
    return {
        "kind": found.kind,
        "infimum": infimum,
        "separated_rows": len(found.strict) - len(boundary),
        "boundary_rows": len(boundary),
        "boundary": boundary[:LISTED].tolist(),
        "features": [features[i] for i in order[:NAMED]],
        "features_with_weight": len(order),
    }


def separation_answers(
    found: Separation, infimum: float | None, features: Sequence[str]
) -> list[str]:
    """The kind of separation, the infimum and the features, in sentences."""
    summary = separation_summary(found, infimum, features)
    assert summary is not None
    beside, on = summary["separated_rows"], summary["boundary_rows"]
    if found.kind == "complete":
        lines = [
            "the classes are separable (completely): the NLL has no minimum, it falls towards its "
            "infimum 0 for ever"
        ]
    else:
        value = "was not found" if infimum is None else f"is {infimum:.8g}"
        lines = [
            f"the classes are separable but for {on} of {beside + on} points, which lie on the "
            "boundary and overlap (quasi-complete separation): the NLL has no minimum, and its infimum "
            f"{value}",
            f"the losses of the other {beside} fall towards 0 for ever; those on the boundary stay",
        ]
    if summary["features"]:
        more = summary["features_with_weight"] - len(summary["features"])
        names = [*summary["features"], *([f"{more} more"] if more else [])]
        lines.append(f"features with a weight in the separating direction: {listing(names)}")
    return lines
