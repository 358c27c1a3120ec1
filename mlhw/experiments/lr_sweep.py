"""How does the learning rate change gradient descent?

Two-class logistic regression, p(C1|x) = σ(wᵀx) with w = [w1 … wd, bias], by batch gradient descent
w ← w − η ∇E(w) on E(w), the mean negative log-likelihood (Bishop, PRML, eq. 4.90 and 4.91 over n),
at several rates η side by side. Beside the paths stand the answers that explain them: the optimum
(Newton's method), 2/L below which no step can raise E, 2/λmax of the Hessian at the optimum above
which descent cannot settle there, and the same limit along each path.

    mlhw lr-sweep --etas 0.5,0.3,0.1,0.05,0.01

On the built-in data η = 0.5 and 0.3 overshoot at first and oscillate; 0.1, 0.05 and 0.01 never rise,
and the smaller, the slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mlhw import plots
from mlhw.experiments._lr_figures import figures
from mlhw.experiments._lr_report import FORMULAS, LIMITS, METRICS
from mlhw.maths import descent, logistic
from mlhw.result import Check, Claims, Recorder, Result, check, not_applicable
from mlhw.sweeps import Problem, SweepConfig, begin, load
from mlhw.texts import text_table

QUESTION = (
    "How does the learning rate change gradient descent? Two-class logistic regression at several "
    "rates from the same start: which oscillate, which are slow, and why."
)


class Config(SweepConfig):
    max_iterations: Annotated[
        int, Field(ge=1, le=10_000_000, description="NLLs recorded at most for a rate")
    ] = 500
    tolerance: Annotated[
        float,
        Field(ge=0, description="a rate stops when its NLL changes by less; 0 never does"),
    ] = 1e-5
    log_axis: Annotated[
        Literal["none", "iteration", "nll", "both"],
        Field(description="logarithmic axes of the figure of the NLL"),
    ] = "none"


# A rise of the NLL by less than this is rounding: the mean of n terms, each right to some ulps.
ROUNDING = 1e-12
# An overshoot grows from rounding to the size of the step itself by 36 e-folds; at twice that a run
# that shows none contradicts the theory.
MUST_SHOW = -2.0 * float(np.log(np.finfo(float).eps))
# The local limit is worked out for at most this many iterations of a rate, evenly spread.
LIMIT_POINTS = 2000


@dataclass
class Curve:
    """The path of one rate: ``nll`` (K,) and ``W`` (K, d+1), row k before the k-th update."""

    eta: float
    nll: np.ndarray
    W: np.ndarray
    stopped: str

    @cached_property
    def rises(self) -> np.ndarray:
        """The k with E(k+1) > E(k), beyond rounding."""
        return np.flatnonzero(np.diff(self.nll) > ROUNDING * np.maximum(1.0, self.nll[:-1]))

    @property
    def oscillates(self) -> bool:
        return len(self.rises) > 0

    def summary(self) -> dict[str, Any]:
        return {
            "eta": self.eta,
            "iterations": len(self.nll),
            "stopped": self.stopped,
            "nll": self.nll[-1],
            "w": self.W[-1],
            "increases": int(np.sum(np.diff(self.nll) > 0)),
        }


@dataclass
class Evidence:
    """What the claims are judged by: the curves by falling rate, and the problem."""

    problem: Problem
    curves: list[Curve]

    @property
    def steady(self) -> list[Curve]:
        """The rates that neither oscillate nor overshoot, largest first.

        Between 1/L and 2/L a step can pass the minimum along the steepest direction although the NLL
        still falls; such a rate need not be faster than a smaller one.
        """
        limit = self.problem.monotone_eta / 2
        return [curve for curve in self.curves if not curve.oscillates and curve.eta <= limit]

    @property
    def steady_note(self) -> str:
        """What is compared, and which rates are left out of it."""
        left_out = [c.eta for c in self.curves if not c.oscillates and c not in self.steady]
        note = "rates that do not oscillate, up to 1/L"
        if left_out:
            note += f"; {plots.listing(left_out)} above it can overshoot without a rise"
        return note


def run(config: Config, recorder: Recorder) -> Result:
    """Descend at every rate, record each step, and judge what it shows."""
    problem, loaded = load(config)
    begin(config, problem, loaded, recorder)
    metrics = recorder.table("metrics", METRICS | problem.columns)
    etas = config.etas
    losses: list[list[float]] = [[] for _ in etas]
    paths: list[list[np.ndarray]] = [[] for _ in etas]
    stopped: dict[int, str] = {}
    steps = descent.gradient_descent(
        problem.X, problem.t, problem.w0, etas, config.max_iterations, config.tolerance
    )
    for step in steps:
        rows = []
        for i, loss, w in zip(step.rates.tolist(), step.nll.tolist(), step.W.T, strict=True):
            losses[i].append(loss)
            paths[i].append(w)
            rows.append((etas[i], step.iteration, loss, *w.tolist()))
        metrics.extend(rows)
        stopped.update(step.stopped)
        recorder.progress(step.iteration + 1, config.max_iterations, "iterations")
    curves = [
        Curve(eta, np.array(losses[i]), np.array(paths[i]), stopped[i])
        for i, eta in enumerate(etas)
    ]
    for curve in curves:
        recorder.log(
            f"eta {curve.eta:g}: {len(curve.nll)} iterations, {curve.stopped}, "
            f"NLL {curve.nll[-1]:.8g}, {curve.summary()['increases']} rises"
        )
    limits = record_limits(problem, curves, recorder)
    claims = CLAIMS.judge(Evidence(problem, sorted(curves, key=lambda c: -c.eta)))
    summary = problem.summary() | {"runs": [curve.summary() for curve in curves]}
    if problem.d != 2:
        recorder.log(
            f"{problem.d} features: the figures of two dimensions (path, separators) are left out"
        )
    return Result(
        "lr-sweep",
        summary,
        claims,
        answers(problem, curves),
        recorder.tables,
        figures(problem, curves, limits, config.log_axis),
        FORMULAS,
    )


def record_limits(
    problem: Problem, curves: list[Curve], recorder: Recorder
) -> list[tuple[np.ndarray, np.ndarray]]:
    """2/λmax(H(w_k)) along each path, also as the table ``limits``; (iterations, limits) a rate."""
    table = recorder.table("limits", LIMITS)
    limits = []
    for curve in curves:
        stride = -(-len(curve.nll) // LIMIT_POINTS)
        iterations = np.arange(0, len(curve.nll), stride)
        found = []
        for part in np.array_split(iterations, -(-len(iterations) // 50)):
            found.append(logistic.local_limits(problem.X, curve.W[part].T))
            recorder.progress(int(part[-1]) + 1, len(curve.nll), f"local limits, eta {curve.eta:g}")
        local = np.concatenate(found)
        table.extend(
            (curve.eta, k, limit if np.isfinite(limit) else None)
            for k, limit in zip(iterations.tolist(), local.tolist(), strict=True)
        )
        limits.append((iterations, local))
    return limits


def answers(problem: Problem, curves: list[Curve]) -> list[str]:
    header = ["eta", "iterations", "stopped by", "last NLL", "rises"]
    rows = []
    for curve in curves:
        s = curve.summary()
        rows.append(
            [
                f"{s['eta']:g}",
                str(s["iterations"]),
                s["stopped"],
                f"{s['nll']:.8g}",
                str(s["increases"]),
            ]
        )
    return [
        *text_table(header, rows),
        "",
        "stopped by tolerance: the NLL changed by less than it; rises: iterations that raised the NLL",
        *problem.answers(),
    ]


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    runs = summary["runs"]
    numbers = {"lowest NLL": min(run["nll"] for run in runs)}
    if summary["optimum"] is not None:
        numbers["optimum"] = summary["optimum"]["nll"]
    numbers |= {f"NLL at eta {run['eta']:g}": run["nll"] for run in runs}
    return numbers | {f"rises at eta {run['eta']:g}": run["increases"] for run in runs}


# ------------------------------------------------------------------------------------- claims

CLAIMS = Claims[Evidence]()


@CLAIMS.claim("monotone-below-2L", "no rate below 2/L ever rises")
def monotone_below(e: Evidence) -> Check:
    below = [curve for curve in e.curves if curve.eta < e.problem.monotone_eta]
    if not below:
        return not_applicable(f"no rate is below 2/L = {e.problem.monotone_eta:.4g}")
    rises = {f"eta {curve.eta:g}": len(curve.rises) for curve in below}
    return check(
        not any(rises.values()),
        measured=rises,
        expected=0,
        tolerance=ROUNDING,
        note=f"rises of the NLL; 2/L = {e.problem.monotone_eta:.6g}",
    )


@CLAIMS.claim(
    "rise-above-local-limit",
    "every rise happens where eta exceeds the local limit somewhere between w_k and w_k+1",
)
def rise_above_local_limit(e: Evidence) -> Check:
    """A rise means that the curvature along the step exceeds 2/η somewhere on it (Taylor)."""
    smallest, where, rises = np.inf, "", 0
    for curve in e.curves:
        rises += len(curve.rises)
        before, after = curve.W[curve.rises].T, curve.W[curve.rises + 1].T
        ratios = logistic.largest_ratios(e.problem.X, before, after, curve.eta)
        if len(ratios) and ratios.min() < smallest:
            smallest = float(ratios.min())
            where = f"eta {curve.eta:g}, iteration {curve.rises[ratios.argmin()]}"
    if not rises:
        return not_applicable("no rate ever rises")
    return check(
        smallest > 1.0,
        measured=smallest,
        expected="above 1",
        note=f"the smallest ratio of eta to the limit over {rises} rises, at {where}",
    )


@CLAIMS.claim("largest-oscillates", "the largest rate oscillates, the smallest does not")
def largest_oscillates(e: Evidence) -> Check:
    largest, smallest = e.curves[0], e.curves[-1]
    if smallest.eta >= e.problem.monotone_eta:
        return not_applicable(f"no rate is below 2/L = {e.problem.monotone_eta:.4g}")
    if not largest.oscillates:
        path = largest.W[-LIMIT_POINTS:].T
        overshoot = logistic.overshoot(logistic.local_limits(e.problem.X, path), largest.eta)
        if overshoot < MUST_SHOW:
            return not_applicable(
                f"eta {largest.eta:g} exceeds the limit along its path too little or too briefly to "
                f"have to oscillate: an overshoot by {overshoot:.3g} e-folds, where {MUST_SHOW:.0f} "
                "would show",
                measured=overshoot,
            )
    return check(
        largest.oscillates and not smallest.oscillates,
        measured={f"eta {curve.eta:g}": len(curve.rises) for curve in (largest, smallest)},
        expected={f"eta {largest.eta:g}": "some", f"eta {smallest.eta:g}": 0},
        tolerance=ROUNDING,
        note="rises of the NLL",
    )


SETTLED = 1e-6


@CLAIMS.claim(
    "no-settling-above-critical", "a rate above critical_eta does not settle at the optimum"
)
def no_settling_above_critical(e: Evidence) -> Check:
    if e.problem.optimum is None or e.problem.critical_eta is None:
        return not_applicable("the classes are separable: there is no optimum")
    above = [curve for curve in e.curves if curve.eta > e.problem.critical_eta]
    if not above:
        return not_applicable(f"no rate is above critical_eta = {e.problem.critical_eta:.4g}")
    gaps, passing = {}, []
    for curve in above:
        distance = curve.nll - e.problem.optimum.nll
        # The last two NLLs, since a cycle may touch the optimum's level with one of its points.
        gap = float(np.max(distance[-2:]))
        there = len(distance) - 1 - np.max(np.flatnonzero(distance > SETTLED), initial=-1)
        limits = np.full(there, e.problem.critical_eta)
        if gap <= SETTLED and logistic.overshoot(limits, curve.eta) < MUST_SHOW:
            passing.append(curve.eta)  # it has come close and has not had the time to leave
        else:
            gaps[f"eta {curve.eta:g}"] = gap
    if not gaps:
        return not_applicable(
            f"eta {plots.listing(passing)} stopped within {SETTLED:g} of the optimum before it could "
            "leave it; more iterations and tolerance 0 would tell"
        )
    note = "NLL above the optimum at the end"
    if passing:
        note += f"; eta {plots.listing(passing)} stopped close by, before it could leave"
    return check(
        min(gaps.values()) > SETTLED, measured=gaps, expected=f"above {SETTLED:g}", note=note
    )


@CLAIMS.claim(
    "larger-is-faster",
    "among rates that do not oscillate, a larger one reaches a given NLL in fewer iterations",
)
def larger_is_faster(e: Evidence) -> Check:
    steady = e.steady
    if len(steady) < 2:
        return not_applicable(f"fewer than two rates to compare: {e.steady_note}")
    # Levels that all of them reach, from the first update of the smallest to its end.
    reached = max(float(curve.nll.min()) for curve in steady)
    start = float(steady[0].nll[0])
    if not reached < start:
        return not_applicable("no NLL below the start is reached by all of these rates")
    levels = np.linspace(start, reached, 11)[1:]
    times = [_times(curve, levels) for curve in steady]
    leads = [slower - faster for faster, slower in pairwise(times)]
    return check(
        all((lead > 0).all() for lead in leads),
        measured={
            f"eta {c.eta:g}": round(float(n[-1]), 3) for c, n in zip(steady, times, strict=True)
        },
        expected="more for each smaller rate",
        note=f"iterations to NLL {reached:.6g}, between iterations by interpolation; "
        f"checked at {len(levels)} levels; {e.steady_note}",
    )


def _times(curve: Curve, levels: np.ndarray) -> np.ndarray:
    """The fractional iteration at which a falling curve first reaches each level."""
    times: np.ndarray = np.interp(-levels, -curve.nll, np.arange(len(curve.nll)))
    return times


@CLAIMS.claim(
    "smaller-is-higher",
    "after the same number of iterations a smaller rate has the higher NLL",
)
def smaller_is_higher(e: Evidence) -> Check:
    steady = e.steady
    if len(steady) < 2:
        return not_applicable(f"fewer than two rates to compare: {e.steady_note}")
    smallest, where = np.inf, ""
    for faster, slower in pairwise(steady):
        common = min(len(faster.nll), len(slower.nll))
        if common < 2:
            continue
        lead = slower.nll[1:common] - faster.nll[1:common]
        if lead.min() < smallest:
            smallest = float(lead.min())
            where = f"eta {slower.eta:g} above eta {faster.eta:g} at iteration {lead.argmin() + 1}"
    if not np.isfinite(smallest):
        return not_applicable("the rates share no iteration after the start")
    return check(
        smallest > -ROUNDING,
        measured=smallest,
        expected="above 0",
        tolerance=ROUNDING,
        note=f"the smallest lead over all common iterations, {where}; {e.steady_note}",
    )


@CLAIMS.claim("above-optimum", "every run's NLL lies above the optimum")
def above_optimum(e: Evidence) -> Check:
    if e.problem.optimum is None:
        return not_applicable("the classes are separable: there is no optimum")
    gaps = {curve.eta: float(curve.nll.min() - e.problem.optimum.nll) for curve in e.curves}
    eta = min(gaps, key=lambda rate: gaps[rate])
    return check(
        gaps[eta] >= -ROUNDING,
        measured=gaps[eta],
        expected="at least 0",
        tolerance=ROUNDING,
        note=f"the smallest NLL of all runs less the optimum's, at eta {eta:g}",
    )
