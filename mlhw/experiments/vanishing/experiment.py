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
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mlhw.config.model import ExperimentConfig, Synonyms
from mlhw.experiments.vanishing.claims import CLAIMS
from mlhw.experiments.vanishing.evidence import Evidence
from mlhw.experiments.vanishing.figures import FIGURES
from mlhw.experiments.vanishing.kinds import NetworkKind, Setting
from mlhw.experiments.vanishing.live import LIVE
from mlhw.experiments.vanishing.report import COLUMNS, FORMULAS, answers, more_formulas, summary
from mlhw.experiments.vanishing.sample import (
    SURVIVAL_WIDTHS,
    Profile,
    SurvivalCurve,
    profile,
    survival_curves,
)
from mlhw.maths import survival
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result

POSITION = 3
OTHER_NAMES = (("logistic", "sigmoid"), ("linear", "identity"), ("none", "identity"))
QUESTION = (
    "What is left of a gradient after 153 layers? Chains and networks of a few units a layer, sigmoid "
    "and ReLU: where gradients vanish, where they are exactly zero, and how likely that is."
)


class Config(ExperimentConfig):
    activation: Annotated[
        Literal["sigmoid", "relu", "tanh", "gelu", "leaky_relu", "softplus"] | None,
        Synonyms(values=OTHER_NAMES),
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
    bias_scale: Annotated[
        float,
        Field(ge=0, le=1e6, description="standard deviation of the normal biases; 0 for none"),
    ] = 0.0
    output: Annotated[
        Literal["identity", "sigmoid"],
        Synonyms(values=OTHER_NAMES),
        Field(description="activation of the output unit"),
    ] = "identity"
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


def run(config: Config, recorder: Recorder) -> Result:
    """Draw every network, tabulate its gradients by layer, and judge what they show."""
    recorder.begin(config)
    setting = Setting(
        config.weights,
        config.scale,
        config.draws,
        config.input,
        config.target,
        config.seed,
        config.output,
        config.bias_scale,
    )
    table = recorder.table("gradients", COLUMNS["gradients"])
    profiles = []
    for network in kinds(config):
        progress = partial(recorder.progress, total=config.draws, what=network.title)
        found = profile(network, setting, progress)
        table.extend(layer_rows(found))
        log_draws(found, recorder)
        profiles.append(found)
    evidence = Evidence(setting, config.depth, profiles, [])
    if evidence.relu_drawn:
        table = recorder.table("survival", COLUMNS["survival"])
        progress = partial(recorder.progress, total=len(SURVIVAL_WIDTHS), what="survival")
        for curve in survival_curves(setting, config.depth, progress):
            table.extend(survival_rows(curve))
            evidence.curves.append(curve)
    return Result(
        "vanishing",
        summary(evidence),
        CLAIMS.judge(evidence),
        answers(evidence),
        recorder.tables,
        FIGURES.plots(evidence),
        [*FORMULAS, *more_formulas(setting)],
        live=LIVE.of(evidence),
    )


def kinds(config: Config) -> list[NetworkKind]:
    """The one network asked for, or those compared: both depths, and ReLU also given survival."""
    if config.activation is not None:
        return [
            NetworkKind(
                config.activation, config.width or 1, config.depth, residual=config.residual
            )
        ]
    structures = dict.fromkeys([("sigmoid", 1), ("relu", 1), ("relu", config.width or 2)])
    shallow = config.shallow_depth
    depths = [(config.depth, False)]
    if shallow is not None and shallow < config.depth:
        depths.append((shallow, True))
    compared = []
    for depth, second in depths:
        plain = [
            NetworkKind(activation, width, depth, residual=config.residual, shallow=second)
            for activation, width in structures
        ]
        compared += plain
        # Given survival only where networks die by chance: constant weights leave no chance, residual
        # connections let no layer stop the gradient, an input of 0 leaves every unit at 0, and with
        # biases units live again behind a dead layer.
        dies = config.weights != "constant" and not config.residual and config.input
        if not second and dies and not config.bias_scale:
            compared += [
                NetworkKind(n.activation, n.width, n.depth, alive=True)
                for n in plain
                if n.activation == "relu"
            ]
    return compared


# ------------------------------------------------------------------------------------- rows and log


def layer_rows(profile: Profile) -> Iterator[tuple[Any, ...]]:
    """The rows of one network in ``gradients.csv``, layer by layer."""
    network = profile.network
    for layer in range(network.depth - 1):
        yield (
            network.rows,
            network.activation,
            layer + 1,
            *(None if math.isnan(q) else q for q in profile.quantiles[:, layer].tolist()),
            float(profile.shares[layer]),
            survival.share_zero(profile.theory[layer]) if profile.theory else None,
        )


def survival_rows(curve: SurvivalCurve) -> Iterator[tuple[Any, ...]]:
    """The rows of one width in ``survival.csv``, depth by depth."""
    for depth, zeros, log_nonzero in zip(curve.depths, curve.zeros, curve.theory, strict=True):
        share = int(zeros) / curve.draws
        yield curve.width, int(depth), curve.draws, share, survival.share_zero(log_nonzero)


def log_draws(profile: Profile, recorder: Recorder) -> None:
    """What was particular about the draws of one network."""
    network, drawn = profile.network, profile.drawn
    kept = drawn.log10.shape[1]
    if kept < drawn.draws:
        recorder.log(
            f"{network.title}: quantiles are over the first {kept} of {drawn.draws} draws, to bound "
            "memory; shares of zeros are over all"
        )
    if drawn.beyond:
        recorder.warn(
            f"{network.title}: {drawn.beyond} gradients are so small that even their logarithm has no "
            "float64; they enter the quantiles as 10^-4e289"
        )
    alive = f", {drawn.alive} alive" if network.plain_relu else ""
    accuracy = drawn.rounding.accuracy
    moves = "may change signs" if math.isinf(accuracy) else f"moves log10 by up to {accuracy:.1e}"
    recorder.log(
        f"{network.title}: {drawn.draws} draws{alive}; rounding {moves}", screen=accuracy > 1e-9
    )
