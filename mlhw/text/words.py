"""Words and tables as plain text for people, and what somebody most likely meant by a word."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence

# Control characters but for tab and newline, and what turns the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Text that cannot command a terminal: control characters are written out, ``\\x1b``.

    File and class names, and what a run folder holds, may come from anybody.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class TableLine(str):
    """A line of a table: a text for the screen, which a page shows as cells below their headings.

    ``cells`` are the texts that the line is made of, one for each of ``columns``; the line that holds
    the headings themselves has them as its cells.
    """

    cells: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, text: str, cells: Sequence[str], columns: Sequence[str]) -> TableLine:
        row = cls(text)
        row.cells, row.columns = tuple(cells), tuple(columns)
        return row


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of equal width, each a ``TableLine``."""
    table = [[printable(cell).replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return [TableLine.of(line, row, table[0]) for line, row in zip(lines, table, strict=True)]


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
