"""The sentences of README and docs that hold numbers, made from the results of runs.

A function a page; ``test_numbers.py`` looks for each of its sentences on the page.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import re
import shlex
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.experiments.registry import experiment
from tests.acceptance.test_documentation import blocks
from tests.conftest import ROOT

DOCS = ROOT / "docs"
Sentences = Iterable[str]


@functools.cache
def run(command: str) -> dict[str, Any]:
    """What a command prints with ``--json``; run once, however many sentences ask for it."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        code = main([*shlex.split(command.removeprefix("mlhw ")), "--json", "--no-plots", "-q"])
    assert code == 0, shown.getvalue()
    found: dict[str, Any] = json.loads(shown.getvalue())
    return found


def summary(command: str) -> dict[str, Any]:
    found: dict[str, Any] = run(command)["summary"]
    return found


def network(command: str, rows: str, activation: str) -> dict[str, Any]:
    """One of the networks of a run of vanishing."""
    networks = summary(command)["networks"]
    (found,) = (n for n in networks if (n["rows"], n["activation"]) == (rows, activation))
    return dict(found)


def by_rate(command: str) -> dict[float, dict[str, Any]]:
    return {one["eta"]: one for one in summary(command)["runs"]}


def against_gd(command: str) -> dict[tuple[float, int], dict[str, Any]]:
    return {(one["eta"], one["passes"]): one for one in summary(command)["against_gd"]}


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())
    return found


# ------------------------------------------------------------------------------ the pages' sentences

LR = "mlhw lr-sweep --etas 0.5,0.3,0.1,0.05,0.01"
GAMMA = 0.5772156649015329


def vanishing_page() -> Sentences:
    default = "mlhw vanishing"
    sigmoid = network(default, "chain", "sigmoid")
    alive = network(default, "chain|alive", "relu")
    target = network("mlhw vanishing --target 1 --draws 2000", "chain|alive", "relu")
    typical = math.exp(-(GAMMA + math.log(2)) / 2)
    product = 152 * math.log10(typical)
    yield f"falls by {sigmoid['decades_per_layer']:.3f} decades a layer"
    yield f"from $10^{{{sigmoid['log10_last_layer']:.1f}}}$ at the last weight"
    yield f"to $10^{{{sigmoid['log10_first_layer']:.0f}}}$ at the first"
    yield f"That product is itself tiny, about $10^{{{product:.0f}}}$"
    yield f"average {typical:.2f} and ${typical:.2f}^{{152}} = 10^{{{product:.0f}}}$"
    yield f"gradients are near $10^{{{alive['log10_first_layer']:.0f}}}$"
    # A median of draws, beside the product of typical weights.
    assert abs(target["log10_first_layer"] - product) < 1
    yield f"the gradient itself is near $10^{{{product:.0f}}}$"
    long = (
        "mlhw vanishing --activation sigmoid --depth 701 --width 1 --weights constant --scale 0.5 "
        "--draws 1"
    )
    yield f"near $10^{{{network(long, 'chain', 'sigmoid')['log10_first_layer']:.0f}}}$"
    yield f"= {math.log10(4) - math.log10(typical):.3f}$ decades a layer"
    relu = summary(default)["relu_alive"]
    mantissa, power = f"{relu['probability']['2']:.1e}".split("e")
    yield f"$(3/4)^{{151}} = {mantissa} \\cdot 10^{{{int(power)}}}$"
    chances, widths = list(relu["width_needed"]), list(relu["width_needed"].values())
    yield (
        f"with probability {chances[0]}, {chances[1]} or {chances[2]} "
        f"it takes {widths[0]}, {widths[1]} or {widths[2]} units"
    )
    biased = "mlhw vanishing --activation sigmoid --bias-scale 1 --output sigmoid"
    with_biases = network(biased, "chain", "sigmoid")["decades_per_layer"]
    yield (
        f"{with_biases:.2f} decades a layer for $\\mathcal N(0, 1)$ "
        f"instead of {sigmoid['decades_per_layer']:.3f}"
    )


def vanishing_docstring() -> Sentences:
    sigmoid = network("mlhw vanishing", "chain", "sigmoid")
    yield f"loses {sigmoid['decades_per_layer']:.3f} decades a layer"
    yield f"to 10^{sigmoid['log10_first_layer']:.0f} at the first of 152 weights"
    yield f"(3/4)^151 = {summary('mlhw vanishing')['relu_alive']['probability']['2']:.1e}"


