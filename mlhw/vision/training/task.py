"""What a run trains, on what and how, and how well it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from mlhw.maths.classification import balanced_accuracy, confusion_matrix, macro_f1
from mlhw.maths.softmax import softmax
from mlhw.vision.images import augment
from mlhw.vision.networks.head import parameter_groups
from mlhw.vision.training.batches import Batch, feature_batches, smallest_batch
from mlhw.vision.training.checkpoints import tensor_digests
from mlhw.vision.training.device import one_thread

if TYPE_CHECKING:
    from mlhw.vision.config import Config
    from mlhw.vision.networks.backbones import Backbone
    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.schedules import Plan
    from mlhw.vision.training.batches import Loader
    from mlhw.vision.training.features import FeatureStore

FEATURES_AT_ONCE = 4096


@dataclass
class Task:
    """What is trained, on what, and how.

    ``store`` is None where features are not kept. ``metadata`` goes into the best model's file.
    ``sums`` are the loss and the right answers summed over the samples of the epoch under way,
    (2,), on the device, so that adding to them does not make a GPU wait.
    """

    config: Config
    network: TunedNetwork
    backbone: Backbone
    plan: Plan
    train: Loader
    val: Loader
    store: FeatureStore | None
    metadata: dict[str, Any]
    backbone_digests: dict[str, str] = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    scaler: torch.amp.GradScaler = field(init=False)
    sums: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        optim, compute = self.config.optim, self.train.compute
        groups = parameter_groups(self.network, self.backbone, self.plan, optim.weight_decay)
        if optim.name == "sgd":
            self.optimizer = torch.optim.SGD(
                groups,
                optim.lr,
                momentum=optim.momentum,
                nesterov=optim.nesterov and optim.momentum > 0,
                fused=True,
            )
        else:
            self.optimizer = torch.optim.AdamW(groups, optim.lr, fused=True)
        # float16 has so few exponents that small gradients would be 0 without scaling the loss.
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision == "fp16")
        self.backbone_digests = tensor_digests(self.network.backbone.state_dict())
        exact = torch.float32 if compute.device.type == "mps" else torch.float64  # it has no more
        self.sums = torch.zeros(2, dtype=exact, device=compute.device)

    @property
    def device(self) -> torch.device:
        return self.train.compute.device

    def uses_features(self, epoch: int) -> bool:
        """Does this epoch train on stored features? (Validation does in every frozen epoch.)"""
        kept = self.store is not None and not self.recomputes
        return kept and self.plan.frozen(epoch)

    @property
    def recomputes(self) -> bool:
        """Does every epoch need new features? It does where images change and no views are stored."""
        return self.config.augment != "none" and self.config.views == 0

    def training_batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch from batch ``start`` on: stored features, or images."""
        config = self.config
        order = augment.order(config.seed, epoch, len(self.train))
        if self.uses_features(epoch):
            return feature_batches(
                self.training_features(epoch),
                self.train.images.labels,
                order,
                config.batch_size,
                self.device,
                start,
                smallest_batch(config),
            )
        uniform = None
        if config.augment != "none":
            uniform = augment.random_numbers(config.seed, epoch, len(self.train))
        return self.train.batches(
            order,
            config.batch_size,
            start=start,
            least=smallest_batch(config),
            change=config.augment,
            uniform=uniform,
        )

    def training_features(self, epoch: int) -> np.ndarray:
        assert self.store is not None
        view = epoch % max(self.config.views, 1)
        return self.store.features(
            self.train, change=self.config.augment, seed=self.config.seed, view=view
        )

    def validate(self, epoch: int) -> Evaluation:
        """Loss and accuracy on the validation split, from stored features in a frozen epoch."""
        if self.store is None or not self.plan.frozen(epoch):
            return evaluate_network(self.network, self.val.all())
        features = self.store.features(self.val)
        everything = feature_batches(
            features,
            self.val.images.labels,
            np.arange(len(features)),
            FEATURES_AT_ONCE,
            self.device,
        )
        with one_thread(self.head_multiplications):
            return evaluate_network(self.network, everything, of_features=True)

    @property
    def head_multiplications(self) -> int:
        """Multiplications of the head for a batch."""
        weights = [p.numel() for p in self.network.head.parameters() if p.ndim > 1]
        return self.config.batch_size * sum(weights)


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy and accuracy over a split; float32 logits (n, classes), labels, in its order."""

    loss: float
    accuracy: float
    logits: np.ndarray
    labels: np.ndarray

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (classes, classes): row the class of the image, column what it is taken for."""
        return confusion_matrix(self.labels, self.logits.argmax(1), self.logits.shape[1])

    @property
    def balanced_accuracy(self) -> float:
        return balanced_accuracy(self.confusion)

    @property
    def macro_f1(self) -> float:
        return macro_f1(self.confusion)

    @property
    def probabilities(self) -> np.ndarray:
        """float64 (n, classes): the softmax of the logits, whose cross-entropy is ``loss``."""
        return softmax(self.logits)


def evaluate_network(
    network: TunedNetwork, batches: Iterator[Batch], *, of_features: bool = False
) -> Evaluation:
    """The network in evaluation mode on images, or its head on features."""
    network.eval()
    losses, hits, found, seen = [], [], [], []
    with torch.inference_mode():
        for inputs, labels in batches:
            logits = network.head(inputs) if of_features else network(inputs)
            losses.append(functional.cross_entropy(logits, labels, reduction="none").cpu())
            hits.append((logits.argmax(1) == labels).cpu())
            found.append(logits.float().cpu())
            seen.append(labels.cpu())
    return Evaluation(
        torch.cat(losses).double().mean().item(),
        torch.cat(hits).double().mean().item(),
        torch.cat(found).numpy(),
        torch.cat(seen).numpy(),
    )
