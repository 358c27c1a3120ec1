"""Training all layers on a GPU: mlhw beside a bare loop of torch, epoch by epoch in turn.

Each case is a process of its own, in which both train the same network on the same images, drawn at random
and held on the GPU, in the same precision, with the same augmentation there and a fused optimizer. The bare
loop may take whatever algorithm of cuDNN is fastest; mlhw takes one that gives the same bits each time. An
epoch is timed from a GPU that has nothing to do to one that has nothing left to do.

Figures into ``bench/results/gpu.json``, each case with the card and the versions that it was measured on:

    python bench/gpu.py [CASE …]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from timing import RESULTS, machine
from training_loops import Epoch, mlhw_epochs

CLASSES = 10
# Seconds of a case: a compiler that hangs must not keep the others from being measured.
TIMEOUT = 180.0


@dataclass(frozen=True)
class Case:
    """What is trained: so many ``images`` of ``size`` × ``size`` pixels an epoch; ``turns`` are counted."""

    model: str
    weights: str
    size: int
    images: int
    batch: int
    compiled: bool
    turns: int

    @property
    def title(self) -> str:
        how = "compiled" if self.compiled else "not compiled"
        return f"{self.model}, {self.images:,} images of {self.size} × {self.size}, batch {self.batch}, {how}"


# 98 × 512 and 392 × 128 images: every batch is whole, so that one shape is compiled.
CASES = {
    f"resnet20-{batch}{'-compiled' if compiled else ''}": Case(
        "cifar_resnet20", "none", 32, 50_176, batch, compiled, turns
    )
    for batch, compiled, turns in ((512, False, 5), (512, True, 7), (128, True, 5), (128, False, 3))
} | {
    "lite0-64": Case("efficientnet_lite0", "default", 128, 2_048, 64, False, 5),
}


def tasks_of(case: Case, device: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """mlhw's tasks by name: in bfloat16, and in the precision that it chooses; seconds of preparation."""
    import torch
    from torch.utils.data import TensorDataset

    from mlhw.config.load import from_keywords
    from mlhw.result.recorder import Recorder
    from mlhw.vision.config import Config
    from mlhw.vision.images.datasets import from_dataset
    from mlhw.vision.training.preparation import prepare

    draws = np.random.default_rng(0)
    validation = 500
    shape = (case.images + validation, 3, case.size, case.size)
    pixels = torch.from_numpy(draws.integers(0, 256, shape, dtype=np.uint8))
    data = TensorDataset(pixels, torch.arange(len(pixels)) % CLASSES)
    names = [str(k) for k in range(CLASSES)]
    splits = from_dataset(data, val=validation, test=0, classes=names)
    variants: dict[str, dict[str, Any]] = {
        "mlhw": {"precision": "bf16", "layout": "channels-last"},
        "mlhw, its own choice": {},
    }
    if case.compiled:
        del variants["mlhw, its own choice"]  # what it chooses from is not compiled
    tasks, prepared = {}, {}
    for name, keys in variants.items():
        started = time.perf_counter()
        config = from_keywords(
            Config,
            {
                "model": case.model,
                "weights": case.weights,
                "image_size": case.size,
                "device": device.type,
                "compare": "none",
                "compile": case.compiled,
                "epochs": 1000,
                "unfreeze_at": 0,
                "batch_norm": "train",
                "batch_size": case.batch,
                "augment": "flip-crop",
                "schedule": {"name": "constant"},
                "optim": {"name": "sgd", "lr": 0.01, "backbone_lr": 0.01, "label_smoothing": 0.0},
                **keys,
            },
        )
        tasks[name] = prepare(config, Recorder(), device, 2, splits).task(Recorder())
        prepared[name] = time.perf_counter() - started
    return tasks, prepared


def bare_epochs(case: Case, task: Any) -> Epoch:
    """What one would write down for this card alone: no records, no interrupts, no schedule, no checks.

    Crops and flips are made for as many batches at once as mlhw makes them for.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    held = task.train.all_held
    if held is None:  # a processor, on which this file is only tried
        images, loader = task.train.images, task.train
        decoded = images.images(np.arange(len(images)))
        held = loader.preprocessing.fitted(decoded), torch.tensor(images.labels)
    pixels, labels = held
    device, size = task.device, case.size
    network = nn.Sequential(*copy.deepcopy(task.network).children()).train()
    network.requires_grad_(True)
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": task.config.optim.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, 0.01, momentum=0.9, nesterov=True, fused=True)
    forward = torch.compile(network, dynamic=False) if case.compiled else network
    normalize = task.train.preprocessing.normalize
    line, reach = torch.arange(size, device=device), size // 8
    at_once = max(1, (128 << 20) // (12 * size**2 * case.batch)) * case.batch
    total = torch.zeros(2, dtype=torch.float64, device=device)

    def moved(count: int) -> torch.Tensor:
        """Rows or columns of each crop, (count, S): reflected at the border, as mlhw does."""
        shifts = torch.randint(-reach, reach + 1, (count, 1), device=device)
        return size - 1 - (size - 1 - (line + shifts).abs()).abs()

    def epoch() -> float:
        order = torch.randperm(len(pixels), device=device)
        for part in torch.split(order, at_once):
            rows, columns = moved(len(part)), moved(len(part))
            flipped = torch.rand(len(part), 1, device=device) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
            lasting = pixels.permute(0, 2, 3, 1)
            crops = lasting[part[:, None, None], rows[:, :, None], columns[:, None, :]]
            batches = normalize(crops.permute(0, 3, 1, 2)).contiguous(
                memory_format=torch.channels_last
            )
            answers = labels[part]
            for start in range(0, len(part), case.batch):
                images = batches[start : start + case.batch]
                truth = answers[start : start + case.batch]
                with torch.autocast(device.type, torch.bfloat16):
                    logits = forward(images)
                loss = functional.cross_entropy(logits.float(), truth)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total[0].add_(loss.detach() * len(truth))
                total[1].add_((logits.detach().argmax(1) == truth).sum())
        found = float(total[0])
        total.zero_()
        return found

    def fastest() -> None:
        """An epoch with cuDNN's fastest algorithms, tried in the first one."""
        cudnn = torch.backends.cudnn
        before = cudnn.deterministic, cudnn.benchmark
        cudnn.deterministic, cudnn.benchmark = False, True
        try:
            epoch()
        finally:
            cudnn.deterministic, cudnn.benchmark = before

    return fastest


