"""Labelled point sets: built in by name, or from a text, CSV, TSV or NPZ file.

The course's own text format is columns ``x1 x2 1 t`` separated by blanks: no header, the last column
is the class, a column of ones is the bias. CSV and TSV have a header; the column ``label``, else the
last one, is the class. NPZ holds ``X`` (n, d) and ``y`` (n,); pickled content is refused.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from mlhw.config import InputFile, NoOption, Option, Section, nearest
from mlhw.errors import DataError

BUILT_IN = ("gaussians", "iris", "wine", "breast-cancer")
Label = int | float | str

_MAX_ERRORS = 5  # a file with one wrong separator would otherwise fill the screen


def _split(value: Any) -> Any:
    """``a,b`` as given on the command line, to the list that a file would hold."""
    from mlhw.yaml12 import parse_scalar

    if isinstance(value, str):
        return [parse_scalar(part.strip()) for part in value.split(",")]
    return value


class PointsConfig(Section):
    """Which points: a built-in ``name`` or a ``file``, and what of them."""

    name: Annotated[
        str | None, NoOption(), Field(description=f"built-in set: {', '.join(BUILT_IN)}")
    ] = "gaussians"
    file: Annotated[
        str | None,
        InputFile(),
        NoOption(),
        Field(description="or a file: .txt (x1 x2 1 t), .csv, .tsv or .npz"),
    ] = None
    classes: Annotated[
        list[int | float | str] | None,
        BeforeValidator(_split),
        Option(metavar="A,B"),
        Field(description="keep only these classes"),
    ] = None
    features: Annotated[
        list[int | str] | None,
        BeforeValidator(_split),
        Option(metavar="A,B"),
        Field(description="keep only these features, by name or by number from 0"),
    ] = None
    digest: Annotated[
        str | None,
        NoOption(),
        Field(description="sha256 of the points, recorded by a run; a rerun warns if it differs"),
    ] = None

    @staticmethod
    def from_text(text: str) -> dict[str, Any]:
        """``--data X``: a file where X is a path that exists or has a suffix, else a name."""
        is_file = text not in BUILT_IN and (os.path.splitext(text)[1] or os.path.exists(text))
        return {"name": None, "file": text} if is_file else {"name": text, "file": None}

    @model_validator(mode="before")
    @classmethod
    def _name_or_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("file") is not None:
            if value.get("name") is not None:
                raise ValueError("give a name or a file, not both")
            return {**value, "name": None}
        return value

    @model_validator(mode="after")
    def _known_name(self) -> PointsConfig:
        if self.file is None and self.name not in BUILT_IN:
            near = nearest(str(self.name), BUILT_IN)
            hint = f", did you mean '{near}'?" if near else ""
            raise ValueError(
                f"unknown data set '{self.name}'{hint} (built in: {', '.join(BUILT_IN)}; "
                "or a file with a suffix)"
            )
        return self


@dataclass(frozen=True)
class Points:
    """Labelled points.

    ``X`` is (n, d) float64 without a bias column, ``labels`` (n,) has a value of ``classes`` for each
    point, ``features`` are the columns' names, ``notes`` say what was recognised on reading.
    """

    name: str
    X: np.ndarray
    labels: list[Label]
    features: tuple[str, ...]
    digest: str = ""
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> list[Label]:
        """The distinct labels in order: numbers as numbers, else as text."""
        return sorted(set(self.labels), key=lambda label: (isinstance(label, str), label))


def load_points(config: PointsConfig) -> Points:
    """The points that ``config`` names, its classes and features selected.

    Raises
    ------
    DataError
        With ``FILE:LINE:`` before each line that is to blame.
    """
    points = _from_file(config.file) if config.file is not None else _built_in(str(config.name))
    points = replace(points, digest=_digest(points))
    if config.classes is not None:
        points = _select_classes(points, config.classes)
    if config.features is not None:
        points = _select_features(points, config.features)
    return points


def changed(config: PointsConfig, points: Points) -> str | None:
    """A warning, if these are not the points whose digest the configuration recorded."""
    if config.digest in (None, points.digest):
        return None
    return f"{points.name}: the data has changed: it was {config.digest}, it is {points.digest}"


def two_classes(points: Points) -> tuple[np.ndarray, np.ndarray, list[Label]]:
    """Design matrix and targets for a two-class model.

    Returns
    -------
    X : (n, d+1), the last column ones
    t : (n,), 1.0 for the second class, else 0.0
    classes : the two labels, in order

    Raises DataError unless there are exactly two classes.
    """
    classes = points.classes
    if len(classes) < 2:
        raise DataError(f"{points.name}: only one class ({classes[0]}), two needed")
    if len(classes) > 2:
        some = ", ".join(map(str, classes[:5])) + (", …" if len(classes) > 5 else "")
        raise DataError(
            f"{points.name}: {len(classes)} classes, two needed ({some}); "
            "choose two with data.classes or --classes A,B"
        )
    t = np.array([float(label == classes[1]) for label in points.labels])
    return np.column_stack([points.X, np.ones(len(points.X))]), t, classes


# ------------------------------------------------------------------------------------- built in


def _built_in(name: str) -> Points:
    if name == "gaussians":
        return _gaussians()
    from sklearn import datasets

    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast-cancer": datasets.load_breast_cancer,
    }
    bunch = loaders[name]()
    return Points(
        name,
        np.asarray(bunch.data, float),
        [int(label) for label in bunch.target],
        tuple(str(feature) for feature in bunch.feature_names),
        notes=("classes " + ", ".join(f"{i} {c}" for i, c in enumerate(bunch.target_names)),),
    )


# Means and covariances of the two classes of the course's data.
_MEANS = ((4.98, 0.94), (6.93, -0.87))
_COVARIANCES = (((2.78, 2.08), (2.08, 3.91)), ((2.00, 1.27), (1.27, 2.51)))
_DATA_SEED = 28
_PER_CLASS = 100


def _gaussians() -> Points:
    """Two correlated Gaussian classes, 100 points each.

    NumPy freezes the stream of RandomState (NEP 19), so these are the same points for ever.
    """
    stream = np.random.RandomState(_DATA_SEED)
    X = np.vstack(
        [
            np.asarray(mean)
            + stream.standard_normal((_PER_CLASS, 2)) @ np.linalg.cholesky(np.asarray(covariance)).T
            for mean, covariance in zip(_MEANS, _COVARIANCES, strict=True)
        ]
    )
    labels: list[Label] = [*[0] * _PER_CLASS, *[1] * _PER_CLASS]
    return Points("gaussians", X, labels, ("x1", "x2"))


# ------------------------------------------------------------------------------------- files


def _from_file(path: str) -> Points:
    suffix = os.path.splitext(path)[1].lower()
    try:
        if os.path.isdir(path):
            raise DataError(f"{path}: is a folder, not a file of points")
        if suffix == ".npz":
            return _from_npz(path)
        if suffix in (".csv", ".tsv"):
            return _from_rows(path, _separated(path, "," if suffix == ".csv" else "\t"))
        return _from_rows(path, _blank_separated(path))
    except FileNotFoundError:
        folder = os.path.dirname(path)
        near = nearest(os.path.basename(path), _listing(folder))
        hint = f", did you mean '{os.path.join(folder, near)}'?" if near else ""
        raise DataError(f"{path}: no such file{hint}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a UTF-8 text file (byte {error.start})") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"
        ) from None


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []


Row = tuple[int, list[str]]


def _blank_separated(path: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            cells = line.split("#", 1)[0].split()
            if cells:
                yield number, cells


def _separated(path: str, delimiter: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: {error}") from None


def _from_rows(path: str, rows: Iterator[Row]) -> Points:
    table = list(rows)
    if not table:
        raise DataError(f"{path}: no rows")
    notes = []
    first = table[0][1]
    if len(first) < 2:
        raise DataError(f"{path}:{table[0][0]}: one column only; features and a class are needed")
    # A header has a word where the features stand; without one only the class may be a word.
    if all(_number(cell) is not None for cell in first[:-1]):
        header = [f"x{i}" for i in range(1, len(first))] + ["label"]
        if path.lower().endswith((".csv", ".tsv")):
            notes.append("no header line; the last column is the class")
    else:
        header = first
        table = table[1:]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise DataError(f"{path}:1: two columns are called '{twice[0]}'")
        if not table:
            raise DataError(f"{path}: no rows below the header")
    target = header.index("label") if "label" in header else len(header) - 1
    errors: list[str] = []
    values, texts = [], []
    for line, cells in table:
        if len(cells) != len(header):
            errors.append(f"{path}:{line}: {len(cells)} columns, {len(header)} expected")
            continue
        texts.append(cells[target])
        if not cells[target]:
            errors.append(f"{path}:{line}: {header[target]}: the class is empty")
        row = []
        for i, cell in enumerate(cells):
            if i == target:
                continue
            value = _number(cell)
            row.append(value if value is not None else math.nan)
            if value is None:
                wrong = "is empty" if not cell else f"'{cell[:40]}' is not a number"
                errors.append(f"{path}:{line}: {header[i]}: {wrong}")
            elif not math.isfinite(value):
                errors.append(f"{path}:{line}: {header[i]}: {cell} is not a finite number")
        values.append(row)
        if len(errors) > _MAX_ERRORS:
            break
    if errors:
        more = ["… and more"] if len(errors) > _MAX_ERRORS else []
        raise DataError(*errors[:_MAX_ERRORS], *more)
    names = [name for i, name in enumerate(header) if i != target]
    return _without_bias(path, np.array(values), _labels(texts), names, notes)


def _number(text: str) -> float | None:
    """The number that ``text`` is, or None; Python's ``1_000`` is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _labels(texts: list[str]) -> list[Label]:
    """Numbers where all are numbers (``0.000`` is 0), else the texts."""
    numbers = {text: _number(text) for text in set(texts)}
    if all(n is not None and math.isfinite(n) for n in numbers.values()):
        return [_tidy(float(numbers[text] or 0.0)) for text in texts]
    return list(texts)


