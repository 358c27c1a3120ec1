"""Images with their classes and what a network takes them for, to be looked through on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mlhw.system.download import ProgressBar

MOST_IMAGES = 20_000  # a page that a browser opens in a second or two; about 14 MB


@dataclass(frozen=True)
class Gallery:
    """What ``gallery.html`` shows.

    Attributes:
        split: which images, in a word: ``test``.
        classes: class names; a label is a position in this list.
        names: of the images, n of them.
        labels: (n,), the class that each image is said to have.
        probabilities: (n, classes).
        thumbnails: gives small WebP pictures of the images at some positions, in their order, and
            shows how far it is.
        looks: gives, for some positions, a WebP picture of where the network looked in that image.
    """

    split: str
    classes: list[str]
    names: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    thumbnails: Callable[[np.ndarray, ProgressBar], Iterator[bytes]]
    looks: Callable[[], dict[int, bytes]] = dict

    def __len__(self) -> int:
        return len(self.names)

    def shown(self, most: int = MOST_IMAGES) -> np.ndarray:
        """Positions of the images on the page, rising: all, or the ``most`` that were judged worst.

        The worst are those with the least probability for their own class, so that what is left out
        was judged right, or there are more mistakes than anybody looks through.
        """
        import numpy as np

        own = self.probabilities[np.arange(len(self)), self.labels]
        # An image that is judged right may have less for its own class than one that is not.
        right = self.probabilities.argmax(1) == self.labels
        return np.sort(np.lexsort((own, right))[:most])
