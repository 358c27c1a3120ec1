"""A run as one HTML page, everything inlined, readable offline; and the page of the whole assignment."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from mlhw.config.model import ExperimentConfig, leaves
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.result.claims import Claim
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.system import provenance
from mlhw.text import yaml12
from mlhw.text.values import NOTHING, flat, is_nothing, number_text


@dataclass(frozen=True)
class RunFacts:
    """Where a report's numbers come from: shown at its end, and the question at its beginning.

    ``gallery`` is the page with the run's images, beside the report.
    """

    question: str
    command: str
    config: ExperimentConfig
    run: str
    environment: Mapping[str, Any]
    gallery: str | None = None


def page(result: Result, facts: RunFacts, pictures: Mapping[str, bytes]) -> str:
    """The report of a run, or the assignment's of several.

    ``pictures`` holds the PNG of each figure by its name; a figure without one is left out. Jinja2
    escapes every text, class and file names with markup in them included.
    """
    return _report(result, facts, pictures) if result.parts is None else _assignment(result, facts)


def _report(result: Result, facts: RunFacts, pictures: Mapping[str, bytes]) -> str:
    figures = [
        {"plot": plot, "data": base64.b64encode(pictures[plot.name]).decode()}
        for plot in result.plots
        if plot.name in pictures
    ]
    tables = [
        {
            "name": table.name,
            "columns": table.columns,
            "meanings": _meanings(table),
            "rows": [[_short(value) for value in row] for row in table.rows[: table.reported]],
            "count": len(table),
        }
        for table in result.tables.values()
    ]
    text: str = template("report.html").render(
        title=result.experiment,
        result=result,
        question=facts.question,
        command=facts.command,
        config=_keys(facts.config),
        run=facts.run,
        figures=figures,
        gallery=facts.gallery,
        tables=tables,
        counted=counted(result.claims),
        formulas=[(formula.words, mathml(formula.latex)) for formula in result.formulas],
        number=number_text,
        nothing=is_nothing,
        environment=_texts(facts.environment),
    )
    return text


def _assignment(result: Result, facts: RunFacts) -> str:
    """Question by question, what the runs' own reports say."""
    questions = []
    for part in result.parts or ():
        folder = part.folder
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
                "article": _article(folder) if folder else "",
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
    )
    return text


def _article(run: Path) -> str:
    """The article of a run's report, its headings a level deeper, its links leading to its folder."""
    try:
        text = (run / "report.html").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"<article>(.*)</article>", text, re.S)
    if found is None:
        return ""
    article = re.sub(r"<(/?)h2>", r"<\1h3>", found[1])
    return re.sub(r'href="(?!data:|#)', f'href="../{run.name}/', article)


def mathml(formula: str) -> str:
    r"""A formula in LaTeX, ``\nabla E(w)``, as a MathML element."""
    from latex2mathml.converter import convert

    text: str = convert(formula, display="block")
    # HTML knows MathML without its namespace, and a page that names no address fetches none.
    return text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


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


@cache
def template(name: str) -> Any:
    """A page of the folder ``templates``, which escapes what is put into it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlhw.runs", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _short(value: Any) -> str:
    return number_text(value, digits=8)