def lr_sweep_page() -> Sentences:
    found, rates = summary(LR), by_rate(LR)
    oscillating = [eta for eta, one in rates.items() if one["increases"]]
    start = found["local_eta_at_start"]
    assert all(eta > start for eta in oscillating)
    assert all(one["increases"] == 0 for eta, one in rates.items() if eta < found["monotone_eta"])
    yield (
        f"η = {oscillating[0]} and {oscillating[1]} lie above the limit at the start "
        f"({start:.3f} on the built-in data)"
    )
    yield f"critical rate ({found['critical_eta']:.3f})"
    yield f"below 2/L ({found['monotone_eta']:.3f}) and never rise"
    ends = [rates[eta]["nll"] for eta in (0.1, 0.05, 0.01)]
    assert ends == sorted(ends)
    yield "the smaller, the slower, and the higher after 500 iterations"
    Path("quasi.csv").write_text("x,label\n-1,0\n0,0\n0,1\n1,1\n")
    infimum = summary("mlhw lr-sweep --data quasi.csv --max-iterations 3")["separation"]["infimum"]
    yield f"the infimum is (ln 2)/2 = {infimum:.8f}"
    times = "".join(f"{1_700_000_000 + k},{k % 2}\n" for k in range(11))
    Path("times.csv").write_text(f"time,label\n{times}")
    limit = summary("mlhw lr-sweep --data times.csv --max-iterations 3")["monotone_eta"]
    power = math.floor(math.log10(limit))
    superscript = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    yield f"above 2/L is {limit / 10**power:.1f}·10{superscript}"
    iris = "mlhw lr-sweep --data iris --classes 1,2 --etas 0.1,0.05 --max-iterations 2"
    ends = {eta: one["nll"] for eta, one in by_rate(iris).items()}
    assert ends[0.1] > ends[0.05]
    yield "η = 0.1 is higher than η = 0.05 after the first step"
    three = by_rate("mlhw lr-sweep --etas 0.5,0.3,0.1")
    assert sum(one["increases"] > 0 for one in three.values()) == 2
    yield "with `--etas 0.5,0.3,0.1` two of three oscillate"


def sgd_sweep_page() -> Sentences:
    found = against_gd("mlhw sgd-sweep")
    last = found[0.5, 500]
    assert last["gd_nll"] < last["sgd_nll"] / 2
    yield "after 500 passes over the data gradient descent is far better"
    for (eta, _), one in found.items():
        assert eta > 0.05 or one["faster"] == "sgd"
    yield "At η = 0.05 and 0.01 stochastic descent is better after any number of passes"
    points = summary("mlhw sgd-sweep")["points"]
    yield f"with N = {points} it makes {points} steps"


def softmax_regions_page() -> Sentences:
    found = summary("mlhw softmax-regions")
    x1, x2 = found["common"]["x"]
    assert math.isclose(x1, 3 / 22)
    assert math.isclose(x2, -4 / 11)
    for (w1, w2), bias in zip(found["weights"], found["biases"], strict=True):
        assert math.isclose(w1 * x1 + w2 * x2 + bias, 23 / 22)
    assert all(math.isclose(p, 1 / 3) for p in found["vertices"][0]["p"])
    yield "meet in $(3/22, -4/11)$, where every activation is $23/22$ and every probability $1/3$"


def finetune_page() -> Sentences:
    runs = recorded("recipe")["runs"]
    alone, default = (
        [runs[f"digits/{recipe}/{seed}"] for seed in range(5)]
        for recipe in ("head alone", "default")
    )
    ends = [statistics.fmean(one["val_acc"][-1] for one in runs) for runs in (alone, default)]
    yield f"The head alone reaches about {ends[0]:.2f}"
    yield f"three epochs of all layers {ends[1]:.2f}"
    tested = ", ".join(f"{one['test_acc']:.3f}" for one in default)
    yield f"the test accuracy was {tested}"


def claims_page() -> Sentences:
    scores = {one["module"]: one for one in recorded("claims")["scores"]}
    for group in ("maths", "sweeps", "vanishing", "fine-tuning", "what is drawn", "all"):
        one = scores[group]
        counts = [str(one[k]) for k in ("caught", "survived", "crashed", "equivalent", "unreached")]
        yield f"| {group} | {' | '.join(counts)} | {one['score']:.0%} |".replace("%", " %")
    configurations = re.search(
        r"(\d+) small configurations", re.sub(r"\s+", " ", (DOCS / "claims.md").read_text())
    )
    assert configurations is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench"))
        from configurations import CONFIGURATIONS  # type: ignore[import-not-found]
    assert int(configurations[1]) == len(CONFIGURATIONS)


def readme() -> Sentences:
    scores = {one["module"]: one for one in recorded("claims")["scores"]}
    every, maths = scores["all"], scores["maths"]
    yield (
        f"the claims caught {every['caught']} of {every['caught'] + every['survived']} "
        f"({maths['caught']} of {maths['caught'] + maths['survived']} in `maths/`)"
    )
    note = re.search(r"\d+ of \d+ caught", recorded("claims")["note"])
    assert note is not None
    yield f"{note[0].removesuffix(' caught')} when that sample was new to them"


