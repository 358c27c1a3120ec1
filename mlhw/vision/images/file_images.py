"""Image files: every one read and checked before work begins, decoded again when asked for.

What the check has found is remembered under the user's cache folder, by the files' paths, sizes and
times: a second run on the same files need not read them to know what they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from mlhw.errors import ConfigError, RunError
from mlhw.system.digests import TAIL, Summed, sha256
from mlhw.system.download import ProgressBar
from mlhw.system.files import cache_folder, discard, whole
from mlhw.system.provenance import usable_cpus
from mlhw.system.temporaries import sweep
from mlhw.text.plain_files import open_plain
from mlhw.vision.images.decode import (
    UNREAD,
    UnreadableImageError,
    decode,
    decode_whole,
    quiet_pillow,
    read,
)
from mlhw.vision.images.depth import DeepImage
from mlhw.vision.images.fingerprints import NO_THUMBNAIL, Fingerprints, fingerprint
from mlhw.vision.images.image_sets import Decoded, Shape
from mlhw.vision.networks.preprocessing import EIGHT_BIT, PixelScale

RESIDENT_BYTES = 2 << 30
# Below this a thread costs more than it brings: decoding is over before Python's lock has moved on.
_SMALL_FILE = 16 << 10
_FORMAT = "4"  # raised when what is remembered, or the way images are decoded, changes
_REMEMBERED = 32

_LOADING = threading.Lock()
T = TypeVar("T")


@dataclass
class FileSource:
    """Image files, decoded when asked for.

    Attributes:
        paths: the files.
        prints: what copies of each have in common, its sha256 among it.
        shape: that of all, None where sizes differ.
        resident: keep all decoded images in memory, once more than a few have been asked for.
        sizes, limits: as in ``Survey``.
        scale: of pixels of more than 8 bits; to be set before those are asked for.
        pixels: the decoded images.
        unreadable: positions of files that hold none, whose pixels are left as they are.
        asked: how many have been asked for.
    """

    paths: list[Path]
    prints: Fingerprints
    shape: Shape | None
    resident: bool
    sizes: np.ndarray
    limits: np.ndarray
    scale: PixelScale = EIGHT_BIT
    pixels: np.ndarray | None = None
    unreadable: frozenset[int] = frozenset()
    asked: int = 0

    def images(self, indices: np.ndarray) -> Decoded:
        if self.resident and self.pixels is None:
            with _LOADING:  # worker threads ask too
                self.asked += len(indices)
                if self.pixels is None and self.asked > len(self.paths) // 8:
                    self.pixels = self._array(range(len(self.paths)))
        if self.pixels is not None:
            return np.asarray(self.pixels[indices])
        if self.shape is None:
            return list(self._decoded(indices))
        return self._array(indices)

    def use_scale(self, scale: PixelScale) -> None:
        if scale != self.scale and not np.isnan(self.limits).all():
            self.pixels = None  # read by the scale before
        self.scale = scale

    def digests(self, indices: np.ndarray) -> Iterator[bytes]:
        assert self.prints.files is not None
        return (bytes(row) for row in self.prints.files[indices])

    def fingerprints(self) -> Fingerprints:
        return self.prints

    def _array(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        assert self.shape is not None
        array = np.empty((len(indices), *self.shape, 3), dtype=np.uint8)
        rows = [row for row, i in enumerate(indices) if i not in self.unreadable]
        for row, image in zip(rows, self._decoded([indices[row] for row in rows]), strict=True):
            if image.shape != array.shape[1:]:
                raise RunError(
                    f"{self.paths[indices[row]]}: has changed its size since it was read"
                )
            array[row] = image
        return array

    def _decoded(self, indices: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        with quiet_pillow():
            checked = partial(_decode_checked, scale=self.scale)
            yield from _in_threads(checked, [self.paths[i] for i in indices])


def _decode_checked(path: Path, scale: PixelScale) -> np.ndarray:
    try:
        return decode(read(path), scale)
    except UnreadableImageError as error:
        raise RunError(f"{path}: {error}; it could be read when it was checked") from error


# --------------------------------------------------------------------------------- checking


@dataclass(frozen=True)
class Survey:
    """What reading every file has shown.

    Attributes:
        prints: of the files, what copies have in common.
        sizes: (n, 2), height and width of each; 0 of what cannot be read.
        limits: (n, 4), ``DeepImage.limits``; NaN of images of 8 bits.
        shape: (H, W) of the images that can be read, None where sizes differ.
        odd: position of the first image whose size differs from those before it.
        unreadable: reasons by position.
        pixels: (n, H, W, 3), the images themselves if they are to be kept in memory and have 8 bits.
    """

    prints: Fingerprints
    sizes: np.ndarray
    limits: np.ndarray
    shape: Shape | None
    odd: int | None
    unreadable: dict[int, str]
    pixels: np.ndarray | None = None


def survey(
    paths: list[Path],
    *,
    resident: bool | None,
    most_unreadable: int,
    progress: ProgressBar,
    remember: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Survey:
    """Read and decode all files; stop once more than ``most_unreadable`` of them cannot be.

    What was found is kept for the next run on the same files, unless ``remember`` is False; ``say`` hears
    of it if it is damaged.
    """
    key = _key(paths)
    remembered = _recall(key, len(paths), say)
    if remembered is not None:
        return remembered
    contents = np.zeros((len(paths), 32), dtype=np.uint8)
    pictures = np.zeros((len(paths), 16), dtype=np.uint8)
    thumbnails = np.zeros((len(paths), *NO_THUMBNAIL.shape), dtype=np.uint8)
    prints = Fingerprints(pictures, thumbnails, contents)
    sizes = np.zeros((len(paths), 2), dtype=np.int64)
    limits = np.full((len(paths), 4), np.nan)
    unreadable: dict[int, str] = {}
    shape: Shape | None = None
    odd: int | None = None
    pixels: np.ndarray | None = None
    with quiet_pillow():
        for i, seen in enumerate(_in_threads(_examine, paths)):
            if i % 512 == 0:
                progress(i, len(paths), "reading images")
            contents[i] = np.frombuffer(seen.content, dtype=np.uint8)
            image = seen.image
            if image is None:
                unreadable[i] = seen.reason
                if len(unreadable) > most_unreadable:
                    return Survey(prints, sizes, limits, None, None, unreadable)
                continue
            pictures[i], thumbnails[i] = np.frombuffer(seen.pixels, dtype=np.uint8), seen.thumbnail
            height, width = sizes[i] = image.shape[:2]
            if seen.limits is not None:
                limits[i], pixels = seen.limits, None
            if shape is None:
                shape = height, width
                if seen.limits is None and _keeps(resident, len(paths), shape):
                    pixels = np.empty((len(paths), height, width, 3), dtype=np.uint8)
            elif shape != (height, width) and odd is None:
                odd, pixels = i, None
            if pixels is not None:
                pixels[i] = image
    progress(len(paths), len(paths), "reading images")
    found = Survey(prints, sizes, limits, shape if odd is None else None, odd, unreadable, pixels)
    passing = any(reason.startswith(UNREAD) for reason in unreadable.values())
    if remember and not passing:
        _remember(key, found)
    return found


def file_source(paths: list[Path], found: Survey, *, resident: bool | None) -> FileSource:
    """The files as a source of images.

    Raises ConfigError if they are to be kept in memory and their sizes differ.
    """
    if found.shape is None:
        if resident and found.odd is not None:
            raise ConfigError(
                f"data.resident: only images of one size can be kept in memory, and {paths[found.odd]} "
                "has another than those before it"
            )
        keeps = False
    else:
        keeps = _keeps(resident, len(paths), found.shape)
    return FileSource(
        paths,
        found.prints,
        found.shape,
        keeps,
        found.sizes,
        found.limits,
        pixels=found.pixels if keeps else None,
        unreadable=frozenset(found.unreadable),
    )


def _keeps(resident: bool | None, count: int, shape: Shape) -> bool:
    return resident is not False and (
        resident is True or count * shape[0] * shape[1] * 3 <= RESIDENT_BYTES
    )


class _Seen(NamedTuple):
    """Of one file: its sha256, and the image with what copies of it have in common, or why there is none.

    ``limits`` are a deep image's.
    """

    content: bytes
    image: np.ndarray | None
    pixels: bytes = b""
    thumbnail: np.ndarray = NO_THUMBNAIL
    reason: str = ""
    limits: tuple[float, float, float, float] | None = None


def _examine(path: Path) -> _Seen:
    content = b""
    try:
        content = read(path)
        image = decode_whole(content)
    except UnreadableImageError as error:
        return _Seen(hashlib.sha256(content).digest(), None, reason=str(error))
    digest = hashlib.sha256(content).digest()
    if isinstance(image, DeepImage):
        # Its thumbnail is by its own range: copies are alike in it too, whatever scale will be used.
        shown = image.rgb(image.own_span)
        hashed = hashlib.blake2b(image.values.tobytes(), digest_size=16).digest()
        return _Seen(digest, shown, hashed, fingerprint(shown)[1], limits=image.limits)
    return _Seen(digest, image, *fingerprint(image))


def _in_threads(function: Callable[[Path], T], paths: list[Path]) -> Iterator[T]:
    """``function`` of each path, in order; in threads where the files are large."""
    if len(paths) < 8 or sum(map(_size, paths[:8])) < 8 * _SMALL_FILE:
        yield from map(function, paths)
        return
    workers = usable_cpus()
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[T]] = deque()
    try:
        for path in paths:
            pending.append(pool.submit(function, path))
            if len(pending) > 4 * workers:  # bounds the decoded images that wait
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --------------------------------------------------------------------------------- remembering


def _key(paths: list[Path]) -> str:
    """A text that is another one after any change to the files, whose ctime nobody can set back."""
    hasher = hashlib.sha256(_FORMAT.encode())
    for path in paths:
        try:
            s = path.stat()
        except OSError:
            continue
        hasher.update(os.fsencode(path))
        hasher.update(f"\0{s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}\n".encode())
    return hasher.hexdigest()


def _recall(key: str, count: int, say: Callable[[str], None]) -> Survey | None:
    """What was found before; None if nothing is kept. What is damaged is removed, and said."""
    path = cache_folder("images") / f"{key}.npz"
    try:
        with open_plain(path) as kept_bytes:
            data = kept_bytes.read()
        if sha256(data[:-TAIL]) != data[-TAIL:].hex():
            raise ValueError("it is not what its sha256 says")
        with np.load(io.BytesIO(data[:-TAIL]), allow_pickle=False) as file:
            facts, sizes = json.loads(str(file["facts"])), file["sizes"]
            limits = file["limits"]
            prints = Fingerprints(*(file[name] for name in ("pixels", "thumbnails", "files")))
        shape = tuple(facts["shape"]) if facts["shape"] else None
        unreadable = {int(i): str(reason) for i, reason in facts["unreadable"]}
        kept = {"pixels": (16,), "thumbnails": NO_THUMBNAIL.shape, "files": (32,)}
        for name, rest in kept.items():
            array = getattr(prints, name)
            if array.shape != (count, *rest) or array.dtype != np.uint8:
                raise ValueError(f"{name} has another shape")
        if sizes.shape != (count, 2) or sizes.dtype != np.int64 or limits.shape != (count, 4):
            raise ValueError("its sizes have another shape")
        return Survey(prints, sizes, limits, shape, facts["odd"], unreadable)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        say(f"{path}: what is known of the images cannot be used: {error}; they are read again")
        discard(path)
        return None


def _remember(key: str, found: Survey) -> None:
    facts = {"shape": found.shape, "odd": found.odd, "unreadable": [*found.unreadable.items()]}
    prints = found.prints
    assert prints.files is not None
    folder = cache_folder("images")
    with contextlib.suppress(OSError):  # a run without it takes longer, and that is all
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / f"{key}.npz") as file:
            content = io.BytesIO()
            np.savez(
                content,
                facts=np.array(json.dumps(facts)),
                sizes=found.sizes,
                limits=found.limits,
                pixels=prints.pixels,
                thumbnails=prints.thumbnails,
                files=prints.files,
            )
            summed = Summed(file)
            summed.write(content.getvalue())
            summed.end()
        sweep(folder)
        files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for old in files[:-_REMEMBERED]:
            old.unlink(missing_ok=True)
