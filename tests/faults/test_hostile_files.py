"""Archives, pickles, bombs: nothing executes, nothing leaves its place, nothing fills the memory."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import resource
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mlhw.errors import DataError, MlhwError
from tests.faults.forks import Ended, Forks, forks
from tests.faults.tally import Tally
from tests.faults.test_hostile import UNSAFE
from tests.vision.images.test_archives import md5, special, tar_of
from tests.vision.networks.test_weight_files import Hostile

Note = Callable[[str], Tally]


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    with forks() as one:
        yield one


def members() -> dict[str, bytes | tarfile.TarInfo]:
    link = special(tarfile.SYMTYPE, "/etc")
    link.name = "link"
    return {
        "../../up": b"x",
        "/tmp/absolute": b"x",
        "link/passwd": b"x",
        "C:\\windows\\x": b"x",
        "link": link,
    }


def test_of_an_archive_nothing_is_unpacked_but_what_is_wanted(tmp_path: Path, tally: Note) -> None:
    from mlhw.vision.images.archives import extract

    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    one = tally("hostile")
    for name, content in members().items():
        with tarfile.open(inside / "a.tar.gz", "w:gz") as tar:
            for info, data in ((name, content), ("wanted", b"good")):
                member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(info)
                if isinstance(data, bytes):
                    member.size = len(data)
                tar.addfile(member, io.BytesIO(data if isinstance(data, bytes) else b""))
        extract(inside / "a.tar.gz", {"wanted": (inside / "out", md5(b"good"))})
        found = {path.name for path in tmp_path.rglob("*")}
        fine = found == {"deep", "inside", "a.tar.gz", "out"}
        one.note(f"tar member {name}", "survived" if fine else "escaped", str(found))
    assert tar_of(inside / "b.tar.gz", {"x": b"x"}).exists()


def test_an_archive_of_points_is_read_in_memory_whatever_its_names(
    tmp_path: Path, server: Forks, tally: Note
) -> None:
    one = tally("hostile")
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("../../up.csv", "/tmp/absolute.csv", "link.csv", "a\nb\x1b[2J.csv"):
        with zipfile.ZipFile(folder / "p.zip", "w") as archive:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o120777 << 16 if name == "link.csv" else 0
            archive.writestr(entry, "0,1,a\n1,0,b\n")
        ended = server.run(folder, "data", "p.zip")
        wrong = ended.unclean or (UNSAFE.search(ended.out + ended.err) and ended.out)
        one.note(f"zip member {name!r}", "escaped" if wrong else "survived", str(wrong))
    assert {path.name for path in tmp_path.iterdir()} == {"here", "here.out", "here.err"}


# ------------------------------------------------------------------------------------- code in data


def test_no_pickle_runs_from_wherever_it_comes(tmp_path: Path, server: Forks, tally: Note) -> None:
    import torch

    from mlhw.vision.networks.weight_files import read_tensors
    from mlhw.vision.training.checkpoints import LAST, MANIFEST, Checkpoints

    one = tally("hostile")
    marker = tmp_path / "marker"
    bad = Hostile(marker)
    folder = tmp_path / "checkpoints"
    Checkpoints(folder).save(lambda: {"format": 1}, 1, None)
    torch.save({"format": 1, "x": bad}, folder / LAST)
    digest = json.loads((folder / MANIFEST).read_text())
    for entry in digest["files"].values():  # a manifest that vouches for it
        entry["sha256"] = hashlib.sha256((folder / LAST).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(digest))
    (tmp_path / "w.pt").write_bytes(pickle.dumps({"w": bad}))
    here = tmp_path / "here"
    here.mkdir()
    np.savez(here / "p.npz", X=np.array([[bad, 1]], dtype=object), y=np.array([0]))
    np.save(here / "p.npy", np.array([[bad, 1]], dtype=object), allow_pickle=True)
    (here / "p.pkl").write_bytes(pickle.dumps(bad))
    (here / "p.csv").write_bytes(pickle.dumps(bad))
    (here / "c.yaml").write_text(f"seed: !!python/object/apply:os.system ['touch {marker}']\n")
    (here / "d.yaml").write_text(f"!!python/object/new:os.system [touch {marker}]\n")
    tries: dict[str, Callable[[], object]] = {
        "checkpoint": lambda: Checkpoints(folder).load_last(lambda line: None),
        "weights": lambda: read_tensors(tmp_path / "w.pt"),
    }
    for name in ("p.npz", "p.npy", "p.pkl", "p.csv"):
        tries[name] = lambda name=name: refused(server.run(here, "data", name))  # type: ignore[misc]
    for name in ("c.yaml", "d.yaml"):
        tries[name] = lambda name=name: refused(server.run(here, "lr-sweep", "-c", name))  # type: ignore[misc]
    for name, read in tries.items():
        with pytest.raises(MlhwError):
            read()
        one.note(name, "escaped" if marker.exists() else "survived")
    pickle.loads(pickle.dumps(bad))  # it would have
    assert marker.exists()


def refused(ended: Ended) -> None:
    assert not ended.unclean
    assert ended.code == 2
    raise DataError(ended.err)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, *chunks: bytes, pixels: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = (
        header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + body


def bombs() -> dict[str, bytes]:
    """Small files that would unpack to gigabytes."""
    zeros = zlib.compress(bytes(200 << 20), 9)
    row = bytes(4)
    return {
        "pixels": png(40_000, pixels=b""),
        "more pixels than it has": png(1, pixels=bytes(100 << 20)),
        "text": png(1, chunk(b"zTXt", b"a\0\0" + zeros), pixels=row),
        "international text": png(1, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros), pixels=row),
        "profile": png(1, chunk(b"iCCP", b"a\0\0" + zeros), pixels=row),
    }


def test_an_image_that_unpacks_without_end_takes_neither_time_nor_memory(
    tmp_path: Path, tally: Note
) -> None:
    from mlhw.vision.images.decode import UnreadableImageError, decode_whole, quiet_pillow

    one = tally("hostile")
    for name, content in bombs().items():
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            with quiet_pillow():
                assert decode_whole(content).shape[0] == 1  # type: ignore[union-attr]
        except UnreadableImageError:
            pass
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        cost = f"{grown >> 10} MB, {time.process_time() - begun:.1f} s"
        fine = grown < 300 << 10 and time.process_time() - begun < 2
        one.note(f"PNG with {name}", "survived" if fine else "lost", cost)


def test_weights_that_unpack_to_more_than_they_are_are_refused(tmp_path: Path, tally: Note) -> None:
    import torch

    from mlhw.vision.networks.weight_files import read_tensors

    torch.save({"w": torch.zeros(1 << 20)}, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    with pytest.raises(DataError, match="is compressed and unpacks to 4,"):
        read_tensors(tmp_path / "bomb.pt")
    tally("hostile").note("weights that unpack", "survived")


def test_a_nul_in_a_table_is_a_line_that_names_it(
    tmp_path: Path, server: Forks, tally: Note
) -> None:
    one = tally("hostile")
    folder = tmp_path / "here"
    folder.mkdir()
    for name, content in {
        "cell": b"0,1,a\n1,\0,b\n1,1,a\n",
        "label": b"0,1,a\0\n1,2,b\n1,1,a\0\n",
        "all": bytes(5000),
    }.items():
        (folder / "p.csv").write_bytes(content)
        ended = server.run(folder, "data", "p.csv")
        wrong = ended.unclean or ("\0" in ended.out + ended.err and "a NUL is shown")
        one.note(f"NUL in {name}", "escaped" if wrong else "survived", str(wrong))
