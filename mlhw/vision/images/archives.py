"""CIFAR and MNIST from the files their makers publish, laid out as torchvision does.

CIFAR's files are pickles, which can run code when read. So a file is read into memory, its MD5
compared with the published one, and only then unpickled, by a reader that makes arrays and nothing
else. Archives are never extracted wholesale: the members wanted are copied out one by one, each
under a name of ours and only if its MD5 is right.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mlhw.errors import DataError
from mlhw.result.recorder import Recorder
from mlhw.system.download import Checksum, fetch
from mlhw.system.files import whole
from mlhw.text.plain_files import read_plain
from mlhw.vision.names import CIFAR, MNIST
from mlhw.vision.networks.torchvision_import import torchvision

MOST_ARCHIVE_BYTES = 1 << 30  # six times the largest that is downloaded
MOST_MEMBER_BYTES = 512 << 20
MOST_UNPACKED_BYTES = 4 << 30
_GZIP_ERRORS = (OSError, EOFError, zlib.error)  # BadGzipFile is an OSError


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Arrays:
    """Images uint8 (n, H, W, 3) or (n, H, W) and labels int64 (n,), for training and for testing."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: list[str]


@dataclass(frozen=True)
class Fetching:
    """Where data sets are kept, and whether what is missing may be downloaded."""

    data_dir: Path
    download: bool
    recorder: Recorder


# --------------------------------------------------------------------------------- CIFAR


def cifar(name: str, fetching: Fetching) -> Arrays:
    """CIFAR-10 or CIFAR-100, 32 × 32 in colour (Krizhevsky, 2009).

    Raises DataError if files are missing and not to be downloaded, or are not the published ones.
    """
    table = getattr(torchvision().datasets, CIFAR[name])
    folder = fetching.data_dir / table.base_folder
    meta = (table.meta["filename"], table.meta["md5"])
    wanted = dict([*table.train_list, *table.test_list, meta])
    if any(not (folder / file).is_file() for file in wanted):
        _bring_cifar(name, table, folder, wanted, fetching)
    train, train_labels = _cifar_files(folder, table.train_list)
    test, test_labels = _cifar_files(folder, table.test_list)
    classes = unpickle(folder / meta[0], meta[1]).get(table.meta["key"])
    if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise DataError(f"{folder / meta[0]}: holds no class names")
    return Arrays(train, train_labels, test, test_labels, classes)


def _bring_cifar(
    name: str, table: Any, folder: Path, wanted: Mapping[str, str], fetching: Fetching
) -> None:
    archive = fetching.data_dir / table.filename
    if not archive.is_file():
        if not fetching.download:
            raise DataError(
                f"{folder}: {name} is not there; fetch it with --download, or put your copy of "
                f"{table.filename} (md5 {table.tgz_md5}) or of the folder {table.base_folder} into "
                f"{fetching.data_dir}"
            )
        fetching.recorder.log(f"downloading {name} from {table.url}")
        fetch(
            table.url,
            archive,
            Checksum("md5", table.tgz_md5),
            progress=fetching.recorder.progress,
            most=MOST_ARCHIVE_BYTES,
        )
    fetching.recorder.log(f"unpacking {archive}")
    extract(archive, {f"{table.base_folder}/{f}": (folder / f, md5) for f, md5 in wanted.items()})


def extract(archive: Path, members: Mapping[str, tuple[Path, str]]) -> None:
    """Copy ``members`` (name: (target, md5)) out of a gzipped tar file, and nothing else.

    Raises DataError if one is missing, is no plain file, has another MD5, or the archive is damaged.
    """
    missing = dict(members)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.offset > MOST_UNPACKED_BYTES:
                    raise DataError(
                        f"{archive}: unpacks to more than 4 GiB; this is not the archive"
                    )
                target = missing.pop(member.name, None)
                if target is None:
                    continue
                if not member.isreg() or member.size > MOST_MEMBER_BYTES:
                    raise DataError(f"{archive}: {member.name} is no plain file of a fitting size")
                content = tar.extractfile(member)
                assert content is not None
                path, md5 = target
                _write_checked(f"{archive}: {member.name}", content, path, md5)
                if not missing:
                    return
    except DataError:
        raise
    except (
        Exception
    ) as error:  # damaged headers upset tarfile in any way, from ValueError to OverflowError
        raise DataError(
            f"{archive}: cannot be unpacked, it is damaged or cut off: {error}"
        ) from error
    raise DataError(f"{archive}: lacks {', '.join(missing)}")