def waits(epoch: Epoch) -> int:
    """How often an epoch makes this process wait for the GPU, the end of it included."""
    import torch

    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            epoch()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in found)


def quartiles(values: list[float]) -> list[float]:
    if len(values) == 1:
        return values * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]


def measured(case: Case, name: str) -> dict[str, Any]:
    """All that is kept of a case, measured in this process."""
    import torch

    from mlhw.vision.training.device import find_device, torch_settings

    device = find_device(name)
    on_gpu = device.type == "cuda"

    def done() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    with torch_settings(2, device):
        tasks, prepared = tasks_of(case, device)
        epochs = {who: mlhw_epochs(task) for who, task in tasks.items()}
        epochs["bare loop"] = bare_epochs(case, tasks["mlhw"])
        times: dict[str, list[float]] = {who: [] for who in epochs}
        first = {}
        for turn in range(case.turns + 1):
            for who, epoch in epochs.items():
                done()
                started = time.perf_counter()
                epoch()
                done()
                took = time.perf_counter() - started
                if turn:
                    times[who].append(took)
                else:
                    first[who] = took
                print(f"{who}: {took:.3f} s", file=sys.stderr, flush=True)
        found: dict[str, Any] = {"title": case.title, "images": case.images, "first_epoch": first}
        found |= {"batch": case.batch, "compiled": case.compiled, "turns": case.turns}
        if case.turns:
            bare = times["bare loop"]
            found |= {
                "times": {who: quartiles(values) for who, values in times.items()},
                "images_per_s": {
                    who: case.images / statistics.median(values) for who, values in times.items()
                },
                "rates": {  # images/s as a ratio to the bare loop's, turn by turn
                    who: quartiles([b / own for b, own in zip(bare, values, strict=True)])
                    for who, values in times.items()
                    if who != "bare loop"
                },
            }
        if on_gpu and case.turns:
            found["waits"] = waits(epochs["mlhw"])
            found["steps"] = tasks["mlhw"].plan.steps_per_epoch
        chosen = {who: task.train.compute for who, task in tasks.items()}
    return found | {
        "computes": {who: f"{c.precision}, {c.layout}" for who, c in chosen.items()},
        "prepared": prepared,
        "card": torch.cuda.get_device_name() if on_gpu else "none",
        "versions": {
            "CUDA": torch.version.cuda or "none",
            "cuDNN": str(torch.backends.cudnn.version()),
            "torch": torch.__version__,
        },
        "machine": machine(),
        "date": date.today().isoformat(),
    }


def in_process(name: str, arguments: list[str]) -> dict[str, Any]:
    """A case in a process of its own; what failed says so in ``error``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.json"
        words = [
            sys.executable,
            "-X",
            "faulthandler",
            __file__,
            "--one",
            str(path),
            name,
            *arguments,
        ]
        try:
            code = subprocess.run(words, timeout=TIMEOUT, check=False).returncode
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {TIMEOUT:g} s"}
        if code or not path.exists():
            return {"error": f"exit code {code}"}
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, help="images of an epoch, to try this file")
    parser.add_argument("--turns", type=int, help="epochs that count, to try this file")
    parser.add_argument("--results", type=Path, default=RESULTS / "gpu.json")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.cases or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"no case {unknown[0]}; there are {', '.join(CASES)}")
    if options.one:
        case = CASES[names[0]]
        changed = {"images": options.images, "turns": options.turns}
        case = Case(**{**vars(case), **{k: v for k, v in changed.items() if v is not None}})
        options.one.write_text(json.dumps(measured(case, options.device)))
        return 0
    arguments = ["--device", options.device]
    for option in ("images", "turns"):
        if getattr(options, option) is not None:
            arguments += [f"--{option}", str(getattr(options, option))]
    path = options.results
    failed = False
    for name in names:
        print(f"{name}: {CASES[name].title}", flush=True)
        found = in_process(name, arguments)
        if "error" in found:
            failed = True
            print(f"  {found['error']}", flush=True)
            continue
        for who, (low, middle, high) in found.get("times", {}).items():
            rate = found["rates"].get(who, [1.0] * 3)[1]
            print(
                f"  {who.ljust(22)}{middle:8.3f} s ({low:.3f} to {high:.3f}), {rate:.2f}",
                flush=True,
            )
        kept = json.loads(path.read_text()) if path.exists() else {"command": "python bench/gpu.py"}
        kept.setdefault("cases", {})[name] = found
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
