"""Headless Chromium for tests: what a page says of itself once it has loaded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

# What the page says of itself, once loaded, written into its title for --dump-dom.
PROBE = """
<script>
const problems = [];
console.error = (...words) => problems.push(words.join(" "));
addEventListener("error", event => problems.push(String(event.message || event.target.src)), true);
addEventListener("load", () => {
  const images = [...document.images];
  document.title = JSON.stringify({
    problems,
    images: images.length,
    drawings: [...document.querySelectorAll("svg.drawing")]
      .filter(drawing => drawing.getBoundingClientRect().height > 50).length,
    loaded: images.filter(image => image.naturalWidth > 0).length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    ink: getComputedStyle(document.body).color,
    text: getComputedStyle(document.querySelector("svg.drawing text") ?? document.body).fill,
  });
});
</script>
"""


# axe-core's findings, in the same way.
AXE = """
<script>%s</script>
<script>
addEventListener("load", () => axe.run(document, {}).then(found => {
  document.title = JSON.stringify({
    passes: found.passes.length,
    violations: found.violations.map(v => [v.id, ...v.nodes.slice(0, 3).map(n => n.html.slice(0, 120))]),
  });
}));
</script>
"""


def browse(page: Path, tmp_path: Path, script: str, *options: str) -> dict[str, object]:
    """Load a copy of the page with a script that writes what it finds into the title, as JSON."""
    assert CHROMIUM is not None
    copy = page.with_name("probe.html")
    text = allowing(script, page.read_text())
    copy.write_text(text.replace("<style>", script + "<style>", 1))
    found = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            *options,
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = found.stdout.split("<title>", 1)[1].split("</title>", 1)[0]
    found_values: dict[str, object] = json.loads(html.unescape(title))
    return found_values


def allowing(script: str, page: str) -> str:
    """The page, allowing the scripts of ``script`` beside its own; the rest of its policy stands."""
    digests = [
        base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        for source in re.findall(r"<script>(.*?)</script>", script, re.S)
    ]
    more = " ".join(f"'sha256-{digest}'" for digest in digests)
    return re.sub(r"script-src (?:'none'|(?='sha256-))", f"script-src {more} ", page, count=1)


def probe(page: Path, tmp_path: Path, *options: str) -> dict[str, object]:
    """Load a copy of the page that reports on itself."""
    return browse(page, tmp_path, PROBE, *options)


def barriers(page: Path, tmp_path: Path, *options: str) -> object:
    """What axe-core, the accessibility checker, has against the page."""
    import axe_core_python

    axe = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    script = AXE % axe.replace("</script", "<\\/script")
    found = browse(page, tmp_path, script, "--virtual-time-budget=30000", *options)
    assert int(str(found["passes"])) > 20
    return found["violations"]
