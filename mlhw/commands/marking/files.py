"""The files of a grading beside its tables: feedback, Gradescope's results, Moodle's files, names."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from mlhw.commands.marking.cells import cell_text, safe_cell
from mlhw.commands.marking.feedback import feedback_markdown, feedback_of, feedback_page
from mlhw.commands.marking.gradescope import results_of
from mlhw.commands.marking.marked import ClassGrades
from mlhw.commands.marking.moodle import NAME as MOODLE
from mlhw.commands.marking.moodle import ZIP, Worksheet, write_zip
from mlhw.grading.submissions.submission import Submission
from mlhw.result.recorder import Recorder
from mlhw.system.files import discard, encoded, whole, write_whole
from mlhw.text.plain_files import read_plain

CODES = "names.csv"


def feedback_names(
    found: Sequence[Submission], folder: Path | None, *, anonymous: bool
) -> dict[str, str]:
    """By student the beginning of the names of the feedback's files: the name, or a code drawn for it.

    Codes of a run that goes on stay as they are in its ``names.csv``.
    """
    if not anonymous:
        return {one.student: one.file_name for one in found}
    known = _known(folder / CODES) if folder is not None else {}
    taken = {*known.values()}
    names = {}
    for one in found:
        code = known.get(one.student)
        while code is None or (code in taken and one.student not in known):
            code = secrets.token_hex(4)
        taken.add(code)
        names[one.student] = code
    return names


def _known(path: Path) -> dict[str, str]:
    try:
        text = read_plain(path, 64 << 20).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        return {cell_text(row["student"]): row["code"] for row in rows if row["code"].isalnum()}
    except (OSError, ValueError, KeyError, AttributeError, csv.Error):
        return {}


def write_names(folder: Path, names: dict[str, str]) -> None:
    """``names.csv``: which code is whose; before any feedback, so that none is ever without a name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "student"])
    writer.writerows([code, safe_cell(student)] for student, code in names.items())
    write_whole(folder / CODES, text.getvalue())


def write_files(
    e: ClassGrades,
    folder: Path,
    recorder: Recorder,
    worksheet: Worksheet | None,
    *,
    anonymous: bool,
) -> None:
    """Everybody's feedback and results, and Moodle's files where submissions came from there."""
    to_moodle: list[tuple[str, bytes]] = []
    files = _Files(folder)
    for done, one in enumerate(e.marked):
        recorder.progress(done, len(e.marked), "feedback")
        said = feedback_of(one, e.plan, anonymous=anonymous)
        page, text = feedback_page(said), feedback_markdown(said)
        name = one.submission.file_name
        files.write(page, "feedback", f"{one.feedback}.html")
        files.write(text, "feedback", f"{one.feedback}.md")
        results = json.dumps(results_of(one, text), indent=2) + "\n"
        files.write(results, "gradescope", name, "results.json")
        if one.graded.printed:
            files.write(one.graded.printed, "printed", f"{name}.txt")
        if one.submission.owner.folder:
            to_moodle.append((one.submission.owner.folder, encoded(page)))
    files.remove_others("feedback", "gradescope", "printed")
    for path in () if anonymous else (folder / CODES,):
        discard(path)
    if to_moodle:
        write_zip(folder / ZIP, to_moodle)
    if worksheet is not None:
        grades = {
            one.submission.owner.id: (one.points, f"{one.graded.verdict}: {one.graded.message}")
            for one in e.marked
            if one.submission.owner.id
        }
        with whole(folder / MOODLE) as file:
            file.write(worksheet.filled(grades))


class _Files:
    """Files below a folder: those that are written, and what an earlier grading has left there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()

    def write(self, text: str, *parts: str) -> None:
        path = self._folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A class has thousands of these; they are made again when the run goes on.
        with whole(path, lasting=False, alone=False) as file:
            file.write(encoded(text))
        self._written |= {path, *path.parents}

    def remove_others(self, *names: str) -> None:
        """Remove what has not been written: of students or names that are no more."""
        for name in names:
            below = sorted((self._folder / name).rglob("*"), reverse=True)
            for path in [*below, self._folder / name]:
                if path in self._written or path.is_symlink():
                    continue
                if path.is_dir():
                    with contextlib.suppress(OSError):
                        path.rmdir()
                else:
                    discard(path)
