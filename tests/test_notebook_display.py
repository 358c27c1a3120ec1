"""What a notebook shows: results and tables as HTML, and progress that goes when the work is done."""

from __future__ import annotations

import html.parser
import re
import sys
import types
from typing import Any

import pytest

import mlhw
from mlhw.result.claims import Claim
from mlhw.result.kernel import KernelRecorder, in_notebook, line
from mlhw.result.notebook import counts, result_html
from mlhw.result.observations import Observation
from mlhw.result.result import Result
from mlhw.result.tables import Table


class Reader(html.parser.HTMLParser):
    """The texts of a page, and whether every element that is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def result() -> Result:
    return mlhw.lr_sweep(etas=[0.5, 0.1], max_iterations=20)


def test_a_result_shows_every_claim_with_its_verdict_and_every_table(result: Result) -> None:
    page = Reader(result._repr_html_())
    for claim in result.claims:
        assert claim.statement in page.texts
        assert any(text.endswith(claim.verdict) for text in page.texts)
    assert any("0.5  20  " in text for text in page.texts), "rows of the answers stay in line"
    for seen in result.observations:
        assert seen.statement in page.texts
    for table in result.tables.values():
        assert any(f"Table {table.name}, {len(table)} rows" in text for text in page.texts)
    assert ".figures['nll']" in "".join(page.texts)
    assert "5 of 40 rows" in page.texts


def test_the_three_numbers_of_a_heading_add_up_to_all_claims(result: Result) -> None:
    numbers = [int(word) for word in re.findall(r"\d+", counts(result.claims))]
    assert sum(numbers) == len(result.claims)
    one = [Claim("a", "s", verdict, None, None) for verdict in ("holds", "fails")]
    assert counts(one) == "1 claim holds, 1 fails, 0 not applicable"


def test_a_table_shows_its_first_rows_and_how_many_there_are() -> None:
    table = Table("t", ["eta", "name"])
    table.extend([(0.1 * k, f"row {k}") for k in range(12)])
    page = Reader(table._repr_html_())
    assert page.texts[:2] == ["eta", "name"]
    assert "row 9" in page.texts
    assert "row 10" not in page.texts
    assert "10 of 12 rows" in page.texts


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "\x1b["]
)
def test_nothing_that_a_file_holds_becomes_markup(hostile: str) -> None:
    table = Table(hostile, [hostile])
    table.append(hostile)
    page = result_html(
        hostile,
        answers=[hostile],
        claims=[Claim("id", hostile, "holds", {hostile: hostile}, hostile, note=hostile)],
        observations=[Observation("id", hostile, True, hostile, hostile)],
        tables=[table],
        figures=[hostile],
    )
    assert Reader(page).tags <= ELEMENTS
    assert "\x1b" not in page


ELEMENTS = {
    "div",
    "h4",
    "p",
    "pre",
    "details",
    "summary",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


class Shown:
    """In place of IPython's display: what stands below the cell, in order."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def display(self, shown: Any, display_id: bool) -> Shown:
        assert display_id
        self.update(shown)
        return self

    def update(self, shown: Any) -> None:
        self.pages.append(shown.data)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A process that takes itself for a notebook's kernel."""
    pytest.importorskip("IPython", reason="needs the development tools")
    import IPython
    import IPython.display

    shown = Shown()
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", shown.display)
    monkeypatch.setattr("mlhw.result.kernel._PATIENCE", 0.0)
    monkeypatch.setattr("mlhw.result.kernel._REST", 0.0)
    return shown


def test_progress_stands_below_the_cell_and_is_gone_at_the_end(kernel: Shown) -> None:
    assert in_notebook()
    mlhw.sgd_sweep(etas=[0.1], epochs=300)
    assert any('<progress max="1"' in page for page in kernel.pages)
    assert kernel.pages[-1] == ""
    assert "100%" in line(3, 3, "x")
    assert line(3, None, "<b>") == "<span>&lt;b&gt;</span>"


def test_progress_is_gone_after_an_error_too(
    kernel: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlhw.experiments.lr_sweep.experiment as experiment

    def broken(config: Any, recorder: KernelRecorder) -> Result:
        recorder.progress(1, 2, "half")
        raise ArithmeticError

    monkeypatch.setattr(experiment, "run", broken)
    with pytest.raises(ArithmeticError):
        mlhw.lr_sweep()
    assert len(kernel.pages) == 2
    assert kernel.pages[-1] == ""


def test_outside_of_a_notebook_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    assert "IPython" not in sys.modules
