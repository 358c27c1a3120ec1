"""Large tables go through Arrow: the same table, bit for bit, as the reader of cells makes, or left to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.errors import DataError
from mlhw.points import files, quick
from mlhw.points.files import Layout, read_table
from mlhw.points.table import ReadTable
from tests.conftest import shared
from tests.points.reading import CASES, case, written


def both(path: Path, block: int = 512, layout: Layout | None = None) -> tuple[Any, Any, bool]:
    """What the quick reader and the reader of cells make of a file, and whether the first took it."""
    took: list[bool] = []

    def watched(*words: Any) -> ReadTable | None:
        found = quick.quick_table(*words)
        took.append(found is not None)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick, "LARGE", 0)
        patch.setattr(quick, "_BLOCK", block)
        patch.setattr(files, "quick_table", watched)
        first = outcome(path, layout)
        patch.setattr(files, "quick_table", lambda *_: None)
        second = outcome(path, layout)
    return first, second, took[:1] == [True]


def outcome(path: Path, layout: Layout | None) -> dict[str, Any] | tuple[str, ...]:
    """All that is in a table, its numbers as bytes and in words what cannot be compared; or the errors."""
    try:
        table = read_table(str(path), layout)
    except DataError as error:
        return error.lines
    found = {name: getattr(table, name) for name in vars(table) if name not in ("place", "places")}
    # Any NaN is as good as another.
    X = np.where(np.isnan(table.X), np.nan, table.X)
    found |= {"X": (X.shape, X.tobytes()), "lines": list(table.lines)}
    found["kinds"] = [type(label) for label in table.labels]
    found["where"] = table.place(len(table) - 1, table.names[0])
    return found


def test_every_kind_of_file_gives_the_same_table_or_the_same_error() -> None:
    paths = sorted(path for path in CASES.iterdir() if path.suffix != ".npz")
    taken = 0
    for path in paths:
        first, second, took = both(path)
        assert first == second, path.name
        taken += took
    # Or nothing was compared.
    assert taken > len(paths) // 3


def test_public_files_give_the_same_table() -> None:
    folders = [shared("data/points"), shared("cases/points")]
    taken = 0
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.is_file()):
        if path.suffix in (".npz", ".npy", ".md") or path.stat().st_size > 2_000_000:
            continue
        first, second, took = both(path, 4096)
        assert first == second, path.name
        taken += took
    assert taken > 20


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["1e-320", "4.9e-324", "1.7976931348623157e308", "-0", " 2.5 ", "5.", ".5"]),
)
ODD = st.sampled_from(
    [
        *(
            "NA",
            "",
            "nan",
            "?",
            "-",
            "inf",
            "1e400",
            "1_0",
            "+1",
            "0x1p3",
            "1,5",
            "-999",
            "Missing",
        ),
        *("\u2212" + "1", "1d5", "abc", '"3"', '"a,b"', 'a"b', " x", "#1", "5%", "\u00a07", "true"),
    ]
)


@st.composite
def tables(draw: Any) -> str:
    width = draw(st.integers(2, 4))
    cell = draw(st.sampled_from([NUMBERS, NUMBERS, st.one_of(NUMBERS, NUMBERS, NUMBERS, ODD), ODD]))
    labels = draw(
        st.sampled_from([["0", "1"], ["a", "b "], ["1.0", "1"], ["yes", "no", "NA"], ['"q"', "q"]])
    )
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    header = draw(st.sampled_from([[], [[f"x{i}" for i in range(width)] + ["class"]]]))
    rows = [
        [*(draw(cell) for _ in range(width)), draw(st.sampled_from(labels))]
        for _ in range(draw(st.integers(1, 8)))
    ]
    if draw(st.integers(0, 9)) == 0:
        rows.insert(
            draw(st.integers(0, len(rows))),
            draw(st.sampled_from([[], ["", ""], [""] * (width + 1)])),
        )
    return end.join(",".join(row) for row in header + rows) + draw(
        st.sampled_from(["", end, end * 2])
    )


@pytest.mark.hypothesis
@given(text=tables(), block=st.sampled_from([40, 200, 10_000]))
def test_any_table_gives_the_same_or_the_same_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    path = written(tmp_path_factory.mktemp("t"), "t.csv", text)
    first, second, _ = both(path, block)
    assert first == second


def table(rows: int, cell: str = "0.5") -> str:
    lines = [f"{i},{i / 7!r},{cell},{'ab'[i % 2]}" for i in range(rows)]
    return "\n".join(["n,x,y,class", *lines]) + "\n"


@pytest.mark.parametrize("cell", ["0.5", "NA", '"0.25"', "word"])
def test_plain_tables_are_taken(tmp_path: Path, cell: str) -> None:
    first, second, took = both(written(tmp_path, "t.csv", table(50, cell)))
    assert took
    assert first == second


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("\n9,", "\n\n9,"),
        ("\n9,", "\n# a comment\n9,"),
        ("\n9,", "\n9,9,"),
        ("\n9,", "\ninf,"),
        ("\n9,", "\nnine,"),
        ("\n9,", '\n"9,'),
        ("\n9,", "\r9,"),
        ("a\n9,", 'a"c\n9,'),
    ],
)
def test_a_fault_far_below_is_named_by_its_line(tmp_path: Path, change: str, to: str) -> None:
    text = table(300)
    assert change in text
    first, second, took = both(written(tmp_path, "t.csv", text.replace(change, to, 1)))
    assert not took
    assert first == second


def test_a_small_file_loads_no_arrow() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from mlhw.points.files import read_table; "
        f"read_table({str(case('plain.csv'))!r}); sys.exit('pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_blanks_encodings_and_packed_files(tmp_path: Path) -> None:
    import gzip

    plain = table(60).replace(",", " ")
    assert both(written(tmp_path, "t.txt", plain))[2]
    assert not both(written(tmp_path, "u.txt", plain.replace(" 0.5", "  0.5")))[2]
    packed = written(tmp_path, "t.csv.gz", gzip.compress(table(60).encode()))
    first, second, took = both(packed)
    assert took
    assert first == second
    marked = written(tmp_path, "m.csv", b"\xef\xbb\xbf" + table(60).encode())
    first, second, took = both(marked)
    assert took
    assert first == second
    latin = written(tmp_path, "l.csv", table(60, "\u00e9").encode("latin-1"))
    first, second, took = both(latin, layout=Layout(encoding="latin-1"))
    assert not took
    assert first == second
    assert both(latin)[0] == both(latin)[1]


def test_the_bound_on_numbers_names_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlhw.points import table as tables

    monkeypatch.setattr(tables, "MAX_NUMBERS", 3 * 40)
    first, second, _ = both(written(tmp_path, "t.csv", table(300)))
    assert first == second
    assert ":42: more than 120 numbers" in first[0]
