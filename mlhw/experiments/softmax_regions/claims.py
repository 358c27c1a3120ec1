"""What softmax-regions claims."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mlhw.experiments.softmax_regions.audit import mistakes
from mlhw.experiments.softmax_regions.evidence import Evidence, floats
from mlhw.experiments.softmax_regions.grid import SIDE
from mlhw.experiments.softmax_regions.probes import wrong_probes
from mlhw.maths.rational import ZERO, along, dot, over_root, to_float
from mlhw.maths.rays import Way, distances, gaps_along
from mlhw.maths.regions import activations_at
from mlhw.maths.softmax import log_softmax, softmax
from mlhw.result.claims import Claim, Claims, check, not_applicable

CLAIMS = Claims[Evidence]()
# Of probabilities, and of log-odds relative to their size.
P_TOLERANCE = 1e-12
# Of the rate at which 1 − p falls, relative. It is the slope between two values right to some ulps, one
# twice the other; classes whose gaps grow alike to 1e-12 are taken for one.
RATE_TOLERANCE = 1e-11
BEYOND = "the slowest gap stands out only where float64 no longer holds the activations"


@CLAIMS.claim("common-point", "where all K classes meet every probability is 1/K", figure="regions")
def common_point(e: Evidence) -> Claim:
    common, planes = e.envelope.common, e.envelope.planes
    if common is None:
        return not_applicable(f"there is no point where all {len(planes)} activations are equal")
    p = e.p_at(common.point)[None]
    if common.direction is not None:
        line = gaps_along(planes, 0, common.point, common.direction)
        p = softmax(-line.at(e.scale * np.array([-1e3, -1.0, 0.0, 1.0, 1e3])))
    off = np.abs(p - 1 / len(planes))
    where = {"point": "at", "line": "along a whole line through", "plane": "everywhere, so at"}
    x1, x2 = floats(common.point)
    return check(
        bool(off.max() <= P_TOLERANCE),
        measured=float(p.flat[off.argmax()]),
        expected=1 / len(planes),
        tolerance=P_TOLERANCE,
        note=f"the p farthest from 1/{len(planes)}; all meet {where[common.kind]} "
        f"({x1:.6g}, {x2:.6g})",
    )


@CLAIMS.claim(
    "vertices",
    "at every vertex the meeting classes are equally probable, all others less",
    figure="regions",
)
def vertices(e: Evidence) -> Claim:
    if not e.envelope.vertices:
        return not_applicable("no three regions meet: there is no vertex")
    spread, lead = 0.0, np.inf
    for vertex in e.envelope.vertices:
        a = activations_at(e.envelope.planes, vertex.point)
        meeting = list(vertex.classes)
        spread = max(spread, float(np.ptp(e.p_at(vertex.point)[meeting])))
        for k, value in enumerate(a):
            if k not in vertex.classes:
                lead = min(lead, to_float(a[meeting[0]] - value))
    next_one = "" if np.isinf(lead) else f"; any other activation is lower by {lead:.4g} or more"
    fewest = min(len(vertex.classes) for vertex in e.envelope.vertices)
    return check(
        spread <= P_TOLERANCE and lead > 0 and fewest >= 3,
        measured=spread,
        expected=0,
        tolerance=P_TOLERANCE,
        note=f"largest difference between the p that meet; vertices: {len(e.envelope.vertices)}, "
        f"classes meeting in each: {fewest} or more{next_one}",
    )


@CLAIMS.claim(
    "whole-envelope",
    "vertices, boundaries and regions are all there are: by Cramer's rule, by Euler's, and by the largest "
    "activation in each",
    figure="regions",
)
def whole_envelope(e: Evidence) -> Claim:
    wrong = list(mistakes(e))
    counts = (len(e.envelope.vertices), len(e.envelope.boundaries), len(e.envelope.with_area))
    return check(
        not wrong,
        measured=len(wrong),
        expected=0,
        note="vertices {}, boundaries {}, regions with area {}".format(*counts)
        + (f"; wrong: {'; '.join(wrong[:4])}" if wrong else ""),
    )


@CLAIMS.claim(
    "boundary-equal",
    "all along a boundary the two classes that it divides stay equal",
    figure="rays",
)
def boundary_equal(e: Evidence) -> Claim:
    if not e.boundaries:
        return not_applicable("there are no boundaries")
    apart, moved = 0.0, 0.0
    for way in e.boundaries:
        p = way.p(distances(way, e.scale))
        apart = max(apart, float(np.ptp(p[:, way.tied], axis=1).max()))
        if way.kind == "line":
            moved = max(moved, float(np.ptp(p, axis=0).max()))
    lines = any(way.kind == "line" for way in e.boundaries)
    return check(
        max(apart, moved) <= P_TOLERANCE,
        measured=apart,
        expected=0,
        tolerance=P_TOLERANCE,
        note="largest difference of the two p"
        + (f"; along a whole line every p is constant, to {moved:.2g}" if lines else ""),
    )


@CLAIMS.claim(
    "boundary-gaps",
    "along a boundary the gaps to all other classes are linear and above 0; a segment ends in "
    "another vertex, where a gap is 0 again",
    figure="rays",
)
def boundary_gaps(e: Evidence) -> Claim:
    """Compare log p_i − log p_k, by start and slope, with exact activations at places along the way."""
    ways = [way for way in e.boundaries if way.others]
    if not ways:
        return not_applicable("no boundary has other classes beside it")
    bend, lowest, ends_level = 0.0, np.inf, True
    for way in ways:
        square = dot(way.direction, way.direction)
        for part in (Fraction(1, 8), Fraction(1, 2), Fraction(7, 8), Fraction(1)):
            place = along(way.start, part, way.direction)
            a = activations_at(e.envelope.planes, place)
            gaps = np.array([to_float(a[way.classes[0]] - a[k]) for k in way.others])
            r = over_root(part * square, square)
            log_p = log_softmax(-way.gaps.at(np.array([r])))[0]
            found = log_p[way.classes[0]] - log_p[way.others]
            size = max(1.0, gaps.max(), way.gaps.start.max())
            with np.errstate(invalid="ignore"):  # both may be beyond float64
                apart = np.where(found == gaps, 0.0, np.abs(found - gaps) / size)
            bend = float(np.maximum(bend, apart.max()))
            if way.kind == "segment" and part == 1:
                ends_level = ends_level and gaps.min() == 0
            else:
                lowest = min(lowest, float(gaps.min()))
    segments = sum(way.kind == "segment" for way in ways) // 2
    return check(
        bend <= P_TOLERANCE and lowest > 0 and ends_level,
        measured=bend,
        expected=0,
        tolerance=P_TOLERANCE,
        note=f"log(p_i/p_k) off its line, relative; lowest gap on the way {lowest:.4g}"
        + (f"; segments, each ending in another vertex: {segments}" if segments else ""),
    )


@CLAIMS.claim(
    "boundary-away",
    "moving away from a vertex along a boundary ray, the third class (K > 3: all others together) "
    "falls strictly and the two that it divides rise, to 1/2 where all others fall behind",
    figure="rays",
)
def boundary_away(e: Evidence) -> Claim:
    rays = [way for way in e.boundaries if way.kind == "ray"]
    if not rays:
        return not_applicable("no boundary is a ray from a vertex")
    return _moving_away(e, rays)


@CLAIMS.claim(
    "middle-largest",
    "moving away in the middle of a region, its own probability is above all others and rises to 1",
    figure="rays",
)
def middle_largest(e: Evidence) -> Claim:
    if not e.middles:
        return not_applicable(_no_middle(e))
    done = _moving_away(e, e.middles)
    stuck = [way for way in e.middles if not way.reaches]
    if done.verdict == "holds" and stuck:
        limits = {e.names[way.classes[0]]: way.limit for way in stuck}
        return not_applicable(
            "the margin cannot grow in the region of these classes (a strip, or a rival with equal "
            "weights), and p tends to the limit given; it holds for all others",
            measured=limits,
        )
    return done


def _moving_away(e: Evidence, ways: list[Way]) -> Claim:
    """Check that the tied classes lead all the way, that each other one falls, and p's limit far out."""
    step, lead, miss, together = -np.inf, np.inf, 0.0, True
    limits = set()
    for way in ways:
        r = distances(way, e.scale)
        moving = way.gaps.slope[way.others]
        moving = moving[moving != 0]
        if len(moving):
            # log(p_k/p_i) has changed by −r slope_k since the start.
            step = max(step, float(np.diff(np.multiply.outer(-r, moving), axis=0).max()))
            rest = np.concatenate([[0.0], way.change_of_log_odds(r)])
            # Each falls strictly; their log-sum-exp may lose a tiny fall beside a large one.
            together = together and bool(np.all(np.diff(rest) <= P_TOLERANCE))
        p = way.p(r)[:, way.tied]
        together = together and bool(np.all(np.diff(p, axis=0) >= -P_TOLERANCE))
        # The gap is log(p_i/p_k) itself, with all its digits.
        gaps = way.gaps.at(r)
        ahead = gaps[:, way.others].min(axis=1) - gaps[:, way.tied].max(axis=1)
        lead = min(lead, float(ahead.min()))
        # As far as it takes for what falls behind to be below e^-40 of the rest.
        far = np.array([max([r[-1], *(40 / moving)])])
        miss = max(miss, float(np.max(np.abs(way.p(far)[0, way.tied] - way.limit))))
        limits.add(f"{way.limit:.6g}")
    return check(
        step < 0 and together and lead > 0 and miss <= P_TOLERANCE,
        measured={"step": step, "lead": lead, "miss": miss},
        expected={"step": "below 0", "lead": "above 0", "miss": 0},
        tolerance=P_TOLERANCE,
        note="largest step of log(p_k/p_i) from place to place, smallest lead log(p_i/p_k), distance "
        f"from the limit {' or '.join(sorted(limits))} far out; ways: {len(ways)}",
    )


