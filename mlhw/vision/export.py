"""A fine-tuned network as a file that other programs run, held against the network before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from mlhw.errors import ConfigError, RunError
from mlhw.system.files import write_whole
from mlhw.vision.programs import ImagesToProbabilities, onnx_bytes, pt2_bytes
from mlhw.vision.saved import load_model, model_of
from mlhw.vision.training.checkpoints import Best, safetensors_bytes

if TYPE_CHECKING:
    from mlhw.vision.saved import SavedModel

ExportFormat = Literal["safetensors", "onnx", "pt2"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

# float32 keeps 24 bits, and a runtime that adds in another order is off by a few of the last in each of
# some hundred layers: 1e-6 of the largest logit was seen; a wrong mean or a lost layer costs 0.01 or more.
TOLERANCE = 1e-4
BATCHES = (1, 5, 2)  # sizes of the batches in the check: one would not show a fixed size


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far it is off.

    Attributes:
        path, size: the file and its bytes.
        images: how many the check took.
        logits_off: largest difference of a logit from the network's; ``largest`` is the largest logit.
        probabilities_off: the same of the probabilities.
        temperature: what its logits are divided by for them.
    """

    path: Path
    size: int
    images: int
    logits_off: float
    largest: float
    probabilities_off: float
    temperature: float


def export(model: str | Path, form: ExportFormat, target: Path) -> Exported:
    """Write the best model of a run, or a ``best.safetensors``, to ``target``.

    What is written is first read back as ``predict`` reads it and compared with the network.

    Raises:
        ConfigError, DataError: there is no such model, or a package is missing.
        RunError: the network has no such form, or what was read back computes something else.
    """
    saved = load_model(model, "cpu")
    network = saved.network
    if network is None:
        raise ConfigError(f"{model}: is exported already; give the run or its best.safetensors")
    facts = {key: value for key, value in saved.facts.items() if key != "mlhw_format"}
    facts["temperature"] = saved.temperature
    if form == "safetensors":
        data = safetensors_bytes(Best(dict(network.state_dict()), facts))
    else:
        module = ImagesToProbabilities(network, saved.preprocessing, saved.temperature)
        make = onnx_bytes if form == "onnx" else pt2_bytes
        data = make(module, saved.preprocessing.size, facts)
    # Read as a file of this form, whatever the target is called.
    again = model_of(target.with_suffix(f".{form}"), data, torch.device("cpu"))
    found = _compared(saved, again, target, len(data))
    write_whole(target, data)
    return found


def _compared(saved: SavedModel, again: SavedModel, target: Path, size: int) -> Exported:
    """Both models on images of differing sizes, in batches of differing sizes. Raises RunError."""
    if again.classes != saved.classes:
        raise RunError(f"{target}: not written, for the classes read back are others")
    rng = np.random.default_rng(0)
    side = saved.preprocessing.size
    largest = logits_off = probabilities_off = 0.0
    for count in BATCHES:
        shapes = rng.integers(side, 2 * side + 1, (count, 2))
        images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
        wanted, found = saved.logits(images), again.logits(images)
        largest = max(largest, float(np.abs(wanted).max()))
        logits_off = max(logits_off, float(np.abs(wanted - found).max()))
        p = saved.probabilities(images)
        given = [again.probabilities(images)]
        if again.program is not None:  # its own, which other programs use
            given.append(again.program.outputs(again.preprocessing.fitted(images))[1])
        for each in given:
            probabilities_off = max(probabilities_off, float(np.abs(p - each).max()))
    # Written so that NaN is no agreement.
    if not (logits_off <= TOLERANCE * max(1.0, largest) and probabilities_off <= TOLERANCE):
        raise RunError(
            f"{target}: not written, for what was read back is off by {logits_off:.2g} in the logits "
            f"(largest {largest:.3g}) and {probabilities_off:.2g} in the probabilities"
        )
    return Exported(
        target, size, sum(BATCHES), logits_off, largest, probabilities_off, saved.temperature
    )
