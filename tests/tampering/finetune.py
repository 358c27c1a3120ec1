"""Ways to make each claim of finetune fail."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from mlhw.maths import classification
from mlhw.vision.images import augment
from mlhw.vision.schedules import Plan
from mlhw.vision.training import loop as training
from mlhw.vision.training import objective, preparation, probe, session
from mlhw.vision.training.features import FeatureStore

SMALL = ["--val", "0.3", "--test", "0.3", "--threads", "1", "--features", "memory"]
SMALL += ["--precision", "fp32", "--layout", "channels-last"]
COMMAND = [*SMALL, "--model", "cifar_resnet20", "--weights", "none", "--image-size", "8"]
COMMAND += ["--epochs", "4", "--unfreeze-at", "2", "--lr", "0.01"]
COMMANDS = {
    "classes-alike": [*COMMAND, "--sampler", "balanced"],
    "beats-random": [
        *SMALL,
        *("--image-size", "32", "--epochs", "3", "--unfreeze-at", "1"),
        *("--lr", "0.01", "--backbone-lr", "0.001", "--compare", "first-open"),
    ],
}


def _saved_model_is_another(patch: pytest.MonkeyPatch) -> None:
    real = training.copied
    patch.setattr(
        training,
        "copied",
        lambda tensors: {
            k: t + 0.01 if t.is_floating_point() else t for k, t in real(tensors).items()
        },
    )


def _nothing_is_frozen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(training, "set_learning", lambda network, *_, **__: network.train())


def _stored_features_are_off(patch: pytest.MonkeyPatch) -> None:
    real = FeatureStore.compute

    def wrong(self: FeatureStore, *arguments: Any) -> np.ndarray:
        return real(self, *arguments) + np.float32(0.01)

    patch.setattr(FeatureStore, "compute", wrong)


def _uphill(patch: pytest.MonkeyPatch) -> None:
    real = Plan.factor
    patch.setattr(Plan, "factor", lambda self, step: -real(self, step))


def _the_boldest_rate_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(probe, "choice", lambda rates, excess, errors: max(rates))


def _first_is_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        training, "is_better", lambda found, progress, metric: progress.best_epoch is None
    )


def _pretrained_weights_are_lost(patch: pytest.MonkeyPatch) -> None:
    real = preparation.load_backbone

    def empty(model: str, weights: str, **options: Any) -> Any:
        backbone = real(model, weights, **options)
        if weights == "none":
            return backbone
        with torch.no_grad():
            for parameter in backbone.module.parameters():
                parameter.zero_()
        return backbone

    patch.setattr(preparation, "load_backbone", empty)


def _labels_are_not_smoothed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(objective, "smoothed", lambda nll, logits, share: nll)


def _rates_are_a_little_high(patch: pytest.MonkeyPatch) -> None:
    real = Plan.factor
    patch.setattr(Plan, "factor", lambda self, step: 1.001 * real(self, step))


def _accuracy_is_flattered(patch: pytest.MonkeyPatch) -> None:
    real = session.evaluate_network

    def flattered(*arguments: Any, **keywords: Any) -> Any:
        found = real(*arguments, **keywords)
        return dataclasses.replace(found, accuracy=found.accuracy + 0.01)

    patch.setattr(session, "evaluate_network", flattered)


def _classes_are_drawn_as_they_come(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        augment,
        "balanced_order",
        lambda seed, epoch, labels: augment.order(seed, epoch, len(labels)),
    )


def _temperature_is_a_little_high(patch: pytest.MonkeyPatch) -> None:
    real = training.fit_temperature
    patch.setattr(training, "fit_temperature", lambda logits, labels: 1.002 * real(logits, labels))


def _intervals_are_walds(patch: pytest.MonkeyPatch) -> None:
    def wald(right: Any, count: Any, z: float = classification.Z95) -> Any:
        share = np.asarray(right) / count
        half = z * np.sqrt(share * (1 - share) / count)
        return share - half, share + half

    patch.setattr(classification, "wilson", wald)


TAMPERINGS = {
    "counted-again": _intervals_are_walds,
    "classes-alike": _classes_are_drawn_as_they_come,
    "temperature-fitted": _temperature_is_a_little_high,
    "first-epochs-again": _labels_are_not_smoothed,
    "rates-as-scheduled": _rates_are_a_little_high,
    "losses-fit-accuracies": _accuracy_is_flattered,
    "best-reloads": _saved_model_is_another,
    "frozen-unchanged": _nothing_is_frozen,
    "stored-features": _stored_features_are_off,
    "loss-fell": _uphill,
    "rate-as-tried": _the_boldest_rate_is_taken,
    "best-is-best": _first_is_kept,
    "beats-random": _pretrained_weights_are_lost,
}
