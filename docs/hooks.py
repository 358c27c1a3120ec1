"""What the site needs beyond Markdown: pages that lie above ``docs/``, and formulas without a script.

A hook of MkDocs, named in ``mkdocs.yml``. README, CONTRIBUTING and CHANGELOG become pages with their links
turned; a link to a file that is no page (a configuration, the tour) leads to a copy of it. ``$…$`` becomes
MathML by latex2mathml, which every browser draws by itself.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ABOVE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)([^)#\s]+)")
FENCE = re.compile(r"^```\w* [^\n]*$", re.M)
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<latex>.*?)\\[)\]]</(?P=tag)>', re.S
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages above ``docs/``, and every file that a page links to and that is none."""
    for name, page in ABOVE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=turned(text, name)))
    tour = (ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8")
    files.append(File.generated(config, "tour.md", content=notebook(tour)))
    known = {file.src_uri for file in files}
    pages = [*(ROOT / name for name in ABOVE), *sorted((ROOT / "docs").glob("*.md"))]
    for path in pages:
        for target in LINK.findall(path.read_text(encoding="utf-8")):
            found = (path.parent / target).resolve()
            if found.is_file() and found.suffix not in (".md", ".png", ".svg", ".ipynb"):
                uri = copied(found)
                if uri not in known:
                    files.append(File.generated(config, uri, abs_src_path=str(found)))
                    known.add(uri)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of ``docs/`` to what lies above it, and code blocks without the words that tests read."""
    if page.file.src_uri not in ABOVE.values():
        markdown = turned(markdown, f"docs/{page.file.src_uri}")
    return FENCE.sub(lambda m: m[0].split()[0], markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Formulas as MathML."""
    return FORMULA.sub(_formula, content)


def _formula(found: re.Match[str]) -> str:
    display = "block" if found["open"] == "[" else "inline"
    return str(convert(html.unescape(found["latex"]).strip(), display=display))


def notebook(text: str) -> str:
    """The cells of a notebook as Markdown, without what they show."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(
        source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells
    )


def turned(text: str, name: str) -> str:
    """The links of a page of the repository as they have to be on the site."""
    return LINK.sub(lambda m: turned_link(m[1], name), text)


def turned_link(target: str, name: str) -> str:
    """A link of the file ``name`` as seen from its page: pages are one folder, ``docs/``."""
    found = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if found in ABOVE:
        return ABOVE[found]
    path = ROOT / found
    if path.suffix == ".ipynb":
        return f"{path.stem}.md"
    if path.is_dir():
        return "index.md"
    if path.suffix not in (".md", ".png", ".svg"):
        return copied(path)
    return posixpath.relpath(found, "docs")


def copied(path: Path) -> str:
    """Where a file that is no page lies on the site."""
    return f"files/{os.path.relpath(path, ROOT).replace(os.sep, '/')}"
