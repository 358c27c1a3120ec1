"""CIFAR and MNIST from files in their makers' formats, read beside torchvision; nothing hostile runs."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhw.errors import ConfigError, DataError
from mlhw.result.recorder import Recorder
from mlhw.system.download import fetch
from mlhw.vision.images import archives
from mlhw.vision.images.datasets import load_images
from mlhw.vision.networks.torchvision_import import torchvision
from tests.vision.watching import Watching

PER_FILE = 20


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def cifar_members(name: str) -> dict[str, bytes]:
    """Files in the format of the published ones, with noise for images."""
    table = getattr(torchvision().datasets, archives.CIFAR[name])
    rng = np.random.default_rng(0)
    key = "labels" if name == "cifar10" else "fine_labels"
    classes = 10 if name == "cifar10" else 100
    count = PER_FILE if name == "cifar10" else 3 * classes
    files = {}
    for file, _ in [*table.train_list, *table.test_list]:
        content = {
            "batch_label": file,
            key: [i % classes for i in range(count)],
            "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        }
        files[file] = pickle.dumps(content, protocol=2)
    meta = {table.meta["key"]: [f"class {k}" for k in range(classes)]}
    files[table.meta["filename"]] = pickle.dumps(meta, protocol=2)
    return files


def publish(name: str, members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let torchvision's table say that ``members`` are the published files."""
    table = getattr(torchvision().datasets, archives.CIFAR[name])
    for part in ("train_list", "test_list"):
        listed = [[file, md5(members[file])] for file, _ in getattr(table, part)]
        monkeypatch.setattr(table, part, listed)
    meta = {**table.meta, "md5": md5(members[table.meta["filename"]])}
    monkeypatch.setattr(table, "meta", meta)
    return table


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_as_torchvision_reads_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = cifar_members(name)
    table = publish(name, members, monkeypatch)
    folder = tmp_path / table.base_folder
    folder.mkdir()
    for file, content in members.items():
        (folder / file).write_bytes(content)
    splits = load_images(name, data_dir=tmp_path, val=100 if name == "cifar100" else 20)
    train, test = table(str(tmp_path), train=True), table(str(tmp_path), train=False)
    assert splits.classes == train.classes
    assert splits.test is not None
    for part, reference in ((splits.train, train), (splits.val, train), (splits.test, test)):
        rows = [int(row) for row in part.names]
        np.testing.assert_array_equal(part.images(range(len(part))), reference.data[rows])
        np.testing.assert_array_equal(part.labels, np.array(reference.targets)[rows])
    assert len(splits.train) + len(splits.val) == len(train)
    assert load_images(name, data_dir=tmp_path, test=0).test is None


def test_cifar_is_unpacked_from_a_copy_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = cifar_members("cifar10")
    table = publish("cifar10", members, monkeypatch)
    inside = {f"{table.base_folder}/{file}": content for file, content in members.items()}
    tar_of(tmp_path / table.filename, {**inside, "../escaped": b"x", "/tmp/escaped": b"x"})
    recorder = Recorder()
    splits = load_images("cifar10", data_dir=tmp_path, recorder=recorder)
    assert len(splits.train) + len(splits.val) == 5 * PER_FILE
    assert any("unpacking" in line for line in recorder.log_lines)
    assert sorted(os.listdir(tmp_path)) == sorted([table.base_folder, table.filename])
    assert sorted(os.listdir(tmp_path / table.base_folder)) == sorted(members)
    assert len(table(str(tmp_path), train=True)) == 5 * PER_FILE  # torchvision uses the same copy


