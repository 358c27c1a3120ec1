"""What the row ``shared_machine`` trains: steps, by how torch's threads wait for each other.

All layers of EfficientNet-Lite0 on images of the digits' size, as by default. Each way is a process of its
own, which waits while the others work; the busy process computes without pause on one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEPS = 8
WAYS = {
    "mlhw": {},
    "OpenMP's own way": {"GOMP_SPINCOUNT": "300000"},
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
