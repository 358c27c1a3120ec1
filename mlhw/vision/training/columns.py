"""The columns of the tables that a fine-tuning writes, each with what it means, for the report."""

from __future__ import annotations

EPOCH_COLUMNS = {
    "epoch": "passes over the training images, from 0",
    "train_loss": "mean loss over the epoch's training images, each before its update; of mixed ones to the "
    "shares of their classes",
    "train_acc": "share of them that is classified right (0 to 1)",
    "val_loss": "mean loss over the validation images after the epoch; empty where not validated",
    "val_acc": "share of them that is classified right (0 to 1)",
    "lr": "learning rate of the head at the epoch's last step",
    "backbone_lr": "the same of the backbone's last stage; empty while it is frozen",
    "images_per_s": "training images a second",
    "seconds": "how long the epoch took",
    "val_balanced_acc": "mean over the classes of the share of their validation images that is right",
    "val_macro_f1": "mean F1 over the classes, of the validation images",
}

RATE_COLUMNS = {
    "rate": "learning rate of the backbone's last stage that was tried",
    "loss": "mean loss of other training images after a few steps at it",
    "excess": "by how much that is above their loss before",
    "standard_error": "of this paired difference",
}

PREDICTION_COLUMNS = {
    "name": "the image",
    "label": "its class",
    "predicted": "the class with the largest probability",
    "p_CLASS": "the classes' probabilities",
}


def prediction_columns(classes: list[str]) -> dict[str, str]:
    """``PREDICTION_COLUMNS`` with a column of probabilities for each of ``classes``."""
    each = PREDICTION_COLUMNS["p_CLASS"]
    fixed = {name: meaning for name, meaning in PREDICTION_COLUMNS.items() if name != "p_CLASS"}
    return fixed | {f"p_{name}": each for name in classes}


REPEAT_COLUMNS = {
    "repeat": "number of the run, from 0",
    "seed": "its seed",
    "fold": "the fold that it was validated on; empty without folds",
    "folder": "where its tables and its model lie, in the folder of the whole",
    "best_epoch": "the epoch of the model that it kept",
    "val_loss": "mean loss of that model on the validation images",
    "val_acc": "share of them that it classifies right (0 to 1)",
    "test_loss": "the same on the test images; empty without any",
    "test_acc": "share of them that it classifies right (0 to 1)",
    "balanced_accuracy": "mean recall over the classes, on the test images (without any, validation)",
    "macro_f1": "mean F1 over the classes, on the same",
    "calibration_error": "expected calibration error of the tempered probabilities, on the same",
    "claims_held": "claims that hold",
    "claims_failed": "claims that do not",
}