def test_cifar_is_downloaded_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = cifar_members("cifar10")
    table = publish("cifar10", members, monkeypatch)
    inside = {f"{table.base_folder}/{file}": content for file, content in members.items()}
    archive = tar_of(tmp_path / "server" / table.filename, inside)
    monkeypatch.setattr(table, "tgz_md5", md5(archive.read_bytes()))
    for variable in [v for v in os.environ if v.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    handler = functools.partial(Quiet, directory=str(archive.parent))
    data = tmp_path / "data"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{table.filename}"
        monkeypatch.setattr(table, "url", url)
        with pytest.raises(DataError) as caught:
            load_images("cifar10", data_dir=data)
        assert not data.exists()
        recorder = Watching()
        splits = load_images("cifar10", data_dir=data, download=True, recorder=recorder)
        server.shutdown()
        thread.join()
    for word in ("--download", table.filename, table.tgz_md5, str(data)):
        assert word in str(caught.value)
    assert len(splits.train) + len(splits.val) == 5 * PER_FILE
    assert recorder.steps[-1][0] == recorder.steps[-1][1] == archive.stat().st_size


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


# --------------------------------------------------------------------------------- hostile files


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "code ran")


def test_a_pickle_with_another_md5_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = cifar_members("cifar10")
    table = publish("cifar10", members, monkeypatch)
    members["data_batch_3"] = pickle.dumps(Hostile(tmp_path / "marker"))
    (tmp_path / table.base_folder).mkdir()
    for file, content in members.items():
        (tmp_path / table.base_folder / file).write_bytes(content)
    monkeypatch.setattr(archives.ArraysOnly, "find_class", pickle.Unpickler.find_class)
    with pytest.raises(DataError, match="data_batch_3: is not the published file"):
        load_images("cifar10", data_dir=tmp_path)
    assert not (tmp_path / "marker").exists()


def test_even_a_pickle_with_the_right_md5_makes_arrays_only(tmp_path: Path) -> None:
    content = pickle.dumps(Hostile(tmp_path / "marker"))
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(pickle.UnpicklingError, match="has no place in a data set"):
        archives.unpickle(tmp_path / "batch", md5(content))
    assert not (tmp_path / "marker").exists()


def special(kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo("wanted")
    info.type = kind
    info.linkname = target
    return info


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_a_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(special(kind))
    with pytest.raises(DataError, match="wanted is no plain file"):
        archives.extract(tmp_path / "a.tar.gz", {"wanted": (tmp_path / "out", "0" * 32)})
    assert not (tmp_path / "out").exists()


def test_a_member_with_another_md5_is_not_kept(tmp_path: Path) -> None:
    tar_of(tmp_path / "a.tar.gz", {"wanted": b"something else"})
    with pytest.raises(DataError, match="wanted: is not the published file"):
        archives.extract(tmp_path / "a.tar.gz", {"wanted": (tmp_path / "out", "0" * 32)})
    assert os.listdir(tmp_path) == ["a.tar.gz"]


def test_a_folder_that_is_a_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", {"x": b"1"})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"a\.tar\.gz: cannot be unpacked.*File exists"):
        archives.extract(archive, {"x": (tmp_path / "file" / "x", md5(b"1"))})
    with pytest.raises(DataError, match=r"cannot be downloaded to .*: file exists"):
        fetch("http://127.0.0.1:9/x", tmp_path / "file" / "x", None)


def test_a_member_that_is_missing_is_named(tmp_path: Path) -> None:
    tar_of(tmp_path / "a.tar.gz", {"other": b"x"})
    with pytest.raises(DataError, match="lacks wanted"):
        archives.extract(tmp_path / "a.tar.gz", {"wanted": (tmp_path / "out", "0" * 32)})


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_archive_is_one_line(tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(0).bytes(200_000)
    whole = tar_of(tmp_path / "a.tar.gz", {"wanted": noise}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: int(share * len(whole))] or b"not gzip")
    with pytest.raises(DataError, match="damaged or cut off"):
        archives.extract(tmp_path / "a.tar.gz", {"wanted": (tmp_path / "out", md5(noise))})
    assert not (tmp_path / "out").exists()


def test_an_archive_that_unpacks_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_UNPACKED_BYTES", 10_000)
    monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 5_000)
    tar_of(tmp_path / "a.tar.gz", {"filler": bytes(20_000), "wanted": b"x"})
    with pytest.raises(DataError, match="this is not the archive"):
        archives.extract(tmp_path / "a.tar.gz", {"wanted": (tmp_path / "out", md5(b"x"))})
    tar_of(tmp_path / "b.tar.gz", {"wanted": bytes(6_000)})
    with pytest.raises(DataError, match="of a fitting size"):
        archives.extract(tmp_path / "b.tar.gz", {"wanted": (tmp_path / "out", "")})


