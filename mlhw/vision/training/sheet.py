"""A sheet of training images as the network gets to see them, changed at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.result import plots
from mlhw.text.words import shortened

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from mlhw.vision.training.task import Task

ROWS, CHANGED = 5, 5


def augmented_sheet(task: Task) -> Figure:
    """Training images at the network's size, each unchanged and as the next epochs change it.

    The changes are those that the run makes: in the first epochs that train on images, or of the
    stored views. Where images are mixed it is with others of the sheet, and the classes with their
    shares stand above each.
    """
    images = sheet_images(task)
    first = first_changed_epoch(task)
    columns = [_pictures(task, images, None)]
    different = task.config.views if first == 0 and task.config.views else task.plan.epochs - first
    columns += [_pictures(task, images, first + k) for k in range(min(CHANGED, different))]
    figure = plots.new_figure(1.65 * len(columns), 1.8 * len(images) + 0.3)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for k, column in enumerate(columns):
        for row, (picture, words) in enumerate(column):
            cell = axes[row, k]
            cell.imshow(picture, interpolation="nearest")
            cell.set_xticks([])
            cell.set_yticks([])
            cell.grid(False)
            above = ("unchanged" if k == 0 else f"epoch {first + k - 1}") if row == 0 else ""
            cell.set_title(f"{above}\n{plots.plain(words)}" if above else plots.plain(words))
            cell.title.set_fontsize(8)
    return figure


def sheet_images(task: Task) -> np.ndarray:
    """Positions of the training images on the sheet: of as many classes as there is room for."""
    labels = task.train.images.labels
    order = np.random.default_rng([task.config.seed, 5]).permutation(len(labels))
    _, places = np.unique(labels[order], return_index=True)
    others = np.setdiff1d(np.arange(len(order)), places)
    return np.asarray(order[np.concatenate([np.sort(places), others])[:ROWS]])


def first_changed_epoch(task: Task) -> int:
    """The first epoch whose images are changed."""
    if task.store is None or task.recomputes or task.config.views:
        return 0
    return task.plan.unfreeze_at or 0


def _pictures(task: Task, images: np.ndarray, epoch: int | None) -> list[tuple[np.ndarray, str]]:
    """8-bit (S, S, 3) of each image, with the words above it; None for as it is."""
    preprocessing = task.train.preprocessing
    changes = None if epoch is None else task.changes(epoch)
    batches = task.train.batches(images, len(images), changes=changes)
    batch, labels = next(iter(batches))
    mean, std = (np.array(values) for values in (preprocessing.mean, preprocessing.std))
    values = batch.float().cpu().permute(0, 2, 3, 1).numpy() * std + mean
    pixels = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    names = task.metadata["classes"]
    return [(p, _words(label, names)) for p, label in zip(pixels, labels.cpu(), strict=True)]


def _words(label: torch.Tensor, names: list[str]) -> Any:
    if label.ndim == 0:
        return shortened(names[int(label)], 16)
    shares = [(float(label[k]), k) for k in label.argsort(descending=True)[:2]]
    return " + ".join(
        f"{share:.2f} {shortened(names[k], 8)}" for share, k in shares if share >= 0.005
    )
