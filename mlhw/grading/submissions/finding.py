"""Everybody's submission: files are gathered by whose they are, and each student's main file is found."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlhw.errors import DataError, reason_of
from mlhw.grading.submissions.archives import MOST_FILES, Counted, Member, members_of
from mlhw.grading.submissions.names import (
    Owner,
    file_names,
    is_archive,
    is_beside,
    owner_of,
    told_apart,
    usual_ending,
)
from mlhw.grading.submissions.submission import MOST_SOURCE, Submission, without_outputs
from mlhw.text.values import bytes_text
from mlhw.text.words import hint, near_file, nearest, printable, quantity

MOST_OTHER = 1 << 20
MOST_OF_ONE = 8 << 20
MOST_FILES_OF_ONE = 200
"""Of one student: bytes of a file that is no program, of all files together, and how many."""


@dataclass
class HandedIn:
    """The submissions asked for, in order of names, the names of ``everyone``, and what is to be said.

    ``notes``: what was left out, and why.
    """

    submissions: list[Submission]
    everyone: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_submissions(
    items: Sequence[str],
    *,
    function: str,
    pattern: Sequence[str] = ("*.py", "*.ipynb"),
    only: Sequence[str] = (),
) -> HandedIn:
    """Everybody's submission in files, folders (with theirs) and archives.

    ``function``: what the file that is judged has to define; empty: anything, as an adapter takes it.
    ``pattern``: a file is judged only where its name, or its path below the student's folder, matches one
    of these; others come along as modules. Who has none gets a submission that says so, but for what
    lies beside everybody's work (READMEs, tables, settings). ``only``: these students alone.

    Raises
    ------
    DataError
        With a line for each item that is not there or cannot be read, if there is nothing to judge, and for
        each name of ``only`` that nobody has.
    """
    counted = Counted()
    of: dict[Owner, list[Member]] = {}
    errors = []
    for item in items:
        try:
            _gather(Path(item), item, of, counted)
        except (OSError, ValueError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            errors.append(f"SUBMISSIONS {item}: {reason}")
    if counted.files > MOST_FILES:
        errors.append(
            f"SUBMISSIONS: more than {MOST_FILES:,} files; give the folder of the class alone"
        )
    if errors:
        raise DataError(*map(printable, errors))
    if not any(_matches(m, pattern) for found in of.values() for m in found):
        raise DataError(printable(_nothing(items, pattern, counted)))
    of = {owner: found for owner, found in of.items() if _is_work(owner, found, pattern)}
    names = told_apart(of)
    _check_only(only, list(names.values()))
    # Of all, so that a student has the same one whoever else is graded.
    beginnings = file_names(sorted(names.values()))
    submissions = [
        _submission(name, owner, beginnings[name], of[owner], pattern, function)
        for owner, name in names.items()
        if not only or name in only
    ]
    submissions.sort(key=lambda one: (one.student.casefold(), one.student))
    return HandedIn(submissions, sorted(names.values()), counted.notes)


def _gather(path: Path, place: str, of: dict[Owner, list[Member]], counted: Counted) -> None:
    if not os.path.lexists(path):
        raise FileNotFoundError(2, f"no such file or folder{near_file(place)}")
    if not os.path.exists(path):
        raise FileNotFoundError(2, "is a link that leads nowhere")
    for member in members_of(path, counted):
        owner, below = owner_of(member.parts, place)
        member.parts = below
        of.setdefault(owner, []).append(member)


def _nothing(items: Sequence[str], pattern: Sequence[str], counted: Counted) -> str:
    where = ", ".join(items[:3]) + (" …" if len(items) > 3 else "")
    files = quantity(counted.files, "file") if counted.files else "no files at all"
    return f"SUBMISSIONS {where}: nothing to grade: {files}, none of which matches {', '.join(pattern)}"


def _check_only(only: Sequence[str], names: Sequence[str]) -> None:
    errors = []
    for name in only:
        if name not in names:
            near = nearest(name, names)
            errors.append(printable(f"--only {name}: nobody of this name{hint(near)}"))
    if errors:
        raise DataError(*errors)


def _matches(member: Member, pattern: Sequence[str]) -> bool:
    path = "/".join(member.parts)
    last = member.parts[-1]
    names = {last, path, usual_ending(last), usual_ending(path)}
    # What could not be opened may have held it.
    return any(fnmatch.fnmatch(name, p) for name in names for p in pattern) or (
        bool(member.problem) and is_archive(last)
    )


def _is_work(owner: Owner, members: Sequence[Member], pattern: Sequence[str]) -> bool:
    """Whether these are somebody's files, even if none of them can be judged."""
    if any(_matches(member, pattern) for member in members):
        return True
    if owner.id or owner.key.endswith("/"):  # a folder, or a download's name
        return any(not is_beside(member.parts[-1]) for member in members)
    # Programs that lie beside each other and do not match are those that the pattern leaves out.
    return not any(
        is_beside(member.parts[-1], alone=True)
        or usual_ending(member.parts[-1]).endswith((".py", ".ipynb"))
        for member in members
    )


def _nothing_judged(members: Sequence[Member], pattern: Sequence[str]) -> str:
    """What was found of somebody, and what would have been judged."""
    for member in members:
        if member.problem:
            return member.problem
    names = ["/".join(member.parts) for member in members]
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return f"nothing to judge: found {some}; wanted is a file {' or '.join(pattern)}"


def _submission(
    student: str,
    owner: Owner,
    file_name: str,
    members: Sequence[Member],
    pattern: Sequence[str],
    function: str,
) -> Submission:
    found = Submission(student, owner, file_name, {})
    candidates, total = [], 0
    paths = {"/".join(member.parts) for member in members}
    for member in members:
        path = "/".join(member.parts)
        if usual_ending(path) not in paths:
            path = usual_ending(path)
        matches = _matches(member, pattern)
        problem = member.problem or _too_much(path, member, total, len(found.files))
        if problem:
            found.notes.append(problem)
            if matches and not found.problem:
                found.problem = problem
            continue
        total += len(member.content)
        if path.lower().endswith(".ipynb"):
            member.content = without_outputs(member.content)
        found.files[path] = member.content
        if matches:
            candidates.append(path)
    if candidates:
        found.problem = ""
        found.choose(candidates, function)
    elif not found.problem:
        found.problem = _nothing_judged(members, pattern)
    return found


def _too_much(path: str, member: Member, total: int, count: int) -> str:
    """Why a file is left out for its size; empty where it is not."""
    size, lower = len(member.content), path.lower()
    if lower.endswith(".py"):
        most = MOST_SOURCE
    else:
        most = 1 << 40 if lower.endswith(".ipynb") else MOST_OTHER
    if size > most:
        return f"{path}: left out: {bytes_text(size)}, more than {bytes_text(most)}"
    if total + size > MOST_OF_ONE and not lower.endswith((".py", ".ipynb")):
        return f"{path}: left out: more than {bytes_text(MOST_OF_ONE)} in all"
    if count >= MOST_FILES_OF_ONE:
        return f"{path}: left out: more than {MOST_FILES_OF_ONE} files"
    return ""
