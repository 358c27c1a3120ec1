"""Order and random changes are functions of (seed, epoch, sample), and do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mlhw.vision.images import augment
from mlhw.vision.images.augment import change, order, random_numbers

PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8))


@given(st.integers(0, 2**63 - 1), st.integers(0, 1000), st.integers(1, 200))
def test_an_order_holds_every_sample_once_and_is_the_same_every_time(
    seed: int, epoch: int, count: int
) -> None:
    first = order(seed, epoch, count)
    assert sorted(first) == list(range(count))
    assert np.array_equal(first, order(seed, epoch, count))


def test_orders_and_draws_differ_between_epochs_and_seeds() -> None:
    orders = {tuple(order(seed, epoch, 50)) for seed in (0, 1) for epoch in range(5)}
    numbers = {random_numbers(seed, epoch, 3).tobytes() for seed in (0, 1) for epoch in range(5)}
    assert len(orders) == len(numbers) == 10


def test_nothing_touches_the_global_generators() -> None:
    np.random.seed(1)
    torch.manual_seed(1)
    before = (np.random.get_state()[1].copy(), torch.get_rng_state())  # type: ignore[index]
    change(PIXELS, random_numbers(0, 0, 5), "flip-crop")
    order(0, 0, 10)
    assert np.array_equal(before[0], np.random.get_state()[1])  # type: ignore[index]
    assert torch.equal(before[1], torch.get_rng_state())


def test_none_changes_nothing() -> None:
    assert change(PIXELS, random_numbers(0, 0, 5), "none") is PIXELS


def test_a_flip_mirrors_left_and_right_where_the_draw_is_below_one_half() -> None:
    uniform = np.array([[0.2, 0, 0], [0.7, 0, 0], [0.49, 0, 0], [0.5, 0, 0], [0, 0, 0]])
    out = change(PIXELS, uniform, "flip")
    for i, flipped in enumerate([True, False, True, False, True]):
        assert torch.equal(out[i], PIXELS[i].flip(-1) if flipped else PIXELS[i])


@pytest.mark.parametrize("kind", ["crop", "flip-crop"])
def test_a_crop_is_a_window_of_the_image_padded_by_reflection(kind: str) -> None:
    uniform = np.random.default_rng(3).random((5, 3))
    out = change(PIXELS, uniform, kind)  # type: ignore[arg-type]
    reach = int(16 * augment.SHIFT)
    padded = functional.pad(PIXELS.float(), (reach,) * 4, mode="reflect").to(torch.uint8)
    for i in range(5):
        flipped = kind == "flip-crop" and uniform[i, 0] < 0.5
        top, left = (int(u * (2 * reach + 1)) for u in uniform[i, 1:])
        window = padded[i, :, top : top + 16, left : left + 16]
        assert torch.equal(out[i], window.flip(-1) if flipped else window)


def test_shifts_are_uniform_over_all_offsets() -> None:
    """A column of 16 pixels that hold their own number tells the offset."""
    count = 9000
    ramp = torch.arange(16, dtype=torch.uint8)[:, None].expand(count, 3, 16, 16)
    out = change(ramp, random_numbers(0, 0, count), "crop")
    offsets = out[:, 0, 8, 0].numpy().astype(int) - 8
    values, counts = np.unique(offsets, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    # Five standard deviations of a binomial count with p = 1/5.
    assert np.all(np.abs(counts - count / 5) < 5 * np.sqrt(count * 0.16))


def test_the_result_keeps_type_and_shape_in_channels_last_memory() -> None:
    out = change(PIXELS, random_numbers(0, 0, 5), "flip-crop")
    assert (out.dtype, out.shape) == (torch.uint8, PIXELS.shape)
    assert out.is_contiguous(memory_format=torch.channels_last)
