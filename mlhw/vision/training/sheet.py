"""A sheet of training images as the network gets to see them, changed at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlhw.result import plots
from mlhw.text.words import shortened

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from mlhw.vision.training.task import Task

ROWS, COLUMNS = 5, 6


def augmented_sheet(task: Task) -> Figure:
    """Training images at the network's size, each unchanged and as the next epochs change it.

    The changes are those that the run makes: in the first epochs that train on images, or of the
    stored views. Where images are mixed it is with others of the sheet, and the classes with their
    shares stand above each. Where nothing changes them, more images are shown.
    """
    shown = sheet_pictures(task)
    if len(shown) == 1:
        rows = [shown[0][k : k + COLUMNS] for k in range(0, len(shown[0]), COLUMNS)]
    else:
        rows = [list(row) for row in zip(*shown, strict=True)]
    columns = max(map(len, rows))
    figure = plots.new_figure(max(1.65 * columns, 3.3), 1.8 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for cell in axes.flat:
        cell.set_axis_off()
    for cells, row in zip(axes, rows, strict=True):
        for cell, picture in zip(cells, row, strict=False):
            cell.imshow(picture.pixels, interpolation="nearest")
            words = plots.plain(picture.words)
            cell.set_title(f"{picture.when}\n{words}" if row is rows[0] else words, fontsize=8)
    figure.supxlabel("above each image its class, above each column when it looks so", fontsize=9)
    return figure


class Picture(NamedTuple):
    """``pixels`` uint8 (S, S, 3), the class or classes in words, and in which epoch it is so."""

    pixels: np.ndarray
    words: str
    when: str


def sheet_pictures(task: Task) -> list[list[Picture]]:
    """A column of pictures unchanged, then one for each of the first epochs that change them."""
    first = first_changed_epoch(task)
    if task.changes(first) is None:
        return [_pictures(task, sheet_images(task, ROWS * COLUMNS), None)]
    images = sheet_images(task, ROWS)
    different = task.config.views if first == 0 and task.config.views else task.plan.epochs - first
    epochs = range(first, first + min(COLUMNS - 1, different))
    return [_pictures(task, images, epoch) for epoch in (None, *epochs)]


def sheet_images(task: Task, count: int) -> np.ndarray:
    """Positions of ``count`` training images: of as many classes as there is room for."""
    labels = task.train.images.labels
    order = np.random.default_rng([task.config.seed, 5]).permutation(len(labels))
    _, places = np.unique(labels[order], return_index=True)
    others = np.setdiff1d(np.arange(len(order)), places)
    return np.asarray(order[np.concatenate([np.sort(places), others])[:count]])


def first_changed_epoch(task: Task) -> int:
    """The first epoch whose images are changed."""
    if task.store is None or task.recomputes or task.config.views:
        return 0
    return task.plan.unfreeze_at or 0


def _pictures(task: Task, images: np.ndarray, epoch: int | None) -> list[Picture]:
    """The images as an epoch changes them; None for as they are."""
    preprocessing = task.train.preprocessing
    changes = None if epoch is None else task.changes(epoch)
    batch, labels = next(iter(task.train.batches(images, len(images), changes=changes)))
    mean, std = (np.array(values) for values in (preprocessing.mean, preprocessing.std))
    values = batch.float().cpu().permute(0, 2, 3, 1).numpy() * std + mean
    pixels = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    when = "unchanged" if epoch is None else f"epoch {epoch}"
    names = task.metadata["classes"]
    return [
        Picture(p, _words(label, names), when)
        for p, label in zip(pixels, labels.cpu(), strict=True)
    ]


def _words(label: torch.Tensor, names: list[str]) -> str:
    if label.ndim == 0:
        return shortened(names[int(label)], 16)
    shares = [(float(label[k]), k) for k in label.argsort(descending=True)[:2]]
    return " + ".join(
        f"{share:.2f} {shortened(names[k], 8)}" for share, k in shares if share >= 0.005
    )
