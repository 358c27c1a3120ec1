"""The live figures of sgd-sweep."""

from __future__ import annotations

import numpy as np

from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.experiments.sweeps.figures import eta_text
from mlhw.experiments.sweeps.live import live_separators
from mlhw.result.live import LiveCurve, LiveCurves, LiveFigures, LivePath, LivePlane

LIVE = LiveFigures[Evidence]()


def _rate(label: str, x: np.ndarray, repeats: np.ndarray, place: int) -> LiveCurve:
    """The median of the repeats (repeats, K), with the band of 5 to 95 % where there are several."""
    if len(repeats) == 1:
        return LiveCurve(label, x, repeats[0], place)
    low, high = np.quantile(repeats, [0.05, 0.95], axis=0)
    return LiveCurve(label, x, np.median(repeats, axis=0), place, low, high)


def _curves(e: Evidence, values: np.ndarray, name: str) -> LiveCurves:
    """``values`` (repeats, epochs, rates) against the epoch."""
    best = e.problem.optimum
    epochs = np.arange(values.shape[1])
    return LiveCurves(
        "epoch",
        name + (", median" if len(values) > 1 else ""),
        [_rate(eta_text(eta), epochs, values[:, :, i], i) for i, eta in enumerate(e.etas)],
        levels={} if best is None else {"optimum": best.nll},
    )


@LIVE.figure("nll")
def _nll(e: Evidence) -> LiveCurves:
    return _curves(e, e.nll, "NLL")


@LIVE.figure("online")
def _online(e: Evidence) -> LiveCurves:
    return _curves(e, e.online, "online NLL")


@LIVE.figure("against_gd")
def _against_gd(e: Evidence) -> LiveCurves:
    """Both descents at every rate, in one drawing; gradient descent is dotted."""
    passes = np.arange(1, e.nll.shape[1] + 1)
    curves = []
    for i, eta in enumerate(e.etas):
        curves.append(_rate(f"SGD, {eta_text(eta)}", passes, e.nll[:, :, i], i))
        batch = np.where(np.isfinite(e.gd[1:, i]), e.gd[1:, i], np.nan)
        curves.append(
            LiveCurve(f"GD, {eta_text(eta)}", np.arange(1, len(e.gd)), batch, i, dotted=True)
        )
    return LiveCurves("passes", "NLL", curves, log_x=True)


@LIVE.figure("separators", when=lambda e: e.problem.d == 2)
def _separators(e: Evidence) -> LivePlane:
    """The separators at the epochs' ends of repeat 0."""
    paths = []
    for i, eta in enumerate(e.etas):
        made = np.isfinite(e.nll[0, :, i])
        if made.any():
            paths.append(LivePath(eta_text(eta), e.W[0, made, :, i], e.nll[0, made, i], i))
    return live_separators(e.problem, paths, "epoch")
