"""Stored features are those of the frozen backbone, and are found again only where they fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlhw.result.recorder import Recorder
from mlhw.vision.images import augment
from mlhw.vision.images.datasets import ImageSplits, load_images
from mlhw.vision.images.transforms import Changes
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.training.batches import Loader, ahead, evaluation_batch, pieces
from mlhw.vision.training.device import Compute
from mlhw.vision.training.features import FeatureStore, remove_unused

CPU = Compute(torch.device("cpu"), "fp32", "channels-last")


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return load_images("digits", val=0.1, test=0.8)


class Bench:
    """A store and a loader on a small network, with the log lines and how often it computed."""

    def __init__(self, splits: ImageSplits, folder: Path | None, seed: int = 0) -> None:
        self.backbone = load_backbone("cifar_resnet20", "none", image_size=8, seed=seed)
        self.network = TunedNetwork(self.backbone.module, new_head(self.backbone.features, 10))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loader = Loader(splits.val, self.backbone.preprocessing, CPU, 0)
        self.recorder = Recorder()
        self.computed = 0
        self.network.backbone.register_forward_hook(self.count)
        self.store = FeatureStore(
            self.network,
            self.backbone.features,
            self.backbone.weights_digest,
            folder,
            recorder=self.recorder,
        )

    def count(self, *_: Any) -> None:
        self.computed += 1

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.recorder.log_lines if line.startswith("warning: ")]


def test_features_are_the_backbones_outputs_in_the_order_of_the_images(
    splits: ImageSplits,
) -> None:
    bench = Bench(splits, None)
    found = bench.store.features(bench.loader)
    assert (found.shape, found.dtype) == ((len(splits.val), 64), np.float32)
    for i in (0, 7, len(splits.val) - 1):
        image = bench.backbone.preprocessing.to_batch(splits.val.images(np.array([i])))
        with torch.no_grad():
            expected = bench.network.features(image)[0].numpy()
        assert found[i] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_features_are_computed_once_and_the_next_run_reads_the_same_bits(
    splits: ImageSplits, tmp_path: Path
) -> None:
    first, second = Bench(splits, tmp_path), Bench(splits, tmp_path)
    a = first.store.features(first.loader)
    computed = first.computed
    assert first.store.features(first.loader) is a
    assert first.computed == computed > 0
    b = second.store.features(second.loader)
    assert second.computed == 0
    assert isinstance(b, np.memmap)
    assert np.array_equal(a, b)
    assert "are read from" in second.recorder.log_lines[0]


@pytest.mark.parametrize("what", ["weights", "images", "precision", "layout", "size", "view"])
def test_features_of_anything_else_are_not_mistaken_for_these(
    splits: ImageSplits, tmp_path: Path, what: str
) -> None:
    bench = Bench(splits, tmp_path)
    key = bench.store.key(bench.loader, "none", 0, 0)
    other = Bench(splits, tmp_path, seed=1 if what == "weights" else 0)
    loader, change = other.loader, "none"
    if what == "images":
        loader = Loader(splits.train, loader.preprocessing, CPU, 0)
    if what in ("precision", "layout"):
        value = {"precision": "bf16", "layout": "contiguous"}[what]
        compute = Compute(CPU.device, **({"precision": "fp32", "layout": "channels-last"} | {what: value}))  # type: ignore[arg-type]  # fmt: skip
        loader = Loader(splits.val, loader.preprocessing, compute, 0)
    if what == "size":
        loader = Loader(splits.val, loader.preprocessing.with_size(16), CPU, 0)
    if what == "view":
        keys = {other.store.key(loader, "flip", 0, view) for view in range(3)}
        assert len(keys | {key}) == 4
        return
    assert other.store.key(loader, change, 0, 0) != key  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other shape"])
def test_a_damaged_file_is_computed_again_with_a_warning(
    splits: ImageSplits, tmp_path: Path, damage: str
) -> None:
    first = Bench(splits, tmp_path)
    expected = np.array(first.store.features(first.loader))
    (path,) = tmp_path.glob("*.npy")
    if damage == "other shape":
        np.save(path, expected[:3])
    else:
        data = path.read_bytes()
        path.write_bytes({"cut": data[:-9], "empty": b"", "text": b"not features"}[damage])
    second = Bench(splits, tmp_path)
    assert np.array_equal(second.store.features(second.loader), expected)
    assert second.computed
    assert str(path) in second.warnings[0]


def test_a_cache_that_cannot_be_written_costs_no_run(splits: ImageSplits, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench(splits, tmp_path / "file" / "folder")
    assert len(bench.store.features(bench.loader)) == len(splits.val)
    assert "kept in memory only" in bench.warnings[0]


def test_stored_views_are_those_of_the_epochs(splits: ImageSplits) -> None:
    bench = Bench(splits, None)
    found = bench.store.features(bench.loader, change="flip-crop", seed=3, view=1)
    pixels = bench.backbone.preprocessing.fitted(splits.val.images(np.arange(len(splits.val))))
    changed = augment.change(pixels, augment.random_numbers(3, 1, len(splits.val)), "flip-crop")
    with torch.no_grad():
        expected = bench.network.features(bench.backbone.preprocessing.normalize(changed))
    assert torch.from_numpy(found) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert not np.array_equal(found, bench.store.features(bench.loader))


def test_the_longest_unused_files_go_first_and_the_newest_stays(tmp_path: Path) -> None:
    for age, name in enumerate("abcd"):
        path = tmp_path / f"{name}.npy"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    remove_unused(tmp_path, 250)
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["a", "b"]
    remove_unused(tmp_path, 10)
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_work_ahead_comes_in_order_and_stops_when_nobody_listens(workers: int) -> None:
    made = []

    def make(n: int) -> int:
        made.append(n)
        return n * n

    assert list(ahead(make, list(range(20)), workers)) == [n * n for n in range(20)]
    made.clear()
    for value in ahead(make, list(range(1000)), workers):
        if value == 4:
            break
    assert len(made) < 20


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_reaches_the_loop(workers: int) -> None:
    def make(n: int) -> float:
        return 1 / (3 - n)

    with pytest.raises(ZeroDivisionError):
        list(ahead(make, list(range(6)), workers))


def test_batches_do_not_depend_on_the_number_of_workers(splits: ImageSplits) -> None:
    backbone = load_backbone("cifar_resnet20", "none", image_size=8)
    order = augment.order(0, 0, len(splits.val))
    names = ("resized-crop", "flip", "trivialaugment", "jitter", "erase")
    changes = Changes(names, 0, 0, len(splits.val), mixup=0.4, cutmix=1.0, classes=10)
    batches = [
        list(
            Loader(splits.val, backbone.preprocessing, CPU, workers).batches(
                order, 32, start=1, changes=changes
            )
        )
        for workers in (0, 3)
    ]
    assert len(batches[0]) == len(pieces(order, 32)) - 1
    for (images, labels), (others, theirs) in zip(*batches, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, theirs)
    plain = Loader(splits.val, backbone.preprocessing, CPU, 3).batches(order, 32, start=1)
    labels = splits.val.labels[order[32:]].tolist()
    assert torch.cat([labels for _, labels in plain]).tolist() == labels


def test_an_evaluation_batch_holds_about_a_million_pixels() -> None:
    assert [evaluation_batch(s) for s in (8, 64, 224, 4096)] == [256, 256, 20, 8]
