"""Training all layers on small images: mlhw's loop, a bare one, timm's and Lightning's."""

from __future__ import annotations

import atexit
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rows import Skip

ROW = "16"
TITLE = "An epoch of all layers of a CIFAR-ResNet-20, 2,000 images of CIFAR-10, batches of 256"
GOAL = "at least the bare loop's images a second, and 1.2 times those of timm and Lightning"
TURNS = 5
IMAGES = 200
"""Of each class, 20 more to validate."""


def works() -> dict[str, Callable[[], object]]:
    from training_loops import Training, epochs

    packed = Path(__file__).parents[3] / "shared" / "data" / "cifar10" / "train.tar.xz"
    if not packed.exists():
        raise Skip(f"{packed} is not there")
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return epochs(
        Training(
            unpacked(packed, Path(folder.name)), "cifar_resnet20", "none", 32, 256, "flip-crop"
        )
    )


def unpacked(packed: Path, folder: Path) -> Path:
    """``IMAGES`` files of each class in ``folder/train``, and two of each in ``folder/val``."""
    counts: dict[str, int] = {}
    with tarfile.open(packed) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if not member.isfile() or len(parts) < 2:
                continue
            count = counts[parts[-2]] = counts.get(parts[-2], 0) + 1
            if count > IMAGES + 2:
                if len(counts) == 10 and min(counts.values()) > IMAGES + 2:
                    break
                continue
            split = "train" if count <= IMAGES else "val"
            target = folder / split / parts[-2] / parts[-1]
            target.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None
            target.write_bytes(content.read())
    return folder


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    from training_loops import speeds

    return speeds(times)
