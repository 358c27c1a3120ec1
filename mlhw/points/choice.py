"""From a table as it was read to points: which columns, which rows, words as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from mlhw.errors import DataError
from mlhw.points.cells import brief, why_no_number
from mlhw.points.dialect import MAX_COLUMNS
from mlhw.points.heading import counts_rows
from mlhw.points.points import Label, Points
from mlhw.points.table import Fault, ReadTable, also
from mlhw.text.words import listing, nearest, shortened

Encode = Literal["none", "yes-no", "one-hot"]
Missing = Literal["fail", "drop"]

_MOST_VALUES = 100  # of a column of words; more are names or sentences, no kinds
_MAX_ERRORS = 5
_PIECE = 1 << 20  # numbers
_YES_NO = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0, "y": 1.0, "n": 0.0, "t": 1.0, "f": 0.0}
_PAIRS = ({"yes", "no"}, {"true", "false"}, {"y", "n"}, {"t", "f"})


@dataclass(frozen=True)
class Choice:
    """What is kept of a table, and how: the keys of a configuration of the same names."""

    features: Sequence[int | str] | None = None
    drop: Sequence[int | str] | None = None
    missing: Missing = "fail"
    encode: Encode = "none"


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are features, and what became of the others.

    ``names`` are by number from 0 as a person counts them: without the class, row numbers and the bias
    column. ``shown`` (k,) are the names in answers. ``notes`` are sentences on what was left out.
    """

    names: tuple[str, ...]
    shown: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: dict[str, str]


def columns_of(table: ReadTable, features: Sequence[int | str] | None = None) -> Columns:
    """The features of a table, before any choice but that of bringing row numbers back by name.

    Raises DataError where no column is left.
    """
    notes: list[str] = []
    left_out: dict[str, str] = {}
    names = list(table.names)
    first = names[0] if names else ""
    wanted = {str(feature) for feature in features or ()}
    if table.row_numbers and len(names) > 1 and first not in wanted:
        names.remove(first)
        left_out[first] = "it holds the row numbers"
        notes.append(f"the row numbers '{brief(first)}' are left out (--features brings them back)")
    elif len(table) > 2 and first not in wanted and _counts(table, first):
        notes.append(
            f"'{brief(first)}' counts the rows and is taken as a feature (--drop '{first}' if not)"
        )
    ones = [name for name in names if _is_one(table.column(name))]
    if ones:
        position = table.places[ones[0]] + 1
        notes.append(f"column {position} is one throughout: taken as the bias column")
        names = [name for name in names if name not in ones]
        left_out |= dict.fromkeys(ones, "it is one throughout, the bias column")
    if not names:
        raise DataError(f"{table.path}: no features beside the bias column")
    shown = names if table.named else [f"x{i}" for i in range(1, len(names) + 1)]
    return Columns(tuple(names), tuple(shown), tuple(notes), left_out)


def _is_one(column: np.ndarray) -> bool:
    return len(column) > 0 and column[0] == 1.0 and bool(np.all(column == 1.0))


def _counts(table: ReadTable, name: str) -> bool:
    return name not in table.words and counts_rows(table.column(name).tolist())


def choose(table: ReadTable, choice: Choice) -> tuple[Points, np.ndarray | None]:
    """The points of a table, and the numbers (n, k) of all of its features where all are numbers.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each cell that is to blame, or no such column.
    """
    columns = columns_of(table, choice.features)
    kept = kept_numbers(table.path, columns, choice)
    _refuse_faults(table, [columns.names[i] for i in kept], choice)
    X, names, encoded = _numbers(table, columns, kept, choice.encode)
    rows, dropped = _rows(table, X, choice)
    labels = [label for label, keep in zip(table.labels, rows, strict=True) if keep]
    if not labels:
        raise DataError(f"{table.path}: no rows without missing values")
    whole = None
    if not table.words and None not in table.labels:
        everything = _columns(table, [table.places[name] for name in columns.names])
        if all(np.isfinite(part).all() for part in _pieces(everything)):
            whole = np.ascontiguousarray(everything)
    said = table.said if table.built_in else (_said(table, names),)
    points = Points(
        table.path,
        np.ascontiguousarray(X if rows.all() else X[rows]),
        [label for label in labels if label is not None],
        tuple(names),
        notes=(*said, *columns.notes, *encoded, *dropped),
    )
    return points, whole


