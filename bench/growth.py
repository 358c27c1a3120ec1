"""How time and memory grow with what a user makes larger: exponents of the six commands, in one figure.

    python bench/growth.py [--only lr-sweep,vanishing] [--draw]

Each size is measured in a process of its own, which makes a small run first: the median processor time of
three runs, which other work on the machine moves less than the clock, and how far the most memory is above
what the process held before them. The exponent is the slope of a straight line through the logarithms, with
its standard error; 1 is proportional, 0 does not depend on it. Results go to ``results/growth.json``, the
figure to ``docs/images/growth.png``; ``--draw`` only draws it again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from timing import RESULTS, ROOT, machine, record

FIGURE = ROOT / "docs" / "images" / "growth.png"
RUNS = 3
NOISE = 4e6
"""Bytes: what a process takes or not as its allocator pleases. Less memory than this is no growth."""

Run = Callable[[Path], object]


def points(folder: Path, n: int, d: int) -> dict[str, Any]:
    """A file of n overlapping points with d features, as the key ``data``."""
    path = folder / f"{n}x{d}.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, d))
        y = (X.sum(axis=1) / math.sqrt(d) + rng.logistic(size=n) > 0).astype(int)
        np.savez(path, X=X, y=y)
    return {"file": str(path)}


def rates(count: int) -> list[float]:
    return np.geomspace(0.01, 0.3, count).tolist()


def lr_sweep(n: int = 25_000, d: int = 8, r: int = 4) -> Run:
    def run(folder: Path) -> object:
        import mlhw

        keys = {"data": points(folder, n, d), "etas": rates(r), "max_iterations": 10}
        return mlhw.lr_sweep(**keys, tolerance=0)

    return run


def sgd_sweep(n: int = 10_000, d: int = 8, r: int = 2, repeats: int = 2) -> Run:
    def run(folder: Path) -> object:
        import mlhw

        return mlhw.sgd_sweep(data=points(folder, n, d), etas=rates(r), epochs=3, repeats=repeats)

    return run


def vanishing(draws: int = 2_000, depth: int = 50, width: int = 1) -> Run:
    def run(_: Path) -> object:
        import mlhw

        return mlhw.vanishing(activation="sigmoid", draws=draws, depth=depth, width=width)

    return run


def backprop_check(trials: int = 50, depth: int = 4, width: int = 8) -> Run:
    def run(_: Path) -> object:
        import mlhw

        return mlhw.backprop_check(layers=[width] * depth, trials=trials)

    return run


def softmax_regions(classes: int) -> Run:
    def run(_: Path) -> object:
        import mlhw

        rng = np.random.default_rng(0)
        weights, biases = rng.normal(size=(classes, 2)), rng.normal(size=classes)
        return mlhw.softmax_regions(weights=weights.tolist(), biases=biases.tolist())

    return run


def finetune(images: int) -> Run:
    def run(_: Path) -> object:
        import torch

        import mlhw

        generator = np.random.default_rng(0)
        pixels = generator.integers(0, 256, (images + 100, 3, 32, 32), dtype=np.uint8)
        labels = torch.arange(images + 100) % 10
        data = torch.utils.data.TensorDataset(torch.from_numpy(pixels), labels)
        splits = mlhw.image_splits(data, val=100, test=0, classes=[str(k) for k in range(10)])
        return mlhw.finetune(
            splits=splits,
            model="cifar_resnet20",
            weights="none",
            epochs=1,
            unfreeze_at=0,
            optim={"backbone_lr": None},
            batch_size=100,
            compare="none",
            precision="fp32",
            layout="contiguous",
        )

    return run


# What grows, from which size each of three doublings starts, and the run of a size.
SERIES: dict[str, tuple[int, Callable[[int], Run]]] = {
    "lr-sweep, points": (25_000, lambda k: lr_sweep(n=k)),
    "lr-sweep, features": (4, lambda k: lr_sweep(d=k)),
    "lr-sweep, rates": (4, lambda k: lr_sweep(n=50_000, r=k)),
    "sgd-sweep, points": (10_000, lambda k: sgd_sweep(n=k)),
    "sgd-sweep, features": (4, lambda k: sgd_sweep(d=k)),
    "sgd-sweep, rates": (4, lambda k: sgd_sweep(r=k)),
    "sgd-sweep, repeats": (4, lambda k: sgd_sweep(repeats=k)),
    "vanishing, draws": (16_000, lambda k: vanishing(draws=k)),
    "vanishing, depth": (50, lambda k: vanishing(depth=k)),
    "vanishing, width": (2, lambda k: vanishing(depth=20, width=k)),
    "backprop-check, networks": (50, lambda k: backprop_check(trials=k)),
    "backprop-check, depth": (4, lambda k: backprop_check(trials=2, depth=k)),
    "backprop-check, width": (8, lambda k: backprop_check(trials=2, width=k)),
    "softmax-regions, classes": (8, softmax_regions),
    "finetune, images": (400, finetune),
}
DOUBLINGS = 3


def held(what: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at most so far."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith(f"{what}:"))
    return 1024 * int(line.split()[1])


def child(series: str, size: int, folder: Path) -> None:
    """One size: the seconds of each run and the bytes above those before, as JSON."""
    first, run_of = SERIES[series]
    run_of(max(2, first // 4))(folder)
    before = held("VmRSS")
    run = run_of(size)
    seconds = []
    for _ in range(RUNS):
        used = time.process_time()
        run(folder)
        seconds.append(time.process_time() - used)
    print(json.dumps({"seconds": seconds, "bytes": max(0, held("VmHWM") - before)}))


def slope(sizes: Sequence[float], values: Sequence[float]) -> list[float]:
    """The exponent of values over sizes by least squares through the logarithms, and its standard error."""
    x, y = np.log(sizes), np.log(values)
    (exponent, shift), spread = np.polyfit(x, y, 1), x - x.mean()
    left = y - exponent * x - shift
    error = math.sqrt(left @ left / (len(x) - 2) / (spread @ spread))
    return [float(exponent), error]


def measure(series: str, folder: Path) -> dict[str, Any]:
    first, _ = SERIES[series]
    sizes = [first << k for k in range(DOUBLINGS + 1)]
    found = []
    for size in sizes:
        words = [sys.executable, __file__, "--child", series, str(size), str(folder)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = [statistics.median(one["seconds"]) for one in found]
    memory = [one["bytes"] for one in found]
    grows = max(memory) > NOISE
    result = {
        "sizes": sizes,
        "seconds": seconds,
        "bytes": memory,
        "time": slope(sizes, seconds),
        "memory": slope(sizes, [max(value, NOISE) for value in memory]) if grows else [0.0, 0.0],
    }
    print(
        f"{series.ljust(26)} time {text(result['time'])}, memory {text(result['memory'])}",
        flush=True,
    )
    return result


def text(value: list[float]) -> str:
    return f"{value[0]:5.2f} ± {value[1]:.2f}"


def draw(found: dict[str, Any]) -> None:
    """One point for each exponent, with its standard error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 0.34 * len(found) + 1.3), layout="constrained")
    places = np.arange(len(found))[::-1]
    for what, shift, marker, colour in (("time", 0.14, "o", "C0"), ("memory", -0.14, "s", "C1")):
        values = np.array([one[what] for one in found.values()])
        axes.errorbar(
            values[:, 0],
            places + shift,
            xerr=values[:, 1],
            fmt=marker,
            color=colour,
            label=what,
            ms=5,
        )
    for exponent in (0, 1):
        axes.axvline(exponent, color="0.6", lw=0.8, zorder=0)
    axes.set_yticks(places, list(found))
    axes.set_xlabel("exponent (0: does not grow, 1: grows in proportion; bars: standard error)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", ncols=2, bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(FIGURE, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="commands, separated by commas")
    parser.add_argument("--draw", action="store_true", help="the figure again, without measuring")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        series, size, name = given.child
        return child(series, int(size), Path(name))
    path = RESULTS / "growth.json"
    kept = json.loads(path.read_text())["series"] if path.exists() else {}
    if not given.draw:
        print(machine())
        wanted = given.only.split(",") if given.only else None
        with tempfile.TemporaryDirectory() as folder:
            for series in SERIES:
                if wanted is None or series.split(",")[0] in wanted:
                    kept[series] = measure(series, Path(folder))
                    kept = {name: kept[name] for name in SERIES if name in kept}
                    record("growth", {"command": "python bench/growth.py", "series": kept})
    draw(kept)
    return None


if __name__ == "__main__":
    main()