# --------------------------------------------------------------------------------- MNIST


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    return header + array.tobytes()


def mnist_files(count: int = 60) -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    files = {}
    for part in ("train", "t10k"):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte"] = idx(pixels)
        files[f"{part}-labels-idx1-ubyte"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


@pytest.mark.parametrize(("name", "table"), archives.MNIST.items())
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_as_torchvision_reads_it(
    name: str, table: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / table / "raw"
    raw.mkdir(parents=True)
    reference = getattr(torchvision().datasets, table)
    sums = {}
    for file, content in mnist_files().items():
        compressed = gzip.compress(content, mtime=0)
        sums[f"{file}.gz"] = md5(compressed)
        if packed:
            (raw / f"{file}.gz").write_bytes(compressed)
        else:
            (raw / file).write_bytes(content)
    resources = [(file, sums[file]) for file, _ in reference.resources]
    monkeypatch.setattr(reference, "resources", resources)
    splits = load_images(name, data_dir=tmp_path, val=20)
    train, test = reference(str(tmp_path), train=True), reference(str(tmp_path), train=False)
    assert splits.classes == reference.classes
    assert splits.test is not None
    for part, whole in ((splits.train, train), (splits.val, train), (splits.test, test)):
        rows = [int(row) for row in part.names]
        images = np.asarray(part.images(range(len(part))))
        np.testing.assert_array_equal(images[..., 1], whole.data.numpy()[rows])
        np.testing.assert_array_equal(part.labels, whole.targets.numpy()[rows])
        assert part.image_shape == (28, 28)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an IDX file"),
        (b"<html>", "is not an IDX file"),
        (idx(np.zeros((60, 28, 28), np.uint8))[:-1], "is cut off or damaged"),
        (idx(np.zeros((3, 28, 28), np.uint8)), "do not belong together"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "is cut off or damaged"),
    ],
)
def test_mnist_files_that_hold_something_else_are_named(
    content: bytes, words: str, tmp_path: Path
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, good in mnist_files().items():
        (raw / file).write_bytes(content if file == "train-images-idx3-ubyte" else good)
    with pytest.raises(DataError, match=words) as caught:
        load_images("mnist", data_dir=tmp_path)
    assert "train-images-idx3-ubyte" in str(caught.value)


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, good in mnist_files().items():
        (raw / file).write_bytes(good)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(60, 10, dtype=np.uint8)))
    with pytest.raises(DataError, match="labels beyond 10 classes"):
        load_images("mnist", data_dir=tmp_path)


def test_a_packed_file_that_is_not_the_published_one_is_not_unpacked(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"x", mtime=0))
    with pytest.raises(DataError, match="is not the published file"):
        load_images("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["cifar100", "mnist", "fashion-mnist"])
def test_what_is_missing_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_images(name, data_dir=tmp_path)
    assert caught.value.exit_code == 2
    for word in (name, "--download", "md5 ", str(tmp_path)):
        assert word in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_download_without_a_net_is_one_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(DataError, match="cannot be downloaded"):
        load_images(name, data_dir=tmp_path, download=True)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_test_split_of_ones_own_making_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = cifar_members("cifar10")
    table = publish("cifar10", members, monkeypatch)
    (tmp_path / table.base_folder).mkdir()
    for file, content in members.items():
        (tmp_path / table.base_folder / file).write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"data\.test: cifar10 has its own test split of 20 images"
    ):
        load_images("cifar10", data_dir=tmp_path, test=10)