def _said(table: ReadTable, names: Sequence[str]) -> str:
    """What was taken as header, as class and as features."""
    some = " ".join((", ".join(map(brief, names[:6])) + (", …" if len(names) > 6 else "")).split())
    count = f"{len(names):,} feature{'s' * (len(names) != 1)}"
    return f"{table.said[0]}; {table.class_said}; {count}: {some}"


# ------------------------------------------------------------------------------------- columns


def kept_numbers(path: str, columns: Columns, choice: Choice) -> list[int]:
    """The numbers of the features that stay, in the order wanted."""
    gone: set[int] = set()
    for name in choice.drop or ():
        if name not in columns.left_out:
            gone.add(_number_of(path, columns, name, "drop"))
    if choice.features is None:
        kept = [i for i in range(len(columns.names)) if i not in gone]
        if not kept:
            raise DataError(f"{path}: data.drop: no features are left")
        return kept
    kept = [_number_of(path, columns, name, "features") for name in choice.features]
    if len(set(kept)) < len(kept):
        raise DataError(f"{path}: data.features: a feature stands twice")
    both = [columns.shown[i] for i in kept if i in gone]
    if both:
        raise DataError(f"{path}: data.drop: '{brief(both[0])}' is among the features wanted too")
    return kept


def _number_of(path: str, columns: Columns, feature: int | str, key: str) -> int:
    if isinstance(feature, int) and 0 <= feature < len(columns.names):
        return feature
    name = str(feature)
    for names in (columns.shown, columns.names):
        if name in names:
            return names.index(name)
    if name in columns.left_out:
        raise DataError(f"{path}: data.{key}: '{name}' is no feature: {columns.left_out[name]}")
    near = nearest(name, columns.shown)
    hint = f", did you mean '{near}'?" if near else ""
    raise DataError(
        f"{path}: data.{key}: no feature '{name}'{hint} "
        f"(there are {', '.join(map(brief, columns.shown[:10]))}, numbered from 0)"
    )


# ------------------------------------------------------------------------------------- faults


def _refuse_faults(table: ReadTable, names: Sequence[str], choice: Choice) -> None:
    """Raise DataError for what is no number or missing in the chosen columns, a line for each fault."""
    found: list[tuple[int, Callable[[], str]]] = []
    for name in names:
        if name in table.wrong:
            found.append((table.wrong[name].rows[0], partial(_wrong_line, table, name)))
        if name in table.missing and choice.missing == "fail":
            found.append((table.missing[name].rows[0], partial(_missing_line, table, name)))
        if name in table.words:
            found += _word_lines(table, name, choice)
    if table.target in table.missing and choice.missing == "fail":
        found.append((table.missing[table.target].rows[0], partial(_classless_line, table)))
    if found:
        found.sort(key=lambda pair: pair[0])
        more = ["… and more"] if len(found) > _MAX_ERRORS else []
        raise DataError(*(line() for _, line in found[:_MAX_ERRORS]), *more)


def _placed(table: ReadTable, name: str, fault: Fault, wrong: str) -> str:
    """``FILE:LINE: COLUMN: what (also lines …); remedy``."""
    what, _, remedy = wrong.partition("; ")
    others = [table.line(row) for row in fault.rows[1:]]
    return f"{table.place(fault.rows[0], name)}: {what}{also(others, fault.count - 1)}" + (
        f"; {remedy}" if remedy else ""
    )


