"""One process beside several that share the batch: images a second, bytes sent, and batch norm that learns.

    python bench/ranks.py [--processes 2] [--epochs 3] [--size 32] [--pairs 3]

All layers of a CIFAR-ResNet-20 on the built-in digits, SGD, float32, one thread a process, in turn with one
and with several processes (gloo); the rate is that of the epochs' training, without the first epoch. Then two
epochs in which batch norm learns, whose losses differ from those of one process.
"""

from __future__ import annotations

import argparse
import csv
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import machine, record

OPTIONS = [
    *("finetune", "--model", "cifar_resnet20", "--weights", "none", "--unfreeze-at", "0"),
    *(
        "--backbone-lr",
        "null",
        "--optim",
        "sgd",
        "--lr",
        "0.02",
        "--threads",
        "1",
        "--batch-size",
        "128",
    ),
    *("--precision", "fp32", "--layout", "channels-last", "--compare", "none", "--no-plots", "-q"),
    "--no-check",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=32, help="pixels of an image's side")
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    several = given.processes
    size = ["--image-size", str(given.size), "--epochs", str(given.epochs)]
    rates: dict[int, list[float]] = {1: [], several: []}
    losses: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(given.pairs):
            for world in rates:
                rows = run(Path(folder) / f"{pair}-{world}", world, *size)
                rates[world].append(statistics.mean(float(r["images_per_s"]) for r in rows[1:]))
                losses[world] = float(rows[-1]["train_loss"])
        learns = {
            world: [
                float(row["train_loss"])
                for row in run(
                    Path(folder) / f"norm-{world}",
                    world,
                    *("--batch-norm", "train", "--image-size", "8", "--epochs", "2"),
                )
            ]
            for world in rates
        }
    medians = {world: statistics.median(values) for world, values in rates.items()}
    ratio = medians[several] / medians[1]
    sent = 4 * parameters()
    apart = abs(losses[several] - losses[1]) / losses[1]
    text = (
        f"{several} processes with a thread each make {ratio:.2f} times the images of one "
        f"({medians[several]:.0f} and {medians[1]:.0f} a second, medians of {given.pairs} pairs of runs; "
        f"CIFAR-ResNet-20, {given.size} × {given.size} pixels, batch 128, gloo); each adds "
        f"{sent / 1e6:.2f} MB a step. With random weights that all learn, training losses after "
        f"{given.epochs} epochs differ by "
        f"{apart:.0e} (relative). {machine()}."
    )
    norm = (
        f"training losses of {', '.join(f'{v:.4f}' for v in learns[several])} in two epochs with {several} "
        f"processes, and {', '.join(f'{v:.4f}' for v in learns[1])} with one (digits, batch 128, random "
        "weights)"
    )
    print(text, norm, sep="\n")
    record(
        "ranks",
        {
            "images_per_s": {str(world): rates[world] for world in rates},
            "ratio": ratio,
            "bytes_a_step": sent,
            "relative_difference": apart,
            "text": text,
            "batch_norm": {"losses": {str(w): learns[w] for w in learns}, "text": norm},
        },
    )


def parameters() -> int:
    from mlhw.vision.networks.backbones import load_backbone

    backbone = load_backbone("cifar_resnet20", "none", image_size=32, seed=0)
    return sum(p.numel() for p in backbone.module.parameters()) + 10 * (backbone.features + 1)


def run(folder: Path, world: int, *more: str) -> list[dict[str, str]]:
    """The epochs of a run in so many processes."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    program = Path(sys.executable).parent / "mlhw"
    started = []
    for rank in range(world):
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MLHW_RUNS_DIR": str(folder)}
        if world > 1:
            env |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
            env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        words = [str(program), *OPTIONS, *more]
        started.append(subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL))
    assert [one.wait() for one in started] == [0] * world
    with open(folder / "latest" / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
