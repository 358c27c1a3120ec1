"""What a file of points holds: bytes behind compression, text behind an encoding, or a refusal by name."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, cast

from mlhw.errors import DataError
from mlhw.text.plain_files import open_plain
from mlhw.text.words import in_short, listing, not_there

STDIN = "-"

_LONGEST_LINE = 1 << 22  # characters; 50,000 columns of 40 take 2 million
_MOST_HELD = 1 << 28  # bytes, of what has to be held in memory whole
_PANDAS = "in Python: pandas.{reader}('{name}').to_csv('points.csv', index=False)"
_SPREADSHEET = "save it as CSV in the spreadsheet program (File, Save As, CSV UTF-8)"
_PICKLED = "holds pickled objects, which are refused; save plain arrays X and y with numpy.savez"

# Formats that are not read: how a file begins, what it is, what to do.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "a Parquet file", _PANDAS.replace("{reader}", "read_parquet")),
    (b"ARROW1", "a Feather file", _PANDAS.replace("{reader}", "read_feather")),
    (b"ORC", "an ORC file", _PANDAS.replace("{reader}", "read_orc")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", _SPREADSHEET),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "read it with h5py and save X and y with numpy.savez"),
    (b"MATLAB 5.0", "a MATLAB file", "scipy.io.loadmat, then numpy.savez with X and y"),
    (b"RDX", "R's data", "in R: write.csv(data, 'points.csv', row.names = FALSE)"),
    (b"X\n\x00\x00\x00", "R's data", "in R: write.csv(data, 'points.csv', row.names = FALSE)"),
    (b"$FL2", "an SPSS file", _PANDAS.replace("{reader}", "read_spss")),
    (b"<stata_dta>", "a Stata file", _PANDAS.replace("{reader}", "read_stata")),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "git lfs pull"),
    (b"[{", "a JSON file", _PANDAS.replace("{reader}", "read_json")),
    (b'{"', "a JSON file", _PANDAS.replace("{reader}", "read_json")),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "unzstd '{name}'"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "take the file out of it"),
    (b"Rar!", "a RAR archive", "take the file out of it"),
    (b"%PDF", "a PDF document", "points are rows of numbers in a text file"),
    (b"\x89PNG", "an image", "points are rows of numbers in a text file"),
    (b"\xff\xd8\xff", "an image", "points are rows of numbers in a text file"),
)
# Of these the text may look like points, or tells nothing.
_SUFFIXES: dict[str, tuple[str, str]] = {
    ".json": ("a JSON file", _PANDAS.replace("{reader}", "read_json")),
    ".jsonl": (
        "a JSON file",
        _PANDAS.replace("{reader}('{name}')", "read_json('{name}', lines=True)"),
    ),
    ".html": ("a web page", "save the data itself"),
    ".xml": ("an XML file", _PANDAS.replace("{reader}", "read_xml")),
    ".yaml": ("a configuration", "give it with --config"),
    ".yml": ("a configuration", "give it with --config"),
    ".pkl": ("a pickle, which is refused", "save plain arrays X and y with numpy.savez"),
    ".pickle": ("a pickle, which is refused", "save plain arrays X and y with numpy.savez"),
    ".joblib": ("a pickle, which is refused", "save plain arrays X and y with numpy.savez"),
}
# What an archive of a program's own has in it.
_DOCUMENTS: tuple[tuple[str, str, str], ...] = (
    ("xl/", "an Excel workbook", _SPREADSHEET),
    ("content.xml", "an OpenDocument file", _SPREADSHEET),
    ("word/", "a Word document", "points are rows of numbers in a text file"),
    ("data.pkl", "a file of PyTorch's", "save plain arrays X and y with numpy.savez"),
)


@dataclass(frozen=True)
class Content:
    """The bytes of a file without what they were packed in; ``open`` begins at the first.

    ``path`` is the name in errors, ``suffix`` that of the file inside, in small letters; ``is_arrays``:
    NumPy's NPY or NPZ.
    """

    path: str
    suffix: str
    open: Callable[[], IO[bytes]]
    is_arrays: bool = False

    def start(self, count: int = 512) -> bytes:
        """The first ``count`` bytes."""
        with self.open() as stream:
            return stream.read(count)

    def encoding(self, given: str | None) -> str:
        """The text's: its byte order mark's, or the one that was given, or UTF-8.

        Raises DataError for UTF-16 without either.
        """
        return _encoding(self, given)

    def lines(self, encoding: str | None) -> Iterator[str]:
        """The text line by line, without line ends: ``\\n``, ``\\r\\n`` or ``\\r``.

        A byte order mark goes before ``encoding``; without either it is UTF-8.

        Raises
        ------
        DataError
            A line that is not text of this encoding, or longer than any table's.
        """
        name = self.encoding(encoding)
        number = 0
        with io.TextIOWrapper(cast("Any", self.open()), name) as text:
            while True:
                try:
                    line = text.readline(_LONGEST_LINE)
                except UnicodeDecodeError as error:
                    raise DataError(_undecodable(self, name, error)) from None
                except (
                    UnicodeError
                ) as error:  # UTF-16 and -32 without the mark that they begin with
                    raise DataError(
                        f"{self.path}: not {name.upper()} text ({in_short(error)}); "
                        f"say --encoding {name}-le or -be"
                    ) from None
                if not line:
                    return
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise DataError(
                        f"{self.path}:{number}: the line is longer than {_LONGEST_LINE:,} characters; "
                        "a point is a line, so there must be line ends"
                    )
                yield line.rstrip("\n")


def content_of(path: str) -> Content:
    """What the file at ``path`` holds; ``-`` is the standard input.

    Raises
    ------
    DataError
        Not there, a folder, an archive of several files, or a format that is not read: its name and
        the way out.
    OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError
        It cannot be read, or is damaged.
    """
    if path == STDIN:
        content = _standard_input()
    else:
        if os.path.isdir(path):
            raise DataError(f"{path}: is a folder, not a file of points")
        if not os.path.exists(path):
            raise DataError(f"{path}: {not_there(path)}")
        if not os.path.isfile(path):
            raise DataError(
                f"{path}: is no plain file; what a program writes is read with | … --data -"
            )
        content = Content(path, os.path.splitext(path)[1].lower(), partial(_opened, path))
    for _ in range(3):  # a packed file may be packed again, but not without end
        unpacked = _unpacked(content)
        if unpacked is content:
            break
        content = unpacked
    _refuse(content)
    return content


def _opened(path: str) -> IO[bytes]:
    return open_plain(path)


def _gunzip(packed: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=packed)


class _Unpacked(io.RawIOBase):
    """The content of a packed file; closing it closes what it was taken from too."""

    def __init__(self, content: IO[bytes], *around: Any) -> None:
        self._content = content
        self._around = around

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._content.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            for stream in (self._content, *self._around):
                stream.close()
        super().close()


def _unpacking(packer: Callable[[IO[bytes]], Any], outer: Callable[[], IO[bytes]]) -> IO[bytes]:
    packed = outer()
    return cast("IO[bytes]", io.BufferedReader(_Unpacked(packer(packed), packed)))


def _member(outer: Callable[[], IO[bytes]], name: str) -> IO[bytes]:
    with ExitStack() as opened:
        packed = opened.enter_context(seekable(outer(), name))
        archive = opened.enter_context(zipfile.ZipFile(packed))
        member = archive.open(name)
        opened.pop_all()  # closed with what is returned
    return cast("IO[bytes]", io.BufferedReader(_Unpacked(member, archive, packed)))


def seekable(stream: IO[bytes], path: str) -> IO[bytes]:
    """The stream, or what it holds in memory where one cannot go back in it.

    Raises DataError for more than may be held; ``path`` is its name in errors.
    """
    if stream.seekable():
        return stream
    held = io.BytesIO()
    with stream:
        while chunk := stream.read(1 << 20):
            if held.write(chunk) and held.tell() > _MOST_HELD:
                raise DataError(
                    f"{path}: unpacks to more than {_MOST_HELD:,} bytes; unpack it first"
                )
    held.seek(0)
    return held


def _standard_input() -> Content:
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "standard input: nothing is piped in; as in: cat points.csv | mlhw … --data -"
        )
    gathered = io.BytesIO()
    # Piece by piece: a signal between two reads of one call would wait for more to come.
    stream: Any = sys.stdin.buffer
    while chunk := stream.read1(1 << 20):
        if gathered.write(chunk) and gathered.tell() > _MOST_HELD:
            raise DataError(
                f"standard input: is more than {_MOST_HELD:,} bytes; put it into a file, which may be larger"
            )
    held = gathered.getvalue()
    if not held:
        raise DataError("standard input: is empty")
    return Content("stdin", "", lambda: io.BytesIO(held))


def _unpacked(content: Content) -> Content:
    """What a compressed file or an archive of one file holds; any other as it is."""
    start = content.start(8)
    inner = os.path.splitext(os.path.splitext(content.path)[0])[1].lower()
    outer = content.open
    if start.startswith(b"\x1f\x8b"):
        return Content(content.path, inner, partial(_unpacking, _gunzip, outer))
    if start.startswith(b"BZh"):
        return Content(content.path, inner, partial(_unpacking, bz2.BZ2File, outer))
    if start.startswith(b"\xfd7zXZ\x00"):
        return Content(content.path, inner, partial(_unpacking, lzma.LZMAFile, outer))
    if start.startswith(b"\x93NUMPY"):
        return Content(content.path, ".npy", outer, is_arrays=True)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_archive(content)
    return content


def _of_archive(content: Content) -> Content:
    if content.is_arrays:
        return content
    with seekable(content.open(), content.path) as stream, zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
    names = [
        entry.filename
        for entry in entries
        if not entry.is_dir()
        and not entry.filename.startswith("__MACOSX/")
        and os.path.basename(entry.filename) not in (".DS_Store", "Thumbs.db")
    ]
    for mark, what, remedy in _DOCUMENTS:
        if any(name.startswith(mark) or name.endswith("/" + mark) for name in names):
            raise DataError(f"{content.path}: is {what}; {remedy}")
    if content.suffix == ".npz" or (names and all(name.endswith(".npy") for name in names)):
        return Content(content.path, ".npz", content.open, is_arrays=True)
    if len(names) != 1:
        some = listing(names[:5]) if len(names) < 6 else ", ".join(names[:5]) + ", …"
        held = f"{len(names)} files ({some})" if names else "no file"
        raise DataError(f"{content.path}: holds {held}; one is read, so take yours out of it")
    if any(entry.flag_bits & 1 for entry in entries):
        raise DataError(f"{content.path}: needs a password; take the file out of it")
    name = names[0]
    return Content(
        content.path,
        os.path.splitext(name)[1].lower(),
        partial(_member, content.open, name),
    )


def _refuse(content: Content) -> None:
    """Raise DataError for a format that is known and not read."""
    name = os.path.basename(content.path)
    start = content.start()
    for beginning, what, remedy in _BEGINNINGS:
        if start.startswith(beginning):
            raise DataError(f"{content.path}: is {what}; {remedy.replace('{name}', name)}")
    if start.startswith(b"\x80") and start[1:2] in b"\x02\x03\x04\x05":
        raise DataError(f"{content.path}: {_PICKLED}")
    if content.suffix in _SUFFIXES:
        what, remedy = _SUFFIXES[content.suffix]
        raise DataError(f"{content.path}: is {what}; {remedy.replace('{name}', name)}")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(f"{content.path}: is a web page, not data; save the data itself")
    if content.suffix == ".npz" and not content.is_arrays:
        raise DataError(f"{content.path}: is no NPZ file; save arrays X and y with numpy.savez")
    if content.suffix == ".npy" and not content.is_arrays:
        raise DataError(f"{content.path}: is no NPY file; save an array with numpy.save")


# ------------------------------------------------------------------------------------- text

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _encoding(content: Content, given: str | None) -> str:
    start = content.start(256)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if given is None and len(start) >= 4:
        for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            every_other = start[first::2]
            if every_other.count(0) > 0.6 * len(every_other) and start.count(0) < 0.6 * len(start):
                raise DataError(f"{content.path}: looks like UTF-16; say --encoding {name}")
    return given or "utf-8"


def _undecodable(content: Content, name: str, error: UnicodeDecodeError) -> str:
    """The place of the first byte that is not text, and what to try."""
    lines = 1
    decoder = codecs.getincrementaldecoder(name)()
    byte = error.object[error.start]
    with content.open() as stream:
        while block := stream.read(1 << 20):
            try:
                lines += decoder.decode(block).count("\n")
            except UnicodeDecodeError as found:
                byte = found.object[found.start]
                lines += found.object[: found.start].count(b"\n")
                break
    other = "cp1252 (Windows, Excel)" if name == "utf-8" else "utf-8, cp1252 or another one"
    named = name.upper() if name.startswith("utf") else name
    return (
        f"{content.path}:{lines}: not {named} text (byte 0x{byte:02x}); "
        f"say the file's encoding: --encoding {other}"
    )
