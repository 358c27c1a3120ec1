"""Training all layers on photographs: mlhw's loop, a bare one, timm's and Lightning's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rows import Skip

ROW = "16b"
TITLE = "An epoch of all layers of EfficientNet-Lite0, 244 photographs at 128 pixels, batches of 32"
GOAL = "at least the bare loop's images a second, and 1.2 times those of timm and Lightning"
TURNS = 5


def works() -> dict[str, Callable[[], object]]:
    from training_loops import Training, epochs

    folder = Path(__file__).parents[3] / "shared" / "data" / "photos"
    if not folder.exists():
        raise Skip(f"{folder} is not there")
    return epochs(
        Training(folder, "efficientnet_lite0", "default", 128, 32, "flip", "tf_efficientnet_lite0")
    )


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    from training_loops import speeds

    return speeds(times)
