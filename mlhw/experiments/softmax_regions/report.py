"""What softmax-regions reports: formulas, columns, and the geometry in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from mlhw.experiments.softmax_regions.evidence import Evidence, floats
from mlhw.maths.rational import Vector, to_float, unit
from mlhw.maths.regions import Boundary, Vertex, activations_at
from mlhw.result.result import Formula
from mlhw.text.values import digits_text
from mlhw.text.words import TableLine

FORMULAS = [
    Formula(
        "The model: class k has the activation a_k and the probability p_k (Bishop, PRML, eq. 4.104 and "
        "4.105); two probabilities are equal where the activations are.",
        r"a_k(x) = w_k^\top x + b_k, \quad p_k(x) = \frac{e^{a_k(x)}}{\sum_j e^{a_j(x)}}, "
        r"\quad \frac{p_i}{p_j} = e^{a_i - a_j}",
    ),
    Formula(
        "At the distance r from v in the direction u, every gap between two activations is linear in r.",
        r"x = v + r u: \quad a_i - a_k = (a_i - a_k)(v) + r \, (w_i - w_k)^\top u",
    ),
    Formula(
        "Far out in the middle of the region of class i the other probabilities fall exponentially, at "
        "the rate ρ of the smallest gap in the best direction.",
        r"1 - p_i(r) \sim C e^{-\rho_i r}, \quad \rho_i = \max_{|u| = 1} \min_{j \neq i} (w_i - w_j)^\top u",
    ),
]

COLUMNS = {
    "boundaries": {
        "class_i": "the first of the two classes that it divides",
        "class_j": "the second",
        "kind": "segment between two vertices, ray from one, or line",
        "x1": "where it starts",
        "x2": "where it starts",
        "end_x1": "where a segment ends",
        "end_x2": "where a segment ends",
        "u1": "its direction, of length 1",
        "u2": "its direction, of length 1",
    },
    "probes": {
        "path": "the way: a boundary away from a vertex, or the middle of a region",
        "distance": "how far along it",
        "x1": "the point there",
        "x2": "the point there",
    },
}
"""``probes`` also has p of each class."""
MEETING = ("classes that meet", "at", "every activation", "every probability")
FAR_OUT = ("far out in the middle of", "p tends to", "the rest falls like")


def summary(e: Evidence) -> dict[str, Any]:
    """The classes and where they are the largest; classes by number from 1."""
    envelope, common = e.envelope, e.envelope.common
    return {
        "classes": len(envelope.planes),
        "names": e.names,
        "weights": [floats(plane[:2]) for plane in envelope.planes],
        "biases": [to_float(plane[2]) for plane in envelope.planes],
        "common": None if common is None else {"kind": common.kind, "x": floats(common.point)},
        "vertices": [
            {
                "classes": _numbers(vertex.classes),
                "x": floats(vertex.point),
                "p": e.p_at(vertex.point),
            }
            for vertex in envelope.vertices
        ],
        "boundaries": [
            {
                "classes": _numbers(b.classes),
                "kind": b.kind,
                "x": floats(b.start),
                "end": None if b.end is None else floats(b.end),
                "direction": unit(b.direction),
                "tied": _numbers(b.tied),
            }
            for b in envelope.boundaries
        ],
        "regions": [
            {
                "class": region.index + 1,
                "empty": region.empty,
                "bounded": region.bounded,
                "equal_to": _numbers(region.equals),
                "touches": region.touches,
            }
            for region in envelope.regions
        ],
        "middles": [
            {
                "class": way.classes[0] + 1,
                "x": floats(way.start),
                "direction": unit(way.direction),
                "rate": min((float(way.gaps.slope[k]) for k in way.others), default=None),
                "limit": way.limit,
            }
            for way in e.middles
        ],
        "window": e.grid.window.bounds,
        "scale": e.scale,
        **({} if e.fitted is None else e.fitted.summary()),
    }


def _numbers(classes: Sequence[int]) -> list[int]:
    return [k + 1 for k in classes]


def answers(e: Evidence) -> list[str]:
    """The geometry in sentences, degenerate cases by name."""
    fitted = e.fitted
    lines: list[str] = []
    if fitted is not None:
        lines.append(
            f"{fitted.points.name}: {len(fitted.X)} points, {len(e.names)} classes by "
            f"{' and '.join(fitted.features)}; accuracy {fitted.accuracy:.4g}"
        )
    lines += _meeting(e)
    for b in e.envelope.boundaries:
        also = [k for k in b.tied if k not in b.classes]
        level = f" (level with {e.listed(also)})" if also else ""
        between, course = e.listed(b.classes), f"{_course(b)}{level}"
        line = f"boundary of {between}: {course}"
        lines.append(TableLine.of(line, (between, course), ("boundary of", "course")))
    lines += _special_regions(e)
    for way in e.middles:
        name = e.listed(way.tied)
        if way.reaches:
            rate = float(min(way.gaps.slope[way.others]))
            share = "1" if len(way.tied) == 1 else f"1/{len(way.tied)} each"
            law = f"exp(-{digits_text(rate, 6)} r)"
            line = f"far out in the middle of {name}: p tends to {share}, the rest falls like {law}"
            lines.append(TableLine.of(line, (name, share, law), FAR_OUT))
        else:
            kept = e.listed([k for k in way.others if way.gaps.slope[k] == 0])
            line = (
                f"far out in the middle of {name}: the margin to {kept} cannot grow, p tends to "
                f"{way.limit:.8g} and no further"
            )
            stays = f"does not fall: the margin to {kept} cannot grow"
            lines.append(TableLine.of(line, (name, f"{way.limit:.8g}", stays), FAR_OUT))
    return lines


BETTER = {"accuracy": "max", "empty regions": "min"}


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers: dict[str, Any] = {
        "vertices": len(summary["vertices"]),
        "boundaries": len(summary["boundaries"]),
        "empty regions": sum(region["empty"] for region in summary["regions"]),
    }
    if summary.get("accuracy") is not None:
        numbers = {"accuracy": summary["accuracy"], **numbers}
    return numbers


# ------------------------------------------------------------------------------------- sentences


def _meeting(e: Evidence) -> list[str]:
    """Where three or more classes meet, or why none do."""
    envelope, common, K = e.envelope, e.envelope.common, len(e.names)
    lines = []
    if common is not None and common.kind == "plane":
        lines.append(f"all {K} classes are equal: every probability is 1/{K} everywhere")
    elif common is not None and common.kind == "line":
        u = unit(common.direction or common.point)
        who = "both" if K == 2 else f"all {K}"
        lines.append(
            f"{who} classes are equal along a whole line, every probability 1/{K}: through "
            f"{_point(common.point)}, direction ({u[0]:.6g}, {u[1]:.6g}); there is no vertex"
        )
    elif not envelope.boundaries:
        lines.append("no boundary: one activation is the largest everywhere")
    elif not envelope.vertices:
        lines.append("no vertex and no common point: all boundaries are parallel")
    for vertex in envelope.vertices:
        a = max(activations_at(envelope.planes, vertex.point))
        everyone = len(vertex.classes) == K
        who = f"all {K} classes meet" if everyone else f"{e.listed(vertex.classes)} meet"
        p = float(e.p_at(vertex.point)[vertex.classes[0]])
        point, activation = _point(vertex.point), _number(a)
        share = f"1/{K}" if everyone else digits_text(p, 6)
        line = f"{who} at {point}: every activation {activation}, every probability {share}"
        lines.append(
            TableLine.of(line, (e.listed(vertex.classes), point, activation, share), MEETING)
        )
    return lines + _near(envelope.vertices, e.scale)


def _near(vertices: Sequence[Vertex], scale: float) -> list[str]:
    """A sentence for each two vertices so close that only the rounding of 0.1 to binary parts them."""
    points = np.array([floats(v.point) for v in vertices]).reshape(-1, 2)
    size = max([scale, *np.abs(points).ravel()])
    return [
        f"vertices {m + 1} and {n + 1} are all but one point; 0.1 and the like are no exact floats, so "
        "classes that meet by decimal arithmetic may miss each other by their rounding"
        for m, n in combinations(range(len(points)), 2)
        if np.max(np.abs(points[m] - points[n])) < 1e-13 * size
    ]


def _course(b: Boundary) -> str:
    if b.end is not None:
        return f"segment from {_point(b.start)} to {_point(b.end)}"
    u = unit(b.direction)
    where = "ray from" if b.kind == "ray" else "whole line through"
    return f"{where} {_point(b.start)}, direction ({u[0]:.6g}, {u[1]:.6g})"


def _special_regions(e: Evidence) -> list[str]:
    envelope, names = e.envelope, e.names
    lines = []
    for group in envelope.groups:
        if len(group) > 1 and len(group) < len(names):
            lines.append(f"{e.listed(group)} are equal everywhere and share one region")
    for region in envelope.regions:
        name = names[region.index]
        ties = {"point": ", it only ties at a vertex", "boundary": ", it only ties on a boundary"}
        if region.empty:
            lines.append(f"{name} is nowhere the largest{ties.get(region.touches or '', '')}")
        elif region.bounded:
            lines.append(f"the region of {name} is bounded")
        elif not region.boundaries and not region.equals:
            lines.append(f"the region of {name} is the whole plane")
    return lines


def _point(point: Vector) -> str:
    exact = ", ".join(_number(c) for c in point)
    rounded = ", ".join(f"{c:.6g}" for c in floats(point))
    return f"({exact})" if exact == rounded else f"({exact}) = ({rounded})"


def _number(value: Fraction) -> str:
    """A short fraction as such, anything else rounded."""
    return (
        str(value) if value.denominator < 1000 and abs(value) < 10**6 else f"{to_float(value):.6g}"
    )
