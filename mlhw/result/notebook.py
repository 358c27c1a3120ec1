"""What a notebook shows of a result that a cell ends with: answers, claims, observations, tables, figures.

The colours are those of the notebook's own theme; a verdict is a sign and a word, never a colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlhw.result.claims import VERDICTS, Claim
from mlhw.result.observations import Observation
from mlhw.result.tables import Table
from mlhw.text.markup import escaped, grid
from mlhw.text.values import number_text
from mlhw.text.words import quantity

SIGNS = {"holds": "✓", "fails": "✗", "not applicable": "–"}
HEAD = 5  # rows of each table; a table by itself shows more


def result_html(
    experiment: str,
    *,
    answers: Sequence[str],
    claims: Sequence[Claim],
    observations: Sequence[Observation],
    tables: Iterable[Table],
    figures: Sequence[str],
) -> str:
    """One piece of HTML without scripts or styles of its own; long parts are folded."""
    parts = [f"<h4>{escaped(experiment)}: {counts(claims)}</h4>"]
    # As on a terminal: some of the lines are the rows of a table.
    lines = "\n".join(map(escaped, answers))
    parts += [f'<pre style="white-space:pre-wrap">{lines}</pre>'] if lines else []
    parts += [details("Claims", claims_table(claims), opened=True)] if claims else []
    parts += [details("Observations", observations_table(observations))] if observations else []
    for table in tables:
        title = f"Table {table.name}, {len(table)} rows: .tables[{table.name!r}]"
        parts.append(details(title, table.html(HEAD)))
    names = ", ".join(f".figures[{name!r}]" for name in figures)
    parts += [f"<p>Figures: {escaped(names)}</p>"] if names else []
    return f"<div>{''.join(parts)}</div>"


def counts(claims: Sequence[Claim]) -> str:
    """``5 claims hold, 0 fail, 1 not applicable``: three numbers that add up to all claims."""
    holds, fails, other = (sum(claim.verdict == v for claim in claims) for v in VERDICTS)
    words = [f"{quantity(holds, 'claim')} hold{'s' * (holds == 1)}"]
    words += [f"{fails} fail{'s' * (fails == 1)}", f"{other} not applicable"]
    return ", ".join(words)


def claims_table(claims: Iterable[Claim]) -> str:
    rows = [
        (
            f"{SIGNS[claim.verdict]} {claim.verdict}",
            claim.statement,
            number_text(claim.measured),
            number_text(claim.expected),
            claim.note,
        )
        for claim in claims
    ]
    return grid(("verdict", "claim", "measured", "expected", "note"), rows)


def observations_table(observations: Iterable[Observation]) -> str:
    rows = [
        (seen.verdict, seen.statement, number_text(seen.measured), seen.note)
        for seen in observations
    ]
    return grid(("seen", "observation", "measured", "note"), rows)


def details(title: str, inside: str, *, opened: bool = False) -> str:
    opening = " open" if opened else ""
    return f"<details{opening}><summary>{escaped(title)}</summary>{inside}</details>"
