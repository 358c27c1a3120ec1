"""The report in headless Chromium: whole, silent, fetching nothing, also in the dark and on a phone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.chromium import barriers, browse, needs_chromium, probe
from tests.conftest import PROGRAM, ROOT, Mlhw

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run for all of these tests, none of which changes its report."""
    folder = tmp_path_factory.mktemp("report")
    smoke = str(ROOT / "configs" / "smoke" / "lr-sweep.yaml")
    asked = [str(PROGRAM), "lr-sweep", "-c", smoke, "--runs-dir", str(folder)]
    assert subprocess.run(asked, capture_output=True, timeout=300, cwd=folder).returncode == 0
    return next(folder.glob("2*"))


def test_a_report_loads_whole_and_fetches_nothing(run: Path, tmp_path: Path) -> None:
    found = probe(run / "report.html", tmp_path, "--window-size=1200,900")
    assert found["problems"] == []
    assert found["fetched"] == []
    assert found["drawings"] == 5
    assert found["wide"] == 0
    assert (run / "report.html").stat().st_size < 5_000_000


def test_on_a_phone_nothing_but_tables_scrolls_sideways_and_the_dark_is_dark(
    run: Path, tmp_path: Path
) -> None:
    light = probe(run / "report.html", tmp_path, "--window-size=500,900")
    dark = probe(
        run / "report.html",
        tmp_path,
        "--window-size=500,900",
        "--blink-settings=preferredColorScheme=0",
    )
    assert light["wide"] == dark["wide"] == 0
    assert light["ink"] != dark["ink"]
    assert light["text"] == "rgb(0, 0, 0)"
    assert dark["text"] == dark["ink"]


def test_the_page_of_the_whole_assignment_loads_whole(mlhw: Mlhw, tmp_path: Path) -> None:
    for name in ("lr-sweep", "softmax-regions"):
        text = (ROOT / "configs" / "smoke" / f"{name}.yaml").read_text()
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "all.yaml").write_text(
        "experiments: {lr-sweep: lr-sweep.yaml, softmax-regions: softmax-regions.yaml}\n"
    )
    found = mlhw("all", "-c", "all.yaml")
    assert found.returncode == 0, found.stderr
    (folder,) = tmp_path.glob("runs/*-all")
    values = probe(folder / "report.html", tmp_path)
    assert values["problems"] == values["fetched"] == []
    assert values["images"] == values["loaded"]
    assert int(str(values["drawings"])) > 5


@pytest.mark.parametrize(
    "options",
    [
        ["--window-size=1200,900"],
        ["--window-size=500,900"],
        ["--window-size=1200,900", "--blink-settings=preferredColorScheme=0"],
    ],
    ids=["light", "phone", "dark"],
)
def test_a_report_has_no_barrier_for_keyboards_and_screen_readers(
    run: Path, tmp_path: Path, options: list[str]
) -> None:
    assert barriers(run / "report.html", tmp_path, *options) == []


def test_on_a_phone_a_claim_is_read_from_top_to_bottom(run: Path, tmp_path: Path) -> None:
    """A table of five columns would be read sideways; its cells stand below each other instead."""
    script = """
    <script>addEventListener("load", () => {
      // A claim with all five; an empty cell is not shown.
      const cells = [...document.querySelectorAll("table.claims tbody tr")]
        .map(row => [...row.cells]).find(cells => cells.every(cell => cell.textContent));
      document.title = JSON.stringify({
        tops: cells.map(c => c.getBoundingClientRect().top),
        label: getComputedStyle(cells[2], "::before").content,
      });
    });</script>
    """
    wide = browse(run / "report.html", tmp_path, script, "--window-size=1200,900")
    phone = browse(run / "report.html", tmp_path, script, "--window-size=500,900")
    assert len(set(wide["tops"])) == 1  # type: ignore[call-overload]
    assert phone["tops"] == sorted(set(phone["tops"]))  # type: ignore[call-overload]
    assert len(phone["tops"]) == 5  # type: ignore[arg-type]
    assert "measured" in str(phone["label"])


