"""``gallery.html``: the images of a run with their classes and scores, to be filtered and sorted.

One file with everything in it, readable from a disk and without a network. Names are carried as data and
become text by ``textContent``, so that one with markup in it stays text.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from mlhw.result.gallery import MOST_IMAGES, Gallery
from mlhw.runs.pages import template

if TYPE_CHECKING:
    import numpy as np

    from mlhw.system.download import ProgressBar

GALLERY = "gallery.html"
MOST_SCORES = 20  # of an image; all others are in predictions.csv
UNIT = 10_000  # probabilities are whole ten-thousandths there


def gallery_page(
    gallery: Gallery,
    run: str,
    progress: ProgressBar,
    *,
    report: str | None = "report.html",
    most: int = MOST_IMAGES,
) -> str:
    """The page, of ``most`` images at most.

    ``run`` says what the numbers are of, ``report`` is the page beside this one that it links to.
    """
    positions = gallery.shown(most)
    looks = gallery.looks()
    text: str = template("gallery.html").render(
        title="Gallery",
        run=run,
        report=report,
        split=gallery.split,
        total=len(gallery),
        count=len(positions),
        classes=len(gallery.classes),
        scores=min(MOST_SCORES, len(gallery.classes)),
        most=most,
        looks=bool(looks),
        data={
            "unit": UNIT,
            "classes": gallery.classes,
            "images": _entries(gallery, positions, progress),
            # By the place in that list.
            "looks": {
                place: base64.b64encode(looks[position]).decode()
                for place, position in enumerate(positions.tolist())
                if position in looks
            },
        },
    )
    return text


def _entries(gallery: Gallery, positions: np.ndarray, progress: ProgressBar) -> list[list[Any]]:
    """For each image: name, class, the class it is taken for, scores, picture in base64.

    The scores are a flat list of class, probability, class, … from the most probable on, the image's own
    class always among them.
    """
    import numpy as np

    entries = []
    pictures = gallery.thumbnails(positions, progress)
    for position, picture in zip(positions.tolist(), pictures, strict=True):
        row, own = gallery.probabilities[position], int(gallery.labels[position])
        order = np.argsort(-row, kind="stable")[:MOST_SCORES].tolist()
        if own not in order:
            order[-1] = own
        scores = [value for k in order for value in (k, round(float(row[k]) * UNIT))]
        entries.append(
            [
                gallery.names[position],
                own,
                int(row.argmax()),
                scores,
                base64.b64encode(picture).decode(),
            ]
        )
    return entries
