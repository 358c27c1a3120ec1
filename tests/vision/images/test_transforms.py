"""torchvision's v2 with a generator of its own, against v2 with torch's global one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from mlhw.vision.images import augment
from mlhw.vision.images.transforms import (
    ERASED,
    JITTER,
    LEAST_AREA,
    MAGNITUDE,
    OPERATIONS,
    Changes,
    drawing_from,
    generator_of,
)
from mlhw.vision.names import AUGMENT_PRESETS, AUGMENTATIONS, augmentations
from mlhw.vision.networks.preprocessing import Preprocessing
from mlhw.vision.networks.torchvision_import import torchvision

torchvision()
from torchvision.transforms import InterpolationMode, v2  # noqa: E402

PREPROCESSING = Preprocessing(24, 28, "bilinear", (0.2, 0.4, 0.6), (0.5, 0.5, 0.5))
IMAGES = [
    np.random.default_rng(k).integers(0, 256, (30 + 3 * k, 40, 3), dtype=np.uint8) for k in range(6)
]
FILL = [51.0, 102.0, 153.0]
BILINEAR = InterpolationMode.BILINEAR
V2: dict[str, Any] = {
    "resized-crop": v2.RandomResizedCrop(24, scale=(LEAST_AREA, 1.0)),
    "randaugment": v2.RandAugment(OPERATIONS, MAGNITUDE, interpolation=BILINEAR, fill=FILL),
    "trivialaugment": v2.TrivialAugmentWide(interpolation=BILINEAR, fill=FILL),
    "jitter": v2.ColorJitter(JITTER, JITTER, JITTER),
    "erase": v2.RandomErasing(p=ERASED, value=FILL),
}


def changed(
    names: tuple[str, ...], numbers: list[int], epoch: int = 0, seed: int = 0
) -> torch.Tensor:
    changes = Changes(names, seed, epoch, 100)
    return changes.fitted([IMAGES[n] for n in numbers], np.array(numbers), PREPROCESSING)


@pytest.mark.parametrize(
    "names", [*((name,) for name in V2), ("resized-crop", "trivialaugment", "jitter", "erase")]
)
def test_a_change_is_v2s_under_the_same_numbers(names: tuple[str, ...]) -> None:
    found = changed(names, [0, 1, 2, 3, 4, 5])
    differ = 0
    for row, image in enumerate(IMAGES):
        seed = generator_of(0, 2, 0, row).initial_seed()
        plain = PREPROCESSING.fitted(image[None])[0]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            expected = (
                torch.from_numpy(image).permute(2, 0, 1) if names[0] == "resized-crop" else plain
            )
            for name in names:
                expected = V2[name](expected)
        assert torch.equal(found[row], expected)
        differ += not torch.equal(expected, plain)
    assert differ >= 1


@pytest.mark.parametrize("name", ["flip", "crop", "flip-crop"])
def test_the_simple_changes_are_those_of_the_whole_split(name: str) -> None:
    numbers = np.array([3, 0, 5])
    found = changed(augmentations(name), numbers.tolist())
    pixels = PREPROCESSING.fitted([IMAGES[n] for n in numbers])
    uniform = augment.random_numbers(0, 0, 100)[numbers]
    assert torch.equal(found, augment.change(pixels, uniform, name))  # type: ignore[arg-type]


EVERYTHING = ("resized-crop", "flip", "trivialaugment", "jitter", "erase")


def test_a_change_depends_on_seed_epoch_and_image_alone() -> None:
    together = changed(EVERYTHING, [0, 1, 2, 3])
    for row in range(4):
        assert torch.equal(changed(EVERYTHING, [row])[0], together[row])
    assert not torch.equal(changed(EVERYTHING, [0, 1, 2, 3], epoch=1), together)
    assert not torch.equal(changed(EVERYTHING, [0, 1, 2, 3], seed=1), together)


def test_threads_that_change_images_leave_torchs_generator_alone_and_each_other() -> None:
    """While they work, this thread draws what it would have drawn without them."""
    torch.manual_seed(7)
    expected = [torch.rand(100) for _ in range(40)]
    alone = [changed(EVERYTHING, [k % 6], epoch=k) for k in range(12)]
    torch.manual_seed(7)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(changed, EVERYTHING, [k % 6], k) for k in range(12)]
        drawn = [torch.rand(100) for _ in range(40)]
        found = [future.result() for future in waiting]
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(found, alone, strict=True))


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_is_v2s_under_the_same_numbers(mixup: float, cutmix: float) -> None:
    batch = torch.rand(6, 3, 12, 12)
    labels = torch.arange(6) % 4
    kinds = [(v2.MixUp, mixup), (v2.CutMix, cutmix)]
    transforms = [kind(alpha=a, num_classes=4) for kind, a in kinds if a]
    transform = transforms[0] if len(transforms) == 1 else v2.RandomChoice(transforms)
    seen = set()
    for number in range(8):
        with torch.random.fork_rng():
            torch.manual_seed(generator_of(3, 3, 2, number).initial_seed())
            images, shares = transform(batch, labels)
        state = torch.get_rng_state()
        found = Changes((), 3, 2, 6, mixup, cutmix, 4).mixed(batch, labels, number)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(found[0], images)
        assert torch.equal(found[1], shares)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        seen.add(float(shares[0, 0]))
    assert len(seen) > 4


def test_every_function_that_draws_in_v2_is_given_the_generator() -> None:
    """A block in which torch's own generator is out of reach still works."""
    state = torch.get_rng_state()
    for name in AUGMENTATIONS:
        changed((name,), [0, 1, 2, 3, 4, 5])
    with drawing_from(torch.Generator().manual_seed(1)):
        torch.distributions.Beta(torch.tensor(0.4), torch.tensor(0.4)).sample()
    assert torch.equal(torch.get_rng_state(), state)


def test_names_are_made_in_one_order_whatever_order_they_are_given_in() -> None:
    assert augmentations("erase,flip, resized-crop") == ("resized-crop", "flip", "erase")
    assert augmentations("none") == ()
    assert augmentations("light,jitter") == ("resized-crop", "flip", "jitter")
    for preset in AUGMENT_PRESETS:
        assert set(augmentations(preset)) == set(AUGMENT_PRESETS[preset])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flipp", "must be none, flip-crop, light, strong, or some of resized-crop"),
        ("", "must be none"),
        ("none,flip", "none goes with nothing else"),
        ("crop,resized-crop", "one of resized-crop and crop"),
        ("randaugment,strong", "one of randaugment and trivialaugment"),
    ],
)
def test_names_that_are_none_or_contradict_each_other_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        augmentations(text)