@CLAIMS.claim(
    "middle-rate",
    "in the middle of a region 1 − p falls exponentially, at the rate of the smallest activation gap",
    figure="law",
)
def middle_rate(e: Evidence) -> Claim:
    """Compare the rate with the distance from w_i to the convex hull of the other weights."""
    growing = [way for way in e.middles if way.reaches]
    if not growing:
        return not_applicable(_no_middle(e) if not e.middles else "no margin grows without end")
    fitted, exact = {}, {}
    for way in growing:
        square = dot(way.direction, way.direction)
        name = e.names[way.classes[0]]
        fitted[name] = way.fitted_rate(1e3 * e.scale)
        exact[name] = over_root(square, square)
    beyond = [name for name in exact if np.isnan(fitted[name])]
    if len(beyond) == len(exact):
        return not_applicable(f"{BEYOND}: {', '.join(beyond)}")
    off = max(abs(fitted[name] / exact[name] - 1) for name in exact if name not in beyond)
    stuck = [way for way in e.middles if not way.reaches]
    if off <= RATE_TOLERANCE and stuck:
        return not_applicable(
            "in the region of these classes 1 − p tends to what is given, not to 0; the rate holds "
            "for all others",
            measured={e.names[way.classes[0]]: 1 - way.limit for way in stuck},
        )
    return check(
        off <= RATE_TOLERANCE,
        measured=fitted,
        expected=exact,
        tolerance=RATE_TOLERANCE,
        note=f"the slope of −log(1 − p) far out against the exact one, relative error {off:.2g}"
        + (f"; {BEYOND}: {', '.join(beyond)}" if beyond else ""),
    )


def _no_middle(e: Evidence) -> str:
    p = e.p_at(ZERO)
    return f"one region is the whole plane: p is constant, {float(p.max()):.8g} for its class"


@CLAIMS.claim(
    "probes-as-told",
    "the places probed lie as far along their way as is told, and p there is that of the activations",
    figure="rays",
)
def probes_as_told(e: Evidence) -> Claim:
    if not e.probed:
        return not_applicable("no way leads away from anything")
    wrong = list(wrong_probes(e))
    return check(
        not wrong,
        measured=len(wrong),
        expected=0,
        tolerance=P_TOLERANCE,
        note=f"of {len(e.probed)} ways" + (f"; wrong: {', '.join(wrong[:4])}" if wrong else ""),
    )


@CLAIMS.claim(
    "grid-argmax",
    f"on a {SIDE} × {SIDE} grid the arg max of p is the region's class",
    figure="regions",
)
def grid_argmax(e: Evidence) -> Claim:
    grid = e.grid
    tolerance = P_TOLERANCE * max(1.0, grid.size)
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
