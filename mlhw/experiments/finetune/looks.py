"""Where the best model looked in the images it judged worst, and in as many others: for the gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlhw.vision.gradcam import explained, to_explain
from mlhw.vision.images.thumbnails import thumbnail
from mlhw.vision.networks.preprocessing import Preprocessing
from mlhw.vision.saved import rebuilt_network

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.vision.training.session import Finetuned

SIDE = 256  # pixels of a picture at most


def where_it_looked(o: Finetuned, recorder: Recorder) -> dict[int, bytes]:
    """A WebP picture by position, of ``explain`` worst images and as many others.

    Each shows what speaks for the class that its image is taken for. The network is that of the best
    model's file, in float32 on the CPU. What goes wrong here is a warning: by now all else is done.
    """
    if not o.config.explain:
        return {}
    p, facts = o.assessed.probabilities, o.best.metadata
    positions = to_explain(p, o.labels, o.config.explain, o.config.seed)
    try:
        pictures = explained(
            rebuilt_network(facts, o.best.tensors),
            Preprocessing.from_json(facts["preprocessing"]),
            o.images.images(positions),
            p[positions].argmax(1),
        )
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        recorder.warn(reason if reason.startswith("explain: ") else f"explain: left out: {reason}")
        return {}
    return {
        int(position): thumbnail(picture, SIDE)
        for position, picture in zip(positions, pictures, strict=True)
    }
