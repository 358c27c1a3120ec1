"""What the gallery's page is made of: which images, which scores, and pictures that Pillow reads."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from mlhw.runs.gallery import MOST_SCORES, UNIT, gallery_page
from mlhw.vision.gallery import judged_images
from mlhw.vision.images.datasets import from_dataset
from mlhw.vision.images.image_sets import ImageSet
from mlhw.vision.images.thumbnails import (
    LARGEST,
    LOSSLESS,
    PIXELS,
    SMALLEST,
    thumbnail,
    thumbnail_side,
)


def silent(done: float, total: float, what: str) -> None:
    pass


def images_of(pixels: list[np.ndarray], classes: int) -> ImageSet:
    """All of these as one split."""
    samples = [(image, i % classes) for i, image in enumerate(pixels)]
    return from_dataset([*samples, *samples], val=0.5, test=0).train


def data_of(page: str) -> dict[str, list]:  # type: ignore[type-arg]
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    value: dict[str, list] = json.loads(found[1])  # type: ignore[type-arg]
    return value


def test_each_image_has_its_picture_and_its_probabilities() -> None:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(70)]
    images = images_of(pixels, 2)
    p = rng.dirichlet([1, 1], len(images))
    page = gallery_page(
        judged_images(images, images.labels, ["a", "b"], p, "test"), "a run", silent
    )
    data = data_of(page)
    assert [entry[0] for entry in data["images"]] == images.names
    for i, (_, own, predicted, scores, picture) in enumerate(data["images"]):
        assert (own, predicted) == (images.labels[i], p[i].argmax())
        given = dict(zip(scores[::2], scores[1::2], strict=True))
        assert [given[k] / UNIT for k in range(2)] == pytest.approx(p[i], abs=0.5 / UNIT)
        with Image.open(io.BytesIO(base64.b64decode(picture))) as shown:
            assert shown.format == "WEBP"
            assert np.array_equal(np.asarray(shown), images.images([i])[0])


def test_of_many_classes_the_most_probable_and_the_images_own_are_kept() -> None:
    rng = np.random.default_rng(1)
    images = images_of([rng.integers(0, 256, (4, 4, 3), dtype=np.uint8) for _ in range(60)], 60)
    p = rng.dirichlet(np.ones(60), len(images))
    classes = [str(k) for k in range(60)]
    page = gallery_page(judged_images(images, images.labels, classes, p, "test"), "a run", silent)
    assert f"its {MOST_SCORES} most probable and its own" in page
    for i, (_, own, _, scores, _) in enumerate(data_of(page)["images"]):
        best = np.argsort(-p[i], kind="stable")[:MOST_SCORES].tolist()
        assert scores[0] == best[0]
        assert len(scores) == 2 * MOST_SCORES
        assert set(scores[::2]) >= {own, *best[:-1]}


def test_what_is_left_out_is_right_and_sure() -> None:
    rng = np.random.default_rng(2)
    images = images_of([rng.integers(0, 256, (4, 4, 3), dtype=np.uint8) for _ in range(300)], 3)
    p = rng.dirichlet([1, 1, 1], len(images))
    own = p[np.arange(len(images)), images.labels]
    right = p.argmax(1) == images.labels
    shown = judged_images(images, images.labels, list("abc"), p, "test").shown(most=250)
    hidden = np.setdiff1d(np.arange(len(images)), shown)
    assert len(shown) == 250
    assert right[hidden].all()
    assert own[hidden].min() >= own[shown][right[shown]].max()
    assert np.array_equal(shown, np.sort(shown))
    assert len(judged_images(images, images.labels, list("abc"), p, "test").shown()) == len(images)


@pytest.mark.parametrize("count", [0, 1, 1085, 1086, 5_000, 20_000, 10**6])
def test_thumbnails_are_smaller_where_there_are_more(count: int) -> None:
    side = thumbnail_side(count)
    assert SMALLEST <= side <= LARGEST
    assert side == SMALLEST or count * side**2 <= PIXELS
    assert side == LARGEST or count * (side + 1) ** 2 > PIXELS


@pytest.mark.parametrize("shape", [(300, 500), (500, 40), (3, 2000), (1, 1), (96, 96)])
def test_a_thumbnail_is_the_image_made_smaller(shape: tuple[int, int]) -> None:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack(
        [255 * rows // shape[0], 255 * columns // shape[1], np.full(shape, 90)], axis=2
    ).astype(np.uint8)
    with Image.open(io.BytesIO(thumbnail(image, 96))) as small:
        assert max(small.size) == min(96, max(shape))
        wanted = Image.fromarray(image).resize(small.size, Image.Resampling.BOX)
        # Lossy, and its colours have half the resolution: a smooth image loses little.
        off = np.abs(np.asarray(small, int) - np.asarray(wanted, int))
        assert off.mean() < 6
    if max(shape) <= LOSSLESS:
        assert off.max() == 0
