"""The report: one page, everything inlined and escaped, readable by a parser."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import mlhw
from mlhw import report
from mlhw.config import ExperimentConfig
from mlhw.result import Claim, Plot, Result, Table

VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced and gathers what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attributes if key == "src"]
        if tag == "img":
            assert dict(attributes)["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(result: Result, **changes: object) -> str:
    given: dict[str, object] = {
        "question": "Q?",
        "command": "mlhw x",
        "config": ExperimentConfig(),
        "run": "20261124-115632-x",
        "pictures": {},
        "environment": {"host": "here", "versions": {"numpy": "2"}},
    }
    return report.page(result, **(given | changes))  # type: ignore[arg-type]


def test_names_with_markup_in_them_stay_text() -> None:
    evil = "<script>alert(1)</script>"
    table = Table("t", [evil, "b"])
    table.append(evil, 1.0)
    result = Result(
        evil,
        {},
        [Claim("a", evil, "holds", evil, 1.0, None, evil)],
        [evil],
        {"t": table},
        [Plot("p", evil, evil, f'"{evil}', lambda: None)],  # type: ignore[arg-type,return-value]
    )
    text = page(result, question=evil, command=evil, pictures={"p": b"\x89PNG"})
    Page(text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_nothing_is_fetched_from_elsewhere() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    text = page(result, pictures={plot.name: b"\x89PNG" for plot in result.plots})
    assert all(source.startswith("data:image/png;base64,") for source in Page(text).sources)
    assert not re.search(r"https?://|url\(|@import", text)
    assert '<link rel="icon" href="data:,">' in text  # or a browser would ask for one
    assert len(Page(text).sources) == len(result.plots)


def test_every_claim_stands_in_the_page_with_its_verdict() -> None:
    result = mlhw.lr_sweep(max_iterations=5)
    text = page(result)
    for claim in result.claims:
        assert html.escape(claim.statement).replace("&#x27;", "&#39;") in text
    assert text.count('class="holds"') == sum(c.verdict == "holds" for c in result.claims)