def _classless_line(table: ReadTable) -> str:
    fault = table.missing[table.target]
    what = f"the class '{brief(fault.text)}' is missing" if fault.text else "the class is empty"
    return _placed(table, table.target, fault, f"{what}; --missing drop leaves such rows out")


def _wrong_line(table: ReadTable, name: str) -> str:
    fault = table.wrong[name]
    infinite = fault.text.lower().strip("+-") in ("inf", "infinity") or fault.text[:1].isdigit()
    is_number = infinite and not np.isnan(table.column(name)[fault.rows[0]])
    if is_number or fault.text.lower().strip("+-") in ("inf", "infinity"):
        wrong = f"{brief(fault.text)} is not a finite number"
    else:
        hint = why_no_number(fault.text) or f"--drop {_quoted(name)} leaves the column out"
        wrong = f"'{brief(fault.text)}' is not a number; {hint}"
    return _placed(table, name, fault, wrong)


def _missing_line(table: ReadTable, name: str) -> str:
    fault = table.missing[name]
    what = "is empty" if not fault.text else f"'{brief(fault.text)}' is not a number"
    if fault.text.lower().strip("-") == "nan":
        what = f"{brief(fault.text)} is not a finite number"
    wrong = f"{what}; --missing drop leaves such rows out, --drop {_quoted(name)} the column"
    return _placed(table, name, fault, wrong)


def _word_lines(table: ReadTable, name: str, choice: Choice) -> list[tuple[int, Callable[[], str]]]:
    """The lines for a column of words that ``choice`` does not make numbers of."""
    texts = table.words[name]
    found: list[tuple[int, Callable[[], str]]] = []
    kinds = {text for text in texts if text is not None}
    is_yes_no = _is_yes_no(kinds)
    if choice.encode == "none" or (choice.encode == "yes-no" and not is_yes_no):
        fault = _fault_of(texts, missing=False)
        way = "yes-no" if is_yes_no else "one-hot"
        hint = why_no_number(fault.text) or (
            f"--encode {way} makes numbers of words, --drop {_quoted(name)} leaves the column out"
        )
        if table.named and len(kinds) <= 20 < len(set(table.labels)):
            hint += f", --label {_quoted(name)} makes it the class"
        wrong = f"'{brief(fault.text)}' is not a number; {hint}"
        found.append((fault.rows[0], partial(_placed, table, name, fault, wrong)))
    elif len(kinds) > _MOST_VALUES:
        row = next(i for i, text in enumerate(texts) if text is not None)
        said = f"{len(kinds):,} different words, at most {_MOST_VALUES} make columns"
        line = f"{table.place(row, name)}: {said}; --drop {_quoted(name)} leaves the column out"
        found.append((row, lambda: line))
    if None in texts and choice.encode != "none" and choice.missing == "fail":
        fault = _fault_of(texts, missing=True)
        wrong = (
            f"is missing; --missing drop leaves such rows out, --drop {_quoted(name)} the column"
        )
        found.append((fault.rows[0], partial(_placed, table, name, fault, wrong)))
    return found


def _fault_of(texts: Sequence[str | None], *, missing: bool) -> Fault:
    rows = [row for row, text in enumerate(texts) if (text is None) == missing]
    fault = Fault(texts[rows[0]] or "")
    for row in rows:
        fault.add(row)
    return fault


def _quoted(name: str) -> str:
    name = shortened(name, 200)  # for a command, which a name cut short would not do for
    return f"'{name}'" if " " in name or "," in name else name


# ------------------------------------------------------------------------------------- numbers


def _is_yes_no(kinds: set[str]) -> bool:
    lowered = {kind.lower() for kind in kinds}
    return any(lowered <= pair for pair in _PAIRS)


