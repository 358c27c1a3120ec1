"""docs/reliability.md holds what was measured, and every figure its promise and its test."""

from __future__ import annotations

import importlib.util
import json
import re
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.faults.tally import OUTCOMES

PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "bench" / "results"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    path = ROOT / "docs" / "fault_tables.py"
    spec = importlib.util.spec_from_file_location("fault_tables", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def faults() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "faults.json").read_text())
    return found


def test_the_page_has_the_tables_as_they_were_measured(tables: ModuleType) -> None:
    text = PAGE.read_text()
    assert tables.with_tables(text) == text, "run: python docs/generate.py"
    assert len(re.findall(r"^\| .* \|$", text, re.M)) > 10


def test_every_kind_of_fault_has_its_promise_and_its_test(
    tables: ModuleType, faults: dict[str, Any]
) -> None:
    assert {"kills", "fuzzing", "signals_all"} <= tables.counted_kinds()
    for kind in {*faults["rows"], *tables.counted_kinds()}:
        assert tables.promise_of(kind), f"{kind}: add its promise to docs/fault_tables.py"
        assert tables.tests_of(kind), f"no test in tests/faults counts {kind}"


def test_of_all_faults_none_was_lost_or_silent(faults: dict[str, Any]) -> None:
    """The figures are those of a run in which every test was green."""
    for kind, row in {**faults["rows"], "all": faults["all"]}.items():
        assert {row[outcome] for outcome in OUTCOMES[1:]} == {0}, kind
        assert row["survived"] == row["injected"] > 0, kind


def test_a_kind_belongs_to_the_longest_name_that_fits(tables: ModuleType) -> None:
    assert tables.promise_of("signals_early") == "signals"
    assert tables.promise_of("numba_cache") == "numba_cache"
    assert tables.promise_of("signalling") is None
    assert [path.name for path in tables.tests_of("long")] == ["test_long.py"]
    assert tables.tests_of("no such kind") == []


def test_a_table_is_made_of_the_results(tables: ModuleType) -> None:
    row = {"injected": 1200, "survived": 1199, "lost": 1, "silent": 0, "traceback": 0, "escaped": 0}
    rows = {"many": {**row, "date": "2026-11-26"}, "kills": {**row, "date": "2026-11-25"}}
    files = {f"test_{kind}": {kind: {**row, "machine": "a"}} for kind in rows}
    found = {"rows": rows, "all": row, "files": files}
    made = tables.faults_table(found).splitlines()
    assert made[2].startswith(f"| {tables.PROMISES['kills']} | kills: ")
    many = "| many: [many](../tests/faults/test_many.py) | 1,200 | 1,199 | 1 | 0 | 0 | 0 | 2026-11-26 |"
    assert made[3].endswith(many)
    assert made[4] == "| **all** | | **1,200** | **1,199** | **1** | **0** | **0** | **0** | |"
    assert made[6] == "Counted on a."
    files["test_many"]["many"]["machine"] = "b"
    assert tables.machine_lines(files) == ["- many: b", "- kills: a"]
    took = {"count": 200, "median": 0.03, "largest": 1.09, "soon": 0.985}
    assert tables.time_lines({"test_signals": {"signals": {**row, "times": took}}}) == [
        "- signals: from signal to end 0.03 s in the median, within half a second 98.5% of 200, the "
        "slowest 1.09 s",
        "",
    ]


def test_what_a_peer_does_is_said_in_words(tables: ModuleType) -> None:
    row = {"injected": 7, "went on": 4, "began anew": 1, "error": 2, "errors": {"E: a|b": 2}}
    assert tables.went_on("kills")({"kills": row}) == (
        "4 of 7 go on; 1 begin anew; 2 cannot: `E: a\\|b`"
    )
    term = {"code": -15, "after": "went on", "bitwise": False, "steps_again": 4}
    assert tables.stopped({"term": term}) == "exit code 143; 4 steps done again, other weights"
    assert tables.stopped({"term": {**term, "code": None}}).startswith("exit code not measured;")
    flips = {"injected": 9, "noticed": 3, "same": 2, "other": 4}
    assert tables.flips({"flips": flips}) == (
        "of 9: 3 refused, 2 without effect, 4 other numbers in silence"
    )
    assert tables.flips({"flips": {**flips, "said": 2}}).startswith(
        "of 9: 2 named, and the right numbers from an older state, 3 refused, 0 without effect"
    )
