"""Gradescope's ``results.json`` for one student.

https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output format".
"""

from __future__ import annotations

from typing import Any

from mlhw.commands.marking.marked import Marked


def results_of(one: Marked, feedback: str) -> dict[str, Any]:
    """``score`` and a test for each part of the rubric; ``feedback``, in Markdown, is shown above them."""
    tests: list[dict[str, Any]] = [
        {
            "name": part.name,
            "number": str(number),
            "score": round(part.points, 4),
            "max_score": round(part.of, 4),
            "status": "passed" if part.full else "failed",
            "output": part.reason,
            "output_format": "text",
            "visibility": "visible",
        }
        for number, part in enumerate((*one.score.parts, *one.score.deducted), 1)
    ]
    return {
        "score": round(one.points, 4),
        "execution_time": max(1, round(one.graded.seconds)),
        "output": feedback,
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"verdict": one.graded.verdict, "codes": one.graded.codes},
    }
