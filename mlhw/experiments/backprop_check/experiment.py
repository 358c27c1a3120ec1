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

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from mlhw.config.model import InputFile, Option
from mlhw.errors import ConfigError
from mlhw.experiments.actions import Action, Done
from mlhw.experiments.backprop_check.claims import CLAIMS
from mlhw.experiments.backprop_check.evidence import Evidence, course_values
from mlhw.experiments.backprop_check.figures import FIGURES
from mlhw.experiments.backprop_check.network_config import NetworkConfig, network_of
from mlhw.experiments.backprop_check.report import COLUMNS, answers, formulas, summary
from mlhw.experiments.backprop_check.rows import grade_row, gradient_rows, network_row
from mlhw.grading import template
from mlhw.grading.adapters.standalone import source
from mlhw.grading.asking import Asking
from mlhw.grading.grade import grade
from mlhw.grading.implementations import Implementation, find_implementations
from mlhw.grading.isolation.rungs import chosen_rung, rung_in_words
from mlhw.grading.isolation.runner import Runner
from mlhw.grading.judgement import Grade
from mlhw.grading.options import AskingConfig, asking_of
from mlhw.grading.questions import Targets, plan
from mlhw.maths.four_ways import MOST_CHECKED, FourWays, differentiate, drawn_entries
from mlhw.maths.network import Network
from mlhw.maths.random_networks import random_trial, trial_of
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.text.words import one_line

POSITION = 2
MOST_PRINTED = 2000
"""Characters of what a submission printed that the log keeps."""
QUESTION = (
    "Is a derivation of back-propagation right? Every derivative of a network by hand-written "
    "back-propagation, against torch's autograd, the complex step and finite differences; and "
    "somebody's own implementation against it, with the likely mistake named."
)
EXAMPLES = (
    ("mlhw backprop-check --write-template my_backprop.py", "a file to write one's derivation in"),
    ("mlhw backprop-check --implementation my_backprop.py", "is it right?"),
    ("mlhw backprop-check --layers 4,3,3,2 --hidden tanh", "another network"),
)


class Config(NetworkConfig, AskingConfig):
    GROUP = "Check"

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


def write_template(value: str, config: Config, recorder: Recorder) -> Done:
    """``--write-template FILE``: a starting file for the network of the other options."""
    if not value.strip():
        raise ConfigError("--write-template: is empty; give the name of a new file")
    template.write(Path(value), network_of(config))
    sentence = f"wrote {value}; check it with: mlhw backprop-check --implementation {value}"
    return Done(sentence, {"wrote": value})


ACTIONS = [
    Action(
        "--write-template",
        "FILE",
        "write a starting file for one's own back-propagation, its notation explained, and end",
        write_template,
    )
]


def run(config: Config, recorder: Recorder) -> Result:
    """Work out the configured network, then random ones, then grade the given implementations."""
    network = network_of(config)
    check_targets(config, config.targets)
    asking = asking_of(config, config.bias)
    implementations = find_implementations(config.implementation, named=asking.adapter is None)
    rung = chosen_rung(config.isolation) if implementations else ""
    recorder.begin(config)
    # A second BLAS thread spends more time waiting for such small products than it saves.
    with threadpool_limits(1):
        evidence = check_networks(config, network, recorder)
    if evidence.kinked:
        recorder.log(evidence.no_complex_step)
    evidence.grades = grade_all(config, implementations, asking, rung, recorder)
    return Result(
        "backprop-check",
        summary(evidence),
        CLAIMS.judge(evidence),
        answers(evidence),
        recorder.tables,
        FIGURES.plots(evidence),
        formulas(evidence),
    )


def check_targets(config: NetworkConfig, targets: Targets) -> None:
    """Raise ConfigError where targets of this form do not exist."""
    if targets == "auto":
        return
    if config.loss == "half_squared_error":
        raise ConfigError(
            f"targets: {targets} needs a cross-entropy, --loss binary_cross_entropy or "
            "cross_entropy (with half_squared_error targets are numbers)"
        )
    if targets == "bits" and config.loss == "cross_entropy":
        raise ConfigError(
            "targets: bits needs --loss binary_cross_entropy, where outputs are apart"
        )


def check_networks(config: Config, network: Network, recorder: Recorder) -> Evidence:
    """The configured network in all ways, then the random ones."""
    rng = np.random.default_rng([config.seed, 0])
    configured = differentiate(trial_of("the configured network", network, config.batch, rng), rng)
    evidence = Evidence(configured, course_values(configured))
    recorder.table("gradients", COLUMNS["gradients"]).extend(gradient_rows(configured))
    table = recorder.table("networks", COLUMNS["networks"])
    for trial in range(config.trials + 1):
        found = configured
        if trial:
            # A generator of its own: trial 7 is the same network whatever comes before it.
            rng = np.random.default_rng([config.seed, 1, trial])
            found = differentiate(random_trial(f"network {trial}", rng, config.max_width), rng)
        evidence.add(found)
        log_network(found, recorder, screen=found is configured)
        evidence.entries += drawn_entries(found, rng)
        table.append(*network_row(trial, found))
        recorder.progress(trial + 1, config.trials + 1, "networks")
    return evidence


def log_network(c: FourWays, recorder: Recorder, screen: bool) -> None:
    """Log that only a sample of a network was checked, and what is at a kink.

    ``screen`` shows the former on the screen too.
    """
    network = c.trial.network
    if c.sampled:
        recorder.log(
            f"{c.trial.name}: {network.size} weights; the complex step and the differences check "
            f"{MOST_CHECKED} random ones and three random directions",
            screen=screen,
        )
    for kink in c.kinks:
        array = kink.layer - 1 if kink.of_weight else network.depth + kink.layer - 3
        name = c.name_of(array, kink.index)
        recorder.log(
            f"{c.trial.name}: {name} is at a kink: slope {kink.left:.6g} on the left, "
            f"{kink.right:.6g} on the right",
            screen=False,
        )


def grade_all(
    config: Config, found: Sequence[Implementation], asking: Asking, rung: str, recorder: Recorder
) -> list[Grade]:
    """Grade each file, and write its row when it is graded; no files, no table."""
    if not found:
        return []
    table = recorder.table("implementations", COLUMNS["implementations"])
    recorder.log(f"implementations: {rung_in_words(rung)}", screen=False)
    asked = plan(network_of(config), config.batch, config.seed, config.targets)
    hidden = {implementation.path.parent for implementation in found}
    grades = []
    with Runner(rung, program=source(), hidden=hidden) as runner:
        for done, implementation in enumerate(found):
            recorder.progress(done, len(found), "implementations")
            g = grade(implementation, asked, asking, runner)
            recorder.log(
                f"{implementation.name}: {g.verdict} in {g.seconds:.2f} s; "
                f"batch: {g.batch or 'not tried'}",
                screen=False,
            )
            for printed in filter(None, (g.stdout, g.stderr)):
                text = one_line(printed[:MOST_PRINTED])
                recorder.log(f"{implementation.name} printed: {text}", screen=False)
            table.append(*grade_row(g))
            grades.append(g)
    return grades
