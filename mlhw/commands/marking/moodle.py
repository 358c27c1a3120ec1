"""Moodle's grading worksheet, filled in, and feedback files in a zip that Moodle takes.

Moodle's importer needs the columns Identifier, Grade and Last modified (grade), finds people by the number at
the end of the identifier, and files by the name of the folder that it gave a submission
(mod/assign/feedback/offline/importgradeslib.php and feedback/file/importziplib.php).
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlhw.commands.marking.cells import csv_rows, safe_cell
from mlhw.errors import DataError, reason_of
from mlhw.system.files import encoded, whole
from mlhw.text.plain_files import read_plain
from mlhw.text.values import as_number, number_text
from mlhw.text.words import listing, printable

NAME, ZIP = "moodle.csv", "moodle-feedback.zip"
_MOST = 64 << 20
_ID, _GRADE, _MODIFIED = "Identifier", "Grade", "Last modified (grade)"
_FULL, _COMMENTS = "Maximum grade", "Feedback comments"
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Worksheet:
    """The worksheet as it was downloaded, its rows by column."""

    columns: list[str]
    rows: list[dict[str, str]]

    def filled(self, grades: Mapping[str, tuple[float, str]]) -> bytes:
        """With points and comment of everybody, by Moodle's number; others' rows stay as they are."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\r\n")
        writer.writeheader()
        for row in self.rows:
            found = grades.get(number_of(row[_ID]))
            if found is not None:
                points, comment = found
                row = row | {_GRADE: f"{points:g}"}
                if _COMMENTS in row:
                    row[_COMMENTS] = safe_cell(comment)
            writer.writerow(row)
        return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")


def number_of(identifier: str) -> str:
    """``12345`` of ``Participant 12345``."""
    found = re.search(r"([0-9]+)\s*$", identifier)
    return found[1] if found else ""


def read_worksheet(path: Path, out_of: float) -> Worksheet:
    """Moodle's worksheet. ``out_of``: the rubric's points, which have to be Moodle's.

    Raises DataError for another file, for one without the columns, and where the points differ.
    """
    try:
        text = read_plain(path, _MOST).decode("utf-8-sig")
    except OSError as error:
        raise DataError(printable(f"{path}: cannot be read: {reason_of(error)}")) from None
    except UnicodeDecodeError as error:
        raise DataError(printable(f"{path}: is no CSV in UTF-8: {error}")) from None
    found = csv_rows(path, text)
    columns = found[0][1] if found[1:] else []
    missing = [name for name in (_ID, _GRADE, _MODIFIED) if name not in columns]
    if missing:
        raise DataError(
            printable(
                f"{path}: no column {listing(missing)}; download Moodle's grading worksheet in English "
                "(Grading action, Download grading worksheet)"
            )
        )
    rows = []
    for number, cells in found[1:]:
        if len(cells) > len(columns):
            raise DataError(
                printable(f"{path}:{number}: {len(cells)} columns, {len(columns)} expected")
            )
        row = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
        rows.append(row)
        try:
            full = as_number((row.get(_FULL) or str(out_of)).replace(",", "."))
        except ValueError:
            continue
        if abs(full - out_of) > 1e-9:
            raise DataError(
                f"{path}:{number}: {_FULL}: {number_text(full)} there, and the rubric has "
                f"{number_text(out_of)}; write out_of: {number_text(full)} into the rubric"
            )
    return Worksheet(columns, rows)


def write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Feedback by the name of Moodle's folder for it."""
    with (
        whole(path, lasting=False) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for folder, content in files:
            name = encoded(f"{folder}_/feedback.html").decode()  # a folder's need not be UTF-8
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
