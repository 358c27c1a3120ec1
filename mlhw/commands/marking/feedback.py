"""What a student reads: ``feedback/NAME.html`` and ``.md``, made from the same parts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlhw.commands.marking.marked import Marked
from mlhw.grading.by_hand import Worked, worked
from mlhw.grading.meanings import MEANINGS
from mlhw.grading.questions import QuestionPlan
from mlhw.grading.submissions.names import stem
from mlhw.maths.network import Network
from mlhw.runs.formulas import drawn_formula
from mlhw.runs.pages import template
from mlhw.text.values import number_text
from mlhw.text.words import printable

MOST_ENTRIES = 12
"""Wrong entries that are listed."""

TITLE = "Back-propagation: feedback"


@dataclass(frozen=True)
class Feedback:
    """The parts of a page: ``entries`` are name, got, expected; ``codes`` come with meanings."""

    name: str
    points: str
    out_of: str
    changed: str
    verdict: str
    message: str
    parts: list[tuple[str, str, str, str]]
    codes: list[tuple[str, str]]
    right: list[str]
    entries: list[tuple[str, str, str]]
    more: int
    file: str
    notes: list[str]
    worked: Worked | None


def feedback_of(one: Marked, plan: QuestionPlan, *, anonymous: bool = False) -> Feedback:
    """What is to be said to a student; ``anonymous``: who is called by the code of the feedback in it."""
    graded, network = one.graded, plan.asked.network
    name, shown = one.student, printable
    if anonymous:
        name, shown = one.feedback, lambda text: printable(_without_names(text, one))
    changed = ""
    if one.override is not None:
        by_rubric = number_text(one.score.points)
        reason = f": {one.override.reason}" if one.override.reason else ""
        changed = f"changed by hand from {by_rubric}{reason}"
    judged = graded.verdict in ("correct", "wrong")
    return Feedback(
        printable(name),
        number_text(one.points),
        number_text(one.score.of),
        shown(changed),
        graded.verdict,
        shown(graded.message),
        [
            (
                p.name,
                number_text(round(p.points, 3)),
                number_text(round(p.of, 3)),
                shown(p.reason),
            )
            for p in (*one.score.parts, *one.score.deducted)
        ],
        [(code, MEANINGS.get(code, "")) for code in graded.codes],
        list(_right(one, network)) if judged else [],
        [
            (printable(str(quantity)), _value(got), _value(expected))
            for quantity, _, _, got, expected in graded.entries[:MOST_ENTRIES]
        ],
        max(0, graded.wrong_entries - MOST_ENTRIES),
        "" if anonymous else printable(one.submission.main),
        [shown(note) for note in one.submission.notes],
        worked(graded, plan) if judged else None,
    )


def _without_names(text: str, one: Marked) -> str:
    """A text in which neither the student nor the file is named, which may be called by the student."""
    names = {one.student, one.submission.owner.name, one.submission.main, stem(one.submission.main)}
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", one.feedback, text)
    return text


def _right(one: Marked, network: Network) -> Iterator[str]:
    """What is right, layer by layer from the output."""
    graded = one.graded
    if not graded.wrong_entries and graded.verdict == "wrong":
        return  # told by the shapes alone
    for number in range(network.depth - 1, 0, -1):
        errors = graded.layers[number - 1]
        if graded.once or not errors.weights:
            yield f"dE/dW^({number})" + (", one input at a time" if graded.once else "")
    if network.bias and not any(layer.biases for layer in graded.layers):
        yield "the gradients by all biases"
    if graded.batch == "right":
        yield "several inputs at once"
    if graded.general == "right":
        yield "a network with other sizes"


def _value(value: Any) -> str:
    return "none" if value is None else number_text(value, digits=8) if value == value else "NaN"


# ------------------------------------------------------------------------------------- HTML

_SYMBOL = re.compile(
    r"(?<![\w.])(?P<base>dE/dw|dE/dW|[a-zA-ZδΣ])(?:_(?P<sub>\w+(?:,\w+)?))?(?:\^\((?P<sup>\w+)\))?"
)


def in_notation(text: str) -> Any:
    """Escaped HTML of a line in the course's notation: ``δ_1^(4)`` with index and layer set small."""
    from markupsafe import Markup

    def symbol(found: re.Match[str]) -> str:
        if not (found["sub"] or found["sup"]):
            return found[0]
        base = found["base"].replace("dE/d", "∂E/∂")
        sub = f"<sub>{found['sub']}</sub>" if found["sub"] else ""
        sup = f"<sup>({found['sup']})</sup>" if found["sup"] else ""
        return f"<i>{base}</i>{sub}{sup}"

    return Markup(_SYMBOL.sub(symbol, html.escape(text, quote=False)))


