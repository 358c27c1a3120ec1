"""A page that holds its files itself: whole when it is mailed, bounded, and with no script but its own."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import pytest

import mlhw
from mlhw.config.model import ExperimentConfig
from mlhw.result.plots import Printed
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.runs import html as report
from mlhw.runs import inlined

LINK = re.compile(
    r'<a class="file" download="([^"]*)" data-size="([^"]*)" href="data:([^;]*);base64,([^"]*)">'
)


DRAWN = Printed(b"", b'<svg viewBox="0 0 9 9"></svg>')


def facts(folder: Path) -> report.RunFacts:
    return report.RunFacts("Q?", "mlhw x", ExperimentConfig(), folder.name, {}, folder=folder)


@pytest.mark.parametrize(
    "name", ["metrics.csv", 'a"<b>&.csv', "犬.svg", "plots/nll.svg", "no-kind"]
)
def test_a_file_comes_out_of_the_link_as_it_went_in(tmp_path: Path, name: str) -> None:
    content = bytes(range(256))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    found = LINK.match(inlined.file_link(tmp_path, name))
    assert found
    assert html.unescape(found[1]) == Path(name).name
    assert base64.b64decode(found[4]) == content


def test_a_file_that_is_large_or_missing_is_named_and_no_link(tmp_path: Path) -> None:
    (tmp_path / "much.csv").write_bytes(b"x" * (inlined.LARGEST_FILE + 1))
    named = inlined.file_link(tmp_path, "much.csv")
    assert named == '<span class="file">much.csv (700 kB, in the run\'s folder)</span>'
    for text in (inlined.file_link(tmp_path, "none.csv"), inlined.file_link(None, "none.csv")):
        assert text == '<span class="file">none.csv</span>'


def test_a_page_that_grows_too_large_names_its_largest_files(tmp_path: Path) -> None:
    for name, size in (("small", 3_000), ("middle", 30_000), ("large", 60_000)):
        (tmp_path / f"{name}.csv").write_bytes(b"1" * size)
    page = "<p>" + " ".join(
        inlined.file_link(tmp_path, f"{n}.csv") for n in ("small", "large", "middle")
    )
    assert inlined.bounded(page, len(page)) == page
    less = inlined.bounded(page, 60_000)
    assert len(less) <= 60_000
    assert [found[1] for found in LINK.finditer(less)] == ["small.csv", "middle.csv"]
    assert "large.csv (60 kB, in the run's folder)" in less
    assert LINK.search(inlined.bounded(page, 10)) is None


def test_a_report_copied_alone_has_no_dead_link_and_holds_its_tables(tmp_path: Path) -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    result.save(tmp_path, plots=False)
    (tmp_path / "gallery.html").write_text("<p>images")
    text = report.page(
        result,
        report.RunFacts("Q?", "mlhw x", ExperimentConfig(), "r", {}, "gallery.html", tmp_path),
        {plot.name: DRAWN for plot in result.plots},
    )
    assert [
        link for link in re.findall(r'href="([^"]*)"', text) if not re.match(r"data:|#", link)
    ] == []
    files = {found[1]: base64.b64decode(found[4]) for found in LINK.finditer(text)}
    assert set(files) == {"metrics.csv", "limits.csv", "gallery.html"}
    for name, content in files.items():
        assert content == (tmp_path / name).read_bytes()
    # A figure that was not drawn here is named.
    assert '<span class="file">nll.svg</span>' in text


def test_the_page_allows_its_own_script_and_no_other(tmp_path: Path) -> None:
    result = mlhw.lr_sweep(max_iterations=3)
    text = report.page(result, facts(tmp_path), {plot.name: DRAWN for plot in result.plots})
    (allowed,) = re.findall(r"script-src 'sha256-([^']*)'", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert base64.b64decode(allowed) == hashlib.sha256(script.encode()).digest()
    assert text.count('<script type="application/json" class="live">') == 4
    assert not re.search(r"\son\w+=|javascript:|\beval\(|innerHTML = [^\"]", text)


def test_a_page_without_live_figures_allows_no_script_at_all(tmp_path: Path) -> None:
    table = Table("t", ["a"])
    table.append("<script>alert(1)</script>")
    text = report.page(Result("x", {}, tables={"t": table}), facts(tmp_path), {})
    assert "script-src 'none'" in text
    assert "<script" not in text
