"""What a run trains, on what and how, and how well it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from mlhw.maths.classification import balanced_accuracy, confusion_matrix, macro_f1
from mlhw.maths.softmax import softmax
from mlhw.vision.images import augment
from mlhw.vision.images.transforms import Changes
from mlhw.vision.names import augmentations
from mlhw.vision.networks.head import parameter_groups, set_full_rates
from mlhw.vision.training.averaging import Average
from mlhw.vision.training.batches import Batch, feature_batches, smallest_batch
from mlhw.vision.training.checkpoints import tensor_digests
from mlhw.vision.training.compiling import compile_backbone
from mlhw.vision.training.device import one_thread
from mlhw.vision.training.objective import balanced_weights
from mlhw.vision.training.optimizers import JoinedAdamW, JoinedSGD
from mlhw.vision.training.sharing import Share, gathered, share_of

if TYPE_CHECKING:
    from mlhw.system.ranks import ProcessGroup
    from mlhw.vision.config import Config
    from mlhw.vision.networks.backbones import Backbone
    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.networks.weight_files import Tensors
    from mlhw.vision.schedules import Plan
    from mlhw.vision.training.batches import Loader
    from mlhw.vision.training.features import FeatureStore

FEATURES_AT_ONCE = 4096


@dataclass
class Task:
    """What is trained, on what, and how.

    ``store`` is None where features are not kept. ``metadata`` goes into the best model's file.
    ``head_start`` are the head's tensors where another run's are the start, None where they are drawn.
    ``sums`` are the loss and the right answers summed over the samples of the epoch under way, and the
    steps that float16 made it skip, (3,), on the device, so that adding to them does not make a GPU wait.
    ``average`` is the moving average of the weights, None without one.
    ``class_weights`` of the loss are (K,), None for 1 each. ``group`` are the processes that share the work,
    None where one does it.
    """

    config: Config
    network: TunedNetwork
    backbone: Backbone
    plan: Plan
    train: Loader
    val: Loader
    store: FeatureStore | None
    metadata: dict[str, Any]
    head_start: Tensors | None = None
    group: ProcessGroup | None = None
    backbone_digests: dict[str, str] = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    scaler: torch.amp.GradScaler = field(init=False)
    sums: torch.Tensor = field(init=False)
    average: Average | None = field(init=False, default=None)
    class_weights: torch.Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        optim, compute = self.config.optim, self.train.compute
        groups = parameter_groups(self.network, self.backbone, self.plan, optim.weight_decay)
        if optim.name == "sgd":
            self.optimizer = JoinedSGD(
                groups,
                optim.lr,
                momentum=optim.momentum,
                nesterov=optim.nesterov and optim.momentum > 0,
                fused=True,
            )
        else:
            self.optimizer = JoinedAdamW(groups, optim.lr, fused=True)
        # float16 has so few exponents that small gradients would be 0 without scaling the loss.
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision == "fp16")
        self.backbone_digests = tensor_digests(self.network.backbone.state_dict())
        exact = torch.float32 if compute.device.type == "mps" else torch.float64  # it has no more
        self.sums = torch.zeros(3, dtype=exact, device=compute.device)
        if self.config.class_weights == "balanced":
            weights = balanced_weights(self.train.images.labels, len(self.metadata["classes"]))
            self.class_weights = torch.from_numpy(weights).float().to(compute.device)
        if self.config.ema is not None:
            self.average = Average(self.network, self.config.ema)
            if self.config.compile:
                compile_backbone(self.average.network)

    @property
    def judged(self) -> TunedNetwork:
        """The network that is validated and kept: with the average of the weights, where there is one."""
        return self.average.network if self.average is not None else self.network

    def open_with(self, backbone_lr: float) -> None:
        """Settle the backbone's full rate, where the configuration has left it open.

        ``find_lr`` makes a rerun, whose configuration has the rate, show again what it was chosen from.
        """
        if self.config.optim.backbone_lr != "auto":
            return
        chosen = {"backbone_lr": backbone_lr, "find_lr": True}
        optim = self.config.optim.model_copy(update=chosen)
        self.config = self.config.model_copy(update={"optim": optim})
        self.plan = replace(self.plan, backbone_lr=backbone_lr)
        set_full_rates(self.optimizer, self.plan)

    @property
    def device(self) -> torch.device:
        return self.train.compute.device

    def uses_features(self, epoch: int) -> bool:
        """Does this epoch train on stored features? (Validation does in every frozen epoch.)"""
        kept = self.store is not None and not self.recomputes
        return kept and self.plan.frozen(epoch)

    @property
    def recomputes(self) -> bool:
        """Is every frozen epoch worked out anew, stored features or not?

        Only where images change, no views are stored, and no other epochs come in which they could:
        otherwise the frozen epochs train on stored features of the images as they are.
        """
        changes = self.config.augment != "none" or self.config.mixes
        return changes and self.config.views == 0 and not self.plan.ever_unfreezes

    def shares(self, epoch: int) -> bool:
        """Do the processes share the batches of this epoch? Stored features each of them takes whole.

        A step on those takes less time than the sum of its gradients over the processes would.
        """
        return self.group is not None and not self.uses_features(epoch)

    def share(self, epoch: int) -> Share:
        """The part of each batch of an epoch that this process works on."""
        return share_of(self.group if self.shares(epoch) else None, self.least_share)

    @property
    def least_share(self) -> int:
        """Images in a part that is not empty; those that batch norm sees in all processes are enough."""
        return 1 if self.config.sync_batch_norm else smallest_batch(self.config)

    def numbers(self, epoch: int) -> np.ndarray:
        """What the draws for each image of an epoch follow from, in its order: the image itself.

        Where images are drawn several times it is their place, so that each time is another.
        """
        order = self.order(epoch)
        return np.arange(len(order)) if self.config.sampler == "balanced" else order

    def weight(self, indices: np.ndarray) -> float:
        """What the samples at ``indices`` weigh together in the loss, as ``objective.divisor`` has it."""
        if self.class_weights is None:
            return float(len(indices))
        return float(self._image_weights[indices].sum())

    @cached_property
    def _image_weights(self) -> np.ndarray:
        """What each training image weighs in the loss, (n,); asking the device in every step would wait."""
        assert self.class_weights is not None
        weights: np.ndarray = self.class_weights.double().cpu().numpy()
        return weights[self.train.images.labels]

    def training_batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch from batch ``start`` on: stored features, or images.

        Where the processes share them, this one's part of each.
        """
        config = self.config
        order = self.order(epoch)
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
        return self.train.batches(
            order,
            config.batch_size,
            start=start,
            least=smallest_batch(config),
            changes=self.changes(epoch),
            numbers=self.numbers(epoch),
            share=self.share(epoch) if self.shares(epoch) else None,
        )

    def order(self, epoch: int) -> np.ndarray:
        """The training samples in the order of the epoch: each once, or each class equally often."""
        seed, labels = self.config.seed, self.train.images.labels
        if self.config.sampler == "balanced":
            return augment.balanced_order(seed, epoch, labels)
        return augment.order(seed, epoch, len(labels))

    def changes(self, epoch: int) -> Changes | None:
        """The random changes of an epoch that trains on images."""
        config = self.config
        names = augmentations(config.augment)
        if not names and not config.mixes:
            return None
        classes = len(self.metadata["classes"])
        count = len(self.train)
        return Changes(names, config.seed, epoch, count, config.mixup, config.cutmix, classes)

    def training_features(self, epoch: int) -> np.ndarray:
        assert self.store is not None
        if not self.config.views:
            return self.store.features(self.train)
        view = epoch % self.config.views
        return self.store.features(
            self.train, change=self.config.augment, seed=self.config.seed, view=view
        )

    def validate(self, epoch: int) -> Evaluation:
        """Loss and accuracy on the validation split, from stored features in a frozen epoch."""
        if self.store is None or not self.plan.frozen(epoch):
            return evaluate_network(self.judged, self.val.all(), group=self.group)
        features = self.store.features(self.val)
        everything = feature_batches(
            features,
            self.val.images.labels,
            np.arange(len(features)),
            FEATURES_AT_ONCE,
            self.device,
        )
        with one_thread(self.head_multiplications):
            return evaluate_network(self.judged, everything, of_features=True)

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


