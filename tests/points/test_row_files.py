"""Files of rows that are read in part: any place of them, in any number of files, and their faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlhw.errors import DataError
from mlhw.points.row_files import RowFiles, is_many, open_rows, paths_of

TABLE = np.column_stack([np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2])


def parquet(path: Path, table: np.ndarray, group: int = 7) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    names = [*"abc", "label"]
    columns = {name: table[:, i] for i, name in enumerate(names)}
    files.write_table(pyarrow.table(columns), path, row_group_size=group)


def opened(*paths: Path) -> RowFiles:
    files = [open_rows(str(path)) for path in paths]
    return RowFiles.of([file for file in files if file is not None])


def one_npy(folder: Path) -> list[Path]:
    np.save(folder / "a.npy", TABLE)
    return [folder / "a.npy"]


def three_npy(folder: Path) -> list[Path]:
    for name, part in zip("abc", np.split(TABLE, [1, 30]), strict=True):
        np.save(folder / f"{name}.npy", part)
    return sorted(folder.glob("*.npy"))


def two_parquet(folder: Path) -> list[Path]:
    parquet(folder / "a.parquet", TABLE[:23])
    parquet(folder / "b.parquet", TABLE[23:])
    return sorted(folder.glob("*.parquet"))


@pytest.mark.parametrize("make", [one_npy, three_npy, two_parquet])
def test_any_rows_are_those_of_the_table_however_many_files_hold_it(
    make: Callable[[Path], list[Path]], tmp_path: Path
) -> None:
    rows = opened(*make(tmp_path))
    assert rows.rows == 50
    for start, stop in [(0, 50), (0, 1), (22, 31), (49, 50), (7, 7 + 7), (29, 30)]:
        X, classes = rows.read(start, stop, [0, 1, 2, 3])
        assert X.tobytes() == TABLE[start:stop, :3].copy().tobytes()
        assert classes.tolist() == TABLE[start:stop, 3].tolist()
        X, _ = rows.read(start, stop, [2, 0, 3])
        assert (TABLE[start:stop][:, [2, 0]] == X).all()
    rows.ahead(10, 90)


def test_smaller_numbers_are_read_as_float64(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", TABLE.astype(np.float32))
    X, _ = opened(tmp_path / "a.npy").read(3, 5, [0, 1, 2, 3])
    assert X.dtype == np.float64
    assert (TABLE[3:5, :3].astype(np.float32) == X).all()


def test_a_pattern_or_a_list_names_files_in_their_order(tmp_path: Path) -> None:
    paths = three_npy(tmp_path)
    assert paths_of(f"{tmp_path}/*.npy") == list(map(str, paths))
    (tmp_path / "some.list").write_text("# parts\nc.npy\n\na.npy\n")
    assert paths_of(f"{tmp_path}/some.list") == [f"{tmp_path}/c.npy", f"{tmp_path}/a.npy"]
    (tmp_path / "some.list").write_text("c.npy\n", encoding="utf-8-sig")
    assert paths_of(f"{tmp_path}/some.list") == [f"{tmp_path}/c.npy"]
    (tmp_path / "some.list").write_text("c.npy\n", encoding="utf-16")
    with pytest.raises(DataError, match="is UTF-16; save it as UTF-8"):
        paths_of(f"{tmp_path}/some.list")
    (tmp_path / "odd[1].npy").write_bytes(paths[0].read_bytes())
    assert not is_many(f"{tmp_path}/odd[1].npy")  # a file that is there is no pattern


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        opened(path)
    (line,) = error.value.lines
    assert line.startswith(f"{path}: ")
    return line


def test_files_that_cannot_be_used_are_refused_in_a_line(tmp_path: Path) -> None:
    good = one_npy(tmp_path)[0].read_bytes()
    assert "cut off after row 49 of 50" in refused(tmp_path / "b.npy", good[:-1])
    assert "not a readable NPY file" in refused(tmp_path / "b.npy", good[:40])
    np.save(tmp_path / "f.npy", np.asfortranarray(TABLE))
    assert "ascontiguousarray" in refused(tmp_path / "b.npy", (tmp_path / "f.npy").read_bytes())
    np.save(tmp_path / "f.npy", TABLE[:, 0])
    assert "(n, d+1)" in refused(tmp_path / "b.npy", (tmp_path / "f.npy").read_bytes())
    np.save(tmp_path / "f.npy", TABLE[:0])
    assert "no rows" in refused(tmp_path / "b.npy", (tmp_path / "f.npy").read_bytes())
    pytest.importorskip("pyarrow")
    assert "not a readable Parquet file" in refused(tmp_path / "b.parquet", b"PAR1 and no more")
    for path in (f"{tmp_path}/none*.npy", f"{tmp_path}/none.list", f"{tmp_path}/none.npy"):
        with pytest.raises(DataError, match=r"no such file|no file fits"):
            open_rows(paths_of(path)[0])
    (tmp_path / "empty.list").write_text("# nothing\n")
    with pytest.raises(DataError, match="names no file"):
        paths_of(f"{tmp_path}/empty.list")
    np.save(tmp_path / "few.npy", TABLE[:, 1:])
    with pytest.raises(DataError, match="has other columns"):
        opened(tmp_path / "a.npy", tmp_path / "few.npy")


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path: Path) -> None:
    (path,) = one_npy(tmp_path)
    rows = opened(path)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(DataError, match="cut off after row 48 of 50"):
        rows.read(0, 50, [0, 1, 2, 3])


def test_words_are_classes_and_no_features_in_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    table = pyarrow.table({"x": [1.0, None, 3.0], "w": ["a", "b", "c"], "y": ["n", "p", None]})
    files.write_table(table, tmp_path / "a.parquet")
    rows = opened(tmp_path / "a.parquet")
    X, classes = rows.read(0, 3, [0, 2])
    assert np.isnan(X[1, 0])
    assert classes.tolist() == ["n", "p", ""]
    with pytest.raises(DataError, match="w: is not a number"):
        rows.read(0, 3, [1, 2])
