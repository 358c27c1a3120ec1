"""Licences and known vulnerabilities of every package in requirements.lock.

    python bench/audit.py

Exit code 0: every licence permits use beside the MIT licence of mlhw, what is installed is what is
locked, and no vulnerability is known. 1: something of that is not so. 69 (as sysexits.h has it): the
licences are right, but the database of vulnerabilities cannot be reached, so nothing is known of those.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from timing import ROOT, record

FOUND, UNREACHABLE = 1, 69
LOCK = ROOT / "requirements.lock"

# What may be used, changed and passed on beside code under MIT, with its notice.
PERMISSIVE = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    ]
)
# What asks for the source of its own files alone: imported as it is, it asks nothing of mlhw.
OWN_FILES = frozenset({"LGPL", "MPL-2.0"})

# Names that packages write instead of the identifiers.
NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# For a package that only brings the text.
OPENINGS = {
    "Permission is hereby granted, free of charge, to any person obtaining a copy": "MIT",
    "Redistribution and use in source and binary forms": "BSD",
    "Licensed under the Apache License, Version 2.0": "Apache-2.0",
}
# The tools that install and the project itself; what torch for a GPU brings, pinned by torch.
NOT_LOCKED = re.compile(r"mlhw|pip|setuptools|wheel|(nvidia|cuda)-.*|triton")


@dataclass(frozen=True)
class Package:
    """A package of the lock; ``licence`` is None where it does not say one, ``installed`` where it is not."""

    name: str
    locked: str
    installed: str | None
    licence: str | None

    @property
    def wrong(self) -> str | None:
        """What is wrong with it, in words."""
        if self.installed is None:
            return None
        if self.installed.partition("+")[0] != self.locked:
            return f"{self.name} {self.installed} is installed, {self.locked} is locked"
        if self.licence is None:
            return f"{self.name} {self.locked}: says no licence"
        if not permitted(self.licence):
            return f"{self.name} {self.locked}: licence {self.licence} is none that is known to permit use"
        return None


def permitted(licence: str) -> bool:
    """Whether an SPDX expression permits use: all that AND joins, one of those that OR joins."""
    return all(
        any(
            word.partition(" WITH ")[0].strip() in PERMISSIVE | OWN_FILES
            for word in part.split(" OR ")
        )
        for part in re.sub(r"[()]", "", licence).split(" AND ")
    )


def licence_of(
    metadata: Mapping[str, Any] | Message, texts: Callable[[], Iterator[str]]
) -> str | None:
    """The licence that a package's metadata name, or else the first of its ``texts`` that is known."""
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    listed = metadata.get_all("Classifier", []) if isinstance(metadata, Message) else []
    classified = [str(c).split(" :: ")[-1] for c in listed if str(c).startswith("License :: ")]
    said = [" ".join(str(metadata.get("License") or "").split())]
    for name in [*classified, *said]:
        known = NAMES.get(name, name)
        if known in PERMISSIVE | OWN_FILES or (" AND " in known and permitted(known)):
            return known
    for text in texts():
        plain = " ".join(text.split())
        for opening, known in OPENINGS.items():
            if opening in plain:
                return known
    return next((name for name in [*classified, *said] if name not in ("", "UNKNOWN")), None)


def packages(lock: str) -> list[Package]:
    """Every package of the lock as it is installed here."""
    found = []
    for line in lock.splitlines():
        name, pinned, version = line.partition("==")
        if not pinned:
            continue
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(Package(name, version, None, None))
            continue
        metadata: Any = package.metadata
        licence = licence_of(metadata, lambda package=package: _texts(package))  # type: ignore[misc]
        found.append(Package(name, version, package.version, licence))
    return found


def _texts(package: importlib.metadata.Distribution) -> Iterator[str]:
    for file in package.files or ():
        if ".dist-info" in str(file) and re.search(r"licen[cs]e|copying", file.name, re.I):
            yield Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")


def unlocked(found: list[Package]) -> list[str]:
    """Packages that are installed and that the lock does not name."""
    names = {_plain(package.name) for package in found}
    installed = {_plain(p.metadata["Name"]) for p in importlib.metadata.distributions()}
    extra = [name for name in sorted(installed - names) if not NOT_LOCKED.fullmatch(name)]
    return [f"{name} is installed and not in the lock" for name in extra]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class DatabaseUnreachable(Exception):
    """Nothing can be said about vulnerabilities; its text says why."""


Ask = Callable[[str], "subprocess.CompletedProcess[str]"]


def ask_pip_audit(lines: str) -> subprocess.CompletedProcess[str]:
    """What pip-audit says of pinned packages, one a line."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lines)
        file.flush()
        return subprocess.run(
            [
                *(sys.executable, "-m", "pip_audit", "-r", file.name, "--no-deps", "--disable-pip"),
                *("-f", "json", "--progress-spinner", "off", "--timeout", "15"),
            ],
            capture_output=True,
            text=True,
        )


def vulnerabilities(found: list[Package], ask: Ask = ask_pip_audit) -> tuple[list[str], list[str]]:
    """Lines about known vulnerabilities, and the packages that the database does not know.

    One package is asked for first. Where a mirror answers for the database, it knows none of them, and
    pip-audit calls that "no known vulnerabilities".

    Raises DatabaseUnreachable.
    """
    pins = [f"{package.name}=={package.locked}" for package in found]
    _answer(ask(pins[0]))
    lines, unknown = [], []
    for entry in _answer(ask("\n".join(pins))):
        if "skip_reason" in entry:
            unknown.append(entry["name"])
        for known in entry.get("vulns", ()):
            fixed = ", ".join(known.get("fix_versions", ())) or "no version yet"
            lines.append(f"{entry['name']} {entry['version']}: {known['id']}, mended in {fixed}")
    return lines, unknown


def _answer(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise DatabaseUnreachable(reason) from None
    if all("skip_reason" in entry for entry in entries):
        raise DatabaseUnreachable(f"it knows none of the packages ({entries[0]['skip_reason']})")
    return entries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="into bench/results/audit.json")
    options = parser.parse_args()
    found = packages(LOCK.read_text(encoding="utf-8"))
    wrong = [line for package in found if (line := package.wrong)] + unlocked(found)
    here = [package for package in found if package.installed is not None]
    counts = Counter(package.licence or "none" for package in here)
    for licence, count in counts.most_common():
        names = [package.name for package in here if (package.licence or "none") == licence]
        print(f"{count:4}  {licence}: {', '.join(names)}")
    absent = [package.name for package in found if package.installed is None]
    if absent:
        print(f"not installed here, so not looked at: {', '.join(absent)}")
    numbers: dict[str, Any] = {"packages": len(here), "licences": dict(counts.most_common())}
    try:
        known, unknown = vulnerabilities(found)
        print(f"{len(known)} known vulnerabilities; the database does not have {unknown or 'none'}")
        wrong += known
        numbers |= {"vulnerabilities": len(known), "asked": len(found) - len(unknown)}
        code = FOUND if wrong else 0
    except DatabaseUnreachable as error:
        print(f"vulnerabilities: the database cannot be reached: {error}", file=sys.stderr)
        numbers |= {"vulnerabilities": None, "asked": 0}
        code = FOUND if wrong else UNREACHABLE
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    print(f"{len(here)} packages looked at, {len(wrong)} errors")
    if options.write:
        record("audit", {**numbers, "errors": len(wrong)})
    return code


if __name__ == "__main__":
    sys.exit(main())
