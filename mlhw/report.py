"""A run as one HTML page, everything inlined, readable offline; and the page of the whole assignment."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw import config as configuration
from mlhw import provenance
from mlhw.config import ExperimentConfig
from mlhw.result import Claim, Result
from mlhw.texts import number_text

if TYPE_CHECKING:
    from mlhw.subruns import Answer

_FIRST_ROWS = 10


def page(
    result: Result,
    *,
    question: str,
    command: str,
    config: ExperimentConfig,
    run: str,
    pictures: Mapping[str, bytes],
    environment: Mapping[str, Any],
) -> str:
    """The report. ``pictures`` holds the PNG of each figure by its name; those missing are left out.
    ``environment`` is shown key by key.

    Every text is escaped by Jinja2, class and file names with markup in them included.
    """
    figures = [
        {"plot": plot, "data": base64.b64encode(pictures[plot.name]).decode()}
        for plot in result.plots
        if plot.name in pictures
    ]
    tables = [
        {
            "name": table.name,
            "columns": table.columns,
            "rows": [[_short(value) for value in row] for row in table.rows[:_FIRST_ROWS]],
            "count": len(table),
        }
        for table in result.tables.values()
    ]
    text: str = _template("report.html").render(
        result=result,
        question=question,
        command=command,
        config=configuration.as_yaml(config),
        run=run,
        figures=figures,
        tables=tables,
        counts=_counts(result.claims),
        formulas=[mathml(formula) for formula in result.formulas],
        number=number_text,
        environment=[(key, number_text(value)) for key, value in environment.items()],
    )
    return text


def assignment(result: Result, answers: Sequence[Answer], folder: Path) -> str:
    """The page of ``mlhw all``: question by question, what the runs' own reports say."""
    questions = []
    for answer in answers:
        run = answer.folder
        questions.append(
            {
                "name": answer.name,
                "run": run.name if run else None,
                "status": answer.status,
                "seconds": answer.seconds,
                "holds": sum(claim.verdict == "holds" for claim in answer.claims),
                "fails": sum(claim.verdict == "fails" for claim in answer.claims),
                "errors": answer.found.get("error", []),
                "article": _article(run) if run else "",
            }
        )
    text: str = _template("assignment.html").render(
        questions=questions,
        counts=_counts(result.claims),
        run=folder.name,
        version=provenance.version_line(),
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


def _counts(claims: Sequence[Claim]) -> dict[str, int]:
    return {
        verdict: sum(claim.verdict == verdict for claim in claims)
        for verdict in ("holds", "fails", "not applicable")
    }


@cache
def _template(name: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlhw", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)
