"""Where in the plane does a linear softmax choose which class, and how surely?

K linear activations a_k = w_k·x + b_k, p = softmax(a) (Bishop, PRML, eq. 4.104 and 4.105). The regions
in which each p is the largest are the upper envelope of K planes, worked out exactly. On a boundary
two classes are equal; in a vertex three or more; far out in the middle of a region its class is all
but certain, and 1 − p falls exponentially.

    mlhw softmax-regions
    mlhw softmax-regions --fit iris --features 2,3

The default has a1 = 3x1 + x2 + 1, a2 = x1 + 3x2 + 2, a3 = −3x1 + 1.5x2 + 2: all three meet at
(3/22, −4/11), where every activation is 23/22 and every probability 1/3.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from mlhw.config.model import ExperimentConfig, Option
from mlhw.experiments.softmax_regions.claims import CLAIMS
from mlhw.experiments.softmax_regions.evidence import Evidence, floats
from mlhw.experiments.softmax_regions.figures import FIGURES
from mlhw.experiments.softmax_regions.fit import FitConfig, FittedPlanes, fit_planes
from mlhw.experiments.softmax_regions.grid import grid_over
from mlhw.experiments.softmax_regions.planes import (
    MAX_CLASSES,
    Names,
    Numbers,
    Rows,
    check_range,
)
from mlhw.experiments.softmax_regions.report import COLUMNS, FORMULAS, answers, summary
from mlhw.experiments.softmax_regions.signs import class_signs
from mlhw.experiments.softmax_regions.window import figure_window
from mlhw.maths.rational import unit
from mlhw.maths.rays import Way, boundary_ways, distances, middle_way
from mlhw.maths.regions import upper_envelope
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

POSITION = 1
DRAWS = False
QUESTION = (
    "Where in the plane does a linear softmax choose which class, and how surely? The point where all "
    "classes meet, the boundaries between two of them, and the middle of each region, far out."
)
EXAMPLES = (
    ("mlhw softmax-regions", "the course's three classes"),
    ("mlhw softmax-regions --fit iris --features 2,3", "a classifier fitted to data"),
    ("mlhw softmax-regions --weights '1,0;0,1;-1,-1' --biases 0,0,0", "one's own planes"),
)


class Config(ExperimentConfig):
    GROUP = "Classes"
    GROUPS = {"window": "Output"}

    weights: Annotated[
        Rows,
        Option(metavar="W11,W12;W21,W22;…"),
        Field(min_length=2, max_length=MAX_CLASSES, description="a row w1, w2 for each class"),
    ] = [[3.0, 1.0], [1.0, 3.0], [-3.0, 1.5]]
    biases: Annotated[
        Numbers,
        Option(metavar="LIST"),
        Field(validate_default=True, description="a bias for each class"),
    ] = [1.0, 2.0, 2.0]
    names: Annotated[
        Names | None,
        Option(metavar="LIST"),
        Field(description="a name for each class; null: their numbers"),
    ] = None
    fit: Annotated[
        FitConfig,
        Option("--fit", metavar="NAME|FILE"),
        Field(
            description="take the weights from data: iris, wine or a file (text, CSV, ARFF, NPZ …)"
        ),
    ] = FitConfig()
    window: Annotated[
        Numbers | None,
        Option(metavar="X1MIN,X1MAX,X2MIN,X2MAX"),
        Field(description="the part of the plane to show; null: all vertices, or all points"),
    ] = None

    @field_validator("biases", "names")
    @classmethod
    def _one_for_each_class(cls, value: Any, info: ValidationInfo) -> Any:
        rows = info.data.get("weights")
        if value is not None and rows is not None and len(value) != len(rows):
            raise ValueError(
                f"{len(value)} {info.field_name} for {len(rows)} rows of weights; one each is needed"
            )
        return value

    @field_validator("fit")
    @classmethod
    def _fit_alone(cls, value: Any, info: ValidationInfo) -> Any:
        given = [
            key
            for key in ("weights", "biases", "names")
            if key in info.data and info.data[key] != cls.model_fields[key].default
        ]
        if value.given and given:
            raise ValueError(f"takes the classes from the data; leave out {' and '.join(given)}")
        return value

    @field_validator("window")
    @classmethod
    def _window_with_area(cls, value: Any) -> Any:
        if value is not None and len(value) != 4:
            raise ValueError(f"must be x1 min, x1 max, x2 min, x2 max (got {len(value)} numbers)")
        if value is not None and not (value[0] < value[1] and value[2] < value[3]):
            raise ValueError("each minimum must be below its maximum")
        return value


def run(config: Config, recorder: Recorder) -> Result:
    """Work out the geometry, follow every boundary and middle ray, and judge what they show."""
    fitted = fit_planes(config.fit) if config.fit.given else None
    if fitted is None:
        weights, biases = config.weights, config.biases
        names = config.names or [f"class {k + 1}" for k in range(len(weights))]
    else:
        weights, biases = fitted.weights.tolist(), fitted.biases.tolist()
        names = fitted.names
    envelope = upper_envelope(weights, biases)
    check_range(envelope)
    _begin(config, fitted, recorder)
    window = figure_window(config.window, envelope, None if fitted is None else fitted.X)
    found = [middle_way(envelope, region) for region in envelope.with_area]
    evidence = Evidence(
        envelope,
        names,
        boundaries=[way for b in envelope.boundaries for way in boundary_ways(envelope, b)],
        middles=[way for way in found if way is not None],
        grid=grid_over(envelope, window),
        fitted=fitted,
        signs=class_signs(envelope),
    )
    _record(evidence, recorder)
    return Result(
        "softmax-regions",
        summary(evidence),
        CLAIMS.judge(evidence),
        answers(evidence),
        recorder.tables,
        FIGURES.plots(evidence),
        FORMULAS,
    )


def _begin(config: Config, fitted: FittedPlanes | None, recorder: Recorder) -> None:
    """Begin the run; with fitted points, record which they were and what was recognised."""
    if fitted is None:
        recorder.begin(config)
        return
    digest = fitted.points.digest
    fit = config.fit.model_copy(update={"digest": digest})
    recorder.begin(config.model_copy(update={"fit": fit}), data_digest=digest)
    fitted.log(recorder, config.fit)


def _record(e: Evidence, recorder: Recorder) -> None:
    """Write the tables ``boundaries`` and ``probes``."""
    table = recorder.table("boundaries", COLUMNS["boundaries"])
    for b in e.envelope.boundaries:
        end = [None, None] if b.end is None else floats(b.end)
        i, j = b.classes
        table.append(i + 1, j + 1, b.kind, *floats(b.start), *end, *unit(b.direction).tolist())
    p = {f"p{k + 1}": "the classes' probabilities there" for k in range(len(e.names))}
    probes = recorder.table("probes", COLUMNS["probes"] | p)
    for way in e.probed:
        r = distances(way, e.scale)
        rows = np.column_stack([r, way.points(r), way.p(r)]).tolist()
        probes.extend([_way_name(way), *row] for row in rows)


def _way_name(way: Way) -> str:
    """``boundary 1-2 from 1`` (classes and vertex by number) or ``middle 3``."""
    classes = "-".join(str(k + 1) for k in way.classes)
    if way.kind == "middle":
        return f"middle {classes}"
    return f"boundary {classes}" + ("" if way.vertex is None else f" from {way.vertex + 1}")
