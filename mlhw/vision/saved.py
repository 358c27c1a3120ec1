"""A fine-tuned network as it was saved, ready to be used: the best model of a run, read back.

The preprocessing, the class names and the temperature of the probabilities are kept in the model's file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.networks.preprocessing import Preprocessing


@dataclass(frozen=True)
class SavedModel:
    """A saved network with what belongs to it.

    Attributes:
        network: in evaluation mode, on ``device``.
        temperature: what the logits are divided by before the softmax, fitted on the run's validation
            images; 1 where none was (old files have none).
    """

    network: TunedNetwork
    preprocessing: Preprocessing
    classes: list[str]
    temperature: float
    device: torch.device

    def logits(self, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """float32 (N, classes) of 8-bit images (H, W, 3) of any sizes, before the temperature."""
        import numpy as np
        import torch

        if not len(images):
            return np.empty((0, len(self.classes)), np.float32)
        batch = self.preprocessing.to_batch(images).to(self.device)
        with torch.inference_mode():
            return self.network(batch).float().cpu().numpy()  # type: ignore[no-any-return]

    def probabilities(self, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """float64 (N, classes): the softmax of the logits over the temperature."""
        from mlhw.maths.softmax import softmax

        return softmax(self.logits(images) / float(self.temperature))


def load_model(run: str | Path, device: str = "auto") -> SavedModel:
    """The best model of a run folder, or a ``best.safetensors`` by itself.

    Raises ConfigError or DataError if there is none, or it is damaged.
    """
    from mlhw.vision.networks.backbones import load_backbone
    from mlhw.vision.networks.head import TunedNetwork, new_head
    from mlhw.vision.networks.preprocessing import Preprocessing
    from mlhw.vision.training.checkpoints import BEST, read_best
    from mlhw.vision.training.device import find_device

    where = find_device(device)
    path = Path(run)
    if path.is_dir():
        path = path / "checkpoints" / BEST
    if not path.is_file():
        raise ConfigError(
            f"{run}: has no {Path('checkpoints', BEST)}; give the run folder of an mlhw finetune that "
            "has validated at least once"
        )
    best = read_best(path, path.read_bytes())
    facts = best.metadata
    try:
        backbone = load_backbone(facts["model"], "none", image_size=facts["image_size"])
        head = new_head(
            backbone.features,
            len(facts["classes"]),
            hidden=facts["head"]["hidden"],
            dropout=facts["head"]["dropout"],
        )
        network = TunedNetwork(backbone.module, head)
        network.load_state_dict(best.tensors)
        preprocessing = Preprocessing.from_json(facts["preprocessing"])
        classes = [str(name) for name in facts["classes"]]
        temperature = _temperature(facts)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: its network cannot be rebuilt: {reason}") from None
    return SavedModel(network.to(where).eval(), preprocessing, classes, temperature, where)


def _temperature(facts: dict[str, Any]) -> float:
    """The one in a model's metadata, 1 where there is none. Raises ValueError for what cannot be one."""
    value = float(facts.get("temperature", 1.0))
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"temperature {value} is not above 0")
    return value
