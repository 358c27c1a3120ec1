"""What is left of a gradient after 153 layers?

Chains of single units, a^(l+1) = w^(l) z^(l), z = h(a), and networks of m units a layer, completely
connected; identity output, E = ½(a^(L) − t)². In a chain (Bishop, PRML, eq. 5.56 along one path)

    ∂E/∂w_11^(l) = (a^(L) − t) · Π_{n=l+1}^{L−1} h'(a^(n)) w^(n) · z^(l),

for every l, in sign and logarithm (``maths.chain``, ``maths.bipartite``), for many draws of the
weights. Beside the sample stands what must come out (``maths.survival``).

    mlhw vanishing
    mlhw vanishing --activation sigmoid --depth 701 --weights constant --scale 0.5 --draws 1

By default the sigmoid chain loses 0.905 decades a layer, to 10^-137 at the first of 152 weights; every
plain ReLU network is dead, (3/4)^151 = 1.4e-19 of the two-wide ones being alive; the second command's
first gradient is near 10^-638.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from mlhw.config.model import ExperimentConfig
from mlhw.experiments.vanishing.networks import CHECKED, Network, Setting
from mlhw.experiments.vanishing.report import COLUMNS, FORMULAS, answers, figures, record, summary
from mlhw.experiments.vanishing.report import headlines as headlines
from mlhw.experiments.vanishing.sample import (
    Curve,
    Profile,
    least_slope,
    profile,
    slope,
    survival_curves,
)
from mlhw.maths import survival
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

ENOUGH_DRAWS = 100  # for a median that is smooth enough to be judged

POSITION = 3
QUESTION = (
    "What is left of a gradient after 153 layers? Chains and networks of a few units a layer, sigmoid "
    "and ReLU: where gradients vanish, where they are exactly zero, and how likely that is."
)


class Config(ExperimentConfig):
    activation: Annotated[
        Literal["sigmoid", "relu", "tanh", "gelu", "leaky_relu", "softplus"] | None,
        Field(description="one network alone; without it sigmoid and ReLU networks are compared"),
    ] = None
    depth: Annotated[
        int, Field(ge=3, le=10_000, description="layers, input and output included")
    ] = 153
    shallow_depth: Annotated[
        int | None,
        Field(
            ge=3, le=10_000, description="a second, smaller depth of the comparison; null for none"
        ),
    ] = 10
    width: Annotated[
        int | None,
        Field(
            ge=1,
            le=64,
            description="units a layer (1 is a chain); null is 1 for one network alone, 2 for the "
            "bipartite network of the comparison",
        ),
    ] = None
    residual: Annotated[bool, Field(description="z = previous z + h(a) in the hidden layers")] = (
        False
    )
    weights: Annotated[
        Literal["normal", "uniform", "constant", "xavier", "he"],
        Field(description="how weights are drawn"),
    ] = "normal"
    scale: Annotated[
        float,
        Field(
            ge=-1e6,
            le=1e6,
            description="standard deviation (normal), half-width (uniform), the weight itself "
            "(constant), a factor on the usual deviation (xavier, he)",
        ),
    ] = 1.0
    draws: Annotated[int, Field(ge=1, le=10_000_000, description="networks drawn of each kind")] = (
        10_000
    )
    input: Annotated[float, Field(ge=-1e6, le=1e6, description="the value of every input")] = 1.0
    target: Annotated[float, Field(ge=-1e6, le=1e6, description="t in E = (a - t)²/2")] = 0.0

    @field_validator("scale")
    @classmethod
    def _sign(cls, scale: float, info: ValidationInfo) -> float:
        kind = info.data.get("weights")
        if scale <= 0 and kind not in ("constant", None):
            raise ValueError(
                f"must be greater than 0 for {kind} weights (got {scale:g}); "
                "only constant weights may be negative or zero"
            )
        return scale


@dataclass
class Evidence:
    """What the claims are judged by."""

    setting: Setting
    profiles: list[Profile]
    curves: list[Curve]

    def relu(self, chains: bool) -> list[Profile]:
        return [
            p for p in self.profiles if p.network.plain_relu and (p.network.width == 1) == chains
        ]


def run(config: Config, recorder: Recorder) -> Result:
    """Draw every network, tabulate its gradients by layer, and judge what they show."""
    recorder.begin(config)
    setting = Setting(
        config.weights, config.scale, config.draws, config.input, config.target, config.seed
    )
    table = recorder.table("gradients", COLUMNS)
    profiles = []
    for network in networks(config):
        progress = partial(recorder.progress, total=config.draws, what=network.title)
        found = profile(network, setting, progress)
        record(found, table, recorder)
        profiles.append(found)
    curves: list[Curve] = []
    if setting.random and any(p.network.plain_relu for p in profiles):
        curves = survival_curves(setting, config.depth, recorder)
    return Result(
        "vanishing",
        summary(config.depth, profiles),
        CLAIMS.judge(Evidence(setting, profiles, curves)),
        answers(setting, config.depth, profiles),
        recorder.tables,
        figures(setting, profiles, curves),
        FORMULAS,
    )


def networks(config: Config) -> list[Network]:
    """The one network asked for, or those compared: both depths, and ReLU also given survival."""
    if config.activation is not None:
        return [
            Network(config.activation, config.width or 1, config.depth, residual=config.residual)
        ]
    kinds = dict.fromkeys([("sigmoid", 1), ("relu", 1), ("relu", config.width or 2)])
    shallow = config.shallow_depth
    depths = [(config.depth, False)]
    if shallow is not None and shallow < config.depth:
        depths.append((shallow, True))
    compared = []
    for depth, second in depths:
        plain = [
            Network(activation, width, depth, residual=config.residual, shallow=second)
            for activation, width in kinds
        ]
        compared += plain
        # Nothing is left to draw, or to survive, with these.
        if not second and config.weights != "constant" and not config.residual and config.input:
            compared += [
                Network(n.activation, n.width, n.depth, alive=True)
                for n in plain
                if n.activation == "relu"
            ]
    return compared


# ------------------------------------------------------------------------------------- claims

CLAIMS = Claims[Evidence]()


@CLAIMS.claim(
    "sigmoid-vanishes",
    "the sigmoid chain's median gradient falls towards the input by a steady number of decades a layer",
)
def sigmoid_vanishes(e: Evidence) -> Claim:
    chains = [
        p
        for p in e.profiles
        if (p.network.activation, p.network.width) == ("sigmoid", 1) and not p.network.residual
    ]
    if not chains:
        return not_applicable("no plain sigmoid chain was drawn")
    p = chains[0]
    medians = p.quantiles[0]
    if p.slope is None or p.network.depth < 10 or np.isnan(medians).any():
        return not_applicable("fewer than 10 layers, or gradients that are zero in every draw")
    half = len(medians) // 2
    first, last = slope(medians[:half]), slope(medians[half:])
    assert first is not None
    assert last is not None
    fall, error = p.slope
    gap = abs(first[0] - last[0])
    allowed = 4.0 * math.hypot(first[1], last[1]) + 0.05 * abs(fall)
    least = least_slope(e.setting)
    holds = (
        medians[0] < medians[-1]
        and fall > 3.0 * error
        and gap <= allowed
        and fall >= least - 4.0 * error - 0.01
    )
    if not holds and p.sample.draws < ENOUGH_DRAWS:
        return not_applicable(
            f"the median of {p.sample.draws} draws is too rough; {ENOUGH_DRAWS} are enough to tell"
        )
    return check(
        holds,
        measured={
            "decades a layer": fall,
            "error": error,
            "log10 first": float(medians[0]),
            "log10 last": float(medians[-1]),
            "gap between halves": gap,
        },
        expected=f"at least {least:.4g} decades a layer, since h' <= 1/4",
        tolerance=allowed,
        note="the two halves of the chain fall equally within the tolerance",
    )


@CLAIMS.claim(
    "relu-chain-zeros", "a ReLU chain's gradient is zero exactly when some unit has a <= 0"
)
def relu_chain_zeros(e: Evidence) -> Claim:
    return _exceptions(e.relu(chains=True), "no plain ReLU chain was drawn")


@CLAIMS.claim(
    "relu-chain-product", "otherwise every h' is 1 and the gradient is the plain product of weights"
)
def relu_chain_product(e: Evidence) -> Claim:
    chains = [p for p in e.relu(chains=True) if p.sample.product_error is not None]
    if not chains:
        return not_applicable("no plain ReLU chain without a dead unit was drawn")
    worst = max(chains, key=lambda p: p.sample.product_error or 0.0)
    error = worst.sample.product_error
    assert error is not None
    return check(
        error <= 1e-9,
        measured=error,
        expected=0,
        tolerance=1e-9,
        note=f"largest difference of log10 over all layers of "
        f"{sum(p.sample.products for p in chains)} living draws, in {worst.network.title}",
    )


@CLAIMS.claim(
    "bipartite-zeros",
    "a wider ReLU network's gradient is zero exactly when a layer is all dead or unit 1 of layer l or "
    "l+1 is",
)
def bipartite_zeros(e: Evidence) -> Claim:
    return _exceptions(e.relu(chains=False), "no plain ReLU network of several units was drawn")


def _exceptions(profiles: list[Profile], missing: str) -> Claim:
    if not profiles:
        return not_applicable(missing)
    settled = sum(p.sample.settled for p in profiles)
    judged = sum((p.sample.draws - p.sample.settled) * (p.network.depth - 1) for p in profiles)
    if not judged:
        return not_applicable("every draw hits the target exactly, so every gradient is zero")
    return check(
        not any(p.sample.exceptions for p in profiles),
        measured={p.network.title: p.sample.exceptions for p in profiles},
        expected=0,
        note=f"exceptions among {judged} gradients"
        + (f"; {settled} draws that hit the target exactly are left out" if settled else ""),
    )


TOTAL_ERROR = 1e-6


@CLAIMS.claim(
    "zero-shares", "observed shares of zero gradients lie in the binomial band around theory"
)
def zero_shares(e: Evidence) -> Claim:
    """All cells at once: each has the share 1/cells of the total error (Bonferroni)."""
    cells = [
        (p.sample.draws, law, p.sample.draws - int(zeros), f"{p.network.title}, layer {layer}")
        for p in e.profiles
        if p.theory
        for layer, (law, zeros) in enumerate(zip(p.theory, p.sample.zeros, strict=True), 1)
    ]
    cells += [
        (c.draws, law, c.draws - int(zeros), f"width {c.width}, depth {depth}, layer 1")
        for c in e.curves
        for depth, law, zeros in zip(c.depths, c.theory, c.zeros, strict=True)
    ]
    if not cells:
        return not_applicable(
            "no law is known for constant weights, an input of 0, or these networks"
        )
    n = np.array([cell[0] for cell in cells])
    share = np.exp([cell[1] for cell in cells])
    nonzero = np.array([cell[2] for cell in cells])
    low, high = survival.binomial_band(n, share, TOTAL_ERROR / len(cells))
    outside = (nonzero < low) | (nonzero > high)
    spread = np.sqrt(np.maximum(n * share * (1 - share), 1.0))
    worst = int(np.argmax(np.where(outside, np.inf, 1.0) * np.abs(nonzero - n * share) / spread))
    return check(
        not outside.any(),
        measured={
            "cells outside": int(outside.sum()),
            "furthest: zeros": int(n[worst] - nonzero[worst]),
        },
        expected={
            "cells outside": 0,
            "furthest: zeros": [int(n[worst] - high[worst]), int(n[worst] - low[worst])],
        },
        tolerance=TOTAL_ERROR,
        note=f"{len(cells)} shares; furthest: {cells[worst][3]}, {n[worst]} draws",
    )


@CLAIMS.claim("autograd", "torch autograd gives the same gradients where float64 can hold them")
def autograd(e: Evidence) -> Claim:
    compared = sum(p.sample.rounding.compared for p in e.profiles)
    unheld = sum(p.sample.rounding.unheld for p in e.profiles)
    unsure = sum(p.sample.rounding.unsure for p in e.profiles)
    left_out = f"; {unheld} beyond float64" + (
        f"; {unsure} that rounding moves by more than 1e-11" if unsure else ""
    )
    known = [p for p in e.profiles if p.sample.rounding.difference is not None]
    if not known:
        return not_applicable(f"no gradient could be compared{left_out}")
    worst = max(known, key=lambda p: p.sample.rounding.difference or 0.0)
    difference = worst.sample.rounding.difference
    assert difference is not None
    return check(
        difference <= 1e-9,
        measured=difference,
        expected=0,
        tolerance=1e-9,
        note=f"largest difference of log10 over {compared} gradients, at most {CHECKED} draws a network, in "
        f"{worst.network.title}{left_out}",
    )