def _numbers(
    table: ReadTable, columns: Columns, kept: Sequence[int], encode: Encode
) -> tuple[np.ndarray, list[str], list[str]]:
    """The numbers (n, d) of the columns that stay, their names, and notes on words made numbers."""
    if not any(columns.names[i] in table.words for i in kept):
        places = [table.places[columns.names[i]] for i in kept]
        return _columns(table, places), [columns.shown[i] for i in kept], []
    parts: list[np.ndarray] = []
    names: list[str] = []
    binary: list[str] = []
    hot: list[str] = []
    for i in kept:
        name, shown = columns.names[i], columns.shown[i]
        if name not in table.words:
            parts.append(table.column(name))
            names.append(shown)
            continue
        texts = table.words[name]
        kinds = {text for text in texts if text is not None}
        if _is_yes_no(kinds):
            parts.append(np.array([np.nan if t is None else _YES_NO[t.lower()] for t in texts]))
            names.append(shown)
            binary.append(shown)
            continue
        hot.append(shown)
        if len(names) > MAX_COLUMNS:
            continue  # refused below
        for kind in sorted(kinds):
            parts.append(np.array([np.nan if t is None else float(t == kind) for t in texts]))
            names.append(f"{shown}={kind}")
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"{table.path}: --encode makes more than {MAX_COLUMNS:,} columns; --drop some"
        )
    notes = []
    if binary:
        notes.append(f"yes and true are 1, no and false are 0 in {listing(binary)}")
    if hot:
        notes.append(f"a column of 0 and 1 for each word of {listing(hot)}")
    return np.column_stack(parts), names, notes


def _columns(table: ReadTable, places: list[int]) -> np.ndarray:
    """Some columns of a table's X; X itself where they are all, which may be most of the memory."""
    return table.X if places == list(range(table.X.shape[1])) else table.X[:, places]


def _pieces(X: np.ndarray) -> list[np.ndarray]:
    """X in pieces of rows, for what makes an array of the same size."""
    return np.array_split(X, 1 + X.size // _PIECE)


def _rows(table: ReadTable, X: np.ndarray, choice: Choice) -> tuple[np.ndarray, list[str]]:
    """Which rows stay (n,), and a note on those that do not."""
    labelled = np.array([label is not None for label in table.labels])
    keep: np.ndarray = labelled & ~np.concatenate([np.isnan(x).any(axis=1) for x in _pieces(X)])
    gone = np.flatnonzero(~keep).tolist()
    if choice.missing != "drop":
        return keep, []
    if not gone:
        return keep, ["no row has a missing value"]
    lines = [table.line(row) for row in gone]
    some = ", ".join(map(str, lines[:5])) + (", …" if len(lines) > 5 else "")
    of = f"{len(gone):,} of {len(table):,} rows have missing values and are left out"
    return keep, [f"{of} (line{'s' * (len(gone) > 1)} {some})"]


# ------------------------------------------------------------------------------------- classes


def choose_classes(points: Points, wanted: Sequence[Label]) -> tuple[list[int], list[Label]]:
    """The numbers of the points of some classes, by their exact text, else as numbers, else in any case.

    Raises DataError where there is no such class.
    """
    known = points.classes
    by_text = {str(label): label for label in known}
    lowered = {str(label).lower(): label for label in known}
    chosen: list[Label] = []
    for label in wanted:
        alike = [k for k in known if not isinstance(label, str) and k == label]
        if str(label) in by_text:
            chosen.append(by_text[str(label)])
        elif alike:
            chosen.append(alike[0])
        elif isinstance(label, str) and label.lower() in lowered and len(lowered) == len(known):
            chosen.append(lowered[label.lower()])
        else:
            near = nearest(str(label), list(by_text))
            hint = f", did you mean '{near}'?" if near else ""
            raise DataError(
                f"{points.name}: data.classes: no class '{label}'{hint} "
                f"(there are {', '.join(map(brief, known[:10]))})"
            )
    wanted_ones = set(chosen)
    rows = [i for i, label in enumerate(points.labels) if label in wanted_ones]
    return rows, [points.labels[i] for i in rows]