def _tidy(value: float) -> Label:
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _without_bias(
    path: str, X: np.ndarray, labels: list[Label], names: list[str], notes: list[str]
) -> Points:
    """Take a column of ones out: the model adds its own, last."""
    ones = [i for i in range(X.shape[1]) if np.all(X[:, i] == 1.0)]
    if ones:
        notes = [*notes, f"column {ones[0] + 1} is one throughout: taken as the bias column"]
        keep = [i for i in range(X.shape[1]) if i not in ones]
        if not keep:
            raise DataError(f"{path}: no features beside the bias column")
        named = all(name == f"x{i}" for i, name in enumerate(names, 1))
        X = X[:, keep]
        names = [f"x{i}" for i in range(1, len(keep) + 1)] if named else [names[i] for i in keep]
    return Points(path, np.ascontiguousarray(X), labels, tuple(names), notes=tuple(notes))


def _from_npz(path: str) -> Points:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise DataError(f"{path}: not an NPZ file")
            missing = [key for key in ("X", "y") if key not in file.files]
            if missing:
                held = ", ".join(file.files) or "nothing"
                raise DataError(f"{path}: no array '{missing[0]}' (it holds {held})")
            X, y = file["X"], file["y"]
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        if "allow_pickle" in str(error) or "pickle" in str(error):
            raise DataError(
                f"{path}: holds pickled objects, which are refused; save plain arrays X and y"
            ) from None
        raise DataError(f"{path}: not a readable NPZ file ({error})") from None
    if X.ndim != 2 or X.dtype.kind not in "fiub" or X.shape[1] == 0:
        raise DataError(f"{path}: X must be numbers of shape (n, d), not {X.dtype} {X.shape}")
    if y.shape != (len(X),) or y.dtype.kind not in "fiubUS":
        raise DataError(f"{path}: y must hold {len(X)} labels, not {y.dtype} {y.shape}")
    if len(X) == 0:
        raise DataError(f"{path}: no rows")
    X = X.astype(float)
    if not np.isfinite(X).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(X))[0])
        raise DataError(f"{path}: X[{row}, {column}] is {X[row, column]}, not a finite number")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError(f"{path}: y[{int(np.argmin(np.isfinite(y)))}] is not a finite number")
    if y.dtype.kind in "US":
        labels = _labels(
            [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in y]
        )
    else:
        labels = [_tidy(float(v)) for v in y]
    return _without_bias(path, X, labels, [f"x{i}" for i in range(1, X.shape[1] + 1)], [])


