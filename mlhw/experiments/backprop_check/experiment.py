"""Is a derivation of back-propagation right?

For a feed-forward network, a^(l+1) = W^(l) z^(l), z^(l) = h(a^(l)), z^(1) = x, the derivatives
δ_j^(l) = ∂E_n/∂a_j^(l) = h'(a_j^(l)) Σ_k w_kj^(l) δ_k^(l+1) and ∂E/∂w_ji^(l) = δ_j^(l+1) z_i^(l)
(Bishop, PRML, eq. 5.56 and 5.53) are worked out by hand-written back-propagation and held, every one of
them, against torch's autograd, the complex step and central differences with Richardson extrapolation;
for the course's network 3-2-2-1 six of them also by their literal formulas.

    mlhw backprop-check
    mlhw backprop-check --write-template my_backprop.py
    mlhw backprop-check --implementation my_backprop.py

Over 100 random networks the first two agree to about 1e-14, the differences to about 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlhw.config.model import InputFile, Option
from mlhw.errors import ConfigError
from mlhw.experiments.actions import Action
from mlhw.experiments.backprop_check import figures as network_plots
from mlhw.experiments.backprop_check.network_config import NetworkConfig, network_of
from mlhw.experiments.backprop_check.tables import NETWORK_COLUMNS, network_row, write_gradients
from mlhw.grading import files, template
from mlhw.grading.verdict import Verdict, grade_all
from mlhw.maths.four_ways import (
    MOST_WEIGHTS,
    TOLERANCES,
    WAYS,
    Comparison,
    Point,
    Worst,
    compare,
    random_problem,
    random_trial,
    sample,
)
from mlhw.maths.network import Network, Quantity, course_quantities, is_course_network
from mlhw.result.claims import Claim, Claims, check, not_applicable
from mlhw.result.recorder import Recorder
from mlhw.result.result import Formula, Result

POSITION = 2
QUESTION = (
    "Is a derivation of back-propagation right? Every derivative of a network by hand-written "
    "back-propagation, against torch's autograd, the complex step and finite differences; and "
    "somebody's own implementation against it, with the likely mistake named."
)


class Config(NetworkConfig):
    trials: Annotated[
        int, Field(ge=0, le=100_000, description="random networks checked beside this one")
    ] = 100
    max_width: Annotated[
        int, Field(ge=1, le=256, description="largest width of a random network's layers")
    ] = 16
    implementation: Annotated[
        list[str],
        InputFile(),
        Option(metavar="FILE[:FUNCTION]", repeatable=True),
        Field(description="file, or folder of files, to be checked; the function is 'backprop'"),
    ] = []
    time_limit: Annotated[
        float, Field(gt=0, le=3600, description="seconds that a file may take")
    ] = 5.0


def write_template(value: str, config: Config) -> str:
    """``--write-template FILE``: a starting file for the network of the other options."""
    if not value.strip():
        raise ConfigError("--write-template: is empty; give the name of a new file")
    template.write(Path(value), network_of(config))
    return f"wrote {value}; check it with: mlhw backprop-check --implementation {value}"


FORMULAS = [
    Formula(
        "Forwards: a are the activations of a layer, z its outputs, W the weights to the next one.",
        r"a^{(l+1)} = W^{(l)} z^{(l)}, \quad z^{(l)} = h(a^{(l)}), \quad z^{(1)} = x",
    ),
    Formula(
        "Backwards: δ is the derivative of the loss E by an activation (Bishop, PRML, eq. 5.56).",
        r"\delta_j^{(l)} = h'(a_j^{(l)}) \sum_k w_{kj}^{(l)} \, \delta_k^{(l+1)}",
    ),
    Formula(
        "The derivative by a weight (eq. 5.53).",
        r"\frac{\partial E}{\partial w_{ji}^{(l)}} = \delta_j^{(l+1)} \, z_i^{(l)}",
    ),
]

ACTIONS = [
    Action(
        "--write-template",
        "FILE",
        "Write a starting file for one's own back-propagation, its notation explained, and end.",
        write_template,
        done="wrote",
    )
]


@dataclass
class Evidence:
    """The configured network, its six literal quantities, all networks together, the verdicts."""

    configured: Comparison
    quantities: list[tuple[Quantity, float, float]]
    networks: int = 0
    worst: dict[str, Worst] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    networks_by: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    kinked: dict[str, None] = field(default_factory=dict)
    kinks: int = 0
    unresolved: int = 0
    verdicts: list[Verdict] = field(default_factory=list)


def run(config: Config, recorder: Recorder) -> Result:
    """Claim the configured network, then random ones, then the given implementations."""
    network = network_of(config)
    implementations = files.find(config.implementation)
    recorder.begin(config)
    # A second BLAS thread spends more time waiting for such small products than it saves.
    with threadpool_limits(1):
        evidence, points = check_networks(config, network, recorder)
    if evidence.kinked:
        recorder.log(no_complex_step(evidence))
    evidence.verdicts = grade_all(
        implementations,
        network,
        config.batch,
        seed=config.seed,
        time_limit=config.time_limit,
        recorder=recorder,
    )
    return Result(
        "backprop-check",
        summary(evidence),
        CLAIMS.judge(evidence),
        answers(evidence),
        recorder.tables,
        network_plots.figures(evidence.configured, points),
        formulas(evidence),
    )


def formulas(e: Evidence) -> list[Formula]:
    """The recursion, and the course's six where the network is the course's."""
    six = [Formula("", f"{q.latex} = {in_latex(q.value)}") for q, _, _ in e.quantities]
    if six:
        words = "The course's six for the configured network, entry by entry, and their values."
        six[0] = six[0]._replace(words=words)
    return [*FORMULAS, *six]


def check_networks(
    config: Config, network: Network, recorder: Recorder
) -> tuple[Evidence, list[Point]]:
    """The configured network, then the random ones; also entries for the figure of agreement."""
    rng = np.random.default_rng([config.seed, 0])
    configured = compare(random_problem("the configured network", network, config.batch, rng), rng)
    evidence = Evidence(configured, literal_quantities(configured))
    write_gradients(configured, recorder)
    table = recorder.table("networks", NETWORK_COLUMNS)
    points: list[Point] = []
    for trial in range(config.trials + 1):
        comparison = configured
        if trial:
            # A generator of its own: trial 7 is the same network whatever comes before it.
            rng = np.random.default_rng([config.seed, 1, trial])
            comparison = compare(random_trial(f"network {trial}", rng, config.max_width), rng)
        gather(evidence, comparison, recorder)
        points += sample(comparison, rng)
        table.append(*network_row(trial, comparison))
        recorder.progress(trial + 1, config.trials + 1, "networks")
    return evidence, points


def in_latex(value: float) -> str:
    """``-1.0048670 \\cdot 10^{-2}``."""
    digits, exponent = f"{value:.7e}".split("e")
    power = int(exponent)
    return digits if power == 0 else rf"{digits} \cdot 10^{{{power}}}"


def literal_quantities(c: Comparison) -> list[tuple[Quantity, float, float]]:
    """The course's six by their formulas, each with back-propagation's value and the matrix's size."""
    p = c.problem
    if not is_course_network(p.network) or len(p.X) > 1:
        return []
    weights, deltas = c.analytic.weights, c.analytic.deltas
    general = [
        (deltas[2], (0, 0)),
        (weights[2], (0, 1)),
        (deltas[1], (0, 0)),
        (weights[1], (0, 0)),
        (deltas[0], (0, 0)),
        (weights[0], (0, 0)),
    ]
    quantities = course_quantities(p.network, p.weights, p.X[0], float(p.T[0, 0]))
    return [
        (q, float(array[at]), float(np.abs(array).max()))
        for q, (array, at) in zip(quantities, general, strict=True)
    ]


