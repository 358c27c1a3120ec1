"""What the first line of a table is, a header or a point, and which column is the class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlhw.errors import DataError
from mlhw.points.cells import brief, cell_number, is_missing
from mlhw.points.dialect import Row
from mlhw.text.values import as_number
from mlhw.text.words import nearest

LABEL = "label"
_WAY_OUT = "say which: --header or --no-header"
_ROW_NAMES = ("", "rownames", "Unnamed: 0")
_MOST_TOLD = 1_000  # columns by which a header is told; more say nothing new
_ORANGE_TYPES = {"continuous", "discrete", "string", "time", "c", "d", "s", "t"}
_ORANGE_FLAGS = {"", "class", "meta", "ignore", "c", "m", "i"}


@dataclass(frozen=True)
class Heading:
    """What is known of a table's columns before its points are read.

    ``names`` (w,) of all columns, ``target`` the class's number among them, ``rows`` how many lines at
    the top are no points, ``said`` a sentence about them. ``row_names``: the first column may be row
    numbers by its name. ``named``: the file names its columns.
    """

    names: tuple[str, ...]
    target: int
    rows: int
    said: str
    row_names: bool = False
    named: bool = True

    @property
    def class_said(self) -> str:
        """What was taken as the class."""
        if self.named:
            return f"the class is '{brief(self.names[self.target])}'"
        last = self.target == len(self.names) - 1
        return f"the class is {'the last column' if last else f'column {self.target}'}"

    def fitted(self, cells: list[str]) -> list[str] | None:
        """A row without the empty cells that trailing delimiters make; None if it is none of the table's."""
        width = len(self.names)
        if len(cells) > width and not any(cells[width:]):
            return cells[:width]
        return cells if len(cells) == width else None


def find_heading(
    path: str,
    sample: Sequence[Row],
    *,
    label: int | str | None,
    header: bool | None,
    comment: tuple[int, list[str]] | None = None,
) -> Heading:
    """What the first rows of a table say about its columns.

    ``label`` names or numbers the class's column; ``header`` says whether there is one, None: find out.
    ``comment`` is the comment before the first row, taken apart like one.

    Raises
    ------
    DataError
        No two columns, two of one name, no such class, or a first line that may be either.
    """
    line, first = sample[0]
    below = [cells for _, cells in sample[1:]]
    first, width, shorter = _widths(first, below)
    if width < 2:
        raise DataError(f"{path}:{line}: {_one_column(below)}")
    rest = [cells[:width] for cells in below if len(cells) >= width]
    orange = _orange_target(first, rest) if header is None else None
    if orange is not None:
        target = orange if label is None else _target(path, line, first, label)
        said = f"lines {line} to {sample[2][0]} are Orange's header"
        return Heading(_names(path, line, first), target, 3, said, _is_row_name(first[0]))
    if header is None:
        # R leaves the name of the row names' column out: a line that is shorter is no point.
        header = shorter or _is_header(path, line, first, rest)
    if header:
        names = _names(path, line, first)
        target = _target(path, line, first, label)
        return Heading(names, target, 1, f"line {line} is the header", _is_row_name(first[0]))
    if comment is not None:
        found = _comment_names(comment[1], width, label)
        if found is not None:
            names = _names(path, comment[0], found)
            target = _target(path, comment[0], found, label)
            return Heading(names, target, 0, f"the comment in line {comment[0]} is the header")
    if isinstance(label, str):
        raise DataError(
            f"{path}: label: there is no header, so the class's column has no name '{label}'; "
            f"give its number, 0 to {width - 1}"
        )
    target = width - 1 if label is None else _numbered(path, width, label)
    names = tuple(f"x{i + (i < target)}" for i in range(width))
    names = (*names[:target], LABEL, *names[target + 1 :])
    return Heading(names, target, 0, "there is no header", named=False)


# ------------------------------------------------------------------------------------- widths


def _widths(first: list[str], below: list[list[str]]) -> tuple[list[str], int, bool]:
    """The first row and the number of columns without those of trailing delimiters.

    The flag says that R left out the name of the row names' column.
    """
    rows = [first, *below]
    trailing = min(_empty_at_end(cells) for cells in rows)
    usual = max(
        {len(cells) for cells in below}, key=[len(c) for c in below].count, default=len(first)
    )
    if len(first) == usual - 1:
        if all(cells[-1] == "" for cells in below if len(cells) == usual):
            return first, len(first), False
        if not any(cell_number(cell) is not None for cell in first):
            return ["", *first], usual, True
    width = max(len(first) - trailing, 1)
    if len(first) == usual + 1 and first[-1] == "":
        width = usual
    return first[:width], width, False


def _one_column(below: list[list[str]]) -> str:
    most = max((len(cells) for cells in below), default=1)
    if most == 1:
        return "one column only; features and a class are needed"
    return f"1 column, {most} below; begin lines above the header with #, or take them out"


def _empty_at_end(cells: list[str]) -> int:
    count = 0
    for cell in reversed(cells):
        if cell:
            break
        count += 1
    return count


# ------------------------------------------------------------------------------------- header


