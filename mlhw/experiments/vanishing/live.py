"""The live figure of ``vanishing``: the gradients of every network by layer."""

from __future__ import annotations

import numpy as np

from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.figures import with_gradients
from mlhw.result.live import LiveCurve, LiveCurves, LiveFigures

LIVE = LiveFigures[Evidence]()


@LIVE.figure("gradients", when=lambda e: bool(with_gradients(e)))
def _gradients(e: Evidence) -> LiveCurves:
    curves = []
    for place, profile in enumerate(with_gradients(e)):
        median, low, high = profile.quantiles
        layers = np.arange(1, len(median) + 1)
        network = profile.network
        label = network.title + (f", depth {network.depth}" if network.shallow else "")
        curves.append(LiveCurve(label, layers, median, place, low, high))
    return LiveCurves("layer", "log10 |∂E/∂w_11|, median", curves)
