"""The shapes of images, and what the network will not see of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlhw.vision.images.datasets import ImageSplits

# A photograph's sides are 4:3 or 3:2; of 3:2 the centre crop leaves two thirds.
WIDE = 1.5


def aspects(sizes: np.ndarray) -> np.ndarray:
    """The longer side over the shorter one, (n,), from (H, W), (n, 2)."""
    return np.asarray(sizes.max(1) / np.maximum(sizes.min(1), 1))


def cropped_warning(splits: ImageSplits) -> str | None:
    """Words about images from whose ends the centre crop cuts a good deal; None without such."""
    parts = [splits.train, splits.val, *([splits.test] if splits.test else [])]
    found = np.concatenate([aspects(part.sizes) for part in parts])
    wide = found > WIDE
    if not wide.any():
        return None
    share = f"{wide.mean():.0%}" if wide.mean() >= 0.01 else f"{int(wide.sum())} of {len(wide):,}"
    return (
        f"{share} of the images are more than {WIDE:g} times as long as wide (up to {found.max():.3g}), "
        f"and the centre crop leaves {1 / found[wide].mean():.0%} of these on average; --fit pad or "
        "--fit squash shows the network all of them"
    )