def no_complex_step(e: Evidence) -> str:
    count = e.networks - e.networks_by["complex_step"]
    which = "the network has" if e.networks == 1 else f"{count} of {e.networks} networks have"
    return f"{which} no complex step: {' and '.join(e.kinked)} not analytic"


def gather(evidence: Evidence, c: Comparison, recorder: Recorder) -> None:
    """Add one network to what the claims are judged by."""
    evidence.networks += 1
    network = c.problem.network
    for way, worst in c.worst.items():
        evidence.networks_by[way] += 1
        evidence.compared[way] += sum(int(np.isfinite(e).sum()) for e in c.errors[way])
        if way not in evidence.worst or worst.error > evidence.worst[way].error:
            evidence.worst[way] = worst
    evidence.kinked.update(dict.fromkeys(network.kinked))
    if c.sampled:
        recorder.log(
            f"{c.problem.name}: {network.size} weights; the complex step and the differences check "
            f"{MOST_WEIGHTS} random ones and three random directions",
            screen=c is evidence.configured,
        )
    for kink in c.kinks:
        array = kink.layer - 1 if kink.of_weight else network.depth + kink.layer - 3
        name = c.name_of(array, kink.index)
        recorder.log(
            f"{c.problem.name}: {name} is at a kink: slope {kink.left:.6g} on the left, "
            f"{kink.right:.6g} on the right",
            screen=False,
        )
    evidence.kinks += len(c.kinks)
    evidence.unresolved += c.unresolved


def summary(e: Evidence) -> dict[str, Any]:
    errors = {way: e.worst[way].error if way in e.worst else None for way in WAYS}
    found: dict[str, Any] = {
        "max_relative_error": errors,
        "worst": {way: vars(worst) for way, worst in e.worst.items()},
        "quantities": [
            {
                "name": q.name,
                "formula": q.formula,
                "value": q.value,
                "backpropagation": general,
                "relative_error": abs(q.value - general) / scale if scale else 0.0,
            }
            for q, general, scale in e.quantities
        ],
        "networks": e.networks,
        "derivatives": e.compared,
        "kinks": e.kinks,
        "unresolved": e.unresolved,
    }
    if e.verdicts:
        # The first that is not correct speaks for several.
        first = next((v for v in e.verdicts if v.verdict != "correct"), e.verdicts[0])
        found["implementation"] = first.summary()
        found["implementations"] = [verdict.summary() for verdict in e.verdicts]
    return found


