"""The figure of the rates that were tried for the backbone, and what they did to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlhw.result import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.vision.training.probe import Probe


def tried_rates_figure(found: Probe, used: float) -> Figure:
    """Mean loss above that before, with standard errors, against the rate; ``used`` is marked."""
    figure = plots.new_figure(9.0, 4.4)
    axes = figure.add_subplot()
    rates, excess, errors = (np.array(v) for v in (found.rates, found.excess, found.errors))
    finite = np.isfinite(excess)
    axes.axhline(
        0,
        color=plots.GREY,
        linestyle=plots.dash(3),
        linewidth=1.2,
        label=f"before the steps: {found.before:.4f}",
    )
    axes.errorbar(
        rates[finite],
        excess[finite],
        yerr=errors[finite],
        color=plots.colour(0),
        marker="o",
        capsize=4,
        label="after them, ± one standard error",
    )
    axes.axvline(
        used,
        color=plots.colour(1),
        linestyle=plots.dash(1),
        label=f"used: {used:g}",
    )
    axes.set_xscale("log")
    # Large rates raise the loss a hundred times as much as small ones change it.
    # A power of ten, so that no tick lies between it and 0.
    smallest = max(float(np.min(errors[finite], initial=1.0)), 1e-6)
    axes.set_yscale("symlog", linthresh=10.0 ** np.ceil(np.log10(smallest)))
    axes.margins(0.06, 0.1)
    axes.set_xlabel("learning rate of the backbone")
    axes.set_ylabel(f"loss of {found.images} other training images, above before")
    if not finite.all():
        left = ", ".join(f"{rate:g}" for rate in rates[~finite])
        axes.set_title(f"not finite at {left}", fontsize=9)
    plots.legend(axes)
    return figure