# ------------------------------------------------------------------------------------- selection


def _select_classes(points: Points, wanted: list[Label]) -> Points:
    known = points.classes
    by_text = {str(label): label for label in known}
    chosen = []
    for label in wanted:
        if str(label) not in by_text:
            raise DataError(
                f"{points.name}: data.classes: no class '{label}' "
                f"(there are {', '.join(map(str, known[:10]))})"
            )
        chosen.append(by_text[str(label)])
    keep = [i for i, label in enumerate(points.labels) if label in chosen]
    return replace(points, X=points.X[keep], labels=[points.labels[i] for i in keep])


def _select_features(points: Points, wanted: list[int | str]) -> Points:
    columns = []
    for feature in wanted:
        if isinstance(feature, int) and 0 <= feature < len(points.features):
            columns.append(feature)
        elif str(feature) in points.features:
            columns.append(points.features.index(str(feature)))
        else:
            near = nearest(str(feature), points.features)
            hint = f", did you mean '{near}'?" if near else ""
            raise DataError(
                f"{points.name}: data.features: no feature '{feature}'{hint} "
                f"(there are {', '.join(points.features[:10])}, numbered from 0)"
            )
    if len(set(columns)) != len(columns):
        raise DataError(f"{points.name}: data.features: a feature stands twice")
    return replace(
        points, X=points.X[:, columns], features=tuple(points.features[i] for i in columns)
    )


def _digest(points: Points) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(points.X, "<f8").tobytes())
    digest.update("\n".join(map(str, points.labels)).encode())
    return f"sha256:{digest.hexdigest()}"
