"""One split of a data set, and images that lie in memory; ``file_images`` has those in files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlhw.errors import DataError
from mlhw.vision.images.fingerprints import Fingerprints, fingerprints_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mlhw.vision.networks.preprocessing import PixelScale

Decoded = np.ndarray | list[np.ndarray]
Shape = tuple[int, int]


class ImageSource(Protocol):
    """Where images come from."""

    @property
    def shape(self) -> Shape | None:
        """(H, W) of all images, None where sizes differ."""

    @property
    def resident(self) -> bool:
        """Whether the decoded images are in memory."""

    @property
    def sizes(self) -> np.ndarray:
        """(n, 2), height and width of every image."""

    def images(self, indices: np.ndarray) -> Decoded:
        """Decoded images at ``indices``: (n, H, W, 3), or a list where sizes differ."""

    def digests(self, indices: np.ndarray) -> Iterator[bytes]:
        """Bytes that change with the contents of the images at ``indices``, for a digest."""

    def fingerprints(self) -> Fingerprints:
        """What copies of the images, all of them, have in common."""


class ImageSet:
    """One split: images, labels and names in a fixed order.

    Attributes:
        labels: int64 (n,), positions in ``ImageSplits.classes``.
        names: a file's path relative to the data set's folder, or a sample's index as text.
        digest: sha256 over the names, classes and contents in this order. Files are in the order of
            their names, so it does not depend on where their folder lies or how it is listed.
        image_shape: (H, W) where all images of the data set have one size, else None.
        resident: the decoded images are all in memory, as bytes.
        fingerprints: what copies of the images have in common.
    """

    def __init__(
        self,
        source: ImageSource,
        indices: np.ndarray,
        labels: np.ndarray,
        names: list[str],
        classes: list[str],
    ) -> None:
        self._source, self._indices = source, indices
        self.labels = np.ascontiguousarray(labels, dtype=np.int64)
        self.names = names
        hasher = hashlib.sha256(json.dumps([names, [classes[k] for k in labels]]).encode())
        for content in source.digests(indices):
            hasher.update(content)
        self.digest = hasher.hexdigest()

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def image_shape(self) -> Shape | None:
        return self._source.shape

    @property
    def resident(self) -> bool:
        return self._source.resident

    @property
    def sizes(self) -> np.ndarray:
        """(n, 2), height and width of each image in pixels."""
        return np.asarray(self._source.sizes[self._indices])

    @property
    def limits(self) -> np.ndarray:
        """(n, 4), ``DeepImage.limits`` of each image; NaN of those of 8 bits."""
        limits = getattr(self._source, "limits", None)
        return np.full((len(self), 4), np.nan) if limits is None else limits[self._indices]

    def use_scale(self, scale: PixelScale) -> None:
        """Have ``images`` read pixels of more than 8 bits by ``scale``; it holds for all splits."""
        use = getattr(self._source, "use_scale", None)
        if use is not None:
            use(scale)

    @property
    def fingerprints(self) -> Fingerprints:
        return self._source.fingerprints().of(self._indices)

    def images(self, indices: ArrayLike) -> Decoded:
        """Decoded 8-bit RGB images of the samples at ``indices`` (n,).

        Returns:
            A new array (n, H, W, 3) where all images of the data set have one size, else a list of
            arrays (H, W, 3).

        Raises RunError for a file that has become unreadable since it was checked.
        """
        return self._source.images(self._indices[np.asarray(indices, dtype=np.int64)])


# --------------------------------------------------------------------------------- memory


@dataclass
class ArraySource:
    """Images of one size in memory: uint8 (n, H, W, 3), or (n, H, W) for grey ones."""

    pixels: np.ndarray
    resident: bool = True
    prints: Fingerprints | None = None

    @property
    def shape(self) -> Shape:
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def sizes(self) -> np.ndarray:
        return np.tile(self.shape, (len(self.pixels), 1))

    def images(self, indices: np.ndarray) -> np.ndarray:
        chosen = self.pixels[indices]
        return chosen if chosen.ndim == 4 else np.repeat(chosen[..., None], 3, axis=3)

    def digests(self, indices: np.ndarray) -> Iterator[bytes]:
        yield f"{self.pixels.shape[1:]}".encode()
        for part in _blocks(indices, 4096):
            yield np.ascontiguousarray(self.pixels[part]).tobytes()

    def fingerprints(self) -> Fingerprints:
        if self.prints is None:
            self.prints = fingerprints_of(self.pixels, len(self.pixels))
        return self.prints


@dataclass
class ListSource:
    """Images of differing sizes in memory."""

    pixels: Sequence[np.ndarray]
    shape: Shape | None = None
    resident: bool = True
    prints: Fingerprints | None = None

    @property
    def sizes(self) -> np.ndarray:
        return np.array([image.shape[:2] for image in self.pixels]).reshape(-1, 2)

    def images(self, indices: np.ndarray) -> list[np.ndarray]:
        return [self.pixels[i].copy() for i in indices]

    def digests(self, indices: np.ndarray) -> Iterator[bytes]:
        for i in indices:
            yield f"{self.pixels[i].shape}".encode() + self.pixels[i].tobytes()

    def fingerprints(self) -> Fingerprints:
        if self.prints is None:
            self.prints = fingerprints_of(self.pixels, len(self.pixels))
        return self.prints


def _blocks(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def as_pixels(image: Any, what: str) -> np.ndarray:
    """uint8 (H, W, 3) from what data sets return for an image. Raises DataError beginning with ``what``."""
    import torch

    if isinstance(image, torch.Tensor):
        array = image.detach().cpu().numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    else:
        if getattr(image, "mode", "").startswith(("I", "F")):
            raise DataError(
                f"{what}: has pixels of more than 8 bits (Pillow's mode {image.mode}), whose scale is "
                "unknown; scale them to 8 bits, or give the files as folder:PATH"
            )
        array = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.size and array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"{what}: has values outside 0 … 1; leave normalisation to the network's preprocessing"
            )
        array = np.rint(array * 255).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise DataError(
            f"{what}: is no image but {array.dtype} {array.shape}; expected a Pillow image, an 8-bit "
            "array (H, W, 3) or a tensor (3, H, W)"
        )
    return np.array(array)