def _is_header(path: str, line: int, first: list[str], rest: list[list[str]]) -> bool:
    """Whether the first row names the columns. DataError where it may be either."""
    numbers = [
        j for j, cell in enumerate(first) if cell_number(cell) is not None and not is_missing(cell)
    ]
    are_numbers = set(numbers)
    words = [j for j, cell in enumerate(first) if j not in are_numbers and not is_missing(cell)]
    counts = _is_count([first[j] for j in numbers]) and len(numbers) >= len(first) - 1
    if not words:
        if not counts or (len(numbers) < len(first) and first[0] != ""):
            return False
        if _names_by_form(first, numbers, rest):
            return True
        if len(first) == 2 and first[0] == "1":
            return False
        raise DataError(
            f"{path}:{line}: {','.join(map(brief, first[:4]))} may be a header of numbers or a point; "
            f"{_WAY_OUT}"
        )
    if not rest:
        return any(j < len(first) - 1 for j in words)
    told = words if len(words) <= _MOST_TOLD else [*words[: _MOST_TOLD - 1], words[-1]]
    over_numbers = [j for j in told if _is_numeric([cells[j] for cells in rest])]
    again = [j for j in told if any(cells[j] == first[j] for cells in rest)]
    if over_numbers:
        run = [first[j] for j in numbers]
        if not again and (not run or (_is_count(run) and (len(run) > 2 or len(words) > len(run)))):
            return True
        if not again and LABEL in (first[j].lower() for j in words) and _is_count(run):
            return True
        word = first[over_numbers[0]]
        raise DataError(
            f"{path}:{line}: '{brief(word)}' is not a number; if the line is the header, say --header, "
            "if it is a point, mend it"
        )
    if again:
        return False
    if not numbers:
        return not any(is_missing(cell) and cell for cell in first)
    if first[words[-1]].lower() in (LABEL, "class", "target") or (
        counts and _names_by_form(first, numbers, rest)
    ):
        return True
    below = [cells[words[-1]] for cells in rest]
    if counts and len(set(below)) < len(below):
        raise DataError(
            f"{path}:{line}: {','.join(map(brief, first[:4]))} may be a header or a point; {_WAY_OUT}"
        )
    return False


def _is_numeric(cells: list[str]) -> bool:
    """Whether a column has numbers, and no words."""
    found = [cell_number(cell) is not None for cell in cells if not is_missing(cell, number=True)]
    return bool(found) and all(found)


def _is_count(cells: list[str]) -> bool:
    """Whether names are numbers as pandas gives them: 0, 1, 2 or 1, 2, 3."""
    if len(cells) < 1 or not all(re.fullmatch(r"[0-9]{1,6}", cell) for cell in cells):
        return False
    values = [int(cell) for cell in cells]
    return (values[0] in (0, 1) or len(values) > 4) and values == list(
        range(values[0], values[0] + len(values))
    )


def _names_by_form(first: list[str], numbers: list[int], rest: list[list[str]]) -> bool:
    """Whether consecutive whole numbers are names beyond doubt.

    They are many, or the first column below counts the rows, or all that stands below one of them is
    written with decimals.
    """
    if len(numbers) > 5:
        return True
    if first[0] == "" and counts_rows([cells[0] for cells in rest]):
        return True
    return len(rest) > 2 and any(
        all(re.search(r"[.,eE]", cells[j]) for cells in rest) for j in numbers
    )


def counts_rows(cells: Sequence[str] | Sequence[float]) -> bool:
    """Whether a column holds 0, 1, …, n − 1 or 1, 2, …, n."""
    try:
        values = [as_number(cell) if isinstance(cell, str) else cell for cell in cells]
    except ValueError:
        return False
    if len(values) < 2 or values[0] not in (0.0, 1.0):
        return False
    return all(value == values[0] + i for i, value in enumerate(values))


def _orange_target(first: list[str], rest: list[list[str]]) -> int | None:
    """The class's column where Orange's lines of types and flags follow the names; None where not."""
    if len(rest) < 2 or not set(rest[0]) <= _ORANGE_TYPES or not set(rest[1]) <= _ORANGE_FLAGS:
        return None
    flags = [flag in ("class", "c") for flag in rest[1]]
    return flags.index(True) if True in flags else len(first) - 1


def _comment_names(cells: list[str], width: int, label: int | str | None) -> list[str] | None:
    """The names in a comment, as numpy.savetxt writes a header; None where it is a sentence."""
    named = {cell.lower() for cell in cells}
    if len(cells) != width or not (LABEL in named or label in cells):
        return None
    return None if any(cell_number(cell) is not None for cell in cells) else cells


# ------------------------------------------------------------------------------------- columns


def _is_row_name(name: str) -> bool:
    return name in _ROW_NAMES


def _names(path: str, line: int, first: list[str]) -> tuple[str, ...]:
    """The columns' names, those without one as pandas calls them. DataError where one stands twice."""
    names = [name or f"Unnamed: {i}" for i, name in enumerate(first)]
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(f"{path}:{line}: two columns are called '{brief(twice)}'; rename one")
    return tuple(names)


def _target(path: str, line: int, first: list[str], label: int | str | None) -> int:
    """The class's column: that of ``label``, else the one called label, else the last."""
    if label is None:
        if LABEL in first:
            return first.index(LABEL)
        alike = [i for i, name in enumerate(first) if name.lower() == LABEL]
        return alike[0] if len(alike) == 1 else len(first) - 1
    if isinstance(label, int) and str(label) not in first:
        return _numbered(path, len(first), label)
    if str(label) in first:
        return first.index(str(label))
    near = nearest(str(label), first)
    hint = f", did you mean '{near}'?" if near else ""
    raise DataError(
        f"{path}:{line}: label: no column '{label}'{hint} (there are {', '.join(map(brief, first[:10]))})"
    )


def _numbered(path: str, width: int, label: int) -> int:
    if not -width <= label < width:
        raise DataError(f"{path}: label: no column {label}; they are numbered 0 to {width - 1}")
    return label % width
