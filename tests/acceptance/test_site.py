"""The documentation as a site: it builds without a warning and without a network, and is whole."""

from __future__ import annotations

import html.parser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from mlhw.experiments.registry import EXPERIMENTS, module_name
from tests.conftest import ROOT


class Page(html.parser.HTMLParser):
    """What a page refers to, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        if "id" in found:
            self.anchors.add(found["id"])
        if tag in ("img", "script") and found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon"):
            self.loaded.append(found["href"])
        if tag == "a" and found.get("href"):
            self.targets.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs the extra mlhw[docs]")
    pytest.importorskip("material", reason="needs the extra mlhw[docs]")
    pytest.importorskip("mkdocstrings_handlers.python", reason="needs the extra mlhw[docs]")
    folder = tmp_path_factory.mktemp("site")
    found = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        # No proxy answers at this address, so that what would be fetched fails.
        env={
            **os.environ,
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "NO_MKDOCS_2_WARNING": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "WARNING" not in found.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All but the one for addresses that there are not: where it is shown from is not known."""
    return {path: Page(path) for path in site.glob("*.html") if path.name != "404.html"}


def test_every_page_of_the_documentation_is_a_page_of_the_site(pages: dict[Path, Page]) -> None:
    names = {path.stem for path in pages}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= names
    assert {"index", "changelog", "contributing", "tour"} <= names


def test_a_page_loads_nothing_from_elsewhere_and_all_that_it_loads_is_there(
    site: Path, pages: dict[Path, Page]
) -> None:
    for path, page in pages.items():
        assert page.loaded
        for target in page.loaded:
            assert not urlsplit(target).netloc, f"{path.name}: {target}"
            assert (path.parent / unquote(urlsplit(target).path)).is_file(), (
                f"{path.name}: {target}"
            )
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:", style.read_text(encoding="utf-8"))


def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    followed = 0
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            # What stands above an address is a redirect of the theme's logo or of "top".
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            to = to / "index.html" if to.is_dir() else to
            assert to.is_file(), f"{path.name}: {target}"
            if parts.fragment and to in pages and not parts.fragment.startswith("__"):
                assert unquote(parts.fragment) in pages[to].anchors, f"{path.name}: {target}"
            followed += 1
    assert followed > 500


def test_the_reference_has_every_function_with_its_keys_and_every_class(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    page = Page(site / "api.html")
    for name in EXPERIMENTS:
        assert f"mlhw.{module_name(name)}" in page.anchors
    for anchor in ("mlhw.run", "mlhw.result.result.Result", "mlhw.errors.ConfigError"):
        assert anchor in page.anchors
    plain = re.sub(r"<[^>]+>", "", text)
    assert "max_iterations" in plain
    assert "seed of every random draw" in plain


def test_the_search_finds_words_of_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    texts = " ".join(entry["text"] for entry in index["docs"])
    for word in ("bipartite", "Grad-CAM", "tolerance", "svmlight"):
        assert word in texts


def test_formulas_are_mathml_and_none_is_left_in_dollars(
    site: Path, pages: dict[Path, Page]
) -> None:
    count = 0
    for path in pages:
        text = path.read_text(encoding="utf-8")
        count += text.count("<math ")
        assert "arithmatex" not in text, path.name
        prose = re.sub(r"<(pre|code|script|math)\b.*?</\1>", "", text, flags=re.S)
        assert not re.search(r"\$[^$<]*\\", prose), path.name
    assert count > 200


def test_the_gallery_shows_every_figure_of_the_documentation(site: Path) -> None:
    shown = {Path(target).name for target in Page(site / "gallery.html").loaded}
    pictures = {path.name for path in (ROOT / "docs" / "images").glob("*.png")}
    assert pictures - shown == {"report.png", "growth.png"}  # on other pages, and no run's


def test_the_page_on_reports_names_their_sections_in_order() -> None:
    page = (ROOT / "docs" / "reading-a-report.md").read_text(encoding="utf-8")
    template = (ROOT / "mlhw" / "runs" / "templates" / "report.html").read_text(encoding="utf-8")
    sections = re.findall(r'call fold\("(\w+)"', template)
    assert [name.lower() for name in re.findall(r"^\d\. \*\*(\w+)\*\*", page, re.M)] == sections
