"""Every number of README and docs that a run yields is that of a run.

A page has a function here that makes its sentences from the results of runs; each has to stand on the page
as it is made. What takes long (fine-tuning, timings, mutants) comes from ``bench/results``, which the
benchmarks write: ``docs/generate.py`` puts these numbers between marks that no reader sees.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlhw.config.model import leaves
from mlhw.experiments.registry import EXPERIMENTS, experiment
from tests.acceptance.sentences import DOCS, SENTENCES, lr_sweep_page
from tests.acceptance.test_documentation import FENCE


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder in which all runs of this module are made."""
    folder, before = tmp_path_factory.mktemp("numbers"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLHW_RUNS_DIR", raising=False)
        os.chdir(folder)
        yield folder
        os.chdir(before)


def flat(text: str) -> str:
    """Without marks, and with one blank wherever a line ends."""
    return re.sub(r"\s+", " ", re.sub(r"<!--.*?-->", "", text, flags=re.S))


@pytest.mark.parametrize("page", SENTENCES)
def test_every_number_of_a_page_is_that_of_a_run(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    read, sentences = SENTENCES[page]
    text = flat(read())
    missing = [sentence for sentence in sentences() if sentence not in text]
    assert not missing, f"{page} says otherwise"


# ------------------------------------------------------------------------------ nothing left out

# The pages of experiments that take seconds; of finetune's long ones every result is a mark or recorded.
QUICK = [n for n in EXPERIMENTS if n != "finetune" and (DOCS / f"{n}.md").exists()]
# Numbers of "What is seen" that are said, not found: a quantile, a count in words, a reference.
GIVEN = {
    "lr-sweep": {"2,000": "points of the contours"},
    "sgd-sweep": {"5": "the band", "95": "the band", "20": "the picture's repeats"},
    "vanishing": {"5": "the band", "95": "the band", "11": "an index"},
}


def numbers(text: str) -> list[tuple[str, int]]:
    """Each number of a text with its place; those inside links, code and comments are not read."""
    bare = re.sub(r"!?\[[^]]*\]\([^)]*\)|`[^`]*`|<!--.*?-->", lambda m: " " * len(m[0]), text)
    return [
        (m[0], m.start()) for m in re.finditer(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w])", bare)
    ]


SEEN = {
    name: section[1]
    for name in QUICK
    if (
        section := re.search(
            r"^## What is seen\n(.*?)(?=^## |\Z)", (DOCS / f"{name}.md").read_text(), re.S | re.M
        )
    )
}
"""The section of each page that has one."""


@pytest.mark.parametrize("name", SEEN)
def test_no_number_of_what_is_seen_is_left_out(name: str) -> None:
    """A new number on a page needs a sentence here, or a reason why no run yields it."""
    text = flat(
        re.sub(r"(<!-- bench \S+ \S* ?-->).*?(<!-- / -->)", r"\1\2", SEEN[name], flags=re.S)
    )
    covered = [
        span
        for sentence in SENTENCES.get(f"docs/{name}.md", (None, lambda: ()))[1]()
        for span in ((m.start(), m.end()) for m in re.finditer(re.escape(sentence), text))
    ]
    configured = set()
    for leaf in leaves(experiment(name).Config):
        values = leaf.default if isinstance(leaf.default, list) else [leaf.default]
        configured |= {f"{v:g}" for v in values if isinstance(v, (int, float))}
    said = configured | set(GIVEN.get(name, {})) | {"0", "1", "2"}
    free = [
        (number, text[max(0, place - 40) : place + 30])
        for number, place in numbers(text)
        if number not in said and not any(a <= place < b for a, b in covered)
    ]
    assert not free


def test_what_was_measured_stands_on_the_pages_as_it_was_recorded() -> None:
    sys.path.insert(0, str(DOCS))
    try:
        import generate  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(DOCS))
    marks = 0
    for path in generate.MEASURED:
        text = path.read_text(encoding="utf-8")
        assert generate.with_results(text) == text, f"{path.name}: run python docs/generate.py"
        marks += len(generate.MARK.findall(text))
    assert marks > 10


def test_a_number_that_changes_turns_the_test_red() -> None:
    """The pages' test can fail: with another number in its sentence the sentence is not there."""
    text = flat((DOCS / "lr-sweep.md").read_text())
    sentence = next(s for s in lr_sweep_page() if "never rise" in s)
    assert sentence in text
    assert re.sub(r"\d\b", lambda m: str((int(m[0]) + 1) % 10), sentence, count=1) not in text
    with pytest.raises(KeyError):
        sys.modules["generate"].measured("<!-- bench finetune.no_such .1f -->1.0<!-- / -->")


# ------------------------------------------------------------------------------------- the paths


def test_commands_of_exercises_are_all_run() -> None:
    text = (DOCS / "students.md").read_text()
    assert text.count("```sh exercise") == len(re.findall(r"^\*\*\d\.", text, re.M)) == 9
    assert {kind for kind, _ in FENCE.findall(text)} == {"sh exercise"}
