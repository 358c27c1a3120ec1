"""The report in headless Chromium: whole, silent, fetching nothing, also in the dark and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.chromium import barriers, browse, needs_chromium, probe
from tests.conftest import ROOT, Mlhw

pytestmark = needs_chromium


@pytest.fixture
def run(mlhw: Mlhw, tmp_path: Path) -> Path:
    smoke = str(ROOT / "configs" / "smoke" / "lr-sweep.yaml")
    assert mlhw("lr-sweep", "-c", smoke).returncode == 0
    return next(tmp_path.glob("runs/2*"))


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
