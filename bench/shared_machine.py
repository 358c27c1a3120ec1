"""Steps of training a second, alone and beside a busy process, by how torch's threads wait for each other.

    python bench/shared_machine.py

All layers of EfficientNet-Lite0 on the digits, as by default. Each number is a process of its own, in
turn; the busy process computes without pause on one core.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from timing import machine, record, show

STEPS = 8
TURNS = 3
WAYS = {
    "as mlhw sets it": {},
    "as GNU's OpenMP has it": {"GOMP_SPINCOUNT": "300000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
CHILD = f"""
import time
import mlhw.vision
import torch
from mlhw.vision.networks.backbones import load_backbone
network = load_backbone("efficientnet_lite0", "default").module
images, optimizer = torch.randn(32, 3, 64, 64), torch.optim.AdamW(network.parameters(), 1e-5)
def step():
    optimizer.zero_grad()
    network(images).square().mean().backward()
    optimizer.step()
for _ in range(2):
    step()
started = time.perf_counter()
for _ in range({STEPS}):
    step()
print({STEPS} / (time.perf_counter() - started))
"""


def steps_a_second(way: dict[str, str]) -> float:
    said = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"}
    environment = {key: value for key, value in os.environ.items() if key not in said} | way
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def measure(shared: bool) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(TURNS):
        for name, way in WAYS.items():
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if shared else None
            try:
                found[name].append(steps_a_second(way))
            finally:
                if busy is not None:
                    busy.kill()
                    busy.wait()
    return found


def main() -> None:
    print(machine())
    results: dict[str, object] = {}
    for shared in (False, True):
        found = measure(shared)
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
    record("shared_machine", results)


if __name__ == "__main__":
    main()
