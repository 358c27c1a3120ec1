"""Where a run begins: at its start, at the state in its folder, or at another run's best model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw.config.load import load_config
from mlhw.errors import ConfigError, DataError
from mlhw.result.recorder import Recorder
from mlhw.system.digests import COMING, manifest_entries
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import ImageSplits
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.networks.weight_files import Tensors
from mlhw.vision.training.batches import count_steps
from mlhw.vision.training.checkpoints import (
    BEST,
    LAST,
    Best,
    Checkpoints,
    best_in,
    load_best,
)

if TYPE_CHECKING:
    import torch

# ------------------------------------------------------------------------------------- the same run


def load_saved(config: Config, recorder: Recorder, splits: ImageSplits) -> dict[str, Any] | None:
    """The state of the run that goes on; None for a new one or one that had saved nothing yet.

    Raises DataError if the data are not those of the run, the state of a run that had one is gone, or its
    best model is damaged.
    """
    run = recorder.resumes
    if run is None:
        return None
    folder = run / "checkpoints"
    if not any(folder.glob("*.pt")):
        require_state_never_was(run)
        require_same_data(run, config.data.digest, splits)
        recorder.log_nothing_saved()
        return None
    kept = Checkpoints(folder)
    saved = kept.load_last(recorder.warn)
    require_same_data(run, saved["data"], splits)
    if saved["progress"]["best_epoch"] is not None:
        try:
            kept.load_best()  # now, and not only after all epochs, when the run may need it
        except DataError as error:
            raise DataError(
                f"{error}; the run cannot go on without it: put a whole copy there, or start anew: "
                f"mlhw finetune -c {run / 'config.yaml'}"
            ) from None
    return saved


def require_same_data(run: Path, recorded: str | None, splits: ImageSplits) -> None:
    if recorded not in (None, splits.digest):
        raise DataError(
            f"{run}: the data have changed since this run (digest {splits.digest[:12]}, "
            f"then {str(recorded)[:12]}), so it cannot go on"
        )


def require_state_never_was(run: Path) -> None:
    """Raise DataError if the run had a state to go on from, which is no longer there.

    A run that died in its first save has none yet; its manifest announces one.
    """
    folder = run / "checkpoints"
    announced = f"{LAST}{COMING}" in manifest_entries(folder)
    if announced or not ((folder / BEST).exists() or (run / "result.json").exists()):
        return
    start = f"; a new run starts from its best model with --weights {run}"
    raise DataError(
        f"{run}: cannot go on, as checkpoints/{LAST} is missing (keep: best drops it)"
        + (start if (folder / BEST).exists() else "")
    )


def with_added_epochs(
    config: Config, saved: dict[str, Any] | None, recorder: Recorder, images: int
) -> Config:
    """``config`` with a note of the epochs that the run had before, if more are asked for now.

    What was done stays as it was; the epochs that are added have a schedule of their own. ``images`` are
    those of the training split.

    Raises ConfigError if the run has not had the epochs it was planned for, or not fewer than asked for.
    """
    run = recorder.resumes
    if run is None or saved is None:
        return config
    before = load_config(Config, str(run / "config.yaml"))
    if config.epochs == before.epochs and not recorder.lengthens:
        return config
    progress = saved["progress"]
    done = progress["epoch"]
    if not progress["stopped"] and (done < before.epochs or progress["batch"]):
        raise ConfigError(
            f"--epochs: {run} has had {done} of its {before.epochs} epochs; first end it with "
            f"--resume {run}, then add epochs"
        )
    if config.epochs <= done:
        raise ConfigError(
            f"--epochs: {run} has had {done} epochs; give more than {done}, for these count too"
        )
    longer = config.model_copy(update={"continued": [*before.continued, [done, before.epochs]]})
    if count_steps(longer, images) != count_steps(before, images):
        raise ConfigError(
            f"--epochs: {run} never trained its backbone; now that it would, its batch norm needs a last "
            "batch of more than one image, so its epochs cannot be the same; start a new run"
        )
    recorder.log(f"{config.epochs - done} epochs are added to {done}, with a schedule of their own")
    return longer


# ------------------------------------------------------------------------------------- another run


@dataclass(frozen=True)
class Start:
    """The best model of another run, which this one starts from, and the file that it is in."""

    file: Path
    best: Best

    @property
    def model(self) -> str:
        return str(self.best.metadata.get("model"))

    def configured(self, config: Config) -> Config:
        """``config`` with the model's file in full, and its image size where that is left open."""
        size = (
            self.best.metadata["image_size"] if config.image_size == "auto" else config.image_size
        )
        return config.model_copy(update={"weights": str(self.file), "image_size": size})

    def give_head(
        self, network: TunedNetwork, config: Config, classes: list[str], recorder: Recorder
    ) -> Tensors | None:
        """Put the model's head into ``network`` if it is one for these classes, and say so.

        Its tensors; None where the new one stays.
        """
        layers = self.head_for(config, classes)
        if layers is None:
            recorder.log(f"starts from the backbone of {self.file}; its head is for something else")
            return None
        # By their order: dropout, which has no tensors, shifts the layers' numbers.
        head = dict(zip(network.head.state_dict(), layers, strict=True))
        network.head.load_state_dict(head)
        recorder.log(f"starts from the backbone and the head of {self.file}")
        return head

    def head_for(self, config: Config, classes: list[str]) -> list[torch.Tensor] | None:
        """Weights and biases of the head's layers, from the input on, for these classes.

        None if the head is one for other classes, or of another shape.

        Where the classes are the same in another order, so are the rows of the last layer.
        """
        facts = self.best.metadata
        known = list(facts.get("classes", []))
        hidden = dict(facts.get("head") or {}).get("hidden")
        if sorted(known) != sorted(classes) or hidden != config.head.hidden:
            return None
        rows = [known.index(name) for name in classes]
        last = 2 * len(config.head.hidden)
        names = [f"head.{n}" for n in new_head(1, 1, **facts["head"]).state_dict()]
        tensors = [self.best.tensors[name] for name in names]
        return [*tensors[:last], *(tensor[rows] for tensor in tensors[last:])]


def find_start(config: Config) -> Start | None:
    """What ``weights`` names, if that is a run folder or the best model of one; None for anything else.

    Raises ConfigError for a folder without such a model, or one of another network, and DataError for a
    damaged file.
    """
    path = Path(config.weights).expanduser()
    if os.path.isdir(path):
        path = best_in(path)
    elif not (os.path.isfile(path) and is_saved_model(path)):
        return None
    path = path.resolve()
    start = Start(path, load_best(path))
    if start.model != config.model:
        raise ConfigError(
            f"weights: {config.weights} holds a {start.model}; give --model {start.model} too (model is "
            f"{config.model})"
        )
    return start


def is_saved_model(path: Path) -> bool:
    """Does the file say of itself that ``mlhw finetune`` wrote it?"""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return b'"mlhw_format"' in file.read(min(length, 1 << 20))