def _write_checked(what: str, content: Readable, path: Path, md5: str | None) -> None:
    """Copy ``content`` to ``path`` whole, if its MD5 is ``md5``, or not at all."""
    hasher = hashlib.md5(usedforsecurity=False)
    size = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as file:
        while chunk := content.read(1 << 20):
            size += len(chunk)
            if size > MOST_MEMBER_BYTES:
                raise DataError(f"{what}: unpacks to more than {MOST_MEMBER_BYTES >> 20} MiB")
            hasher.update(chunk)
            file.write(chunk)
        if md5 is not None and hasher.hexdigest() != md5:
            raise DataError(
                f"{what}: is not the published file (md5 {hasher.hexdigest()}, not {md5})"
            )


def _cifar_files(folder: Path, files: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = [], []
    for name, md5 in files:
        content = unpickle(folder / name, md5)
        data = content.get("data")
        names = content.get("labels", content.get("fine_labels"))
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.ndim != 2
            or data.shape[1] != 3 * 32 * 32
            or not isinstance(names, list)
            or len(names) != len(data)
        ):
            raise DataError(f"{folder / name}: does not hold images of 32 × 32 pixels with labels")
        pixels.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.array(names, dtype=np.int64))
    return np.concatenate(pixels), np.concatenate(labels)


def unpickle(path: Path, md5: str) -> dict[str, Any]:
    """What a pickle holds, read only if its MD5 is the published one; raises DataError if not."""
    try:
        content = read_plain(path, MOST_MEMBER_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path}: is not the published file (md5 {found}, expected {md5}); it was not read. "
            "Delete it, and get it again with --download"
        )
    loaded = ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    return loaded if isinstance(loaded, dict) else {}


class ArraysOnly(pickle.Unpickler):
    """Makes NumPy arrays and plain containers; the second wall behind the MD5."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.array(0).__reduce__()[0]
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):
            import _codecs

            return _codecs.encode
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set")


# --------------------------------------------------------------------------------- MNIST


def mnist(name: str, fetching: Fetching) -> Arrays:
    """MNIST (LeCun et al., 1998) or Fashion-MNIST (Xiao et al., 2017), 28 × 28 grey.

    Raises DataError if files are missing and not to be downloaded, or hold something else.
    """
    table = getattr(torchvision().datasets, MNIST[name])
    folder = fetching.data_dir / MNIST[name] / "raw"
    for file, md5 in table.resources:
        _bring_mnist(name, table.mirrors, folder, file, md5, fetching)
    arrays = [read_idx(folder / Path(file).stem) for file, _ in table.resources]
    for images, labels, (file, _) in zip(
        arrays[::2], arrays[1::2], table.resources[::2], strict=True
    ):
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise DataError(f"{folder / Path(file).stem}: images and labels do not belong together")
        if labels.size and labels.max() >= len(table.classes):
            raise DataError(
                f"{folder / Path(file).stem}: has labels beyond {len(table.classes)} classes"
            )
    train, train_labels, test, test_labels = arrays
    return Arrays(
        train,
        train_labels.astype(np.int64),
        test,
        test_labels.astype(np.int64),
        list(table.classes),
    )


def _bring_mnist(
    name: str, mirrors: list[str], folder: Path, file: str, md5: str, fetching: Fetching
) -> None:
    packed, plain = folder / file, folder / Path(file).stem
    if plain.is_file():
        return
    if not packed.is_file():
        if not fetching.download:
            raise DataError(
                f"{plain}: {name} is not there; fetch it with --download, or put your copy of {file} "
                f"(md5 {md5}) into {folder}"
            )
        failures: list[str] = []
        for mirror in mirrors:
            fetching.recorder.log(f"downloading {file} of {name} from {mirror}")
            try:
                fetch(
                    mirror + file,
                    packed,
                    Checksum("md5", md5),
                    progress=fetching.recorder.progress,
                    most=MOST_ARCHIVE_BYTES,
                )
                break
            except DataError as error:
                failures += error.lines
        else:
            raise DataError(*failures)
    if not Checksum("md5", md5).of_file(packed):
        raise DataError(f"{packed}: is not the published file (its md5 is not {md5}); delete it")
    try:
        with gzip.open(packed) as content:
            _write_checked(str(packed), content, plain, None)
    except _GZIP_ERRORS as error:
        raise DataError(f"{packed}: cannot be unpacked to {plain}: {error}") from error


def read_idx(path: Path) -> np.ndarray:
    """A file of the IDX format: two zero bytes, 8 for uint8, the rank, the sizes, the values."""
    try:
        content = read_plain(path, MOST_MEMBER_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    rank = content[3] if len(content) > 3 else 0
    if content[:3] != b"\0\0\x08" or rank not in (1, 3) or len(content) < 4 + 4 * rank:
        raise DataError(f"{path}: is not an IDX file of bytes")
    sizes = [int(n) for n in np.frombuffer(content, ">u4", count=rank, offset=4)]
    start = 4 + 4 * rank
    if len(content) - start != int(np.prod(sizes, dtype=object)):
        raise DataError(
            f"{path}: is cut off or damaged: {len(content) - start:,} values for {sizes}; delete it"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
