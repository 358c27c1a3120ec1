"""Steps of training a second, alone and beside a busy process, by how torch's threads wait for each other.

    python bench/shared_machine.py

All layers of EfficientNet-Lite0 on the digits, as by default. Each way is a process of its own, which waits
while the others work; the busy process computes without pause on one core.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from timing import machine, record, show

STEPS = 8
TURNS = 5
WAYS = {
    "as mlhw sets it": {},
    "as GNU's OpenMP has it": {"GOMP_SPINCOUNT": "300000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
CHILD = f"""
import sys
import mlhw.vision
import torch
from mlhw.vision.networks.backbones import load_backbone
network = load_backbone("efficientnet_lite0", "default").module
images, optimizer = torch.randn(32, 3, 64, 64), torch.optim.AdamW(network.parameters(), 1e-5)
def step():
    optimizer.zero_grad()
    network(images).square().mean().backward()
    optimizer.step()
for line in sys.stdin:
    for _ in range({STEPS}):
        step()
    print("done", flush=True)
"""


class Trainer:
    """A process that trains ``STEPS`` steps each time that it is called."""

    def __init__(self, way: dict[str, str]) -> None:
        said = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"}
        environment = {key: value for key, value in os.environ.items() if key not in said} | way
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        if not self.process.stdout.readline():
            raise RuntimeError(f"it ended with exit code {self.process.wait()}")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def busy_process() -> Iterator[None]:
    """Another process that computes without pause inside the block."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def beside_busy(function: Callable[[], object]) -> None:
    with busy_process():
        function()


def steps_a_second(trainer: Trainer) -> float:
    started = time.perf_counter()
    trainer()
    return STEPS / (time.perf_counter() - started)


def measure(trainers: dict[str, Trainer], shared: bool) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(TURNS):
        for name, trainer in trainers.items():
            with busy_process() if shared else nullcontext():
                found[name].append(steps_a_second(trainer))
    return found


def main() -> None:
    print(machine())
    results: dict[str, object] = {}
    trainers = {name: Trainer(way) for name, way in WAYS.items()}
    for trainer in trainers.values():
        trainer()  # the first steps set things up
    for shared in (False, True):
        found = measure(trainers, shared)
        ours, theirs = found["as mlhw sets it"], found["as GNU's OpenMP has it"]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        where = "shared" if shared else "alone"
        show(
            f"steps of training, {where}: the time of one",
            {name: 1 / statistics.median(values) for name, values in found.items()},
            [
                f"steps a second over those of OpenMP's own way, median of {TURNS} pairs: {ratio:.2f}"
            ],
        )
        results |= {f"{where}_ratio": ratio}
        results |= {
            f"{where}_steps": {n: [min(v), statistics.median(v), max(v)] for n, v in found.items()}
        }
    for trainer in trainers.values():
        trainer.end()
    record("shared_machine", results)


if __name__ == "__main__":
    main()
