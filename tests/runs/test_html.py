"""The report: one page, everything inlined and escaped, readable by a parser."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

import mlhw
from mlhw.config.load import load_config
from mlhw.config.model import ExperimentConfig, leaves
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result.claims import Claim
from mlhw.result.plots import Plot
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.runs import html as report
from mlhw.runs.html import mathml
from tests.conftest import smoke

VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced and gathers what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attributes if key == "src"]
        if tag == "img":
            assert dict(attributes)["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(result: Result, pictures: Mapping[str, bytes] | None = None, **changes: Any) -> str:
    facts = report.RunFacts(
        question="Q?",
        command="mlhw x",
        config=ExperimentConfig(),
        run="20261124-115632-x",
        environment={"host": "here", "versions": {"numpy": "2"}},
    )
    return report.page(result, dataclasses.replace(facts, **changes), pictures or {})


def test_names_with_markup_in_them_stay_text() -> None:
    evil = "<script>alert(1)</script>"
    table = Table("t", [evil, "b"])
    table.append(evil, 1.0)
    result = Result(
        evil,
        {},
        [Claim("a", evil, "holds", evil, 1.0, None, evil)],
        [evil],
        {"t": table},
        [Plot("p", evil, evil, f'"{evil}', lambda: None)],  # type: ignore[arg-type,return-value]
    )
    text = page(result, question=evil, command=evil, pictures={"p": b"\x89PNG"})
    Page(text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_nothing_is_fetched_from_elsewhere() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    text = page(result, pictures={plot.name: b"\x89PNG" for plot in result.plots})
    assert all(source.startswith("data:image/png;base64,") for source in Page(text).sources)
    assert not re.search(r"https?://|url\(|@import", text)
    assert '<link rel="icon" href="data:,">' in text  # or a browser would ask for one
    assert len(Page(text).sources) == len(result.plots)


def test_every_claim_stands_in_the_page_with_its_verdict() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    text = page(result)
    for claim in result.claims:
        assert html.escape(claim.statement).replace("&#x27;", "&#39;") in text
    assert text.count('class="holds"') == sum(c.verdict == "holds" for c in result.claims)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_column_and_every_formula_is_explained(name: str) -> None:
    module = experiment(name)
    result = module.run(load_config(module.Config, smoke(name)), Recorder())
    assert result.tables
    for table in result.tables.values():
        assert set(table.meanings) == set(table.columns), table.name
        assert all(table.meanings.values())
    assert result.formulas
    assert result.formulas[0].words
    for formula in result.formulas:
        # A command that the typesetter does not know would stay in the text.
        assert "\\" not in mathml(formula.latex), formula.latex
    shown = page(result)
    assert shown.count("<math") == len(result.formulas)
    assert shown.count("<dl>") == len(result.tables)


def test_the_formulas_of_a_finetune_are_those_of_its_configuration() -> None:
    from mlhw.experiments.finetune import experiment as finetune
    from mlhw.experiments.finetune.report import formulas

    sets = ["optim={name: sgd, nesterov: true, label_smoothing: 0}", "best=loss"]
    other = formulas(load_config(finetune.Config, None, sets))
    default = formulas(finetune.Config())
    assert len(other) == len(default) == 5
    assert "AdamW" in default[2].words
    assert "momentum" in other[2].words
    assert "smoothing ε = 0.1" in default[1].words
    assert "smoothing ε" not in other[1].words
    assert "accuracy" in default[3].latex
    assert "accuracy" not in other[3].latex
    for formula in (*other, *default):
        assert "\\" not in mathml(formula.latex), formula.latex


def test_every_key_of_the_configuration_is_explained_and_a_changed_one_shows_its_default() -> None:
    from mlhw.experiments.lr_sweep import experiment as lr_sweep

    config = load_config(lr_sweep.Config, None, ["etas=[0.5, 0.1]", "data.name=iris"])
    shown = html.unescape(page(Result("lr-sweep", {}), config=config))
    for leaf in leaves(lr_sweep.Config):
        if not leaf.is_section:
            assert f"<code>{leaf.key}</code>" in shown
            assert f"<td>{leaf.description}</td>" in shown
    assert (
        '<code>[0.5, 0.1]</code> <span class="soft">(default [0.5, 0.3, 0.1, 0.05, 0.01])' in shown
    )
    assert shown.count("(default ") == 2
