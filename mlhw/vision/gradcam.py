"""Where a network looked: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), by captum.

The gradient of a class's logit is averaged over the last feature maps' pixels, eq. 1, and the maps are
added with these weights, eq. 2: what is positive there speaks for the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mlhw.errors import ConfigError
from mlhw.vision.networks.feature_maps import feature_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.networks.preprocessing import Preprocessing

SHARE = 0.5  # of the colours in the picture that is laid over the image
COLOURS = "inferno"
SMALLEST_PICTURE = 128  # pixels; a network that sees fewer gets its picture enlarged
_AT_ONCE = 8


def require_captum() -> None:
    """Raise ConfigError where captum is not installed."""
    try:
        import captum.attr  # noqa: F401
    except ImportError:
        raise ConfigError(
            "explain: captum is not installed; pip install 'mlhw[explain]' brings it"
        ) from None


def evidence(
    network: TunedNetwork, batch: torch.Tensor, classes: np.ndarray, layer: nn.Module
) -> np.ndarray:
    """How much each pixel speaks for a class, 0 or more.

    Args:
        network: in evaluation mode.
        batch: normalised images (N, 3, S, S).
        classes: (N,), the class of each.
        layer: of ``feature_maps``.

    Returns:
        float32 (N, S, S).
    """
    from captum.attr import LayerGradCam

    targets = torch.from_numpy(classes).to(batch.device)
    with torch.enable_grad():
        # The weights may be frozen; the maps have a gradient through the images.
        images = batch.detach().clone().requires_grad_()
        maps = LayerGradCam(network, layer).attribute(
            images, target=targets, relu_attributions=True
        )
    size = batch.shape[-2:]
    whole = functional.interpolate(maps.detach().float(), size, mode="bilinear")
    return np.asarray(whole[:, 0].cpu().numpy())


def laid_over(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """An 8-bit image (S, S, 3) under the colours of ``shares`` (S, S), whose largest is the brightest."""
    import matplotlib

    most = float(shares.max())
    heat = shares / most if most > 0 else np.zeros_like(shares)
    colours = matplotlib.colormaps[COLOURS](heat)[..., :3] * 255
    mixed = (1 - SHARE) * image + SHARE * colours
    times = -(-SMALLEST_PICTURE // len(image)) if len(image) < SMALLEST_PICTURE else 1
    return np.rint(mixed).astype(np.uint8).repeat(times, axis=0).repeat(times, axis=1)


def explained(
    network: TunedNetwork,
    preprocessing: Preprocessing,
    images: Sequence[np.ndarray] | np.ndarray,
    classes: np.ndarray,
) -> list[np.ndarray]:
    """Each image, as the network sees it, with what speaks for its class laid over it, 8-bit (H, W, 3).

    Args:
        network: in evaluation mode, on the CPU.
        images: 8-bit (H, W, 3), N of any sizes.
        classes: (N,), the class of each.

    Raises ConfigError for a network without feature maps.
    """
    layer = feature_maps(network, preprocessing.size)
    found = []
    for start in range(0, len(images), _AT_ONCE):
        pixels = preprocessing.fitted(images[start : start + _AT_ONCE])
        batch = preprocessing.normalize(pixels)
        shares = evidence(network, batch, classes[start : start + _AT_ONCE], layer)
        seen = pixels.permute(0, 2, 3, 1).numpy()
        found += [laid_over(image, each) for image, each in zip(seen, shares, strict=True)]
    return found


def to_explain(probabilities: np.ndarray, labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Positions of the ``count`` images with the least probability for their own class, and as many others.

    The others are drawn by the seed. All of them where there are no more; rising.
    """
    order = np.argsort(probabilities[np.arange(len(labels)), labels], kind="stable")
    rest = np.random.default_rng([seed, 3]).permutation(order[count:])
    return np.sort(np.concatenate([order[:count], rest[:count]]))
