"""The live figures of a report in headless Chromium: moved, pointed at, zoomed, and read.

What is read has to be what the run's tables say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mlhw
from mlhw.config.model import ExperimentConfig
from mlhw.result.plots import Printed
from mlhw.result.result import Result
from mlhw.runs.html import RunFacts, page
from mlhw.text.values import number_text
from tests.acceptance.chromium import barriers, browse, needs_chromium, probe

pytestmark = needs_chromium

# A square: the drawn figures have tests of their own.
DRAWN = Printed(
    b"", b'<svg viewBox="0 0 90 90" width="90pt" height="90pt"><path d="M9 9h72v72z"/></svg>'
)
ETAS = [0.3, 0.1]


@pytest.fixture(scope="module")
def result() -> Result:
    return mlhw.lr_sweep(max_iterations=40, etas=ETAS, tolerance=0)


@pytest.fixture
def report(result: Result, tmp_path: Path) -> Path:
    facts = RunFacts("Which rate?", "mlhw lr-sweep", ExperimentConfig(), "a run", {})
    path = tmp_path / "report.html"
    path.write_text(page(result, facts, {plot.name: DRAWN for plot in result.plots}))
    return path


# `figure(name)` opens a figure; `at` gives a place in its axes by shares.
ACT = """
<script>
addEventListener("load", () => {
  const of = name => document.querySelector(`figure[data-figure=${name}]`);
  const figure = name => { const found = of(name); found.querySelector(".explore").click(); return found; };
  const at = (svg, x, y) => {
    const box = svg.getBoundingClientRect(), inner = svg.querySelector(".inner");
    const side = name => +inner.getAttribute(name);
    return { clientX: box.left + side("x") + x * side("width"), clientY: box.top + side("y") + y * side("height") };
  };
  const point = (svg, name, x, y) => svg.dispatchEvent(new PointerEvent(name, { ...at(svg, x, y), button: 0, bubbles: true }));
  const wheel = (svg, x, y, deltaY) => svg.dispatchEvent(new WheelEvent("wheel", { ...at(svg, x, y), deltaY, bubbles: true, cancelable: true }));
  const press = (where, key) => where.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const values = where => [...where.querySelectorAll(".legend .value")].map(e => e.textContent);
  const said = where => where.querySelector("[role=status]").textContent;
  const ticks = svg => [...svg.querySelectorAll(".grid text")].map(e => e.textContent);
  const across = svg => [...svg.querySelectorAll('.grid text[text-anchor="middle"]')].map(e => +e.textContent);
  const up = svg => [...svg.querySelectorAll('.grid text[text-anchor="end"]')].map(e => +e.textContent);
  const heights = svg => [...svg.querySelectorAll('.grid text[text-anchor="end"]')].map(e => +e.getAttribute("y"));
  const found = {};
  %s
  document.title = JSON.stringify(found);
});
</script>
"""  # noqa: E501 - JavaScript


def nlls(result: Result, iteration: int) -> list[str]:
    """What the table ``metrics`` shows of each rate at an iteration."""
    return [
        number_text(nll, digits=8)
        for _, k, nll, *_ in result.tables["metrics"].rows
        if k == iteration
    ]


def test_the_slider_moves_the_separator_and_reads_what_the_table_says(
    report: Path, result: Result, tmp_path: Path
) -> None:
    act = """
      const plane = figure("separators"), slider = plane.querySelector("input[type=range]");
      const [points] = plane.querySelectorAll(".axes");
      const line = () => [...points.querySelectorAll(".separator")].map(l => l.getAttribute("y1"));
      const move = value => { slider.value = value; slider.dispatchEvent(new Event("input")); };
      found.last = [plane.querySelector("output").textContent, values(plane), +slider.max];
      found.lines = [line()];
      move(3);
      found.third = [plane.querySelector("output").textContent, values(plane)];
      found.lines.push(line());
      found.spoken = slider.getAttribute("aria-valuetext");
      found.cells = [...document.querySelectorAll("td.number")].map(c => c.textContent);
      plane.querySelector(".legend input").click();
      found.toggled = [values(plane), line().length];
      found.weights = plane.querySelectorAll(".value")[1].title;
    """
    found = browse(report, tmp_path, ACT % act, "--window-size=1100,900")
    assert found["last"] == ["iteration 39", [f"NLL {v}" for v in nlls(result, 39)], 39]
    third = nlls(result, 3)
    assert found["third"] == ["iteration 3", [f"NLL {value}" for value in third]]
    assert set(third) <= set(found["cells"])  # type: ignore[call-overload]
    assert found["spoken"] == (f"iteration 3; η = 0.3: NLL {third[0]}; η = 0.1: NLL {third[1]}")
    before, after = found["lines"]  # type: ignore[misc]
    assert len(before) == 2
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert found["toggled"] == [["", f"NLL {third[1]}"], 1]
    w = next(row[3:] for row in result.tables["metrics"].rows if row[:2] == (0.1, 3))
    assert found["weights"] == f"w = [{', '.join(number_text(value) for value in w)}]"


def test_pointing_at_a_curve_reads_the_tables_value_of_every_rate(
    report: Path, result: Result, tmp_path: Path
) -> None:
    act = """
      const nll = figure("nll"), svg = nll.querySelector(".axes");
      point(svg, "pointermove", 0.5, 0.5);
      found.read = [said(nll), values(nll), svg.querySelectorAll(".guide").length];
      point(svg, "pointerleave", 2, 2);
      found.left = [said(nll), values(nll)];
      svg.focus();
      for (const key of ["Home", "Home", ...Array(3).fill("ArrowRight"), "ArrowLeft"]) press(svg, key);
      found.keys = [said(nll), values(nll)];
      press(svg, "End");
      found.end = values(nll);
      nll.querySelectorAll(".legend input")[0].click();
      point(svg, "pointermove", 0, 0);
      found.one = [values(nll), svg.querySelectorAll(".line").length];
    """
    found = browse(report, tmp_path, ACT % act, "--window-size=1100,900")
    words, read, guides = found["read"]  # type: ignore[misc]
    iteration = int(words.removeprefix("iteration "))
    assert iteration in (19, 20)
    assert read == nlls(result, iteration)
    assert guides == 1
    assert found["left"] == ["", ["", ""]]
    two = nlls(result, 2)
    assert found["keys"] == [f"iteration 2; η = 0.3: {two[0]}; η = 0.1: {two[1]}", two]
    assert found["end"] == nlls(result, 39)
    assert found["one"] == [["", nlls(result, 0)[1]], 1]


def test_drag_wheel_and_keys_zoom_and_the_whole_comes_back(report: Path, tmp_path: Path) -> None:
    act = """
      const nll = figure("nll"), svg = nll.querySelector(".axes");
      const [whole] = [...nll.querySelectorAll("button")].filter(b => b.textContent === "whole view");
      found.all = [across(svg), whole.disabled];
      wheel(svg, 0.5, 0.5, -100);
      found.unfocused = across(svg);
      point(svg, "pointerdown", 0.25, 0.2);
      point(svg, "pointermove", 0.5, 0.9);
      found.rubber = svg.querySelectorAll(".drag").length;
      point(svg, "pointerup", 0.5, 0.9);
      found.dragged = [across(svg), whole.disabled];
      const inner = () => { const s = across(svg); return s[s.length - 1] - s[0]; };
      found.widths = [inner()];
      for (let i = 0; i < 4; i += 1) wheel(svg, 0.5, 0.5, -100);
      found.widths.push(inner());
      whole.click();
      found.back = [across(svg), whole.disabled];
      svg.focus();
      for (let i = 0; i < 5; i += 1) press(svg, "+");
      found.plus = across(svg);
      for (let i = 0; i < 30; i += 1) press(svg, "ArrowRight");
      found.followed = across(svg);
      press(svg, "0");
      found.zero = across(svg);
      for (let i = 0; i < 9; i += 1) wheel(svg, 0.9, 0.5, 100);
      found.out = across(svg);
    """
    found = browse(report, tmp_path, ACT % act, "--window-size=1100,900")
    everything = found["all"][0]  # type: ignore[index]
    assert found["all"] == [everything, True]
    assert (everything[0], everything[-1] >= 35) == (0, True)
    # The page scrolls where nobody has clicked into the figure.
    assert found["unfocused"] == everything
    assert found["rubber"] == 1
    dragged, disabled = found["dragged"]  # type: ignore[misc]
    assert dragged[0] >= 9
    assert dragged[-1] <= 20
    assert disabled is False
    wide, narrow = found["widths"]  # type: ignore[misc]
    assert narrow < 0.6 * wide
    assert found["back"] == [everything, True]
    assert found["plus"][0] > 9 and found["plus"][-1] < 30  # type: ignore[index]  # noqa: PT018
    assert found["followed"][-1] > found["plus"][-1]  # type: ignore[index]
    assert found["zero"] == found["out"] == everything


def test_the_logarithm_is_switched_and_a_rate_that_is_left_out_gives_its_room(
    report: Path, tmp_path: Path
) -> None:
    act = """
      const gap = figure("gap"), svg = gap.querySelector(".axes");
      const [ofX, ofY] = gap.querySelectorAll(".switch input");
      found.begins = [ofX.checked, ofY.checked];
      found.log = [up(svg), heights(svg)];
      ofY.click();
      found.straight = [up(svg), heights(svg)];
      ofX.click();
      found.count = across(svg);
      ofX.click();
      gap.querySelectorAll(".legend input")[1].click();
      found.alone = [up(svg), svg.querySelectorAll(".line").length];
    """
    found = browse(report, tmp_path, ACT % act, "--window-size=1100,900")
    assert found["begins"] == [False, True]
    # A tick's height is straight in the logarithm of its value, and without it in the value.
    for name, scale in (("log", np.log10), ("straight", np.asarray)):
        values, heights = found[name]  # type: ignore[misc]
        assert len(values) > 3
        slope, intercept = np.polyfit(scale(values), heights, 1)
        assert slope < 0
        assert slope * scale(values) + intercept == pytest.approx(heights, abs=0.01)
    assert found["count"] == [0, 1, 2, 5, 10, 20]
    assert found["alone"][1] == 1  # type: ignore[index]


def test_a_figure_shows_its_picture_until_it_is_opened_and_again_when_closed(
    report: Path, tmp_path: Path
) -> None:
    act = """
      const nll = of("nll"), img = nll.querySelector(".picture"), toggle = nll.querySelector(".explore");
      const seen = () => [img.offsetHeight > 0, nll.querySelectorAll(".axes").length, toggle.getAttribute("aria-expanded")];
      found.closed = seen();
      toggle.click();
      found.open = seen();
      toggle.click();
      found.again = [img.offsetHeight > 0, nll.querySelector(".explored").offsetHeight];
    """  # noqa: E501
    found = browse(report, tmp_path, ACT % act)
    assert found["closed"] == [True, 0, "false"]
    assert found["open"] == [False, 1, "true"]
    assert found["again"] == [True, 0]


@pytest.mark.parametrize(
    "options",
    [
        ["--window-size=1200,900"],
        ["--window-size=500,900", "--blink-settings=preferredColorScheme=0"],
    ],
    ids=["light", "dark-phone"],
)
def test_open_figures_fetch_nothing_overflow_nowhere_and_bar_nobody(
    report: Path, tmp_path: Path, options: list[str]
) -> None:
    text = report.read_text()
    # Into the page's own script, which its policy names by a digest of its text.
    opened = text.replace(
        "script.after(toggle, panel);", "script.after(toggle, panel); toggle.click();"
    )
    assert opened != text
    report.write_text(opened.replace("script-src 'sha256-", "script-src 'unsafe-inline' 'nothing-"))
    found = probe(report, tmp_path, "--virtual-time-budget=3000", *options)
    assert found["problems"] == found["fetched"] == []
    assert found["wide"] == 0
    assert barriers(report, tmp_path, *options) == []


def test_without_a_script_the_pictures_and_tables_stand(report: Path, tmp_path: Path) -> None:
    text = report.read_text()
    start, end = text.index("<script>"), text.index("</script>", text.index("<script>"))
    report.write_text(text[:start] + "<script>" + text[end:])
    act = """
      const pictures = [...document.querySelectorAll(".picture svg")];
      found.seen = pictures.filter(picture => picture.getBoundingClientRect().height > 0).length;
      found.buttons = document.querySelectorAll("button").length;
    """
    found = browse(report, tmp_path, ACT % act)
    assert found == {"seen": 5, "buttons": 0}
