"""A run as one HTML page, everything inlined, readable offline."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from mlhw import config as configuration
from mlhw import mathml, provenance
from mlhw.config import ExperimentConfig
from mlhw.result import Result

_FIRST_ROWS = 10


def page(
    result: Result,
    *,
    question: str,
    command: str,
    config: ExperimentConfig,
    run: str,
    pictures: Mapping[str, bytes],
) -> str:
    """The report. ``pictures`` holds the PNG of each figure by its name; those missing are left out.

    Every text is escaped by Jinja2, class and file names with markup in them included.
    """
    from mlhw.execute import number_text

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
    counts = {
        verdict: sum(claim.verdict == verdict for claim in result.claims)
        for verdict in ("holds", "fails", "not applicable")
    }
    text: str = _template().render(
        result=result,
        question=question,
        command=command,
        config=configuration.as_yaml(config),
        run=run,
        figures=figures,
        tables=tables,
        counts=counts,
        formulas=[mathml.typeset(formula) for formula in result.formulas],
        number=number_text,
        version=provenance.version_line(),
    )
    return text


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlhw", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html")


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)
