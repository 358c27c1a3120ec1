"""``bench/audit.py`` refuses licences that are unknown, and does not take silence for safety."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def audit() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        spec = importlib.util.spec_from_file_location("bench_audit", ROOT / "bench" / "audit.py")
        assert spec
        assert spec.loader
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "bench"))


def metadata(*fields: tuple[str, str]) -> Message:
    found = Message()
    for name, value in fields:
        found[name] = value
    return found


@pytest.mark.parametrize(
    ("licence", "right"),
    [
        ("MIT", True),
        ("Apache-2.0 WITH LLVM-exception AND BSD-2-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("AGPL-3.0-or-later", False),
        ("LicenseRef-Proprietary", False),
        ("(MPL-2.0 AND MIT)", True),
    ],
)
def test_a_licence_permits_what_it_says(audit: ModuleType, licence: str, right: bool) -> None:
    assert audit.permitted(licence) is right


@pytest.mark.parametrize(
    ("fields", "text", "licence"),
    [
        ([("License-Expression", "BSD-3-Clause"), ("License", "GPL")], "", "BSD-3-Clause"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "", "MIT"),
        (
            [("License", "UNKNOWN")],
            "\nLicensed under the Apache\n License, Version 2.0",
            "Apache-2.0",
        ),
        ([("License", "the Beerware licence")], "no such text", "the Beerware licence"),
        ([("License", "UNKNOWN")], "no such text", None),
        ([], "", None),
    ],
)
def test_a_licence_is_read_from_where_the_package_says_it(
    audit: ModuleType, fields: list[tuple[str, str]], text: str, licence: str | None
) -> None:
    assert audit.licence_of(metadata(*fields), lambda: iter([text])) == licence


def test_a_package_without_a_licence_or_of_another_version_is_an_error(audit: ModuleType) -> None:
    assert "says no licence" in audit.Package("a", "1", "1", None).wrong
    assert "none that is known" in audit.Package("a", "1", "1", "GPL").wrong
    assert audit.Package("a", "1", "2", "MIT").wrong == "a 2 is installed, 1 is locked"
    assert audit.Package("a", "1", "1+cpu", "MIT").wrong is None


def test_every_locked_package_that_is_here_has_a_licence_that_permits_use(
    audit: ModuleType,
) -> None:
    found = audit.packages((ROOT / "requirements.lock").read_text())
    assert [package.wrong for package in found if package.wrong] == []
    assert sum(package.installed is not None for package in found) > 100


def answering(**answers: Any) -> Any:
    """pip-audit as it answers for the packages it is asked for, by name."""

    def ask(lines: str) -> subprocess.CompletedProcess[str]:
        names = [line.partition("==")[0] for line in lines.splitlines()]
        entries = [{"name": n, "version": "1", "vulns": [], **answers.get(n, {})} for n in names]
        return subprocess.CompletedProcess([], 0, json.dumps({"dependencies": entries}), "")

    return ask


def test_a_known_vulnerability_is_named_with_the_version_that_mends_it(audit: ModuleType) -> None:
    found = [audit.Package(name, "1", "1", "MIT") for name in "abc"]
    known = {"vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
    lines, unknown = audit.vulnerabilities(
        found, answering(b=known, c={"skip_reason": "not found"})
    )
    assert lines == ["b 1: CVE-1, mended in 2"]
    assert unknown == ["c"]


def test_a_database_that_knows_nothing_or_breaks_is_no_clean_bill(audit: ModuleType) -> None:
    found = [audit.Package(name, "1", "1", "MIT") for name in "ab"]
    with pytest.raises(audit.DatabaseUnreachable, match="knows none"):
        audit.vulnerabilities(found, answering(a={"skip_reason": "not found"}))
    broken = subprocess.CompletedProcess([], 1, "", "Traceback …\nConnectionError: no route\n")
    with pytest.raises(audit.DatabaseUnreachable, match="ConnectionError: no route"):
        audit.vulnerabilities(found, lambda lines: broken)
