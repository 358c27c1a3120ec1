"""Points in Weka's form: ``@relation``, an ``@attribute`` for each column, ``@data`` and rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from mlhw.errors import DataError
from mlhw.points.cells import brief
from mlhw.points.dialect import MAX_COLUMNS, Row
from mlhw.points.heading import Heading, find_heading
from mlhw.points.table import ReadTable, table_of_rows
from mlhw.text.values import is_digits

_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+(.+)""", re.I)
_PLAIN = ("real", "numeric", "integer", "string", "date")


def is_arff(suffix: str, sample: Sequence[str]) -> bool:
    """Whether a text is of Weka's form: by its suffix or its first word."""
    for line in sample:
        bare = line.strip()
        if bare and not bare.startswith("%"):
            return suffix == ".arff" or bare.lower().startswith("@relation")
    return suffix == ".arff"


def read_arff(path: str, lines: Iterable[str], label: int | str | None) -> ReadTable:
    """The table of an ARFF file; its last attribute is the class unless ``label`` says another.

    Raises
    ------
    DataError
        With the line that is to blame.
    """
    numbered = enumerate(lines, 1)
    names, nominal = _attributes(path, numbered)
    heading = find_heading(path, [(0, names)], label=label, header=True)
    heading = Heading(heading.names, heading.target, 0, "ARFF", named=True)
    return table_of_rows(path, heading, _data(path, numbered, nominal))


def _attributes(path: str, numbered: Iterator[tuple[int, str]]) -> tuple[list[str], list[str]]:
    """The attributes' names, and of each what a sparse row leaves out: 0, or the first nominal value."""
    names: list[str] = []
    nominal: list[str] = []
    number = 0
    for number, line in numbered:
        bare = line.strip()
        word = bare.split(maxsplit=1)[0].lower() if bare else ""
        if word == "@data":
            if not names:
                raise DataError(f"{path}:{number}: @data without any @attribute before it")
            return names, nominal
        if word == "@attribute":
            found = _ATTRIBUTE.fullmatch(bare)
            kind = found[2].strip() if found else ""
            if found is None or not (kind.startswith("{") or kind.lower().startswith(_PLAIN)):
                raise DataError(
                    f"{path}:{number}: must be @attribute NAME TYPE, the type one of "
                    f"{', '.join(_PLAIN)} or {{A,B}}"
                )
            names.append(_unquoted(found[1]))
            if len(names) > MAX_COLUMNS:
                raise DataError(f"{path}:{number}: more than {MAX_COLUMNS:,} columns")
            try:
                values = _cells(kind.strip("{} ")) if kind.startswith("{") else ["0"]
                nominal.append(values[0])
            except (csv.Error, IndexError):
                raise DataError(f"{path}:{number}: '{brief(bare)}' names no values") from None
        elif bare and not bare.startswith("%") and word != "@relation":
            raise DataError(
                f"{path}:{number}: '{brief(bare)}' stands before @data; is it no ARFF file?"
            )
    raise DataError(f"{path}:{max(number, 1)}: ends without @data")


def _data(path: str, numbered: Iterator[tuple[int, str]], nominal: list[str]) -> Iterator[Row]:
    for number, line in numbered:
        bare = line.strip()
        if not bare or bare.startswith("%"):
            continue
        try:
            if bare.startswith("{"):
                yield number, _sparse(_cells(bare.strip("{} ")), nominal)
            else:
                yield number, _cells(bare)
        except (csv.Error, ValueError, IndexError):
            raise DataError(f"{path}:{number}: '{brief(bare)}' is no row of ARFF") from None


def _sparse(pairs: list[str], nominal: list[str]) -> list[str]:
    """``{0 1.5, 3 yes}`` as a whole row."""
    cells = list(nominal)
    for pair in filter(None, pairs):
        index, _, value = pair.partition(" ")
        cells[int(index) if is_digits(index) else len(cells)] = _unquoted(value.strip())
    return cells


def _cells(text: str) -> list[str]:
    """The cells of a row, quoted by ``'`` or ``"``."""
    quote = '"' if '"' in text and "'" not in text else "'"
    reader = csv.reader(
        [text], quotechar=quote, escapechar="\\", skipinitialspace=True, strict=True
    )
    return [cell.strip() for cell in next(reader, [])]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in ("'", '"') else text