def hits(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which predictions are right, (N,); of shares (N, K) the largest one's class counts."""
    return logits.argmax(1) == (labels if labels.ndim == 1 else labels.argmax(1))


def evaluate_network(
    network: TunedNetwork,
    batches: Iterator[Batch],
    *,
    of_features: bool = False,
    group: ProcessGroup | None = None,
) -> Evaluation:
    """The network in evaluation mode on images, or its head on features.

    With a ``group`` the batches are this process's, and the evaluation is of those of all.
    """
    network.eval()
    losses: list[torch.Tensor] = []
    right: list[torch.Tensor] = []
    found: list[torch.Tensor] = []
    seen: list[torch.Tensor] = []
    with torch.inference_mode():
        for inputs, labels in batches:
            logits = network.head(inputs) if of_features else network(inputs)
            losses.append(functional.cross_entropy(logits, labels, reduction="none"))
            right.append(hits(logits, labels))
            found.append(logits.float())
            seen.append(labels)
    # A GPU is asked at the end: each time it makes this process wait until it has done all before.
    loss, hit, everything, targets = (
        gathered(torch.cat(parts).cpu().numpy() if parts else np.empty(0, kind), group)
        for parts, kind in (
            (losses, np.float32),
            (right, np.bool_),
            (found, np.float32),
            (seen, np.int64),
        )
    )
    return Evaluation(
        float(loss.mean(dtype=np.float64)),
        float(hit.mean(dtype=np.float64)),
        everything.reshape(len(targets), -1),
        targets,
    )
