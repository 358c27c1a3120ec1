"""Figures of a classifier on labelled images: its mistakes, how far its probabilities can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.maths import calibration, classification
from mlhw.result import plots
from mlhw.text.words import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.vision.assessment import Assessment
    from mlhw.vision.images.image_sets import ImageSet

GRID = (4, 3)  # rows and columns of a grid of images
SCORES = 4  # classes shown beside an image
MOST_NAMED_CLASSES = 30
MOST_POINTS = 2000  # of a curve; more are not seen
FEW = 10  # images; the accuracy of fewer is a guess

RELIABILITY = (
    "Images grouped by the probability of the predicted class, with 95 % intervals of their accuracy; on "
    "the diagonal that probability is the share of right answers. Groups without an image have no point, "
    f"those of fewer than {FEW} images a hollow one: theirs says little. Below, how many images each has."
)
COVERAGE = (
    "Only images whose predicted class reaches a least probability are judged: how many these are, and "
    "what share of them is right, with its 95 % interval."
)


# ------------------------------------------------------------------------------------- mistakes


def draw_confusion(o: Assessment, split: str) -> Figure:
    """Rows are the images' classes, columns what they are taken for; colours are shares of the row."""
    names, counts = o.classes, o.confusion
    side = min(4.2 + 0.32 * len(names), 12.0)
    figure = plots.new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    axes.grid(False)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the class", shrink=0.8)
    if len(names) <= MOST_NAMED_CLASSES:
        short = [shortened(name, 14) for name in names]
        slant = 45 if max(map(len, short)) > 3 else 0
        short = [plots.plain(name) for name in short]
        axes.set_xticks(range(len(names)), short, rotation=slant)
        axes.set_yticks(range(len(names)), short)
        for row, column in np.argwhere(counts > 0):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="black" if shares[row, column] > 0.6 else "white",
            )
    axes.set_xlabel("predicted class")
    axes.set_ylabel(f"class of the {split} image")
    return figure


# ------------------------------------------------------------------------------------- probabilities


def draw_reliability(o: Assessment, split: str) -> Figure:
    """Accuracy of each bin with its interval, above the number of its images."""
    counts, right, means = calibration.reliability(o.confidence, o.right)
    full = counts > 0
    low, high = classification.wilson(right[full], counts[full])
    accuracies = right[full] / counts[full]
    figure = plots.new_figure(8.6, 5.6)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    axes.plot([0, 1], [0, 1], color=plots.GREY, linestyle=plots.dash(3), label="as they should be")
    axes.errorbar(
        means[full],
        accuracies,
        yerr=np.maximum([accuracies - low, high - accuracies], 0),
        color=plots.colour(0),
        linestyle="none",
        marker="o",
        markersize=5,
        capsize=3,
        label=f"{split} images, 95 % interval\n(mean distance {o.calibration_error:.4f})",
    )
    few = counts[full] < FEW
    if few.any():
        axes.plot(
            means[full][few],
            accuracies[few],
            linestyle="none",
            marker="o",
            markersize=5,
            markerfacecolor=plots.paper(),
            markeredgecolor=plots.colour(0),
            zorder=4,
            label=f"fewer than {FEW} images",
        )
    axes.set_ylabel("accuracy")
    axes.set_ylim(-0.02, 1.02)
    plots.legend(axes)
    edges = np.arange(len(counts)) / len(counts)
    below.bar(edges, counts, width=1 / len(counts), align="edge", color=plots.colour(5))
    for edge, count in zip(edges[full], counts[full], strict=True):
        below.text(
            edge + 0.5 / len(counts), count, str(count), ha="center", va="bottom", fontsize=8
        )
    below.set_yscale("symlog", linthresh=1)
    # Room for the number above the highest bar.
    below.set_ylim(0, 4 * max(int(counts.max()), 1))
    below.set_ylabel("images")
    below.set_xlabel("probability of the predicted class")
    below.set_xlim(0, 1)
    return figure


