"""Words and tables as plain text for people, and what somebody most likely meant by a word."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest

# Control characters but for tab and newline, what turns the direction of writing, line ends of Unicode's,
# and the bytes of names that are not UTF-8.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Text that cannot command a terminal: control characters are written out, ``\\x1b``.

    File and class names, and what a run folder holds, may come from anybody.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: object) -> str:
    """``printable``, and without line breaks: a name with one in it could speak in our name below."""
    return printable(str(text)).replace("\n", "\\n")


class TableLine(str):
    """A line of a table: a text for the screen, which a page shows as cells below their headings.

    ``cells`` are the texts that the line is made of, one for each of ``columns``; the line that holds
    the headings themselves has them as its cells.
    """

    cells: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, text: str, cells: Sequence[str], columns: Sequence[str]) -> TableLine:
        # Names are in it, and it is printed as it is.
        row = cls(one_line(text))
        row.cells, row.columns = tuple(map(printable, cells)), tuple(map(printable, columns))
        return row


_NARROW = 16
"""A column that is wrapped keeps this width, and that of its longest word."""


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None
) -> list[str]:
    """Lines with columns of equal width, each a ``TableLine``.

    Where they are longer than ``width``, the broadest columns are wrapped between words; where that does not
    do, the last columns stand below each row, ``name: cell``; such lines are plain texts.
    """
    table = [[printable(cell).replace("\n", " ") for cell in row] for row in (header, *rows)]
    columns = list(zip(*table, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if width is None or _total(widths) <= width:
        return [TableLine.of(_line(row, widths), row, table[0]) for row in table]
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
        rest = list(zip(header, row, strict=True))[kept:]
        below = [f"{name}: {cell}" for name, cell in rest if cell.strip()]
        if below and number:
            lines += [f"    {line}" for line in wrapped("; ".join(below), width - 4)]
    return lines


def pairs(rows: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Names and what belongs to each, side by side; longer than ``width`` it goes on below."""
    column = max((len(name) for name, _ in rows), default=0) + 2
    lines = []
    for name, text in rows:
        shown = printable(text).replace("\n", " ")
        parts = [shown] if width is None else wrapped(shown, max(width - column, 20))
        for number, part in enumerate(parts or [""]):
            lines.append(f"{'' if number else printable(name):<{column}}{part}".rstrip())
    return lines


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(w) for cell, w in zip(cells, widths, strict=True)).rstrip()


def wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    """Lines of at most ``width`` characters, or of one word that is longer; no word is broken.

    ``first`` and ``others`` stand before the first line and the others, and count.
    """
    return textwrap.wrap(
        text,
        max(width, 1),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


class VerdictLine(str):
    """A line that begins with a verdict, ``  holds: …``, which a terminal shows in a colour of its own."""

    verdict: str

    @classmethod
    def of(cls, verdict: str, text: str) -> VerdictLine:
        """``text`` is safe to print and begins with the verdict, blanks before it apart."""
        line = cls(text)
        line.verdict = verdict
        return line


def fitted(lines: Iterable[str], width: int | None) -> Iterator[str]:
    """Lines wrapped between words where they are longer than ``width``, a table by its cells."""
    for columns, group in groupby(lines, lambda line: isinstance(line, TableLine) and line.columns):
        found = list(group)
        if width is not None and columns and max(map(len, found)) > width:
            cells = [row.cells for row in found if isinstance(row, TableLine)]
            yield from text_table(columns, [row for row in cells if row != columns], width=width)
        else:
            for line in found:
                first, *others = hanging(line, width)
                yield (
                    VerdictLine.of(line.verdict, first) if isinstance(line, VerdictLine) else first
                )
                yield from others


def hanging(line: str, width: int | None) -> list[str]:
    """A line wrapped between words; where that makes several, the others stand further in."""
    if width is None or len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    # What goes on after a verdict stands below its statement, apart from the numbers that follow.
    deeper = len(line.verdict) + 2 if isinstance(line, VerdictLine) else 2
    return wrapped(
        line.strip(), max(width, len(indent) + deeper + 20), indent, indent + " " * deeper
    )


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
    meanings: dict[str, str] = {}
    for other, meant in [*zip(known, known, strict=True), *(synonyms or {}).items()]:
        meanings.setdefault(_bare(other), meant)
    typed = _bare(word)
    apart = {bare: _apart(typed, bare) for bare in meanings}
    near = {bare: far for bare, far in apart.items() if far is not None}
    return list(dict.fromkeys(meanings[bare] for bare in sorted(near, key=near.__getitem__)))[:most]


_LETTERS_A_SLIP = 4
"""One slip of the fingers in so many letters makes two words alike; more make them two words."""
_ABBREVIATED = 3.0
"""How far an abbreviation is from its word: further than by slips of the fingers."""


def _apart(typed: str, known: str) -> float | None:
    """How far a word is from a known one: slips, or an abbreviation; None where neither explains it."""
    longer = max(len(typed), len(known))
    allowed = longer // _LETTERS_A_SLIP
    if typed == known:
        return 0.0
    if abs(len(typed) - len(known)) <= allowed and (far := _slips(typed, known)) <= allowed:
        return float(far)
    parts, whole = _PARTS.split(typed), _PARTS.split(known)
    count = len(parts)
    shorter = count <= len(whole) and len(typed) > 2 and (whole[:count], whole[-count:])
    if shorter and any(all(map(_abbreviates, parts, some)) for some in shorter):
        return _ABBREVIATED + (longer - min(len(typed), len(known))) / longer
    return _ABBREVIATED + 1 if parts[: len(whole)] == whole and len(known) > 2 else None


_PARTS = re.compile("[_.]")


def _abbreviates(typed: str, whole: str) -> bool:
    """``iter`` and ``iters`` abbreviate ``iterations``."""
    return len(typed) > 1 and whole.startswith((typed, typed.removesuffix("s")))


def _slips(a: str, b: str) -> int:
    """Letters left out, added, changed or swapped with their neighbour between two words.

    The optimal string alignment distance (Boytsov 2011, doi:10.1145/1963190.1963191, section 2.1).
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, above, row = row, before, [i]
        for j, y in enumerate(b, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if above and i > 1 < j and x == b[j - 2] and a[i - 2] == y:
                best = min(best, above[j - 2] + 1)
            row.append(best)
    return row[-1]


def hint(near: str | None) -> str:
    """``, did you mean 'x'?`` for the end of an error; empty without a neighbour."""
    return f", did you mean '{near}'?" if near else ""


def _bare(word: str) -> str:
    return word.lower().lstrip("-").replace("-", "_")


def near_file(path: str) -> str:
    """``, did you mean 'x.yaml'?`` for a file that is not there, if one of a like name is."""
    folder, name = os.path.split(path)
    try:
        there = [one for one in os.listdir(folder or ".") if one[0] != "." and one != name]
        near = nearest(name, there)
    except OSError:
        near = None
    return hint(os.path.join(folder, near) if near else None)


def not_there(path: str, near: Callable[[str], str] = near_file) -> str:
    """What is to be said of a path that cannot be followed: a link without an end, or no such file."""
    if os.path.islink(path):
        return "is a link that leads nowhere"
    return f"no such file{near(path)}"


_ADDRESS = re.compile(r"<(?:\w+\.)*(\w+) object at 0x[0-9a-fA-F]+>")


def in_short(error: BaseException) -> str:
    """An error's first line, without the addresses of objects, in 200 characters at most."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return shortened(_ADDRESS.sub(r"\1", first), 200)


def shortened(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
