"""``bench/performance.py`` measures two checkouts in turn, ``bench/guard.py`` warns, and a page tells it."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def performance() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "bench"))
    import performance

    yield performance
    sys.path.remove(str(ROOT / "bench"))


@pytest.fixture
def guard(performance: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``guard.py`` before a row ``sleeping``, whose code takes 0.1 s, as long as its peer."""
    import guard

    monkeypatch.setattr(guard, "ROWS", tmp_path)
    monkeypatch.setattr(guard, "ROOT", checkout(tmp_path, "now", 0.1))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    row_file(tmp_path, SLEEPING.replace("0.03", "0.1"))
    return guard


def saved(ratio: float) -> dict[str, Any]:
    """What was kept of that row when the peer took ``ratio`` times as long."""
    times = {"mlhw": [1.0] * 3, "before": [0.1] * 3, "slow peer": [9.0] * 3, "peer": [ratio] * 3}
    ratios = {"before": [0.1] * 3, "slow peer": [9.0] * 3, "peer": [ratio] * 3}
    return {"sleeping": {"title": "Sleeping", "times": times, "ratios": ratios}}


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


def test_works_of_mlhw_are_measured_with_both_codes_and_peers_beside_the_one_of_the_same_words(
    performance: ModuleType, tmp_path: Path
) -> None:
    now, before = checkout(tmp_path, "now", 0.02), checkout(tmp_path, "older", 0.06)
    text = SLEEPING.replace(
        '"peer":', '"mlhw, twice": lambda: [mlhw.work() for _ in "12"], "peer, twice":'
    ).replace('times["peer"]', "1")
    found = performance.measure(row_file(tmp_path, text), now, before, tmp_path / "caches", 2)
    assert list(found["times"]) == ["mlhw", "before", "mlhw, twice", "before, twice", "peer, twice"]
    assert found["ratios"]["before, twice"][1] == pytest.approx(3, rel=0.5)
    assert 0.4 < found["ratios"]["peer, twice"][1] < 1  # 30 ms beside 40 ms, not beside 20 ms


def test_a_row_may_take_its_files_away_when_it_is_done(
    performance: ModuleType, tmp_path: Path
) -> None:
    now, left = checkout(tmp_path, "now", 0.0), tmp_path / "left"
    text = SLEEPING.replace('times["before"] / 3', "1").replace(
        "import time\n",
        f"import time, atexit, pathlib\n    left = pathlib.Path({str(left)!r})\n",
        1,
    )
    text = text.replace(
        "import mlhw\n", "import mlhw; left.touch(); atexit.register(left.unlink)\n"
    )
    performance.measure(row_file(tmp_path, text), now, None, tmp_path / "caches", 1)
    assert not left.exists()
    broken = text.replace("return {", "return 1 / 0, {")
    with pytest.raises(performance.RowFailed, match="ZeroDivisionError"):
        performance.measure(row_file(tmp_path, broken), now, None, tmp_path / "caches", 1)
    assert not left.exists()


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


def test_the_guard_warns_where_a_row_is_half_as_fast_as_it_was(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, looked = guard.guard(["sleeping"], saved(4.0))
    assert line.startswith("warning: half as fast: Sleeping: peer takes ")
    assert "and took 4.00 times (python bench/performance.py --rows sleeping)" in line
    assert looked.startswith("speed: 1 rows looked at")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert guard.guard(["sleeping"], saved(4.0))[0].startswith("::warning title=half as fast::Sl")


def test_the_guard_is_silent_about_a_row_that_is_as_it_was_and_about_unknown_ones(
    guard: ModuleType,
) -> None:
    (looked,) = guard.guard(["sleeping", "not measured yet"], saved(1.2))
    assert looked.startswith("speed: 1 rows looked at")


def test_the_guard_stops_in_time_and_says_what_it_left(guard: ModuleType, tmp_path: Path) -> None:
    row_file(tmp_path, SLEEPING.replace("0.03", "60"))
    looked, left = guard.guard(["sleeping", "sleeping"], saved(4.0), limit=2.0)
    assert looked.startswith("speed: 0 rows looked at in 2 s")
    assert left == "speed: no time left for sleeping, sleeping"


def test_a_row_that_breaks_is_no_warning_of_the_guard(guard: ModuleType, tmp_path: Path) -> None:
    row_file(tmp_path, "def works():\n    raise OSError('no such peer')\n")
    broken, looked = guard.guard(["sleeping"], saved(4.0))
    assert broken == "speed of sleeping not looked at: OSError: no such peer"
    assert looked.startswith("speed: 0 rows")


# ------------------------------------------------------------------------------------ the page


def test_the_exponent_is_that_of_the_power_law_and_its_error_that_of_a_regression(
    performance: ModuleType,
) -> None:
    import growth
    from scipy.stats import linregress

    sizes = [1, 2, 4, 8]
    assert growth.slope(sizes, [3.0 * k**1.5 for k in sizes]) == pytest.approx([1.5, 0.0], abs=1e-9)
    scattered = [1.0, 2.4, 3.5, 9.1]
    line = linregress(np.log(sizes), np.log(scattered))
    assert growth.slope(sizes, scattered) == pytest.approx([line.slope, line.stderr])


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "docs"))
    import performance_tables

    yield performance_tables
    sys.path.remove(str(ROOT / "docs"))


def test_the_table_has_the_numbers_and_goals_of_a_row(tables: ModuleType) -> None:
    row = {
        "title": "Sleeping",
        "machine": "2 cores",
        "versions": {"numpy": "2"},
        "load": 0.25,
        "date": "2026-11-27",
        "turns": 7,
        "checks": {"apart": 1.25e-13},
        "times": {
            "mlhw": [0.0071, 0.0074, 0.0079],
            "mlhw, deep": [2, 3, 4],
            "before": [1, 1.5, 2],
            "peer": [11, 12, 13],
        },
        "ratios": {"before": [200, 203, 206], "peer": [1600, 1620, 1660]},
        "goals": {"at most 8 ms": True, "half of the peer": False},
    }
    text = tables.closing({"rows": {"sleeping": row}})
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert cells == [
        "Sleeping (`sleeping`)",
        "7.40 ± 0.40 ms<br>deep: 3.00 ± 1.00 s",
        "203 ± 3 (1.50 ± 0.50 s)",
        "peer 1,620 ± 30 (12.0 ± 1.0 s)",
        "met: at most 8 ms<br>**not met**: half of the peer",
    ]
    assert "2 cores. numpy 2. Measured on 2026-11-27, 7 to 7 turns a row" in text
    assert "| Sleeping | apart | 1.25e-13 |" in tables.checks({"rows": {"sleeping": row}})


def test_a_table_without_measurements_names_the_command_that_makes_them(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = "before\n<!-- performance growth -->\nold\n<!-- / -->\nafter"
    assert "\nNot measured yet: `python bench/growth.py`.\n<!-- / -->" in tables.with_performance(
        text
    )


def test_the_page_says_of_every_goal_that_is_not_reached_what_stops_it() -> None:
    path = ROOT / "bench" / "results" / "performance.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    told = page.split("## Where a goal is not reached")[1].split("\n## ")[0]
    silent = [
        name
        for name, row in rows.items()
        if not all(row["goals"].values()) and f"**`{name}`.**" not in told
    ]
    assert not silent