def test_at_360_pixels_nothing_is_cut_off_but_tables_that_scroll(run: Path, tmp_path: Path) -> None:
    script = """
    <script>addEventListener("load", () => {
      document.body.style.maxWidth = "360px";
      const scrolls = e => e.closest("pre") || e.closest("#tables .scroll, #run .scroll");
      const cut = [...document.querySelectorAll("th, td, h1, h2, h3, p, dd, summary, figure, svg.math")]
        .filter(e => !e.closest("thead") && !scrolls(e) && e.getClientRects().length)
        .filter(e => e.getBoundingClientRect().right > document.body.getBoundingClientRect().right);
      document.title = JSON.stringify({cut: cut.map(e => e.outerHTML.slice(0, 80))});
    });</script>
    """
    assert browse(run / "report.html", tmp_path, script, "--window-size=500,900")["cut"] == []


@pytest.mark.parametrize("width", [1280, 500], ids=["wide", "phone"])
def test_the_contents_stay_in_view_and_lead_to_each_section(
    run: Path, tmp_path: Path, width: int
) -> None:
    script = """
    <script>addEventListener("load", () => {
      scrollTo(0, 2000);
      const nav = document.querySelector("nav.contents"), box = nav.getBoundingClientRect();
      const list = nav.querySelector(innerWidth > 1200 ? ".wide" : ".narrow");
      const links = [...list.querySelectorAll("a")];
      const shown = () => links.filter(a => a.checkVisibility()).length;
      const before = shown(), scrolled = scrollY;
      list.open = true;
      document.title = JSON.stringify({
        scrolled, top: box.top, height: box.height, before, after: shown(),
        links: links.map(a => a.hash), missing: links.filter(a => !document.querySelector(a.hash)).length,
      });
    });</script>
    """
    found = browse(run / "report.html", tmp_path, script, f"--window-size={width},900")
    links = found["links"]
    assert isinstance(links, list)
    assert found["scrolled"] == 2000
    assert found["top"] in (0, 24)
    assert found["missing"] == 0
    assert {"#answers", "#claims", "#figure-nll", "#mathematics", "#tables", "#run"} <= set(links)
    assert found["after"] == len(links)
    # Where there is no room for them beside the page they fold into one line.
    assert found["before"] == (len(links) if width == 1280 else 0)
    assert width == 1280 or float(str(found["height"])) < 60


def test_a_link_to_a_claim_opens_what_is_folded(run: Path, tmp_path: Path) -> None:
    script = """
    <script>addEventListener("load", () => {
      const row = document.getElementById("claim-above-optimum"), fold = row.closest("details");
      fold.open = false;
      location.hash = "#" + row.id;
      setTimeout(() => document.title = JSON.stringify({
        open: fold.open, top: row.getBoundingClientRect().top, high: innerHeight,
      }), 100);
    });</script>
    """
    found = browse(run / "report.html", tmp_path, script, "--virtual-time-budget=3000")
    assert found["open"] is True
    assert 0 <= float(str(found["top"])) < float(str(found["high"]))


def test_a_formula_stands_on_the_line_of_its_text_and_is_as_large(
    run: Path, tmp_path: Path
) -> None:
    script = """
    <script>addEventListener("load", () => {
      const span = document.querySelector(".formula"), svg = span.querySelector("svg");
      const mark = document.createElement("span");
      mark.style = "display:inline-block;width:1px;height:0";  // its bottom is the baseline
      span.append(mark);
      const box = svg.getBoundingClientRect(), scale = box.height / svg.viewBox.baseVal.height;
      document.title = JSON.stringify({
        baseline: mark.getBoundingClientRect().bottom,
        drawn: box.top - svg.viewBox.baseVal.y * scale,
        em: 100 * scale, font: parseFloat(getComputedStyle(span).fontSize),
        colour: getComputedStyle(svg.firstElementChild).fill, ink: getComputedStyle(document.body).color,
        said: span.querySelector(".said").getBoundingClientRect().width,
      });
    });</script>
    """
    found = browse(
        run / "report.html",
        tmp_path,
        script,
        "--window-size=1280,900",
        "--blink-settings=preferredColorScheme=0",
    )
    assert found["drawn"] == pytest.approx(found["baseline"], abs=0.5)
    assert found["em"] == pytest.approx(found["font"], rel=0.01)
    assert found["colour"] == found["ink"]
    assert float(str(found["said"])) <= 1
