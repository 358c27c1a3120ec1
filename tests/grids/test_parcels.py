"""Run folders as parcels, and what a parcel may hold."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from pathlib import Path

import pytest

from mlhw.errors import RunError
from mlhw.grids.parcels import TooLarge, pack, unpack


def made(folder: Path) -> Path:
    (folder / "plots").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "log.txt").write_text("")
    (folder / "metrics.csv").write_bytes(b"a,b\n" * 1000)
    (folder / "plots/nll ü.png").write_bytes(bytes(range(256)))
    (folder / ".hidden").write_text("stays")
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def zipped(
    *members: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_STORED
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def unpacked(data: bytes, folder: Path) -> None:
    unpack(memoryview(data), hashlib.sha256(data).hexdigest(), folder)


def test_a_folder_comes_out_as_it_went_in_but_for_links_and_hidden_files(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    parcel = pack(folder, tmp_path / "parcel")
    data = parcel.path.read_bytes()
    assert (parcel.bytes, parcel.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    unpack(memoryview(data), parcel.sha256, tmp_path / "home")
    expected = {k: v for k, v in files(folder).items() if k not in ("link", ".hidden")}
    assert files(tmp_path / "home") == expected
    # The same files are the same bytes.
    assert pack(tmp_path / "home", tmp_path / "again").sha256 == parcel.sha256


def test_one_that_is_too_large_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="keep fewer checkpoints"):
        pack(made(tmp_path / "run"), tmp_path / "parcel", most=4000)
    assert not (tmp_path / "parcel").exists()


@pytest.mark.parametrize(
    "data",
    [
        zipped(("../escaped", b"x")),
        zipped(("/tmp/escaped", b"x")),
        zipped(("a/../../escaped", b"x")),
        zipped(("a\\..\\escaped", b"x")),
        zipped(("C:escaped", b"x")),
        zipped((".hidden", b"x")),
        zipped(("a/", b"")),
        zipped((link(), b"/etc/passwd")),
        zipped(("bomb", bytes(1_000_000)), method=zipfile.ZIP_DEFLATED),
        b"PK no zip at all",
        b"",
    ],
)
def test_nothing_else_is_unpacked(data: bytes, tmp_path: Path) -> None:
    home = tmp_path / "in" / "home"
    home.parent.mkdir()
    with pytest.raises(RunError):
        unpacked(data, home)
    assert not any(path.is_file() or path.is_symlink() for path in tmp_path.rglob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds what no run writes: 'a'"):
        unpacked(zipped(("a", b"x"), ("a", b"y")), tmp_path / "home")


def test_changed_bytes_are_refused_wherever_they_are(tmp_path: Path) -> None:
    parcel = pack(made(tmp_path / "run"), tmp_path / "parcel")
    data = parcel.path.read_bytes()
    for place in range(0, len(data), len(data) // 20):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(RunError, match="its digest is another"):
            unpack(memoryview(changed), parcel.sha256, tmp_path / "home")