def students_page() -> Sentences:
    """The exercises' own commands, as they stand on the page."""
    commands = [
        line for block in blocks(DOCS / "students.md", "sh exercise") for line in block.splitlines()
    ]
    first, bound, beyond, units, samples, strip, deep, deep4, he, plain, template = commands
    rates = by_rate(first)
    yield f"below 2/L = {summary(first)['monotone_eta']:.3f} no rate can raise the NLL"
    yield (
        f"rises in {rates[0.5]['increases']} of the steps at η = 0.5 and in "
        f"{rates[0.3]['increases']} of those at η = 0.3"
    )
    assert all(rates[eta]["increases"] == 0 for eta in (0.1, 0.05, 0.01))
    assert max(rates[0.5]["nll"], rates[0.3]["nll"]) < rates[0.1]["nll"]
    yield f"at {rates[0.5]['nll']:.3f} and {rates[0.3]['nll']:.3f}; the optimum is"
    yield f"the optimum is {summary(first)['optimum']['nll']:.3f}."
    rises = by_rate(bound)[0.21]["increases"]
    yield f"it rises {rises} times. 2/L holds for every place at once"
    yield f"where this path begins the limit is {summary(bound)['local_eta_at_start']:.3f}"
    yield f"What happens above {summary(beyond)['critical_eta']:.3f}?"
    settled, away = by_rate(beyond)[0.7], by_rate(beyond)[0.8]
    yield (
        f"at η = 0.7 the NLL rises {settled['increases']} times and then comes to rest at the "
        f"optimum, {settled['nll']:.5f}"
    )
    assert f"{settled['nll']:.5f}" == f"{summary(beyond)['optimum']['nll']:.5f}"
    yield f"rises in {away['increases']} of {away['iterations']} steps, every second one"
    yield f"and stays at {away['nll']:.5f}"
    scaled = by_rate(units)[0.5]
    yield f"2/L is now {summary(units)['monotone_eta']:.2f}"
    yield f"it rises {scaled['increases']} times and after {scaled['iterations']} iterations"
    found = against_gd(samples)
    early, late, noisy = found[0.01, 1], found[0.01, 500], found[0.5, 500]
    yield (
        f"({early['sgd_nll']:.3f} against {early['gd_nll']:.3f}) to the last "
        f"({late['sgd_nll']:.3f} against {late['gd_nll']:.3f})"
    )
    assert noisy["sgd_nll"] > 1.5 * noisy["gd_nll"]  # how far is another number on another machine
    yield f"far above gradient descent's {noisy['gd_nll']:.3f}"
    outer, middle, _ = summary(strip)["middles"]
    assert math.isclose(middle["limit"], math.e / (math.e + 2))
    yield f"p tends to {middle['limit']:.3f} = e/(e + 2), not to 1"
    assert outer["limit"] == 1
    yield f"falls by e^−{outer['rate']:g} for each unit of length"
    losses = [network(c, "chain", "sigmoid")["decades_per_layer"] for c in (deep, deep4)]
    yield f"{losses[0]:.2f} decades a layer, and {losses[1]:.2f} with weights four times as large"
    wide = [network(c, "bipartite-8", "relu") for c in (he, plain)]
    assert wide[0]["share_zero_first_layer"] == wide[1]["share_zero_first_layer"]
    yield (
        f"{wide[0]['share_zero_first_layer']:.0%} of them are zero (theory: "
        f"{wide[0]['share_zero_first_layer_theory']:.0%})"
    ).replace("%", " %")
    yield (
        f"10^{wide[0]['log10_first_layer']:.0f} by He's rule and "
        f"10^{wide[1]['log10_first_layer']:.0f} with plain normal weights"
    ).replace("^-", "^−")
    assert main(shlex.split(template.removeprefix("mlhw "))) == 0
    check = "backprop-check --trials 1 -q --no-plots --implementation my_backprop.py"
    assert main(shlex.split(check)) == 3
    yield "As it stands it is not right"


def docstring(name: str) -> Callable[[], str]:
    return lambda: str(experiment(name).part("experiment").__doc__)


SENTENCES: dict[str, tuple[Callable[[], str], Callable[[], Sentences]]] = {
    "README.md": ((ROOT / "README.md").read_text, readme),
    "docs/vanishing.md": ((DOCS / "vanishing.md").read_text, vanishing_page),
    "docs/lr-sweep.md": ((DOCS / "lr-sweep.md").read_text, lr_sweep_page),
    "docs/sgd-sweep.md": ((DOCS / "sgd-sweep.md").read_text, sgd_sweep_page),
    "docs/softmax-regions.md": ((DOCS / "softmax-regions.md").read_text, softmax_regions_page),
    "docs/finetune.md": ((DOCS / "finetune.md").read_text, finetune_page),
    "docs/claims.md": ((DOCS / "claims.md").read_text, claims_page),
    "docs/students.md": ((DOCS / "students.md").read_text, students_page),
    "vanishing --help": (docstring("vanishing"), vanishing_docstring),
}
