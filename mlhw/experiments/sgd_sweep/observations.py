"""What sgd-sweep observes: what the rates and orders that were drawn did."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mlhw.experiments.sgd_sweep.evidence import Evidence
from mlhw.result.observations import Observation, Observations, seen
from mlhw.text.words import quantity

OBSERVATIONS = Observations[Evidence]()


@OBSERVATIONS.observation(
    "stochastic-ahead", "at each of these rates stochastic descent was ahead after as many passes"
)
def stochastic_ahead(e: Evidence) -> Observation | None:
    if not e.against:
        return None
    won = {
        f"eta {eta:g}": f"{sum(row['faster'] == 'sgd' for row in rows)} of {len(rows)}"
        for eta in e.etas
        if (rows := [row for row in e.against if row["eta"] == eta])
    }
    ahead = all(row["faster"] == "sgd" for row in e.against)
    return seen(ahead, measured=won, note="numbers of passes after which it had the lower NLL")


@OBSERVATIONS.observation(
    "larger-ended-higher", "at the end the NLL was higher at each larger rate, by its noise"
)
def larger_ended_higher(e: Evidence) -> Observation | None:
    """The mean over the last tenth of the epochs, the median over repeats."""
    if len(e.etas) < 2:
        return None
    last = max(1, e.nll.shape[1] // 10)
    ends = np.median(np.mean(e.nll[:, -last:], axis=1), axis=0)
    known = [(eta, float(end)) for eta, end in zip(e.etas, ends, strict=True) if np.isfinite(end)]
    if len(known) < 2:
        return None
    return seen(
        all(a > b for (_, a), (_, b) in pairwise(known)),
        measured={f"eta {eta:g}": end for eta, end in known},
        note=f"mean NLL of the last {quantity(last, 'epoch')}; rates that stopped before are left out",
    )
