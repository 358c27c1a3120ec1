"""A run as one HTML page, everything inlined, readable offline; and the page of the whole assignment."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from mlhw.config.model import ExperimentConfig, leaves
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.result.claims import Claim
from mlhw.result.live import LiveFigure
from mlhw.result.plots import Plot, Printed
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.runs import inlined
from mlhw.runs.drawing import embedded
from mlhw.runs.formulas import drawn_formula
from mlhw.runs.pages import template
from mlhw.system import provenance
from mlhw.text import yaml12
from mlhw.text.values import NOTHING, flat, is_nothing, number_text
from mlhw.text.words import TableLine


@dataclass(frozen=True)
class RunFacts:
    """Where a report's numbers come from: shown at its end, and the question at its beginning.

    ``gallery`` is the page with the run's images, beside the report. ``folder`` holds the files that the
    page takes into itself.
    """

    question: str
    command: str
    config: ExperimentConfig
    run: str
    environment: Mapping[str, Any]
    gallery: str | None = None
    folder: Path | None = None


LARGEST = 1_500_000
"""A figure whose SVG has more bytes, such as one of very many points, is in the page as a PNG."""


def page(result: Result, facts: RunFacts, pictures: Mapping[str, Printed]) -> str:
    """The report of a run, or the assignment's of several.

    ``pictures`` holds each figure by its name; one that is not there is left out. Jinja2 escapes every
    text, class and file names with markup in them included. The page links to no file: it holds it, or
    names it.
    """
    text = _report(result, facts, pictures) if result.parts is None else _assignment(result, facts)
    return inlined.bounded(text)


def _report(result: Result, facts: RunFacts, pictures: Mapping[str, Printed]) -> str:
    figures = {
        plot.name: _figure(plot, pictures[plot.name], result.live.get(plot.name))
        for plot in result.plots
        if plot.name in pictures
    }
    groups, others = _groups(result.claims, figures)
    tables = [_table(table) for table in result.tables.values()]
    text: str = template("report.html").render(
        title=result.experiment,
        result=result,
        question=facts.question,
        command=facts.command,
        config=_keys(facts.config),
        run=facts.run,
        groups=groups,
        figures=others,
        gallery=facts.gallery,
        tables=tables,
        answers=answer_blocks(result.answers),
        counted=counted(result.claims),
        formulas=[(formula.words, drawn_formula(formula.latex)) for formula in result.formulas],
        number=number_text,
        nothing=is_nothing,
        environment=_texts(facts.environment),
        file=partial(inlined.file_link, facts.folder),
        **inlined.scripted(any(figure["live"] for figure in figures.values())),
    )
    return text


def _table(table: Table) -> dict[str, Any]:
    """The columns and rows of a table that the page shows."""
    shown = [i for i, name in enumerate(table.columns) if name not in table.unreported]
    return {
        "name": table.name,
        "columns": [table.columns[i] for i in shown],
        "meanings": _meanings(table),
        "rows": [[_short(row[i]) for i in shown] for row in table.rows[: table.reported]],
        "count": len(table),
    }


def _figure(plot: Plot, picture: Printed, live: Callable[[], LiveFigure] | None) -> dict[str, Any]:
    """A figure, its drawing, which was escaped when it was made, and the numbers of its live form."""
    large = len(picture.svg) > LARGEST
    return {
        "plot": plot,
        "drawing": None if large else embedded(picture.svg, plot.name, plot.alt),
        "png": base64.b64encode(picture.png).decode() if large else None,
        "live": None if live is None else live().data() | {"title": plot.title},
    }


def _groups(
    claims: Sequence[Claim], figures: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """The claims, each with the figure that shows it, then those without; and the figures left over."""
    shown: dict[str, list[Claim]] = {name: [] for name in figures}
    alone: list[Claim] = []
    for claim in claims:
        shown.get(claim.figure, alone).append(claim)
    groups: list[dict[str, Any]] = [
        {"figure": figures[name], "claims": found} for name, found in shown.items() if found
    ]
    if alone:
        groups.append({"figure": None, "claims": alone})
    return groups, [figures[name] for name, found in shown.items() if not found]


class AnswerTable(NamedTuple):
    """Answers that are lines of one table, on the screen and in the page."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def answer_blocks(lines: Sequence[str]) -> list[AnswerTable | list[str]]:
    """The answers as tables, out of the lines that are rows, and as paragraphs of sentences."""
    blocks: list[AnswerTable | list[str]] = []
    for line in lines:
        last = blocks[-1] if blocks else None
        if isinstance(line, TableLine):
            if not isinstance(last, AnswerTable) or last.columns != line.columns:
                last = AnswerTable(line.columns, [])
                blocks.append(last)
            if line.cells != line.columns:
                last.rows.append(line.cells)
        elif not line.strip():
            blocks.append([])
        elif isinstance(last, list):
            last.append(line)
        else:
            blocks.append([line])
    return [block for block in blocks if block]


