"""Whose a file is: by its folder, by its own name, or as Moodle and Canvas name downloads.

Names come from anybody: what could command a terminal, turn a line around or lead out of a folder is taken
out here, once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

# Moodle, "Download all submissions": NAME_ID_assignsubmission_file, with a last underscore before version
# 4.1; a folder of that name, or the beginning of a file's where folders are off.
_MOODLE = re.compile(
    r"(?P<name>[^_]*)_(?P<id>[0-9]+)_assignsubmission_(?:file|onlinetext)(?:_(?P<rest>.*))?", re.S
)
# Canvas, "Download submissions": NAME_USER_SUBMISSION_FILE, LATE_ before the numbers where it was.
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<id>[0-9]+)_[0-9]+_(?P<rest>.+)", re.S | re.I)
# Canvas numbers what was handed in again: derivation-2.py.
_AGAIN = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{1,3})")

LONGEST = 80

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVES)


# What lies in a folder and is nobody's work, by the name without its ending.
_ABOUT = {"readme", "license", "licence", "copying", "changelog", "contributing", "makefile"}
# What lies beside files of students and is none, by its ending.
_BESIDE = (
    *(".csv", ".tsv", ".xls", ".xlsx", ".ods", ".json", ".jsonl", ".yaml", ".yml", ".toml"),
    *(
        ".ini",
        ".cfg",
        ".xml",
        ".log",
        ".md",
        ".sh",
        ".bat",
        ".lock",
        ".lnk",
        ".url",
        ".bak",
        ".old",
    ),
    *(".orig", ".tmp", ".npy", ".npz"),
)


def is_beside(name: str, *, alone: bool = False) -> bool:
    """Whether a file's name is one of those that are nobody's work; ``alone``: one in no folder."""
    if stem(name).casefold() in _ABOUT:
        return True
    return alone and (
        "." not in name or name.lower().endswith(_BESIDE) or name == "requirements.txt"
    )


def usual_ending(path: str) -> str:
    """``hw.py`` of ``hw.PY``, and so of notebooks: Windows takes them for the same."""
    before, dot, ending = path.rpartition(".")
    return before + dot + ending.lower() if ending.lower() in ("py", "ipynb") else path


@dataclass(frozen=True)
class Owner:
    """Whose a file is. ``id`` is Moodle's or Canvas' number, ``folder`` Moodle's own name for the folder.

    ``key`` tells apart those who have one name.
    """

    name: str
    id: str = ""
    folder: str = field(default="", compare=False)
    key: str = ""


def owner_of(parts: tuple[str, ...], place: str = "") -> tuple[Owner, tuple[str, ...]]:
    """Whose a file is by its path, and the path that it has among that student's files.

    Moodle's folder wherever it stands, else the first folder, else the file's own name: as Canvas or
    Moodle make it, or its stem. ``place``: where the path begins; names of two places are two people's.
    """
    for depth, part in enumerate(parts[:-1]):
        found = _MOODLE.fullmatch(part)
        if found:
            return _moodle(found, part), parts[depth + 1 :]
    last = parts[-1]
    if len(parts) > 1 and is_archive(parts[0]):
        return owner_of(parts[:1], place)[0], parts[1:]
    if len(parts) > 1:
        return Owner(shown_name(parts[0]), key=f"{place}/{parts[0]}/"), parts[1:]
    found = _MOODLE.fullmatch(last)
    if found and found["rest"]:
        return _moodle(found, last.removesuffix(found["rest"])), (found["rest"],)
    found = _CANVAS.fullmatch(last)
    if found:
        key = f"{found['name']}_{found['id']}"
        return Owner(shown_name(found["name"]), found["id"], key=key), (found["rest"],)
    return Owner(shown_name(stem(last)), key=f"{place}/{last}"), parts


def _moodle(found: re.Match[str], folder: str) -> Owner:
    key = f"{found['name']}_{found['id']}"
    return Owner(shown_name(found["name"].strip()), found["id"], folder.rstrip("_"), key)


def stem(name: str) -> str:
    """``anna`` of ``anna.py`` and of ``anna.tar.gz``."""
    for ending in (".tar.gz", ".tar.bz2", ".tar.xz"):  # two suffixes
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    before, dot, _ = name.rpartition(".")
    return before if dot and before else name


def without_attempt(name: str) -> tuple[str, int]:
    """A file's name without Canvas' number of a later attempt, and that number, 0 for the first."""
    found = _AGAIN.fullmatch(stem(name))
    if not found:
        return name, 0
    return found["stem"] + name[len(stem(name)) :], int(found["number"])


def shown_name(name: str) -> str:
    """A name as people may read it: composed letters, nothing unseen, no line's direction turned."""
    text = unicodedata.normalize("NFC", name)
    shown = "".join("\N{REPLACEMENT CHARACTER}" if _unseen(c) else c for c in text)
    shown = " ".join(shown.split())
    return (shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…") or "(no name)"


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def told_apart(owners: Iterable[Owner]) -> dict[Owner, str]:
    """A name for each of different owners: the number behind equal ones, ``Anna (12345)``, else a count.

    Names that differ in nothing but capitals count as equal: they become names of files.
    """
    found: dict[str, list[Owner]] = {}
    for owner in dict.fromkeys(owners):
        found.setdefault(owner.name.casefold(), []).append(owner)
    names: dict[Owner, str] = {}
    taken = set(found)
    for same in found.values():
        for number, owner in enumerate(same):
            name, count = owner.name, 2
            if len(same) > 1 and owner.id:
                name = f"{owner.name} ({owner.id})"
            elif number:
                name = f"{owner.name} (2)"
            while name.casefold() in taken and name != same[0].name:
                count += 1
                name = f"{owner.name} ({count})"
            taken.add(name.casefold())
            names[owner] = name
    return names


def file_names(students: Iterable[str]) -> dict[str, str]:
    """For each student the beginning of names of files: letters, digits, ``.``, ``_``, ``-``; all differ."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for student in students:
        plain = re.sub(r"[^\w.-]+", "_", student).strip("._-")[:60] or "student"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names[student] = name
    return names