def draw_coverage(o: Assessment, split: str) -> Figure:
    """Accuracy over the share of the images that is judged, with the thresholds along the curve."""
    found = classification.coverage(o.confidence, o.right)
    kept = np.unique(np.linspace(0, len(found.images) - 1, MOST_POINTS).round().astype(int))
    images, right = found.images[kept], found.right[kept]
    low, high = classification.wilson(right, images)
    share = images / len(o)
    figure = plots.new_figure()
    axes = figure.add_subplot()
    axes.fill_between(
        share, low, high, color=plots.colour(0), alpha=0.18, linewidth=0, label="95 % interval"
    )
    axes.plot(
        share,
        right / images,
        color=plots.colour(0),
        marker="o" if len(share) == 1 else "",
        label=f"{split} images",
    )
    marked = classification.coverage(o.confidence, o.right, np.array(MARKED))
    for number, threshold in enumerate(MARKED):
        if count := int(marked.images[number]):
            axes.plot(
                count / len(o),
                marked.right[number] / count,
                linestyle="none",
                marker=plots.MARKERS[number + 1],
                color=plots.colour(number + 1),
                label=f"probability at least {threshold:g}",
            )
    axes.set_xlim(0, 1.02)
    # The interval of the first few images reaches down to nothing and would flatten all the rest.
    broad = share >= min(0.1, share[-1])
    axes.set_ylim(max(0.0, float(low[broad].min()) - 0.05), 1.02)
    axes.set_xlabel("coverage: share of the images that is judged")
    axes.set_ylabel("accuracy of these")
    plots.legend(axes, outside=True)
    figure.set_size_inches(8.4, 4.2)
    return figure


MARKED = (0.5, 0.9, 0.99)
"""Thresholds marked on the coverage curve."""


def coverage_in_words(o: Assessment, split: str) -> str:
    found = classification.coverage(o.confidence, o.right, np.array(MARKED))
    parts = [
        f"with a probability of {threshold:g} or more {count / len(o):.0%}"
        + (f", of which {right / count:.2%} are right" if count else "")
        for threshold, count, right in zip(*found, strict=True)
    ]
    return f"Accuracy by coverage of the {split} images: {'; '.join(parts)}."


# ------------------------------------------------------------------------------------- images


def worst_images(o: Assessment) -> np.ndarray:
    """Positions of the images with the least probability for their own class, least first."""
    own = o.log_probabilities[np.arange(len(o)), o.labels]
    return np.argsort(own, kind="stable")[: math.prod(GRID)]


def random_images(o: Assessment, seed: int) -> np.ndarray:
    """Positions of a few images, none of them among the worst, which are shown anyhow."""
    others = np.setdiff1d(np.arange(len(o)), worst_images(o))
    generator = np.random.default_rng([seed, 2])
    return np.sort(generator.choice(others, min(math.prod(GRID), len(others)), replace=False))


def draw_images(o: Assessment, images: ImageSet, positions: np.ndarray) -> Figure:
    """Each image with the probabilities of its most probable classes, its own always among them."""
    rows, columns = GRID[0], min(GRID[1], len(positions))
    rows = min(rows, -(-len(positions) // columns))
    figure = plots.new_figure(3.4 * columns, 1.7 * rows + 0.4)
    axes = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=(1, 1.25) * columns)
    for cell in axes.flat:
        cell.set_visible(False)
    names = o.classes
    pixels = images.images(positions)
    for number, position in enumerate(positions):
        picture, bars = axes[number // columns, 2 * (number % columns) :][:2]
        picture.set_visible(True)
        picture.imshow(pixels[number], interpolation="nearest")
        picture.set_axis_off()
        own = int(o.labels[position])
        name = images.names[position].rstrip("/").rpartition("/")[2]
        title = f"{shortened(name, 18)}\nclass {shortened(names[own], 12)}"
        picture.set_title(plots.plain(title), fontsize=8)
        scores_panel(bars, o.probabilities[position], own, names)
    figure.supxlabel(
        "above each image its name and its own class; beside it the probabilities of the classes,\n"
        "its own in green",
        fontsize=9,
    )
    return figure


def scores_panel(axes: Any, probabilities: np.ndarray, own: int, names: list[str]) -> None:
    shown = np.argsort(-probabilities, kind="stable")[: min(SCORES, len(names))]
    if own not in shown:
        shown[-1] = own
    axes.set_visible(True)
    colours = [plots.GREEN if k == own else plots.GREY for k in shown]
    axes.barh(range(len(shown)), probabilities[shown], color=colours, height=0.7)
    labels = [plots.plain(shortened(names[k], 10)) for k in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=7)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)
    axes.invert_yaxis()
    axes.grid(False)