def _assignment(result: Result, facts: RunFacts) -> str:
    """Question by question, what the runs' own reports say."""
    questions = []
    for part in result.parts or ():
        folder = part.folder
        article = _article(folder, part.name) if folder else ""
        questions.append(
            {
                "name": part.name,
                "line": EXPERIMENTS.get(part.name, ""),
                "run": folder.name if folder else None,
                "status": part.status,
                "seconds": part.seconds,
                "holds": sum(claim.verdict == "holds" for claim in part.claims),
                "fails": sum(claim.verdict == "fails" for claim in part.claims),
                "errors": part.errors,
                "article": article,
                "sections": _SECTION.findall(article),
            }
        )
    text: str = template("assignment.html").render(
        title="The assignment",
        questions=questions,
        counted=counted(result.claims),
        run=facts.run,
        version=provenance.version_line(),
        command=facts.command,
        config=_keys(facts.config),
        environment=_texts(facts.environment),
        **inlined.scripted(any('class="live"' in str(one["article"]) for one in questions)),
    )
    return text


_SECTION = re.compile(r'<section id="([^"]*)">.*?<h3[^>]*>([^<]*)</h3>', re.S)
# What names an element or leads to one: in texts a quotation mark is escaped, so these are attributes.
_NAME = re.compile(r'(\s(?:id|for|aria-labelledby|aria-describedby|aria-controls)=")(?=[^"])')
_LEADS = re.compile(r'((?:href="|url\()#)')


def _article(run: Path, name: str) -> str:
    """The article of a run's report, as a section of the page of all runs.

    Its headings are a level deeper, and its ids begin with the experiment's name, as two experiments may
    claim the same.
    """
    try:
        text = (run / "report.html").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"<article\b.*</article>", text, re.S)
    if found is None:
        return ""
    article = found[0]
    for level in (4, 3, 2):
        article = re.sub(rf"<(/?)h{level}\b", rf"<\1h{level + 1}", article)
    return _LEADS.sub(rf"\1{name}-", _NAME.sub(rf"\1{name}-", article))


def counted(claims: Sequence[Claim]) -> str:
    """``5 of 6 claims hold, 1 fails; 1 more is not applicable here.``"""
    number = {
        verdict: sum(claim.verdict == verdict for claim in claims)
        for verdict in ("holds", "fails", "not applicable")
    }
    judged = number["holds"] + number["fails"]
    text = f"{number['holds']} of {judged} claim{'s' if judged != 1 else ''} hold"
    if number["fails"]:
        text += f", {number['fails']} fail{'s' if number['fails'] == 1 else ''}"
    if more := number["not applicable"]:
        text += f"; {more} more {'is' if more == 1 else 'are'} not applicable here"
    return text + "."


def _meanings(table: Table) -> list[tuple[str, str]]:
    """Columns and what they mean; neighbours of one meaning together: ``w1 … w64``."""
    found = []
    for meaning, names in groupby(table.meanings, key=table.meanings.__getitem__):
        columns = list(names)
        if len(columns) > 2:
            columns = [f"{columns[0]} … {columns[-1]}"]
        found.append((", ".join(columns), meaning))
    return found


def _keys(config: ExperimentConfig) -> list[dict[str, Any]]:
    """Every key of the configuration, its value, what it means, and its default where that differs."""
    values = dict(flat(config.model_dump(mode="python")))
    found = []
    for leaf in leaves(type(config)):
        # A mapping that is a value, not a section, has keys of its own.
        value = values.get(leaf.key, getattr(config, leaf.path[0]) if len(leaf.path) == 1 else None)
        if not leaf.is_section:
            shown, default = (
                NOTHING if each is None else yaml12.inline(each) for each in (value, leaf.default)
            )
            found.append(
                {
                    "name": leaf.key,
                    "value": shown,
                    "default": default,
                    "changed": shown != default,
                    "meaning": leaf.description,
                }
            )
    return found


def _texts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, number_text(value)) for key, value in environment.items()]


def _short(value: Any) -> str:
    return number_text(value, digits=8)
