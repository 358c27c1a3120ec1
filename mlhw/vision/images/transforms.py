"""Random changes by torchvision's v2, each draw a function of (seed, epoch, image) or (…, batch).

v2 takes no generator: it draws from torch's, which dropout draws from too, and which all threads
share. ``drawing_from`` gives it one, for the calling thread alone, so nothing else is moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from mlhw.vision.images import augment
from mlhw.vision.names import augmentations
from mlhw.vision.networks.torchvision_import import torchvision

if TYPE_CHECKING:
    from mlhw.vision.images.image_sets import Decoded
    from mlhw.vision.networks.preprocessing import Preprocessing

# What ``augment.change`` does.
_AT_ONCE = ("flip", "crop")

# Beside augment's streams of draws.
_IMAGE, _BATCH = 2, 3

# A pre-trained network has seen objects; a crop of a twelfth of the image, as training from nothing
# takes (Szegedy et al. 2015), often shows none of it. fastai's lessons crop to 35 % at least.
LEAST_AREA = 0.35
# Brightness, contrast and saturation; hue costs more than all other changes together.
JITTER = 0.4
# RandAugment's and random erasing's usual strength (Cubuk et al. 2020; Zhong et al. 2017; timm's).
OPERATIONS, MAGNITUDE = 2, 9
ERASED = 0.25

_DRAWS = frozenset(
    {
        *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal),
        *(torch.multinomial, torch.bernoulli, torch._sample_dirichlet),
        *(torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.random_),
        *(torch.Tensor.bernoulli_, torch.Tensor.exponential_),
    }
)


class _Drawing(TorchFunctionMode):
    """torch's functions that draw, with a generator. Modes hold for one thread."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function in _DRAWS:
            return function(*args, **{**(kwargs or {}), "generator": self.generator})
        return function(*args, **(kwargs or {}))


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Random numbers that torch draws in the block, in this thread, come from ``generator``."""
    with _Drawing(generator):
        yield


def generator_of(*numbers: int) -> torch.Generator:
    """A generator on the CPU, the same for the same numbers (each from 0)."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


@dataclass(frozen=True)
class Changes:
    """The random changes of one epoch.

    Attributes:
        names: as ``augmentations`` gives them.
        seed, epoch: that the draws follow from, together with the image's number, below ``count``.
        mixup, cutmix: α of the Beta distribution that shares are drawn from; 0 for none. Where both
            are given, each batch takes one of them at random.
        classes: K, for the labels of mixed images.
    """

    names: tuple[str, ...]
    seed: int
    epoch: int
    count: int
    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int = 0

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    @property
    def at_once(self) -> bool:
        """Whether ``changed`` does all of it, to whole batches; v2 takes one image after the other."""
        return all(name in _AT_ONCE for name in self.names)

    def fitted(
        self, images: Decoded, numbers: np.ndarray, preprocessing: Preprocessing
    ) -> torch.Tensor:
        """Changed images at the network's size, still 8-bit, (N, 3, S, S).

        Args:
            images: decoded, (N, H, W, 3) or a list of (H, W, 3).
            numbers: (N,), of each image in this epoch; the same draws for the same number.
            preprocessing: its size, interpolation, fit and mean colour, which is what is put where
                there is no image any more.
        """
        if self.at_once:
            return self.changed(preprocessing.fitted(images), numbers)
        generators = [generator_of(self.seed, _IMAGE, self.epoch, int(n)) for n in numbers]
        first, then = self._transforms(preprocessing)
        if first is None:
            pixels = preprocessing.fitted(images)
        else:
            pixels = torch.empty(
                (len(numbers), 3, preprocessing.size, preprocessing.size), dtype=torch.uint8
            )
            for row, (image, generator) in enumerate(zip(images, generators, strict=True)):
                with drawing_from(generator):
                    pixels[row] = first(torch.from_numpy(image).permute(2, 0, 1))
        pixels = self.changed(pixels, numbers)
        if then:
            for row, generator in enumerate(generators):
                with drawing_from(generator):
                    image = pixels[row]
                    for transform in then:
                        image = transform(image)
                    pixels[row] = image
        return pixels

    def changed(self, pixels: torch.Tensor, numbers: np.ndarray) -> torch.Tensor:
        """Images (N, 3, S, S), 8-bit and wherever they are, flipped and shifted, where that is asked for."""
        simple = "-".join(name for name in _AT_ONCE if name in self.names)
        if not simple:
            return pixels
        return augment.change(pixels, self._uniform[numbers], simple)  # type: ignore[arg-type]

    def mixed(
        self, batch: torch.Tensor, labels: torch.Tensor, number: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised images (N, 3, S, S) each mixed with the one before it, and shares (N, K).

        MixUp (Zhang et al. 2018, arXiv:1710.09412) adds them, CutMix (Yun et al. 2019,
        arXiv:1905.04899) pastes a rectangle. ``number`` is the batch's in its epoch.
        """
        with drawing_from(generator_of(self.seed, _BATCH, self.epoch, number)):
            images, shares = self._mixing(batch, labels)
        return images, shares

    def _transforms(
        self, preprocessing: Preprocessing
    ) -> tuple[Callable[..., Any] | None, list[Callable[..., Any]]]:
        """What is done to the image as decoded, and what to the changed one, by v2."""
        v2, modes = _v2()
        names = self.names
        fill = [float(level) for level in preprocessing.mean_level]
        first = None
        if "resized-crop" in names:
            kind = preprocessing.interpolation
            mode = modes("nearest-exact" if kind == "nearest" else kind)
            first = v2.RandomResizedCrop(
                preprocessing.size, scale=(LEAST_AREA, 1.0), interpolation=mode, antialias=True
            )
        then = []
        bilinear = modes("bilinear")
        if "randaugment" in names:
            then.append(v2.RandAugment(OPERATIONS, MAGNITUDE, interpolation=bilinear, fill=fill))
        if "trivialaugment" in names:
            then.append(v2.TrivialAugmentWide(interpolation=bilinear, fill=fill))
        if "jitter" in names:
            then.append(v2.ColorJitter(JITTER, JITTER, JITTER))
        if "erase" in names:
            then.append(v2.RandomErasing(p=ERASED, value=fill))
        return first, then

    @cached_property
    def _mixing(self) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
        v2, _ = _v2()
        kinds = [(v2.MixUp, self.mixup), (v2.CutMix, self.cutmix)]
        found = [kind(alpha=alpha, num_classes=self.classes) for kind, alpha in kinds if alpha]
        chosen: Callable[..., tuple[torch.Tensor, torch.Tensor]] = (
            found[0] if len(found) == 1 else v2.RandomChoice(found)
        )
        return chosen

    @cached_property
    def _uniform(self) -> np.ndarray:
        return augment.random_numbers(self.seed, self.epoch, self.count)


def changes_of(text: str, seed: int, epoch: int, count: int) -> Changes | None:
    """The changes of ``count`` images that ``text`` names, without mixing; None for none."""
    names = augmentations(text)
    return Changes(names, seed, epoch, count) if names else None


def _v2() -> tuple[Any, Any]:
    """torchvision's ``transforms.v2`` and its ``InterpolationMode``."""
    torchvision()
    from torchvision.transforms import InterpolationMode, v2

    return v2, InterpolationMode
