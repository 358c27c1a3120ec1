"""Words and tables as plain text for people, and what somebody most likely meant by a word."""

from __future__ import annotations

import difflib
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest

# Control characters but for tab and newline, and what turns the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Text that cannot command a terminal: control characters are written out, ``\\x1b``.

    File and class names, and what a run folder holds, may come from anybody.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_NARROW = 16
"""A column that is wrapped keeps this width, and that of its longest word."""


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None
) -> list[str]:
    """Lines with columns of equal width.

    Where they are longer than ``width``, the broadest columns are wrapped between words; where that does not
    do, the last columns stand below each row, ``name: cell``.
    """
    table = [[printable(cell).replace("\n", " ") for cell in row] for row in (header, *rows)]
    columns = list(zip(*table, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if width is None or _total(widths) <= width:
        return [_line(row, widths) for row in table]
    words = [
        max((len(w) for cell in column for w in cell.split()), default=0) for column in columns
    ]
    least = [min(w, max(word, _NARROW)) for w, word in zip(widths, words, strict=True)]
    kept = len(header)
    while kept > 1 and _total(least[:kept]) > width:
        kept -= 1
    widths, least = widths[:kept], least[:kept]
    while _total(widths) > width and widths != least:
        broadest = max(range(kept), key=lambda i: (widths[i] > least[i], widths[i]))
        widths[broadest] -= 1
    lines = []
    for number, row in enumerate(table):
        cells = [wrapped(cell, w) or [""] for cell, w in zip(row, widths, strict=False)]
        lines += [_line(line, widths) for line in zip_longest(*cells, fillvalue="")]
        below = [f"{name}: {cell}" for name, cell in zip(header, row, strict=True)][kept:]
        if below and number:
            lines += [f"    {line}" for line in wrapped("; ".join(below), width - 4)]
    return lines


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(w) for cell, w in zip(cells, widths, strict=True)).rstrip()


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, or of one word that is longer; no word is broken."""
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)


def hanging(line: str, width: int | None) -> list[str]:
    """A line wrapped between words; where that makes several, the others stand further in."""
    if width is None or len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    first, *others = wrapped(line.strip(), max(width - len(indent) - 2, 20))
    return [indent + first, *(f"{indent}  {other}" for other in others)]


def quantity(count: int, one: str, many: str | None = None) -> str:
    """``1 pair``, ``1,200 pairs``; ``many`` where it is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listing(words: Sequence[str]) -> str:
    """Words in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *before, last = words or ("",)
    return f"{', '.join(before)} and {last}" if before else last


# ------------------------------------------------------------------------------------- meant


def nearest(
    word: str, known: Sequence[str], synonyms: Mapping[str, str] | None = None
) -> str | None:
    """The known word that ``word`` was most likely meant to be, or None.

    ``synonyms`` are other words, each with the known one that it stands for.
    """
    return next(iter(nearest_words(word, known, synonyms, most=1)), None)


def nearest_words(
    word: str, known: Sequence[str], synonyms: Mapping[str, str] | None = None, *, most: int = 3
) -> list[str]:
    """As ``nearest``, the likeliest few first; empty where none is near.

    The dashes before an option, which all options share, make no two words alike.
    """
    meanings = {_bare(other): meant for other, meant in (synonyms or {}).items()}
    meanings |= {_bare(k): k for k in reversed(known)}
    found = difflib.get_close_matches(_bare(word), list(meanings), n=most)
    return list(dict.fromkeys(meanings[bare] for bare in found))


def hint(near: str | None) -> str:
    """``, did you mean 'x'?`` for the end of an error; empty without a neighbour."""
    return f", did you mean '{near}'?" if near else ""


def _bare(word: str) -> str:
    return word.lower().lstrip("-").replace("-", "_")


def near_file(path: str) -> str:
    """``, did you mean 'x.yaml'?`` for a file that is not there, if one of a like name is."""
    folder, name = os.path.split(path)
    try:
        near = nearest(name, os.listdir(folder or "."))
    except OSError:
        near = None
    return hint(os.path.join(folder, near) if near else None)


def shortened(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
