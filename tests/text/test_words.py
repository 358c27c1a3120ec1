"""Words and tables: what was meant by a word, and columns that fit a terminal."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.text.words import TableLine, fitted, hanging, nearest, nearest_words, text_table

# ---------------------------------------------------------------- what was meant

OPTIONS = ["--etas", "--max-iterations", "--log-axis", "--json", "--set", "--seed", "--no-plots"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--etass", "--etas"),
        ("--eta", "--etas"),
        ("--jsn", "--json"),
        ("--sjon", "--json"),
        ("--max-iters", "--max-iterations"),
        ("--max_iter", "--max-iterations"),
        ("--iterations", "--max-iterations"),
        ("--log", "--log-axis"),
        ("--plots", "--no-plots"),
        ("--seeds", "--seed"),
        ("--json-lines", "--json"),
        # Nothing is meant by these: two letters of four are another word.
        ("--open", None),
        ("--resume", None),
        ("--format", None),
        ("--test", None),
        ("--save", None),
        ("--cache", None),
        ("--threads", None),
        ("--lr", None),
        ("--s", None),
    ],
)
def test_a_slip_or_an_abbreviation_is_understood_and_another_word_is_not(
    typed: str, meant: str | None
) -> None:
    assert nearest(typed, OPTIONS) == meant


def test_the_likeliest_comes_first_and_of_equals_the_first() -> None:
    assert nearest_words("batch", ["batch_size", "batch_norm", "patch"])[0] == "patch"
    assert nearest("bat", ["batch_size", "batch_norm"]) == "batch_size"
    assert nearest_words("resnet-18", ["resnet34", "resnet18", "resnet_18"])[0] == "resnet_18"


LETTERS = st.text("abc", min_size=0, max_size=8)


@given(LETTERS, LETTERS)
@settings(max_examples=60)
def test_words_a_slip_apart_are_found_by_making_the_slips(word: str, other: str) -> None:
    """The oracle: every word that one slip makes of another, then one more, by breadth first."""
    stem = "wxyzwxyz"  # long enough for two slips
    typed, known = stem + word, stem + other
    if len(typed) > 11 or len(known) > 11 or min(len(typed), len(known)) < 8:
        return
    assert (nearest(typed, [known]) == known) == (
        known in within_two_slips(typed) or known.startswith(typed.removesuffix("s"))
    )


def within_two_slips(word: str) -> set[str]:
    found, queue = {word}, deque([(word, 0)])
    while queue:
        text, slips = queue.popleft()
        if slips == 2:
            continue
        cuts = [(text[:i], text[i:]) for i in range(len(text) + 1)]
        made = {a + b[1:] for a, b in cuts if b}
        made |= {a + c + b for a, b in cuts for c in "abcwxyz"}
        made |= {a + c + b[1:] for a, b in cuts if b for c in "abcwxyz"}
        made |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
        for new in made - found:
            found.add(new)
            queue.append((new, slips + 1))
    return found


# ---------------------------------------------------------------- tables on a terminal

HEADER = ["run", "status", "headline"]
ROWS = [
    [
        "20261124-115632-softmax-regions",
        "finished",
        "a headline that takes more room than there is",
    ],
    ["20261124-115633-lr-sweep", "failed", "short"],
]


def test_a_table_without_a_width_has_a_line_a_row() -> None:
    lines = text_table(HEADER, ROWS)
    assert len(lines) == 3
    assert all(isinstance(line, TableLine) for line in lines)
    assert lines[2].cells == tuple(ROWS[1])
    assert lines[2].columns == tuple(HEADER)


@pytest.mark.parametrize("width", [60, 70, 80])
def test_broad_columns_are_wrapped_between_words(width: int) -> None:
    lines = text_table(HEADER, ROWS, width=width)
    assert max(map(len, lines)) <= width
    place = lines[0].index("headline")
    start = lines[1][:place]
    assert start.split() == ["20261124-115632-softmax-regions", "finished"]
    shown = " ".join(line[place:] for line in lines[1:-1])
    assert shown.split() == ROWS[0][2].split()


def test_what_does_not_fit_beside_stands_below() -> None:
    lines = text_table(HEADER, ROWS, width=40)
    assert lines[0].split() == ["run"] or lines[0].split() == ["run", "status"]
    assert max(map(len, lines)) <= 40
    assert "".join(lines).replace(" ", "").count("headline:short") == 1


CELL = st.text("abcd ", min_size=0, max_size=30)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4), st.integers(20, 90))
@settings(max_examples=60)
def test_no_word_is_lost_or_broken_whatever_the_width(
    rows: list[tuple[str, ...]], width: int
) -> None:
    lines = text_table(["x", "y", "z"], rows, width=width)
    words = sorted(word for row in rows for cell in row for word in cell.split())
    shown = [word.strip(";") for line in lines for word in line.split()]
    assert sorted(word for word in shown if word not in ("x", "y", "z", "y:", "z:")) == words
    longest = max(map(len, words), default=0)
    assert all(len(line) <= max(width, longest + 12) for line in lines)


def test_lines_are_wrapped_and_tables_laid_out_again() -> None:
    text = "    measured a number; expected another one; tolerance 1e-9; with a note that is long"
    lines = list(fitted([text, *text_table(HEADER, ROWS), "end"], 60))
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("    measured")
    assert lines[1].startswith("      ")
    assert lines[-1] == "end"
    assert " ".join(lines[:2]).split() == text.split()
    assert list(fitted([text], None)) == [text]
    assert hanging("short", 60) == ["short"]