@lru_cache(maxsize=32)
def _formula(latex: str) -> str:
    return drawn_formula(latex)


def feedback_page(feedback: Feedback) -> str:
    """The page, complete in itself; every text in it is escaped."""
    text: str = template("feedback.html").render(
        title=TITLE,
        f=feedback,
        in_notation=in_notation,
        number=lambda value: number_text(value, digits=8),
        formulas=[_formula(latex) for latex in feedback.worked.formulas[1:]]
        if feedback.worked
        else [],
    )
    return text


# ------------------------------------------------------------------------------------- Markdown

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def unmarked(text: str) -> str:
    """Text in which Markdown finds no mark and a browser no markup, on one line."""
    return (
        _SPECIAL.sub(r"\\\1", " ".join(text.split()))
        .replace("\\<", "&lt;")
        .replace("\\>", "&gt;")
        .replace("\\&", "&amp;")
    )


def code(text: str) -> str:
    """A code span with whatever is in it."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def feedback_markdown(feedback: Feedback) -> str:
    """The same as Markdown."""
    f = feedback
    lines = [f"# {TITLE}", "", f"{unmarked(f.name)}: **{f.points} of {f.out_of}**"]
    if f.changed:
        lines.append(f"({unmarked(f.changed)})")
    lines += ["", f"**{f.verdict}**: {unmarked(f.message)}", ""]
    if f.file:
        lines += [f"Judged was {code(f.file)}.", ""]
    lines += [line for note in f.notes for line in (f"Note: {unmarked(note)}", "")]
    lines += ["| part | points | of | why |", "|---|---|---|---|"]
    lines += [f"| {unmarked(a)} | {b} | {c} | {unmarked(d)} |" for a, b, c, d in f.parts]
    if f.codes:
        lines += ["", "## What was found", ""]
        lines += [f"- {code(name)}: {unmarked(meaning)}" for name, meaning in f.codes]
    if f.right:
        lines += ["", "## What is right", ""]
        lines += [f"- {code(text) if '^' in text else unmarked(text)}" for text in f.right]
    if f.entries:
        lines += ["", "## What is wrong", "", "| entry | yours | right |", "|---|---|---|"]
        lines += [f"| {code(name)} | {got} | {expected} |" for name, got, expected in f.entries]
        lines += ["", f"and {f.more} more entries"] if f.more else []
    if f.worked is not None:
        lines += _worked_lines(f.worked)
    return "\n".join(lines) + "\n"


def _worked_lines(w: Worked) -> list[str]:
    lines = ["", f"## One entry by hand: {code(w.name)}", "", "```"]
    for words, numbers in (*w.given, *w.steps):
        first, *others = numbers.split("\n")
        lines.append(f"{words} = {first}" if len(words) < 8 else words)
        if len(words) >= 8:
            lines.append(f"    {first}")
        lines += [f"    {other}" for other in others]
    lines += ["```", "", f"Right: {number_text(w.expected, digits=8)}."]
    if w.got is not None:
        lines.append(f"Yours: {_value(w.got)}.")
    return lines
