"""``gallery.html`` of a fine-tuning in headless Chromium: filtered, sorted, by keyboard, hostile names."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlhw.result.gallery import Gallery
from mlhw.runs.gallery import gallery_page
from mlhw.vision.images.thumbnails import thumbnail
from tests.acceptance.chromium import barriers, browse, needs_chromium, probe
from tests.conftest import PROGRAM

pytestmark = needs_chromium

HOSTILE = [
    "<script>document.title='x'</script>",
    "</script><b>",
    "${1+1} {{ 7*7 }}",
    "a\u2028b & \"c'",
]
OPTIONS = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
OPTIONS += ["--precision", "fp32", "--layout", "channels-last", "--features", "memory"]
OPTIONS += ["--epochs", "2", "--unfreeze-at", "null", "--val", "8", "--test", "8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on images whose classes and file names are markup."""
    tmp_path = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    (tmp_path / "own").mkdir()
    with open(tmp_path / "own" / "list.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "label"])
        for i in range(64):
            name = f"<img src=x onerror=document.title=1>{i}.png"
            pixels = rng.integers(0, 256, (12 + i, 300, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / name)
            rows.writerow([name, HOSTILE[i % 4]])
    done = subprocess.run(
        [PROGRAM, "finetune", *OPTIONS, "--data", "csv:own/list.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 3), (
        done.stderr
    )  # whether noise is learnt in two epochs matters not
    return (tmp_path / "runs" / "latest").resolve()


ACT = """
<script>
addEventListener("load", () => {
  const form = document.getElementById("choice"), grid = document.getElementById("grid");
  const status = () => document.getElementById("status").textContent;
  const names = () => [...grid.querySelectorAll(".name")].map(e => e.textContent);
  const set = values => {
    for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
    form.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const press = (key, where = document.activeElement) =>
    where.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const found = {};
  %s
  document.title = JSON.stringify(found);
});
</script>
"""


def test_the_page_of_a_run_shows_every_test_image_with_its_classes_and_scores(
    run: Path, tmp_path: Path
) -> None:
    with open(run / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    act = """
      found.cards = [...grid.querySelectorAll(".card")].map(card => {
        card.click();
        const scores = [...document.querySelectorAll("#scores tr")].map(r => [r.cells[0].textContent, r.cells[1].textContent]);
        return [document.getElementById("heading").textContent, document.getElementById("judgement").textContent, scores];
      });
    """  # noqa: E501 - a line of JavaScript
    found = browse(run / "gallery.html", tmp_path, ACT % act)
    cards = {name: (words, scores) for name, words, scores in found["cards"]}  # type: ignore[attr-defined]
    assert len(cards) == len(rows) == 8
    for row in rows:
        words, scores = cards[row["name"]]
        if row["label"] == row["predicted"]:
            assert words == f"✓ {row['label']}, rightly"
        else:
            assert words == f"✗ {row['label']}, taken for {row['predicted']}"
        assert {name for name, _ in scores} == set(HOSTILE)
        for name, share in scores:
            assert float(share) == pytest.approx(float(row[f"p_{name}"]), abs=1e-4)
    assert "gallery.html" in (run / "report.html").read_text()


@pytest.mark.parametrize("options", [["--window-size=1200,900"], ["--window-size=500,900"]])
def test_the_page_is_whole_fetches_nothing_and_does_not_overflow(
    run: Path, tmp_path: Path, options: list[str]
) -> None:
    found = probe(run / "gallery.html", tmp_path, "--virtual-time-budget=3000", *options)
    assert found["problems"] == found["fetched"] == []
    assert found["wide"] == 0
    assert found["images"] == 10  # the eight, and two of a closed dialog


@pytest.mark.parametrize(
    ("options", "open_image"),
    [
        (["--window-size=1200,900"], ""),
        (
            ["--window-size=500,900", "--blink-settings=preferredColorScheme=0"],
            "document.querySelector('.card').click();",
        ),
    ],
    ids=["images-light", "one-image-on-a-dark-phone"],
)
def test_the_page_has_no_barrier_for_keyboards_and_screen_readers(
    drawn: Path, tmp_path: Path, options: list[str], open_image: str
) -> None:
    if open_image:
        text = drawn.read_text()
        opened = f"<script>addEventListener('load', () => {{ {open_image} }})</script><style>"
        drawn.write_text(text.replace("<style>", opened, 1))
    assert barriers(drawn, tmp_path, *options) == []


# ------------------------------------------------------------------------------------- many images

CLASSES = ["ant", "bee", "wasp of a kind with a long name that no narrow column can hold"]
COUNT = 200


def many(count: int = COUNT) -> Gallery:
    """Noise, with probabilities of three classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 6, 9, 3), dtype=np.uint8)
    return Gallery(
        split="test",
        classes=CLASSES,
        names=[f"{CLASSES[i % 3]}/{i}.png" for i in range(count)],
        labels=np.arange(count) % 3,
        probabilities=rng.dirichlet([1, 1, 1], count),
        thumbnails=lambda positions, progress: (thumbnail(pixels[i], 48) for i in positions),
    )


def silent(done: float, total: float, what: str) -> None:
    pass


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    page = tmp_path / "gallery.html"
    page.write_text(gallery_page(many(), "a run", silent))
    return page


def test_filters_and_orders_find_what_numpy_finds(drawn: Path, tmp_path: Path) -> None:
    act = """
      found.first = [status(), names()];
      set({ judged: "wrong", order: "sure" });
      found.wrong = [status(), names()];
      set({ judged: "", "class": "1", predicted: "0", order: "data" });
      found.confused = [status(), names()];
      set({ "class": "", predicted: "", from: "0.9", to: "0.95", order: "unsure" });
      found.between = [status(), names()];
      found.address = location.hash;
      set({ from: "", to: "", name: "BEE/1", order: "name" });
      found.named = names();
      set({ name: "nothing like it" });
      found.none = [status(), names().length, document.getElementById("none").hidden];
    """
    found = browse(drawn, tmp_path, ACT % act)
    gallery = many()
    p, labels, names = gallery.probabilities, gallery.labels, np.array(gallery.names)
    predicted, sure = p.argmax(1), p.max(1)
    wrong = predicted != labels

    def expected(chosen: np.ndarray, key: np.ndarray) -> list[object]:
        order = np.flatnonzero(chosen)[np.argsort(np.round(key[chosen] * 1e4), kind="stable")]
        bad = int(wrong[order].sum())
        status = f"{len(order)} of {COUNT} images: {len(order) - bad} right, {bad} wrong"
        return [status, names[order[:60]].tolist()]

    everything, in_order = np.ones(COUNT, bool), np.zeros(COUNT)
    assert found["first"] == expected(everything, p[np.arange(COUNT), labels])
    assert found["wrong"] == expected(wrong, -sure)
    assert found["confused"] == expected((labels == 1) & (predicted == 0), in_order)
    rounded = np.round(sure * 1e4)
    assert found["between"] == expected((rounded >= 9000) & (rounded <= 9500), sure)
    assert found["address"] == "#from=0.9&to=0.95&order=unsure"
    some = sorted(
        i for i in range(1, COUNT, 3) if str(i).startswith("1")
    )  # 10 after 1, not after 19
    assert found["named"] == [f"bee/{i}.png" for i in some]
    assert found["none"] == [f"0 of {COUNT} images: 0 right, 0 wrong", 0, False]


def test_the_keyboard_reaches_every_image(drawn: Path, tmp_path: Path) -> None:
    act = """
      set({ order: "data" });
      const here = () => document.activeElement.querySelector?.(".name")?.textContent;
      const heading = () => document.getElementById("heading").textContent;
      const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
      grid.querySelector('[tabindex="0"]').focus();
      found.stops = grid.querySelectorAll('[tabindex="0"]').length;
      found.columns = columns;
      found.way = [
        "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowLeft", "End", "ArrowRight",
        "PageDown", "PageDown", "PageDown", "End", "PageUp", "Home",
      ].map(key => (press(key), here()));
      document.activeElement.click();
      const opened = heading();
      press("ArrowRight");
      found.opened = [opened, heading(), document.activeElement.id];
      document.getElementById("detail").addEventListener("close", () => {
        found.closed = here();
        document.title = JSON.stringify(found);
      });
      document.getElementById("close").click();
    """
    found = browse(
        drawn, tmp_path, ACT % act, "--virtual-time-budget=3000", "--window-size=1200,900"
    )
    step = int(str(found["columns"]))
    places = [1, 1 + step, step, 0, 0, 59, 60, 120, 180, 199, 199, 139, 120]
    names = many().names
    assert found["stops"] == 1  # Tab goes past the images in one step
    assert found["way"] == [names[i] for i in places]
    assert found["opened"] == [names[120], names[121], "close"]
    assert found["closed"] == names[121]


def test_an_address_with_a_choice_in_it_opens_that_choice(drawn: Path, tmp_path: Path) -> None:
    act = """
      location.hash = "class=bee&judged=right&order=name&page=1";
      addEventListener("hashchange", () => {
        found.status = status();
        found.first = names()[0];
        document.title = JSON.stringify(found);
      });
    """
    found = browse(drawn, tmp_path, ACT % act, "--virtual-time-budget=3000")
    gallery = many()
    right = (gallery.labels == 1) & (gallery.probabilities.argmax(1) == 1)
    assert found["status"] == f"{right.sum()} of {COUNT} images: {right.sum()} right, 0 wrong"
    assert found["first"] == gallery.names[int(np.flatnonzero(right)[0])]


def test_of_too_many_images_the_page_keeps_the_mistakes_and_says_so(tmp_path: Path) -> None:
    gallery = many(3000)
    wrong = gallery.probabilities.argmax(1) != gallery.labels
    page = tmp_path / "gallery.html"
    page.write_text(gallery_page(gallery, "a run", silent, most=2500))
    assert page.stat().st_size < 1_500_000
    act = """
      found.all = status();
      set({ judged: "wrong" });
      found.wrong = status();
      found.cards = grid.children.length;
      found.note = document.querySelector(".note").textContent;
    """
    found = browse(page, tmp_path, ACT % act)
    assert found["all"] == f"2500 of 2500 images: {2500 - wrong.sum()} right, {wrong.sum()} wrong"
    assert found["wrong"] == f"{wrong.sum()} of 2500 images: 0 right, {wrong.sum()} wrong"
    assert found["cards"] == 60
    assert "2,500 of 3,000 images" in str(found["note"])
