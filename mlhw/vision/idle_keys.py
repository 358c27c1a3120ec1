"""Keys that would do nothing beside the others, each with the reason.

Given as an option or by ``--set`` such a key is refused, for whoever typed it expects something of it. In a
file it may stand, so that a saved configuration, which holds every key, runs again with others changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlhw.vision.names import CIFAR, MNIST, OWN_DATA

Config = Any
"""``config.Config``, which is built with this module."""


def idle_keys(config: Config) -> Iterator[tuple[str, str]]:
    """(key, reason) of the keys that do nothing in this configuration and ask for something."""
    for key, reason in (*_training(config), *_images(config)):
        value: object = config
        for name in key.split("."):
            value = getattr(value, name)
        if not asks_for_nothing(value):
            yield key, reason


def asks_for_nothing(value: object) -> bool:
    """Whether this value of a key cannot miss its effect, as it wants none: 0 of something, but not 0.0."""
    return value in (None, "auto", "none", "off") or (isinstance(value, int) and not value)


def _training(config: Config) -> Iterator[tuple[str, str]]:
    optim = config.optim
    if not config.trains_backbone:
        at = config.unfreeze_at
        why = (
            "the backbone stays frozen (unfreeze_at is null)"
            if at is None
            else f"the backbone stays frozen (unfreeze_at is {at}, and there are {config.epochs} epochs)"
        )
        for key in ("backbone_lr", "find_lr", "layer_decay"):
            yield f"optim.{key}", why
        for key in ("unfreeze_stages", "batch_norm"):
            yield key, why
        yield "unfreeze_at", f"there are {config.epochs} epochs, counted from 0"
    if not (config.trains_backbone and config.batch_norm == "train"):
        yield "sync_batch_norm", "batch norm keeps its statistics (--batch-norm train)"
    if optim.name == "adamw":
        yield "optim.momentum", "adamw has none; it is sgd's (--optim sgd)"
        yield "optim.nesterov", "adamw has no momentum (--optim sgd)"
    elif not optim.momentum:
        yield "optim.nesterov", "optim.momentum is 0"
    stored = "no epoch has a frozen backbone (unfreeze_at is 0)" if config.unfreeze_at == 0 else ""
    if stored:
        yield "features", stored
    if config.augment == "none":
        yield "views", "the images are not changed (augment is none)"
    elif config.features == "off":
        yield "views", "no features are stored (features is off)"
    elif stored:
        yield "views", stored
    elif config.views and not config.trains_backbone:
        for key in ("mixup", "cutmix"):
            if getattr(config, key):
                yield key, "every epoch trains on stored features (views), which cannot be mixed"


def _images(config: Config) -> Iterator[tuple[str, str]]:
    data, name = config.data, config.data.name
    if data.folds is None:
        yield "data.fold", "there are no folds (data.folds is null)"
    else:
        yield "data.val", f"validation is one of {data.folds} folds (data.folds)"
    if not name.startswith("csv:"):
        yield "data.image_root", f"{name} is no list of images (csv:PATH)"
        yield "data.group", f"{name} is no list of images (csv:PATH)"
    if data.on_error != "skip":
        yield "data.max_skipped", f"no image is skipped (data.on_error is {data.on_error})"
    named = name in CIFAR or name in MNIST
    if not named:
        yield "data.download", f"{name} is not fetched from anywhere"
    if not name.startswith(OWN_DATA):
        yield "data.resident", f"{name} is in memory in any case"
        yield "data.on_error", f"{name} has no files of images"
        yield "data.pixel_range", f"the images of {name} have 8 bits"
