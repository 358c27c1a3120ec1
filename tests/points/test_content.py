"""Encodings, archives, standard input, and formats that are refused by name."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import time
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from mlhw.errors import DataError
from mlhw.points.config import PointsConfig
from tests.points.reading import read, written

TEXT = "größe,b,label\n1,2,0\n3,5,1\n"


@pytest.mark.parametrize(
    ("encoding", "given"),
    [
        *((name, None) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32")),
        *((name, name) for name in ("cp1252", "utf-16-le", "mac_roman")),
    ],
)
def test_a_text_is_read_in_its_encoding(tmp_path: Path, encoding: str, given: str | None) -> None:
    points = read(written(tmp_path, "p.csv", TEXT.encode(encoding)), encoding=given)
    assert points.features == ("größe", "b")


def test_utf_16_without_a_mark_says_what_to_say(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", TEXT.encode("utf-16-le"))
    with pytest.raises(DataError, match="looks like UTF-16; say --encoding utf-16-le"):
        read(path)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no encoding"):
        PointsConfig(encoding="cp12520")


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("|", "/"), content)
    return held.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_read_by_its_content(tmp_path: Path, pack: object) -> None:
    packed = pack(TEXT.encode())  # type: ignore[operator]
    for name in ("p.csv.gz", "p.csv", "data"):
        assert len(read(written(tmp_path, name, packed)).X) == 2
    damaged = written(tmp_path, "d.gz", packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"d\.gz: (is damaged|cannot be read)"):
        read(damaged)


def test_an_array_may_be_compressed(tmp_path: Path) -> None:
    held = io.BytesIO()
    np.save(held, np.array([[2.0, 0], [3.0, 1]]))
    assert read(written(tmp_path, "p.npy.gz", gzip.compress(held.getvalue(), mtime=0))).labels == [
        0,
        1,
    ]


def test_a_zip_is_read_where_it_holds_one_file(tmp_path: Path) -> None:
    one = zipped(**{"p.csv": TEXT.encode(), "__MACOSX|p.csv": b"x"})
    assert len(read(written(tmp_path, "one.zip", one)).X) == 2
    two = written(tmp_path, "two.zip", zipped(**{"a.csv": b"", "b.csv": b""}))
    with pytest.raises(DataError, match=r"two\.zip: holds 2 files \(a\.csv and b\.csv\)"):
        read(two)
    none = written(tmp_path, "none.zip", zipped())
    with pytest.raises(DataError, match="holds no file"):
        read(none)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.xlsx", zipped(**{"xl|workbook.xml": b"x"}), "is an Excel workbook; save it as CSV"),
        ("p.csv", zipped(**{"xl|workbook.xml": b"x"}), "is an Excel workbook; save it as CSV"),
        ("p.ods", zipped(**{"content.xml": b"x"}), "is an OpenDocument file; save it as CSV"),
        ("p.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel workbook; save it as CSV"),
        (
            "p.parquet",
            b"PAR1....",
            "is a Parquet file; in Python: pandas.read_parquet('p.parquet')",
        ),
        ("p.feather", b"ARROW1..", "is a Feather file; in Python: pandas.read_feather"),
        ("p.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        ("p.mat", b"MATLAB 5.0 MAT-file", "is a MATLAB file; scipy.io.loadmat"),
        ("p.rds", gzip.compress(b"X\n\x00\x00\x00\x03", mtime=0), "is R's data; in R: write.csv"),
        ("p.pkl", pickle.dumps([1]), "holds pickled objects, which are refused"),
        ("p.json", '[{"a": 1}]', "is a JSON file; in Python: pandas.read_json('p.json')"),
        ("p.csv", "<!DOCTYPE html><html>", "is a web page, not data"),
        ("p.csv", "version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        ("p.csv.zst", b"\x28\xb5\x2f\xfd..", "is compressed with Zstandard; unzstd 'p.csv.zst'"),
        ("p.yaml", "data: iris\n", "is a configuration; give it with --config"),
    ],
)
def test_what_is_not_read_is_refused_by_name_with_the_way_out(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read(path)
    (line,) = caught.value.lines
    assert line.startswith(f"{path}: {sentence}")


@pytest.mark.parametrize("address", ["https://x.org/p.csv", "http://x.org/p", "s3://bucket/p.csv"])
def test_a_web_address_is_refused_with_the_way_out(address: str) -> None:
    with pytest.raises(ValidationError, match=f"web address .* curl -LO '{address}'"):
        PointsConfig.model_validate(PointsConfig.from_text(address))


def test_standard_input_is_read_once_it_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stdin(content: bytes, terminal: bool = False) -> SimpleNamespace:
        return SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: terminal)

    monkeypatch.setattr("sys.stdin", stdin(TEXT.encode()))
    assert len(read(Path("-")).X) == 2
    monkeypatch.setattr("sys.stdin", stdin(gzip.compress(b"1 2 0\n3 x 1\n", mtime=0)))
    with pytest.raises(DataError, match="stdin:2: x2: 'x' is not a number"):
        read(Path("-"))
    for empty, sentence in [(stdin(b""), "is empty"), (stdin(b"", True), "nothing is piped in")]:
        monkeypatch.setattr("sys.stdin", empty)
        with pytest.raises(DataError, match=f"standard input: {sentence}"):
            read(Path("-"))


# ------------------------------------------------------------------------------------- large

WIDE = ",".join(f"f{i}" for i in range(49_999)) + ",label\n"
LARGE = {
    "columns": (
        WIDE + (",".join(["1.25"] * 49_999) + ",0\n" + ",".join(["2"] * 49_999) + ",1\n") * 2,
        "",
    ),
    "line": ("1.23456," * 12_500_000, ":1: the line is longer than"),
    "quote": ('a,label\n"' + "x" * 100_000_000, ":2: the line is longer than"),
    "delimiters": (
        "a,label\n" + "," * 10_000_000,
        ":2: the line is longer than 4,194,304 characters",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_very_wide_and_very_long_files_are_read_or_refused_quickly(
    tmp_path: Path, kind: str
) -> None:
    content, error = LARGE[kind]
    path = written(tmp_path, "p.csv", content)
    begun = time.process_time()
    try:
        points = read(path)
    except DataError as caught:
        assert error
        assert error in caught.lines[0]
    else:
        assert not error
        assert points.X.shape == (4, 49_999)
    assert time.process_time() - begun < 2
    tracemalloc.start()
    with contextlib.suppress(DataError):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6


def test_a_sparse_file_with_an_index_beyond_measure_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "p.txt", "1 1:0.5\n0 99999999999:1\n")
    with pytest.raises(DataError, match=r"p\.txt:2: the index 99999999999 makes"):
        read(path)
