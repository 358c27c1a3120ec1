"""Formulas as drawings: their size and baseline against matplotlib's own, the cache, what cannot be drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlhw.runs import formulas
from mlhw.runs.formulas import drawing_of, drawn_formula
from mlhw.system import checked


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "mlhw" / "formulas"


def extent(outline: str) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of an outline, control points included."""
    numbers = [int(number) for number in re.findall(r"-?\d+", outline)]
    x, y = numbers[::2], numbers[1::2]
    return min(x), max(x), min(y), max(y)


def test_a_drawing_lies_in_its_box_and_on_the_baseline() -> None:
    left, right, top, bottom = extent(drawing_of("x").outline)
    assert bottom in range(4)  # rests on the baseline, y downwards
    assert -60 < top < -35  # STIX's x is 0.47 em high
    drawing = drawing_of(r"\frac{\partial E}{\partial w_{ji}}")
    left, right, top, bottom = extent(drawing.outline)
    margin = formulas.MARGIN
    assert -margin <= left < right <= drawing.width + margin
    assert -drawing.height - margin <= top < 0 < bottom <= drawing.depth + margin


def test_size_and_baseline_are_those_of_the_text_around_it() -> None:
    drawing = drawing_of("w_j")
    text = drawn_formula("w_j")
    height, below = (drawing.height + drawing.depth + 8) / 100, (drawing.depth + 4) / 100
    assert f"height:{height:g}em;vertical-align:-{below:g}em" in text
    assert 'fill="currentColor"' in text
    assert 'aria-hidden="true"' in text
    assert '<span class="said"><math' in text  # for the ear and for copying


def test_what_a_wide_gap_parts_are_drawings_of_their_own() -> None:
    text = drawn_formula(r"a = b, \quad c = d")
    assert text.count("<svg") == 2
    assert text.count("<math") == 1


def test_a_formula_that_cannot_be_drawn_is_mathml_for_the_eye_too() -> None:
    text = drawn_formula(r"\begin{cases} 1 & x \\ 0 & y \end{cases}")
    assert "<svg" not in text
    assert "said" not in text
    assert "<math" in text


def test_a_formula_is_drawn_once_on_a_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = drawing_of(r"\eta")
    (kept,) = cache.iterdir()
    with monkeypatch.context() as changed:
        changed.setattr(formulas, "_drawn", None)  # not to be called
        assert drawing_of(r"\eta") == first
    # Half a file, a file of something else, and one that would be markup are drawn anew.
    for text in ("[", "{}", '["M0 0\\"/><script>", 1, 1, 1]', "[1, 2, 3, 4]", '["M0 0", 1]'):
        checked.remember(kept, text.encode())
        assert drawing_of(r"\eta") == first
        assert b"script" not in kept.read_bytes()


def test_a_drawing_that_is_not_as_it_was_written_is_drawn_anew(cache: Path) -> None:
    first = drawing_of(r"\eta")
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content.replace(b"5", b"6"))  # a whole outline all the same
    assert kept.read_bytes() != content
    assert drawing_of(r"\eta") == first


def test_a_number_of_one_run_does_not_fill_the_cache(cache: Path) -> None:
    drawing_of(r"\delta = -1.0048670 \cdot 10^{-2}")
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_stops_nothing(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert drawing_of("x").outline


def test_fractions_within_braces_stay_small() -> None:
    small = drawing_of(r"e^{\frac{a}{b}}")
    large = drawing_of(r"\frac{a}{b}")
    assert large.height + large.depth > 1.5 * (small.height + small.depth)


def test_words_keep_their_spaces() -> None:
    assert drawing_of(r"\text{macro F}").width > drawing_of(r"\text{macroF}").width + 10
