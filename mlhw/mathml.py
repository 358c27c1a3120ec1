"""Formulas in plain text, ``dE/dw_12^(3) = delta_1^(4) z_2^(3)``, as MathML for the report.

The notation: names with an index after ``_`` and a layer in ``^(…)``; ``delta``, ``sum_k``, ``h'``,
brackets, ``+ - =`` and numbers; ``dE/dX`` is a partial derivative; a space between factors multiplies.
"""

from __future__ import annotations

import re
from html import escape

_TOKEN = re.compile(
    r"\s*(?:d(?P<over>[A-Za-z])/d(?=[A-Za-z])|(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z]+)(?P<prime>'?)(?:_(?P<sub>\w+))?(?:\^\((?P<sup>\w+)\))?"
    r"|(?P<operator>[-+=(),]))"
)
_SIGNS = {"delta": "δ", "sum": "∑", "eta": "η", "-": "−"}


def typeset(text: str) -> str:
    """``text`` as one ``<math>`` element.

    Raises ValueError for text that is not in the notation.
    """
    parts, position, over = [], 0, ""
    text = text.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"no formula: {text[position:]!r} in {text!r}")
        position = token.end()
        if token["over"]:
            over = token["over"]
            continue
        part = _part(token)
        if over:
            part = (
                f"<mfrac><mrow><mo>∂</mo><mi>{escape(over)}</mi></mrow>"
                f"<mrow><mo>∂</mo>{part}</mrow></mfrac>"
            )
            over = ""
        parts.append(part)
    return f'<math display="block"><mrow>{"".join(parts)}</mrow></math>'


def _part(token: re.Match[str]) -> str:
    if token["number"]:
        return f"<mn>{token['number']}</mn>"
    if token["operator"]:
        return f"<mo>{_SIGNS.get(token['operator'], token['operator'])}</mo>"
    name = _SIGNS.get(token["name"], token["name"])
    if name == "∑":
        return (
            f"<munder><mo>∑</mo>{_index(token['sub'])}</munder>" if token["sub"] else "<mo>∑</mo>"
        )
    base = f"<mi>{escape(name)}</mi>"
    if token["prime"]:
        base = f"<msup>{base}<mo>′</mo></msup>"
    layer = f"<mrow><mo>(</mo>{_index(token['sup'])}<mo>)</mo></mrow>" if token["sup"] else ""
    if token["sub"] and layer:
        return f"<msubsup>{base}{_index(token['sub'])}{layer}</msubsup>"
    if token["sub"]:
        return f"<msub>{base}{_index(token['sub'])}</msub>"
    return f"<msup>{base}{layer}</msup>" if layer else base


def _index(text: str) -> str:
    """``12`` as two numbers, ``k1`` as a name and a number."""
    parts = (f"<mn>{c}</mn>" if c.isdigit() else f"<mi>{escape(c)}</mi>" for c in text)
    return f"<mrow>{''.join(parts)}</mrow>"
