"""A fine-tuned network as it was saved, ready to be used: the best model of a run, or an export of it.

The preprocessing, the class names and the temperature of the probabilities are kept in the model's file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.networks.preprocessing import Preprocessing
    from mlhw.vision.networks.weight_files import Tensors
    from mlhw.vision.programs import Program

Logits = Callable[["torch.Tensor"], "np.ndarray"]
"""8-bit (N, 3, S, S) on the CPU to float32 (N, classes)."""


@dataclass(frozen=True)
class SavedModel:
    """A saved network with what belongs to it.

    Attributes:
        answer: 8-bit images (N, 3, S, S), resized and cut, to their float32 logits (N, classes).
        temperature: what the logits are divided by before the softmax, fitted on the run's validation
            images; 1 where none was (old files have none).
        facts: all that its file says of it, JSON values.
        network: in evaluation mode; None for an exported program.
        program: what was exported; None for a network.
    """

    answer: Logits
    preprocessing: Preprocessing
    classes: list[str]
    temperature: float
    facts: dict[str, Any]
    network: TunedNetwork | None = None
    program: Program | None = None

    def logits(self, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """float32 (N, classes) of 8-bit images (H, W, 3) of any sizes, before the temperature."""
        import numpy as np

        if not len(images):
            return np.empty((0, len(self.classes)), np.float32)
        return self.answer(self.preprocessing.fitted(images))

    def probabilities(self, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """float64 (N, classes): the softmax of the logits over the temperature."""
        from mlhw.maths.softmax import softmax

        return softmax(self.logits(images) / float(self.temperature))


def load_model(run: str | Path, device: str = "auto") -> SavedModel:
    """The best model of a run folder, a ``best.safetensors`` by itself, or what was exported of one.

    Raises ConfigError or DataError if there is none, or it is damaged.
    """
    from mlhw.vision.training.checkpoints import best_in
    from mlhw.vision.training.device import find_device

    where = find_device(device)
    path = Path(run)
    if not path.is_file():
        path = best_in(path)
    return model_of(path, None, where)


def model_of(path: Path, data: bytes | None, device: torch.device) -> SavedModel:
    """The model in the bytes of the file ``path``, which are read if they are None.

    Raises ConfigError or DataError as ``load_model``.
    """
    from mlhw.vision.networks.preprocessing import Preprocessing
    from mlhw.vision.programs import ONNX, PT2, program_bytes, read_program
    from mlhw.vision.training.checkpoints import load_best, read_best

    program = network = None
    if path.suffix.lower() in (ONNX, PT2):
        program = read_program(path, program_bytes(path) if data is None else data, device)
        facts = program.facts
    else:
        best = load_best(path) if data is None else read_best(path, data)
        facts = best.metadata
    try:
        preprocessing = Preprocessing.from_json(facts["preprocessing"])
        classes = [str(name) for name in facts["classes"]]
        temperature = _temperature(facts)
        if program is None:
            network = rebuilt_network(facts, best.tensors).to(device)
            answer = _answers(network, preprocessing, device)
        else:
            answer = _answers_of(program)
        model = SavedModel(answer, preprocessing, classes, temperature, facts, network, program)
        if program is not None:
            _try(model)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: its network cannot be rebuilt: {reason}") from None
    return model


def rebuilt_network(facts: dict[str, Any], tensors: Tensors) -> TunedNetwork:
    """The network with its weights, on the CPU."""
    from mlhw.vision.networks.backbones import load_backbone
    from mlhw.vision.networks.head import TunedNetwork, new_head

    backbone = load_backbone(facts["model"], "none", image_size=facts["image_size"])
    head = new_head(
        backbone.features,
        len(facts["classes"]),
        hidden=facts["head"]["hidden"],
        dropout=facts["head"]["dropout"],
    )
    network = TunedNetwork(backbone.module, head)
    network.load_state_dict(tensors)
    return network.eval()


def _answers(network: TunedNetwork, preprocessing: Preprocessing, device: torch.device) -> Logits:
    import torch

    def logits(pixels: torch.Tensor) -> np.ndarray:
        batch = preprocessing.normalize(pixels).to(device)
        with torch.inference_mode():
            return network(batch).float().cpu().numpy()  # type: ignore[no-any-return]

    return logits


def _answers_of(program: Program) -> Logits:
    return lambda pixels: program.outputs(pixels)[0]


def _try(model: SavedModel) -> None:
    """Raise ValueError if a program does not take the images that its file says it takes."""
    import numpy as np

    side = model.preprocessing.size
    try:
        found = model.logits([np.zeros((side, side, 3), np.uint8)])
    except Exception as error:  # runtimes have errors of their own
        raise ValueError(str(error)) from None
    if found.shape != (1, len(model.classes)):
        raise ValueError(f"it gives {found.shape[-1]} numbers for {len(model.classes)} classes")


def _temperature(facts: dict[str, Any]) -> float:
    """The one in a model's metadata, 1 where there is none. Raises ValueError for what cannot be one."""
    value = float(facts.get("temperature", 1.0))
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"temperature {value} is not above 0")
    return value
