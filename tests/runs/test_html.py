"""The report: one page, everything inlined and escaped, readable by a parser."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mlhw
from mlhw.config.load import load_config
from mlhw.config.model import ExperimentConfig, leaves
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.result.claims import Claim, Claims
from mlhw.result.plots import Figures, Plot, Printed
from mlhw.result.recorder import Recorder
from mlhw.result.result import Part, Result
from mlhw.result.tables import Table
from mlhw.runs import html as report
from mlhw.runs.formulas import drawn_formula, mathml
from mlhw.text.words import text_table
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


SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="1pt"><g id="axes_1"><path d="M 0 0"/></g></svg>"""
PICTURE = Printed(b"\x89PNG", SVG)


def page(result: Result, pictures: Mapping[str, Printed] | None = None, **changes: Any) -> str:
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
    text = page(result, question=evil, command=evil, pictures={"p": PICTURE})
    Page(text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_nothing_is_fetched_from_elsewhere() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    pictures = {plot.name: PICTURE for plot in result.plots}
    # One of very many points would make the page heavy.
    pictures["path"] = Printed(b"\x89PNG", b" " * (report.LARGEST + 1))
    text = page(result, pictures=pictures)
    assert [source[:22] for source in Page(text).sources] == ["data:image/png;base64,"]
    assert text.count('<svg class="drawing"') == len(result.plots) - 1
    assert not re.search(r"https?://|url\((?!#)|@import", text)
    assert '<link rel="icon" href="data:,">' in text  # or a browser would ask for one


def test_every_claim_stands_in_the_page_with_its_verdict() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    text = page(result)
    for claim in result.claims:
        assert html.escape(claim.statement).replace("&#x27;", "&#39;") in text
        assert f'<tr id="{claim.anchor}"' in text
        assert f'<a class="id" href="#{claim.anchor}">{claim.id}</a>' in text
    assert text.count('class="holds"') == sum(c.verdict == "holds" for c in result.claims)


def test_a_claim_stands_below_the_figure_that_shows_it() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    text = page(
        result, pictures={plot.name: PICTURE for plot in result.plots if plot.name != "gap"}
    )
    figure = {found[1]: found[0] for found in re.finditer(r'<figure id="figure-([^"]*)"', text)}
    order = re.findall(r'<figure id="figure-([^"]*)"|<tr id="claim-([^"]*)"', text)
    above = ""
    for name, claim in order:
        above = name or above
        shown = next((c.figure for c in result.claims if c.id == claim), above)
        if claim and shown in figure:
            assert shown == above, claim
            assert f'href="#claim-{claim}">{claim}</a> <a class="id" href="#figure-{shown}"' in text
    # Those whose figure is not in the page, and those of none, come last.
    assert text.index('id="numbers"') < text.index('id="claim-above-optimum"')
    assert text.index('id="numbers"') < text.index('id="claim-as-the-formula"')
    assert text.index('id="figures"') < text.index('id="figure-path"')


def test_every_link_within_a_page_leads_somewhere_and_no_name_is_there_twice() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    broken = dataclasses.replace(result.claims[0], verdict="fails")
    result.claims[0] = broken
    text = page(result, pictures={plot.name: PICTURE for plot in result.plots})
    names = re.findall(r'\sid="([^"]*)"', text)
    assert len(names) == len(set(names))
    assert set(re.findall(r'href="#([^"]*)"', text)) - set(names) == set()
    assert f'Fails: <a href="#{broken.anchor}">' in text


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_claim_names_a_figure_that_its_experiment_draws(name: str) -> None:
    folder = f"mlhw.experiments.{name.replace('-', '_')}"
    claims: Claims[Any] = import_module(f"{folder}.claims").CLAIMS
    figures: Figures[Any] = import_module(f"{folder}.figures").FIGURES
    assert claims.figures
    assert set(claims.figures.values()) <= set(figures.names)


def test_answers_in_rows_are_a_table_and_the_others_stay_lines() -> None:
    rows = text_table(["eta", "stopped by"], [["0.5", "<b>"], ["0.1", ""]])
    text = page(Result("x", {}, answers=[*rows, "", "one", "two"]))
    Page(text)
    assert '<th scope="col">eta</th><th scope="col">stopped by</th>' in text
    assert '<td data-label="eta">0.5</td><td data-label="stopped by">&lt;b&gt;</td>' in text
    assert '<td data-label="eta">0.1</td><td></td>' in text
    assert '<p class="answer">one<br>\ntwo</p>' in text
    # On the screen a row is the text that it was.
    assert rows == ["eta  stopped by", "0.5  <b>", "0.1"]


def test_the_page_of_all_runs_keeps_their_names_apart(tmp_path: Path) -> None:
    """Two experiments may make the same claim, and draw figures of the same name."""
    parts = []
    for name in ("a", "b"):
        result = Result(
            name,
            {},
            [Claim("c", 'say id="x"', "fails", 1, 2, figure="p")],
            plots=[Plot("p", "t", "c", "alt", lambda: None)],  # type: ignore[arg-type,return-value]
        )
        (tmp_path / f"run-{name}").mkdir()
        (tmp_path / f"run-{name}" / "report.html").write_text(page(result, {"p": PICTURE}))
        found = {"status": "finished", "run": str(tmp_path / f"run-{name}")}
        parts.append(Part(name, 0, found, 1.0))
    text = page(Result("all", {}, parts=parts))
    Page(text)
    names = re.findall(r'\sid="([^"]*)"', text)
    assert len(names) == len(set(names))
    assert {"a-claim-c", "b-claim-c", "a-figure-p", "b-p-axes_1"} <= set(names)
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(names)
    assert "say id=&#34;x&#34;" in text
    assert 'href="../' not in text  # it holds its files, or names them


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
        assert '<svg class="math"' in drawn_formula(formula.latex), formula.latex
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
        assert '<svg class="math"' in drawn_formula(formula.latex), formula.latex


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
