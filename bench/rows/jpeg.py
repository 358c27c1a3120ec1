"""JPEG files read, hashed and decoded, beside Pillow doing the same on as many threads."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

ROW = "8"
TITLE = "JPEG files read, hashed (SHA-256) and decoded: 2,000 of 32 × 32, 200 of 500 × 375"
GOAL = "at least 2 times Pillow at 32 × 32 (one thread), 1.1 times at 500 × 375 (two threads)"

_KINDS = {"32 × 32": (32, 32, 2000, 1), "500 × 375": (375, 500, 200, 2)}
_folder = tempfile.TemporaryDirectory()


@cache
def _files(kind: str) -> list[Path]:
    from PIL import Image

    height, width, count, _ = _KINDS[kind]
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([128 + 100 * np.sin(x / 7 + y / 11 + k) for k in range(3)], axis=2)
    paths = [Path(_folder.name) / f"{height}-{i}.jpg" for i in range(count)]
    for path in paths:
        noisy = waves + rng.normal(0, 12, waves.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path)
    return paths


def _by_mlhw(path: Path) -> tuple[bytes, np.ndarray]:
    from mlhw.vision.images.decode import decode_whole, read

    content = read(path)
    image = decode_whole(content)
    assert isinstance(image, np.ndarray)
    return hashlib.sha256(content).digest(), image


def _by_pillow(path: Path) -> tuple[bytes, np.ndarray]:
    from PIL import Image

    with open(path, "rb") as file:
        content = file.read()
    return hashlib.sha256(content).digest(), np.asarray(
        Image.open(io.BytesIO(content)).convert("RGB")
    )


def _work(kind: str, function: Callable[[Path], object]) -> Callable[[], None]:
    paths, threads = _files(kind), _KINDS[kind][3]

    def run() -> None:
        if threads == 1:
            for path in paths:
                function(path)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(function, paths):
                pass

    return run


def works() -> dict[str, Callable[[], object]]:
    """Each function goes through all files of a kind once."""
    return {
        "mlhw": _work("32 × 32", _by_mlhw),
        "mlhw, 500 × 375": _work("500 × 375", _by_mlhw),
        "Pillow": _work("32 × 32", _by_pillow),
        "Pillow, 500 × 375": _work("500 × 375", _by_pillow),
    }


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    """The goals that hold, by median seconds."""
    return {
        "at least 2 times Pillow at 32 × 32": 2 * times["mlhw"] <= times["Pillow"],
        "at least 1.1 times Pillow at 500 × 375": (
            1.1 * times["mlhw, 500 × 375"] <= times["Pillow, 500 × 375"]
        ),
    }


def checks() -> dict[str, float]:
    """How many of 200 files of each kind have other pixels or another digest than by Pillow."""
    found = {}
    for kind in _KINDS:
        pairs = [(_by_mlhw(path), _by_pillow(path)) for path in _files(kind)[:200]]
        found[f"files of {kind} that differ from Pillow's"] = float(
            sum(a[0] != b[0] or not np.array_equal(a[1], b[1]) for a, b in pairs)
        )
    return found
