"""No claim fails without a mistake: random configurations of every experiment, and the claims that fail.

    python bench/false_alarms.py              # 3,000 configurations, an hour or so
    python bench/false_alarms.py --count 200 --seed 7
    python bench/false_alarms.py --only finetune --count 300

Prints each configuration in which a claim fails, and how often each claim held, and ends with exit code 3
if one failed. Configuration k of a seed is the same whatever comes before it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mlhw
from mlhw.errors import MlhwError
from mlhw.result.result import Result

DATA: list[Any] = [
    "gaussians",
    "gaussians",
    "breast-cancer",
    {"name": "iris", "classes": [1, 2]},
    {"name": "iris", "classes": [0, 1]},
    {"name": "iris", "classes": [1, 2], "features": [0]},
    {"name": "wine", "classes": [0, 1]},
    {"name": "wine", "classes": [1, 2], "features": [0, 5]},
]
# As often as all of these: a file of points that nobody would have chosen (``drawn_points``).
ODD = 0.5
SHARES = {"lr-sweep": 0.3, "sgd-sweep": 0.3, "softmax-regions": 0.2, "vanishing": 0.1}


def drawn_points(rng: np.random.Generator, folder: Path) -> str:
    """A file of few points: columns constant, zero, twice, 0 or 1, far from 0, large, small.

    The classes overlap, are separable, or separable but for points on the boundary.
    """
    n, d = int(rng.integers(3, 50)), int(rng.integers(1, 5))
    columns = [rng.integers(-8, 9, n) / 4.0 if rng.integers(2) else rng.normal(size=n)]
    for _ in range(d - 1):
        columns.append(
            [
                np.full(n, float(rng.integers(-3, 4))),
                columns[-1].copy(),
                rng.integers(0, 2, n).astype(float),
                rng.normal(size=n),
                rng.exponential(size=n),
            ][rng.integers(5)]
        )
    X = np.stack(columns, axis=1)
    activation = X @ rng.normal(size=d)
    middle = np.median(activation)
    t = [
        rng.integers(0, 2, n),
        activation > middle,
        np.where(activation == middle, rng.integers(0, 2, n), activation > middle),
        rng.random(n) < 1 / (1 + np.exp(-activation)),
        np.arange(n) < max(1, n // 10),
    ][rng.integers(5)].astype(int)
    t[:2] = 0, 1  # there are two classes, whatever was drawn
    X = X * 10.0 ** rng.choice([0, 0, 0, -9, -3, 3, 12], d)
    X = X + rng.choice([0, 0, 0, 1, -1], d) * 2.0 ** rng.integers(0, 41, d)
    path = folder / "points.npz"
    np.savez(path, X=X, y=t)
    return str(path)


def descent(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    """Data, and rates around and far from the limits where descent changes its behaviour."""
    data, standardize = DATA[rng.integers(len(DATA))], bool(rng.integers(2))
    if rng.random() < ODD:
        data = drawn_points(rng, folder)
    short = mlhw.lr_sweep(data=data, standardize=standardize, etas=[1e-3], max_iterations=1)
    names = ("monotone_eta", "critical_eta", "local_eta_at_start")
    limits = [short.summary[name] for name in names if short.summary[name] is not None]
    count = int(rng.integers(1, 5))
    spread = rng.choice([0.01, 0.1, 1.0, 2.5]) * rng.normal(size=count)
    etas = rng.choice(limits, count) * np.exp(spread) * 10.0 ** rng.choice([0, 0, 0, -2, -1, 1])
    keys = {"data": data, "standardize": standardize, "etas": sorted({*etas.tolist()})}
    if rng.random() < 0.3:
        size = 10.0 ** rng.uniform(-3, 4)
        keys["w0"] = (size * rng.normal(size=len(short.summary["features"]) + 1)).tolist()
    return keys


def lr_sweep(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    return descent(rng, folder) | {
        "max_iterations": int(10 ** rng.uniform(0, 3)),
        "tolerance": float(rng.choice([0.0, 1e-9, 1e-5, 1e-3])),
    }


def sgd_sweep(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    return descent(rng, folder) | {
        "epochs": int(10 ** rng.uniform(0, 2.5)),
        "repeats": int(rng.choice([1, 1, 1, 4])),
        "batch_size": int(rng.choice([1, 1, 2, 7, 20, 50])),
        "seed": int(rng.integers(10_000)),
        "tolerance": float(rng.choice([0.0, 0.0, 1e-6, 1e-3])),
    }


def softmax_regions(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    """Planes of ordinary, mixed and tiny sizes, and small integers with all that coincides among them."""
    shape = (int(rng.integers(2, 8)), 3)
    signed = rng.uniform(1, 9, shape) * rng.choice([-1.0, 1.0], shape)
    planes = [
        signed * 10.0 ** rng.integers(-100, 99, shape),
        signed * 10.0 ** rng.integers(-6, 7, shape),
        rng.integers(-2, 3, shape).astype(float),
        rng.normal(size=shape),
    ][rng.integers(4)]
    return {"weights": planes[:, :2].tolist(), "biases": planes[:, 2].tolist()}


def vanishing(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    names = [None, "sigmoid", "relu", "tanh", "gelu", "leaky_relu", "softplus"]
    return {
        "activation": names[rng.integers(len(names))],
        "weights": str(rng.choice(["normal", "uniform", "constant", "xavier", "he"])),
        "depth": int(rng.integers(3, 60)),
        "shallow_depth": None,
        "draws": int(10 ** rng.uniform(0, 2.7)),
        "scale": float(10 ** rng.uniform(-2, 2)),
        "residual": bool(rng.integers(2)),
        "width": [None, 1, 2, 3, 5][rng.integers(5)],
        "input": float(rng.choice([1.0, 0.0, -2.5, 1e5, 1e-5])),
        "target": float(rng.choice([0.0, 1.0, -3.0])),
        "seed": int(rng.integers(10_000)),
    }


def backprop_check(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "trials": int(rng.integers(0, 12)),
        "max_width": int(rng.integers(1, 12)),
        "seed": int(rng.integers(1_000_000)),
    }
    if rng.random() < 0.4:
        keys |= {
            "layers": rng.integers(1, 6, rng.integers(2, 8)).tolist(),
            "hidden": str(rng.choice(["logistic", "tanh", "relu", "gelu", "leaky_relu"])),
            "bias": bool(rng.integers(2)),
            "batch": int(rng.integers(1, 5)),
        }
    return keys


def finetune(rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    """A small network on images of some colours, by every way to train, judge and keep that goes together."""

    def some(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    balanced = some("", "", "sampler", "class_weights")
    epochs = int(rng.integers(1, 5))
    return {
        "data": {
            "name": f"folder:{drawn_images(rng, folder)}",
            "val": some(0.2, 0.3, 0.45),
            "test": some(0.0, 0.2, 0.3),
        },
        "model": "cifar_resnet20",
        "weights": "none",
        "image_size": some(8, 12),
        "fit": some("crop", "pad", "squash"),
        "epochs": epochs,
        "unfreeze_at": some(None, "auto", 0, int(rng.integers(0, epochs + 1))),
        "unfreeze_stages": some(None, None, 1, 2),
        "batch_size": some(2, 7, 16, 32),
        "accumulate": some(1, 1, 2, 5),
        "ema": some(None, None, 0.5, 0.99),
        "val_every": some(1, 1, 2),
        "best": some("auto", "loss", "accuracy", "balanced-accuracy", "macro-f1"),
        "patience": some(None, None, 1, 2),
        "head": {"hidden": some([], [8]), "dropout": some(0.0, 0.5)},
        "optim": {
            "name": some("adamw", "sgd"),
            "lr": float(10 ** rng.uniform(-4, -1)),
            "backbone_lr": some("auto", None, 1e-4),
            "layer_decay": some(1.0, 0.5),
            "momentum": some(0.9, 0.0),
            "clip": some(None, 0.5),
            "label_smoothing": some(0.0, 0.1),
        },
        "schedule": {
            "name": some("one-cycle", "cosine", "constant", "step"),
            "warmup": some(None, 0.0, 0.2),
        },
        "batch_norm": some("eval", "train"),
        "augment": some("none", "flip", "flip-crop", "flip,erase"),
        "mixup": some(0.0, 0.0, 0.4),
        "cutmix": some(0.0, 0.0, 1.0),
        "sampler": "balanced" if balanced == "sampler" else "shuffle",
        "class_weights": "balanced" if balanced == "class_weights" else "none",
        "features": some("auto", "memory", "off"),
        "views": some(0, 0, 2),
        "threads": 1,
        "precision": "fp32",
        "layout": some("channels-last", "contiguous"),
        "seed": int(rng.integers(10_000)),
    }


def drawn_images(rng: np.random.Generator, folder: Path) -> Path:
    """A folder of classes of 4 to 40 images each, of a colour of their own under more or less noise."""
    place = Path(tempfile.mkdtemp(dir=folder))
    noise = rng.choice([5.0, 40.0, 120.0])
    for kind in range(rng.integers(2, 6)):
        (place / f"class{kind}").mkdir()
        colour = rng.integers(0, 256, 3)
        for number in range(rng.integers(4, 41)):
            height, width = rng.integers(6, 20, 2)
            pixels = colour + noise * rng.normal(size=(height, width, 3))
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(place / f"class{kind}" / f"{number}.png")
    return place


def configuration(
    seed: int, number: int, folder: Path, only: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Experiment and keys of one configuration; a file that it needs is written into ``folder``."""
    rng = np.random.default_rng([seed, number])
    names = [*SHARES, "backprop-check"]
    shares = [*SHARES.values(), 1 - sum(SHARES.values())]
    name = only or str(rng.choice(names, p=shares))
    return name, globals()[name.replace("-", "_")](rng, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="this experiment alone; finetune is drawn in no other way")
    parser.add_argument("--first", type=int, default=0, help="number of the first configuration")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlhw-alarms-") as folder:
        return run_all(asked, Path(folder))


def run_all(asked: argparse.Namespace, folder: Path) -> int:
    started, failed, refused = time.monotonic(), 0, 0
    runs: Counter[str] = Counter()
    verdicts: Counter[tuple[str, str, str]] = Counter()
    for number in range(asked.first, asked.first + asked.count):
        try:
            name, keys = configuration(asked.seed, number, folder, asked.only)
            result: Result = mlhw.run(name, **keys)
        except MlhwError as refusal:
            if asked.only:
                print(f"{number}: refused: {refusal}")
            refused += 1  # a boundary out of float64's range, say: an error that a user can mend
            continue
        runs[name] += 1
        for claim in result.claims:
            verdicts[name, claim.id, claim.verdict] += 1
            if claim.verdict == "fails":
                failed += 1
                print(
                    f"{number}: {name} {claim.id} {json.dumps(keys)} {claim.measured} {claim.note}"
                )
        if number % 100 == 99:
            print(
                f"{number + 1} after {time.monotonic() - started:.0f} s, {failed} fail", flush=True
            )
    for (name, id, verdict), count in sorted(verdicts.items()):
        print(f"{name} {id}: {verdict} {count}")
    print(f"{sum(runs.values())} runs {dict(runs)}, {refused} refused; failing claims: {failed}")
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
