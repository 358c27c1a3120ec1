"""``bench/performance.py`` measures the code of two checkouts in turn; ``bench/guard.py`` warns by ratios."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def performance() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "bench"))
    import performance

    yield performance
    sys.path.remove(str(ROOT / "bench"))


def checkout(folder: Path, name: str, seconds: float) -> Path:
    """A package ``mlhw`` that only sleeps, and tells nobody else's."""
    package = folder / name / "mlhw"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"import time\n\ndef work():\n    time.sleep({seconds})\n    print('said by a row')\n"
    )
    return folder / name


def row_file(folder: Path, text: str) -> Path:
    path = folder / "sleeping.py"
    path.write_text('ROW = "5b"\nTITLE = "Sleeping"\nGOAL = "short"\n' + textwrap.dedent(text))
    return path


SLEEPING = """
    import time

    def works():
        import mlhw
        return {"mlhw": mlhw.work, "peer": lambda: time.sleep(0.03)}

    def goals(times):
        return {"faster than the peer": times["mlhw"] < times["peer"],
                "a third of before": times["mlhw"] < times["before"] / 3}

    def checks():
        return {"apart": 0.25}
    """


def test_a_row_is_measured_with_the_code_of_both_checkouts(
    performance: ModuleType, tmp_path: Path
) -> None:
    now, before = checkout(tmp_path, "now", 0.01), checkout(tmp_path, "older", 0.1)
    found = performance.measure(
        row_file(tmp_path, SLEEPING), now, before, tmp_path / "caches", turns=3
    )
    assert list(found["times"]) == ["mlhw", "before", "peer"]
    assert found["times"]["before"][1] > 0.1 > found["times"]["mlhw"][1] > 0.01
    assert found["ratios"]["before"][1] > found["ratios"]["peer"][1] > 1
    assert found["goals"] == {"faster than the peer": True, "a third of before": True}
    assert found["checks"] == {"apart": 0.25}
    assert (found["row"], found["title"], found["turns"]) == ("5b", "Sleeping", 3)
    assert any("faster than the peer" in line for line in performance.lines("sleeping", found))


def test_older_code_that_cannot_do_a_row_is_left_out_with_its_reason(
    performance: ModuleType, tmp_path: Path
) -> None:
    now, before = checkout(tmp_path, "now", 0.0), checkout(tmp_path, "older", 0.0)
    (before / "mlhw" / "__init__.py").write_text("")
    text = SLEEPING.replace('times["before"] / 3', "1")
    found = performance.measure(row_file(tmp_path, text), now, before, tmp_path / "caches", 1)
    assert list(found["times"]) == ["mlhw", "peer"]
    assert "no attribute 'work'" in found["before_missing"]


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("from rows import Skip; raise Skip('no photographs')", "RowSkipped", "no photographs"),
        ("from bench.rows import Skip; raise Skip('no peer')", "RowSkipped", "no peer"),
        ("raise ValueError('wrong')", "RowFailed", "ValueError: wrong"),
        ("import os; os._exit(7)", "RowFailed", "exit code 7"),
        ("return {'peer': print}", "RowFailed", "first"),
    ],
)
def test_a_row_that_cannot_be_measured_says_why(
    performance: ModuleType, tmp_path: Path, line: str, error: str, said: str
) -> None:
    now = checkout(tmp_path, "now", 0.0)
    row = row_file(tmp_path, f"def works():\n    {line}\n")
    with pytest.raises(getattr(performance, error), match=said):
        performance.measure(row, now, None, tmp_path / "caches", 1)


def test_code_from_elsewhere_is_not_taken_for_that_of_the_checkout(
    performance: ModuleType, tmp_path: Path
) -> None:
    """An empty checkout: Python finds the installed package, which is not the one to be measured."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(performance.RowFailed, match="instead of"):
        performance.measure(
            row_file(tmp_path, SLEEPING), tmp_path / "empty", None, tmp_path / "caches", 1
        )


def test_rows_of_earlier_runs_stay_in_their_order(performance: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    for name, place in (("ten", "10"), ("wide", "11b"), ("nine", "9"), ("deep", "11")):
        performance.keep({name: {"row": place}}, path)
    assert list(json.loads(path.read_text())["rows"]) == ["nine", "ten", "deep", "wide"]
    performance.keep({"nine": {"row": "9", "title": "anew"}}, path)
    found: dict[str, Any] = json.loads(path.read_text())["rows"]
    assert found["nine"]["title"] == "anew"
    assert len(found) == 4


@pytest.mark.parametrize(
    "row", sorted((ROOT / "bench" / "rows").glob("[a-z]*.py")), ids=lambda p: p.stem
)
def test_every_row_says_what_it_is_without_being_run(performance: ModuleType, row: Path) -> None:
    said = performance.said_by(row)
    assert said["title"] and said["goal"]  # noqa: PT018
    assert performance.place(said)[0] > 0