def answers(e: Evidence) -> list[str]:
    network = e.configured.problem.network
    lines = [
        f"network {'-'.join(map(str, network.layers))}: hidden {', '.join(network.hidden) or 'none'}; "
        f"output {network.output}; {network.loss.replace('_', ' ')}; {network.size} weights"
    ]
    for q, general, _ in e.quantities:
        lines.append(
            f"  {q.name:12} = {q.formula:38} = {q.value: .10e}  "
            f"(back-propagation differs by {abs(q.value - general):.1e})"
        )
    for way, worst in e.worst.items():
        count = e.networks_by[way]
        where = f" ({worst.network}, {worst.quantity})" if worst.quantity else ""
        lines.append(
            f"{way.replace('_', ' ')}: {e.compared[way]} derivatives of {count} "
            f"network{'s' if count > 1 else ''}, largest relative error {worst.error:.1e}{where}"
        )
    lines.append(
        f"finite differences: {e.kinks} derivatives at a kink, {e.unresolved} below what rounding "
        "resolves; neither counts as agreement"
    )
    if e.verdicts:
        lines.append("")
    for v in e.verdicts:
        codes = f" [{', '.join(v.diagnosis)}]" if v.diagnosis else ""
        lines.append(f"{v.implementation.name}: {v.verdict}{codes}: {v.message}")
    return lines


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers: dict[str, Any] = {}
    if "implementation" in summary:
        numbers["implementation"] = summary["implementation"]["verdict"]
    errors = summary["max_relative_error"]
    return numbers | {f"error against {way.replace('_', ' ')}": e for way, e in errors.items()}


# ------------------------------------------------------------------------------------- claims

CLAIMS = Claims[Evidence]()


def agreement(e: Evidence, way: str) -> Claim:
    """Whether a way's worst entry over all networks lies below its tolerance."""
    if not e.compared[way]:
        return not_applicable(no_complex_step(e) if e.kinked else "nothing could be compared")
    worst, apart = e.worst[way], ""
    if way == "complex_step" and e.kinked:
        apart = f"; {no_complex_step(e)}"
    if way == "finite_difference":
        apart = f"; apart from these {e.kinks} at a kink and {e.unresolved} unresolved"
    where = (
        f"worst: {worst.network}, {worst.quantity}, "
        f"{worst.analytic:.17g} against {worst.reference:.17g}"
        if worst.quantity
        else "not one bit differs"
    )
    return check(
        worst.error <= TOLERANCES[way],
        measured=worst.error,
        expected=0,
        tolerance=TOLERANCES[way],
        note=f"{where}; {e.compared[way]} derivatives{apart}",
    )


@CLAIMS.claim("autograd", "every derivative by back-propagation agrees with torch's autograd")
def agrees_with_autograd(e: Evidence) -> Claim:
    return agreement(e, "autograd")


@CLAIMS.claim(
    "complex-step", "every derivative of an analytic network agrees with the complex step"
)
def agrees_with_complex_step(e: Evidence) -> Claim:
    return agreement(e, "complex_step")


@CLAIMS.claim("finite-difference", "every derivative agrees with extrapolated central differences")
def agrees_with_finite_differences(e: Evidence) -> Claim:
    return agreement(e, "finite_difference")


@CLAIMS.claim(
    "course-formulas", "the course's six formulas, entry by entry, give back-propagation's values"
)
def course_formulas(e: Evidence) -> Claim:
    if not e.quantities:
        return not_applicable(
            "they speak of four layers, one linear output, the half squared error and one input"
        )
    errors = {
        q.name: abs(q.value - general) / scale if scale else abs(q.value)
        for q, general, scale in e.quantities
    }
    return check(
        max(errors.values()) <= TOLERANCES["autograd"],
        measured=errors,
        expected=0,
        tolerance=TOLERANCES["autograd"],
        note="relative errors",
    )


@CLAIMS.claim("implementation", "the given implementations return the right gradients")
def implementations_are_right(e: Evidence) -> Claim:
    if not e.verdicts:
        return not_applicable("no --implementation given")
    counts: dict[str, int] = {}
    for verdict in e.verdicts:
        counts[verdict.verdict] = counts.get(verdict.verdict, 0) + 1
    first = next((v for v in e.verdicts if v.verdict != "correct"), None)
    return check(
        first is None,
        measured=counts,
        expected={"correct": len(e.verdicts)},
        note=f"{first.implementation.name}: {first.message}" if first else "",
    )
