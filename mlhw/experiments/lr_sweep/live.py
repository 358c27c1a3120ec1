"""The live figures of lr-sweep."""

from __future__ import annotations

import numpy as np

from mlhw.experiments.lr_sweep.evidence import Evidence, Trajectory
from mlhw.experiments.sweeps.figures import eta_text
from mlhw.experiments.sweeps.live import live_separators
from mlhw.result.live import LiveCurve, LiveCurves, LiveFigures, LivePath, LivePlane

LIVE = LiveFigures[Evidence]()


def _along(one: Trajectory, y: np.ndarray, place: int) -> LiveCurve:
    return LiveCurve(eta_text(one.eta), np.arange(len(y)), y, place)


@LIVE.figure("nll")
def _nll(e: Evidence) -> LiveCurves:
    best = e.problem.optimum
    calm = [one.nll.max() for one in e.trajectories if one.stopped != "diverged"]
    return LiveCurves(
        "iteration",
        "NLL",
        [_along(one, one.nll, i) for i, one in enumerate(e.trajectories)],
        levels={} if best is None else {"optimum": best.nll},
        log_x=e.log_axis in ("iteration", "both"),
        log_y=e.log_axis in ("nll", "both"),
        # A diverged rate would press all others flat.
        most=1.1 * float(max(calm)) if 0 < len(calm) < len(e.trajectories) else None,
    )


@LIVE.figure("limit")
def _limit(e: Evidence) -> LiveCurves:
    curves = [
        LiveCurve(eta_text(one.eta), local.iterations, local.eta, i)
        for i, (one, local) in enumerate(zip(e.trajectories, e.limits, strict=True))
    ]
    levels = {"2/L": e.problem.monotone_eta}
    return LiveCurves("iteration", "2/λmax(H(w))", curves, levels=levels, log_y=True)


@LIVE.figure("gap", when=lambda e: e.problem.optimum is not None)
def _gap(e: Evidence) -> LiveCurves:
    assert e.problem.optimum is not None
    best = e.problem.optimum.nll
    curves = [_along(one, one.nll - best, i) for i, one in enumerate(e.trajectories)]
    return LiveCurves("iteration", "NLL − optimum", curves, log_y=True)


@LIVE.figure("separators", when=lambda e: e.problem.d == 2)
def _separators(e: Evidence) -> LivePlane:
    paths = [LivePath(eta_text(one.eta), one.W, one.nll, i) for i, one in enumerate(e.trajectories)]
    return live_separators(e.problem, paths, "iteration")
