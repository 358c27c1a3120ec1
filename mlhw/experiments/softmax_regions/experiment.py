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

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from mlhw.config.model import ExperimentConfig, Option
from mlhw.experiments.softmax_regions import report as _softmax_answers
from mlhw.experiments.softmax_regions import setup as _softmax_setup
from mlhw.experiments.softmax_regions.figures import figures
from mlhw.experiments.softmax_regions.grid import SIDE, Grid, evaluate, figure_window
from mlhw.experiments.softmax_regions.report import answers, floats, geometry, p_at, record
from mlhw.experiments.softmax_regions.setup import FitConfig, Fitted, Names, Numbers, Rows
from mlhw.maths.rational import ZERO, along, dot, over_root, to_float
from mlhw.maths.rays import Path, boundary_paths, distances, gaps_along, middle_path
from mlhw.maths.regions import Envelope, activations_at, upper_envelope
from mlhw.maths.softmax import log_softmax, softmax
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

POSITION = 1
QUESTION = (
    "Where in the plane does a linear softmax choose which class, and how surely? The point where all "
    "classes meet, the boundaries between two of them, and the middle of each region, far out."
)


class Config(ExperimentConfig):
    weights: Annotated[
        Rows,
        Option(metavar="W11,W12;W21,W22;…"),
        Field(min_length=2, description="a row w1, w2 for each class"),
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
            description="take the weights from data: iris, wine or a .txt, .csv, .tsv, .npz file"
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


@dataclass(frozen=True)
class Evidence:
    """What the claims are judged by.

    ``scale`` is half the figure's side; ``boundaries`` are the ways along all boundaries, ``middles``
    those out through the unbounded regions, in class order.
    """

    envelope: Envelope
    names: list[str]
    scale: float
    boundaries: list[Path]
    middles: list[Path]
    grid: Grid


def run(config: Config, recorder: Recorder) -> Result:
    """Work out the geometry, follow every boundary and middle ray, and judge what they show."""
    fitted = _softmax_setup.fit(config.fit) if config.fit.given else None
    if fitted is None:
        weights, biases = config.weights, config.biases
        names = config.names or [f"class {k + 1}" for k in range(len(weights))]
    else:
        weights, biases = fitted.weights.tolist(), fitted.biases.tolist()
        names = fitted.names
    envelope = upper_envelope(weights, biases)
    _softmax_setup.check_range(envelope)
    begin(config, fitted, recorder)
    window = figure_window(config.window, envelope, None if fitted is None else fitted.X)
    boundaries = [path for b in envelope.boundaries for path in boundary_paths(envelope, b)]
    found = [middle_path(envelope, region) for region in envelope.with_area]
    middles = [path for path in found if path is not None]
    record(envelope, boundaries + middles, window.scale, recorder)
    grid = evaluate(envelope, window)
    evidence = Evidence(envelope, names, window.scale, boundaries, middles, grid)
    summary = {
        **geometry(envelope, names, middles),
        "window": window.bounds,
        "scale": window.scale,
        **({} if fitted is None else fitted.summary()),
    }
    return Result(
        "softmax-regions",
        summary,
        CLAIMS.judge(evidence),
        answers(envelope, names, middles, window.scale, fitted),
        recorder.tables,
        figures(envelope, names, boundaries, middles, grid, fitted),
        _softmax_answers.FORMULAS,
    )


def begin(config: Config, fitted: Fitted | None, recorder: Recorder) -> None:
    """Begin the run; with fitted points, record which they were and what was recognised."""
    if fitted is None:
        recorder.begin(config)
        return
    digest = fitted.points.digest
    fit = config.fit.model_copy(update={"digest": digest})
    recorder.begin(config.model_copy(update={"fit": fit}), data_digest=digest)
    fitted.tell(recorder, config.fit)


# ------------------------------------------------------------------------------------- claims

headlines = _softmax_answers.headlines
CLAIMS = Claims[Evidence]()
TOLERANCE = 1e-12


@CLAIMS.claim("common-point", "where all K classes meet every probability is 1/K")
def common_point(e: Evidence) -> Claim:
    common, planes = e.envelope.common, e.envelope.planes
    if common is None:
        return not_applicable(f"there is no point where all {len(planes)} activations are equal")
    p = p_at(e.envelope, common.point)[None]
    if common.direction is not None:
        line = gaps_along(planes, 0, common.point, common.direction)
        p = softmax(-line.at(e.scale * np.array([-1e3, -1.0, 0.0, 1.0, 1e3])))
    off = np.abs(p - 1 / len(planes))
    where = {"point": "at", "line": "along a whole line through", "plane": "everywhere, so at"}
    x1, x2 = floats(common.point)
    return check(
        bool(off.max() <= TOLERANCE),
        measured=float(p.flat[off.argmax()]),
        expected=1 / len(planes),
        tolerance=TOLERANCE,
        note=f"the p farthest from 1/{len(planes)}; all meet {where[common.kind]} "
        f"({x1:.6g}, {x2:.6g})",
    )


@CLAIMS.claim(
    "vertices", "at every vertex the meeting classes are equally probable, all others less"
)
def vertices(e: Evidence) -> Claim:
    if not e.envelope.vertices:
        return not_applicable("no three regions meet: there is no vertex")
    spread, lead = 0.0, np.inf
    for vertex in e.envelope.vertices:
        a = activations_at(e.envelope.planes, vertex.point)
        meeting = list(vertex.classes)
        spread = max(spread, float(np.ptp(p_at(e.envelope, vertex.point)[meeting])))
        for k, value in enumerate(a):
            if k not in vertex.classes:
                lead = min(lead, to_float(a[meeting[0]] - value))
    next_one = "" if np.isinf(lead) else f"; any other activation is lower by {lead:.4g} or more"
    fewest = min(len(vertex.classes) for vertex in e.envelope.vertices)
    return check(
        spread <= TOLERANCE and lead > 0 and fewest >= 3,
        measured=spread,
        expected=0,
        tolerance=TOLERANCE,
        note=f"largest difference between the p that meet; vertices: {len(e.envelope.vertices)}, "
        f"classes meeting in each: {fewest} or more{next_one}",
    )


@CLAIMS.claim("boundary-equal", "all along a boundary the two classes that it divides stay equal")
def boundary_equal(e: Evidence) -> Claim:
    if not e.boundaries:
        return not_applicable("there are no boundaries")
    apart, moved = 0.0, 0.0
    for path in e.boundaries:
        p = path.p(distances(path, e.scale))
        apart = max(apart, float(np.ptp(p[:, path.tied], axis=1).max()))
        if path.kind == "line":
            moved = max(moved, float(np.ptp(p, axis=0).max()))
    lines = any(path.kind == "line" for path in e.boundaries)
    return check(
        max(apart, moved) <= TOLERANCE,
        measured=apart,
        expected=0,
        tolerance=TOLERANCE,
        note="largest difference of the two p"
        + (f"; along a whole line every p is constant, to {moved:.2g}" if lines else ""),
    )


@CLAIMS.claim(
    "boundary-gaps",
    "along a boundary the gaps to all other classes are linear and above 0; a segment ends in "
    "another vertex, where a gap is 0 again",
)
def boundary_gaps(e: Evidence) -> Claim:
    """log p_i − log p_k by start and slope, against exact activations at places farther along."""
    ways = [path for path in e.boundaries if path.others]
    if not ways:
        return not_applicable("no boundary has other classes beside it")
    bend, lowest, ends_level = 0.0, np.inf, True
    for path in ways:
        square = dot(path.direction, path.direction)
        for part in (Fraction(1, 8), Fraction(1, 2), Fraction(7, 8), Fraction(1)):
            place = along(path.start, part, path.direction)
            a = activations_at(e.envelope.planes, place)
            gaps = np.array([to_float(a[path.classes[0]] - a[k]) for k in path.others])
            r = over_root(part * square, square)
            log_p = log_softmax(-path.gaps.at(np.array([r])))[0]
            found = log_p[path.classes[0]] - log_p[path.others]
            size = max(1.0, gaps.max(), path.gaps.start.max())
            bend = max(bend, float(np.max(np.abs(found - gaps)) / size))
            if path.kind == "segment" and part == 1:
                ends_level = ends_level and gaps.min() == 0
            else:
                lowest = min(lowest, float(gaps.min()))
    segments = sum(path.kind == "segment" for path in ways) // 2
    return check(
        bend <= TOLERANCE and lowest > 0 and ends_level,
        measured=bend,
        expected=0,
        tolerance=TOLERANCE,
        note=f"log(p_i/p_k) off its line, relative; lowest gap on the way {lowest:.4g}"
        + (f"; segments, each ending in another vertex: {segments}" if segments else ""),
    )


@CLAIMS.claim(
    "boundary-away",
    "moving away from a vertex along a boundary ray, the third class (K > 3: all others together) "
    "falls strictly and the two that it divides rise, to 1/2 where all others fall behind",
)
def boundary_away(e: Evidence) -> Claim:
    rays = [path for path in e.boundaries if path.kind == "ray"]
    if not rays:
        return not_applicable("no boundary is a ray from a vertex")
    return _moving_away(e, rays)


@CLAIMS.claim(
    "middle-largest",
    "moving away in the middle of a region, its own probability is above all others and rises to 1",
)
def middle_largest(e: Evidence) -> Claim:
    if not e.middles:
        return not_applicable(_no_middle(e))
    done = _moving_away(e, e.middles)
    stuck = [path for path in e.middles if not path.reaches]
    if done.verdict == "holds" and stuck:
        limits = {e.names[path.classes[0]]: path.limit for path in stuck}
        return not_applicable(
            "the margin cannot grow in the region of these classes (a strip, or a rival with equal "
            "weights), and p tends to the limit given; it holds for all others",
            measured=limits,
        )
    return done


def _moving_away(e: Evidence, paths: list[Path]) -> Claim:
    """Tied classes ahead all the way, each other one falling against them, p at its limit far out."""
    step, lead, miss, together = -np.inf, np.inf, 0.0, True
    limits = set()
    for path in paths:
        r = distances(path, e.scale)
        moving = path.gaps.slope[path.others]
        moving = moving[moving != 0]
        if len(moving):
            # log(p_k/p_i) has changed by −r slope_k since the start.
            step = max(step, float(np.diff(np.multiply.outer(-r, moving), axis=0).max()))
            rest = np.concatenate([[0.0], path.change_of_log_odds(r)])
            # Each falls strictly; their log-sum-exp may lose a tiny fall beside a large one.
            together = together and bool(np.all(np.diff(rest) <= TOLERANCE))
        p = path.p(r)[:, path.tied]
        together = together and bool(np.all(np.diff(p, axis=0) >= -TOLERANCE))
        # The gap is log(p_i/p_k) itself, with all its digits.
        gaps = path.gaps.at(r)
        ahead = gaps[:, path.others].min(axis=1) - gaps[:, path.tied].max(axis=1)
        lead = min(lead, float(ahead.min()))
        # As far as it takes for what falls behind to be below e^-40 of the rest.
        far = np.array([max([r[-1], *(40 / moving)])])
        miss = max(miss, float(np.max(np.abs(path.p(far)[0, path.tied] - path.limit))))
        limits.add(f"{path.limit:.6g}")
    return check(
        step < 0 and together and lead > 0 and miss <= TOLERANCE,
        measured={"step": step, "lead": lead, "miss": miss},
        expected={"step": "below 0", "lead": "above 0", "miss": 0},
        tolerance=TOLERANCE,
        note="largest step of log(p_k/p_i) from place to place, smallest lead log(p_i/p_k), distance "
        f"from the limit {' or '.join(sorted(limits))} far out; ways: {len(paths)}",
    )


@CLAIMS.claim(
    "middle-rate",
    "in the middle of a region 1 − p falls exponentially, at the rate of the smallest activation gap",
)
def middle_rate(e: Evidence) -> Claim:
    """The rate is geometry: the distance from w_i to the convex hull of the other weights."""
    growing = [path for path in e.middles if path.reaches]
    if not growing:
        return not_applicable(_no_middle(e) if not e.middles else "no margin grows without end")
    fitted, exact = {}, {}
    for path in growing:
        square = dot(path.direction, path.direction)
        name = e.names[path.classes[0]]
        fitted[name] = path.fitted_rate(1e3 * e.scale)
        exact[name] = over_root(square, square)
    off = max(abs(fitted[name] / exact[name] - 1) for name in exact)
    stuck = [path for path in e.middles if not path.reaches]
    if off <= RATE_TOLERANCE and stuck:
        return not_applicable(
            "in the region of these classes 1 − p tends to what is given, not to 0; the rate holds "
            "for all others",
            measured={e.names[path.classes[0]]: 1 - path.limit for path in stuck},
        )
    return check(
        off <= RATE_TOLERANCE,
        measured=fitted,
        expected=exact,
        tolerance=RATE_TOLERANCE,
        note=f"the slope of −log(1 − p) far out against the exact one, relative error {off:.2g}",
    )


RATE_TOLERANCE = 0.01


def _no_middle(e: Evidence) -> str:
    p = p_at(e.envelope, ZERO)
    return f"one region is the whole plane: p is constant, {float(p.max()):.8g} for its class"


@CLAIMS.claim("grid-argmax", f"on a {SIDE} × {SIDE} grid the arg max of p is the region's class")
def grid_argmax(e: Evidence) -> Claim:
    grid = e.grid
    tolerance = TOLERANCE * max(1.0, grid.size)
    differ = grid.chosen != grid.region
    wrong = differ & (grid.log_lead > tolerance)
    return check(
        not wrong.any(),
        measured=int(wrong.sum()),
        expected=0,
        tolerance=tolerance,
        note=f"points of {SIDE * SIDE} where another class leads; on a boundary, within the "
        f"tolerance: {int((differ & ~wrong).sum())}",
    )
