"""What a fine-tuning reports: the mathematics, the tables' columns, the numbers and the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlhw.experiments.curves import Curves
from mlhw.maths.calibration import FEWEST_IMAGES
from mlhw.result.result import Formula
from mlhw.text.values import NOTHING, is_nothing
from mlhw.text.words import quantity, text_table
from mlhw.vision import assessment
from mlhw.vision.training import columns

if TYPE_CHECKING:
    from mlhw.vision.config import Config
    from mlhw.vision.names import BestBy
    from mlhw.vision.training.session import Finetuned, RandomWeights

FORMULAS = [
    Formula(
        "The model: φ(x) are the backbone's features of the image x, a the logits that the head "
        "makes of them, p the probabilities of the K classes.",
        r"a(x) = \text{head}(\varphi(x)), \quad p_k(x) = \frac{e^{a_k(x)}}{\sum_j e^{a_j(x)}}",
    ),
]
"""What holds of every configuration; ``formulas`` adds what this one minimises, and how."""
COLUMNS = {
    "metrics": columns.EPOCH_COLUMNS,
    "rates": columns.RATE_COLUMNS,
    "repeats": columns.REPEAT_COLUMNS,
    "predictions": columns.PREDICTION_COLUMNS,
    "classes": assessment.CLASS_COLUMNS,
    "confusion": assessment.confusion_columns(["CLASS"]),
    "coverage": assessment.COVERAGE_COLUMNS,
}

CURVES = Curves("metrics", "epoch", ("train_loss", "val_loss"), "loss")
TIMING = frozenset({"images_per_s"})


BEST_BY: dict[BestBy, str] = {
    "loss": "loss",
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced accuracy",
    "macro-f1": "macro F1",
}
"""What ``best`` names, in words."""


def formulas(config: Config) -> list[Formula]:
    """The model, what is minimised, one step of the optimizer, and which model is kept."""
    smoothing = config.optim.label_smoothing
    targets = r"q_k(n) = [k = t_n]"
    if smoothing:
        targets = r"q_k(n) = (1 - \varepsilon) \, [k = t_n] + \frac{\varepsilon}{K}"
    smoothed = " The bracket is 1 where what it holds is true, and 0 elsewhere."
    if smoothing:
        smoothed += (
            f" With label smoothing ε = {smoothing:g} (Szegedy et al. 2015); the tables hold the one "
            "without."
        )
    weighted, mean = "", r"E = -\frac{1}{N} \sum_n \sum_k q_k(n) \ln p_k(x_n)"
    if config.class_weights == "balanced":
        weighted = " Each class k, with N_k images, weighs w_k, so that all K weigh the same."
        mean = (
            r"E = -\frac{\sum_n \sum_k w_k \, q_k(n) \ln p_k(x_n)}{\sum_n w_{t_n}}, \quad "
            r"w_k = \frac{N}{K N_k}"
        )
    elif config.sampler == "balanced":
        weighted = " An epoch draws N images, each class equally often."
    if config.mixes:
        weighted += " Of mixed images q are the shares of their classes, smoothed alike."
    steps = {
        "adamw": Formula(
            "One step of AdamW (Loshchilov and Hutter 2019): g is the gradient of a batch's E, m and v "
            "its running mean and mean square, hats their correction for the start, η the rate of the "
            "schedule, λ the weight decay.",
            r"w \leftarrow w - \eta \left( \frac{\hat{m}}{\sqrt{\hat{v}} + 10^{-8}} + \lambda w \right), "
            r"\quad m \leftarrow 0.9 \, m + 0.1 \, g, \quad v \leftarrow 0.999 \, v + 0.001 \, g^2",
        ),
        "sgd": Formula(
            "One step of gradient descent with momentum μ: g is the gradient of a batch's E, η the rate "
            "of the schedule, λ the weight decay.",
            r"v \leftarrow \mu v + g + \lambda w, \quad w \leftarrow w - \eta "
            + (r"(g + \lambda w + \mu v)" if config.optim.nesterov else "v"),
        ),
    }
    return [
        *FORMULAS,
        Formula(
            "What training minimises: the cross-entropy over the N training images, t their classes "
            f"(Bishop, PRML, eq. 4.108).{smoothed}{weighted}",
            mean + r", \quad " + targets,
        ),
        steps[config.optim.name],
        Formula(
            "The model that is kept is the one of the best validation; it alone is tested."
            + (
                ""
                if config.best_by == "loss"
                else " Of equal ones it is the one of the least loss."
            ),
            r"e^* = \text{arg} \min_e E_{\text{val}}(w_e)"
            if config.best_by == "loss"
            else rf"e^* = \text{{arg}} \max_e \text{{{BEST_BY[config.best_by]}}}_{{\text{{val}}}}(w_e)",
        ),
        Formula(
            "Its probabilities are those of logits over a temperature T, the one with the least "
            "cross-entropy on the validation images (Guo et al. 2017); the most probable class stays.",
            r"p_k(x) = \frac{e^{a_k(x) / T}}{\sum_j e^{a_j(x) / T}}, \quad "
            r"T = \text{arg} \min_{0.05 \le T \le 20} E_{\text{val}}(T)",
        ),
    ]


def summary(o: Finetuned) -> dict[str, Any]:
    """What scripts read."""
    return {
        "best_epoch": o.progress.best_epoch,
        "best_val_loss": o.progress.best_loss,
        "best_val_acc": o.progress.best_accuracy,
        "test_loss": o.test.loss if o.test else None,
        "test_acc": o.test.accuracy if o.test else None,
        "classes": o.splits.classes,
        "epochs": o.progress.epoch,
        "stopped_early": o.progress.stopped,
        "model": o.config.model,
        "weights": o.task.backbone.weights,
        "image_size": o.config.image_size,
        "images": {
            "train": len(o.splits.train),
            "val": len(o.splits.val),
            "test": len(o.splits.test) if o.splits.test else 0,
            "skipped": len(o.splits.skipped),
        },
        "duplicates": o.splits.duplicates.summary(),
        "device": str(o.task.device),
        "precision": o.config.precision,
        "layout": o.config.layout,
        "predictions": "test" if o.test else "val",
        "backbone_lr": o.task.plan.backbone_lr if o.config.trains_backbone else None,
        "probe": o.progress.probe and tried_rates(o.progress.probe),
        "random_weights": o.random and against_random(o.random),
        "calibration": o.assessed.calibration(),
        "metrics": o.assessed.metrics(),
        "per_class": o.assessed.per_class(),
        "confusion": o.assessed.confusion_list(),
    }


def against_random(random: RandomWeights) -> dict[str, Any]:
    """The accuracies from random weights, and after how many epochs."""
    return {"val_acc": random.val_acc, "test_acc": random.test_acc, "epochs": random.epochs}


def tried_rates(probe: dict[str, Any]) -> dict[str, Any]:
    """What was tried for the backbone, without what only the claims need."""
    return {key: value for key, value in probe.items() if key not in ("given", "changed")}


def answers(o: Finetuned) -> list[str]:
    """The course's questions, answered from the run: the table, the best epoch, the test."""
    header = ["epoch", "train loss", "train acc", "val loss", "val acc", "lr", "seconds"]
    rows = [
        [
            str(epoch),
            *(NOTHING if is_nothing(v) else f"{v:.4f}" for v in values[:4]),
            f"{values[4]:.2e}",
            f"{values[7]:.2f}",
        ]
        for epoch, *values in o.progress.rows
    ]
    lines = [
        *text_table(header, rows),
        "",
        f"best validation {BEST_BY[o.config.best_by]} {best_in_words(o)} at epoch "
        f"{o.progress.best_epoch}, picked on these {quantity(len(o.splits.val), 'image')}"
        + last_in_words(o),
    ]
    of = "the test images" if o.test else "the validation images, on which it was picked"
    first, *rest = assessment.overview(o.assessed)
    lines += [
        f"this model on {of}: {first}",
        assessment.means_in_words(o.assessed),
        *rest,
        calibrated(o),
    ]
    if o.random:
        images = len(o.splits.val) if o.random.is_early else len(o.labels)
        lines.append(
            f"the same network from random weights: {o.random.split} accuracy "
            + accuracy_in_words(o.random.accuracy, images)
            + (
                f" after {o.random.epochs} epochs, the pre-trained one then {o.rivalling:.4f}"
                if o.random.is_early
                else ""
            )
        )
    if o.progress.probed:
        why, tried, _ = o.progress.probed.why.partition(" (")  # the numbers of each are in the log
        also = "; rates.csv has all that were tried" if tried else ""
        lines.append(f"learning rate of the backbone: {o.task.plan.backbone_lr:g}; {why}{also}")
    wrong = int((~o.assessed.right).sum())
    lines.append(f"{wrong} of {len(o.labels)} {o.split} images are taken for something else")
    return lines


def best_in_words(o: Finetuned) -> str:
    """The validation value by which the model was picked; an accuracy with its interval."""
    value = best_value(o)
    if o.config.best_by != "accuracy":
        return f"{value:.4f}"
    return accuracy_in_words(value, len(o.splits.val))


def last_in_words(o: Finetuned) -> str:
    """The last epoch's accuracy too, as the best is picked on the images that give it; or nothing."""
    *_, last = o.progress.rows
    accuracy = last[list(columns.EPOCH_COLUMNS).index("val_acc")]
    if last[0] == o.progress.best_epoch or is_nothing(accuracy):
        return ""
    return (
        f"; accuracy of the last, epoch {last[0]}: {accuracy_in_words(accuracy, len(o.splits.val))}"
    )


def accuracy_in_words(accuracy: float, images: int) -> str:
    """An accuracy on so many images, with its interval."""
    return assessment.with_interval(
        accuracy, assessment.share_interval(round(accuracy * images), images)
    )


def best_value(o: Finetuned) -> float:
    """The validation value by which the model was picked."""
    p = o.progress
    return {
        "loss": p.best_loss,
        "accuracy": p.best_accuracy,
        "balanced-accuracy": p.best_balanced_accuracy,
        "macro-f1": p.best_macro_f1,
    }[o.config.best_by]


def calibrated(o: Finetuned) -> str:
    """The temperature and what it does to the calibration error, in a sentence."""
    found = o.assessed.calibration()
    error = f"calibration error {found['ece_after']:.4f} on the {o.split} images"
    if o.test is None:
        error += ", on which it was fitted"
    if len(o.splits.val) < FEWEST_IMAGES:
        return f"{error}; too few validation images to fit a temperature"
    return f"temperature {o.temperature:.3f}: {error}, {found['ece_before']:.4f} without it"


# By the validation: who chooses by the test has no test any more.
BETTER = {
    "best validation loss": "min",
    "best validation accuracy": "max",
    "test accuracy": "max",
    "test loss": "min",
    "balanced accuracy": "max",
    "macro F1": "max",
    "calibration error": "min",
}


def headlines(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers by which runs are listed and compared."""
    numbers = {
        "test accuracy": summary["test_acc"],
        "test loss": summary["test_loss"],
        "best validation loss": summary["best_val_loss"],
        "best validation accuracy": summary["best_val_acc"],
        "best epoch": summary["best_epoch"],
        "balanced accuracy": summary.get("metrics", {}).get("balanced_accuracy"),
        "macro F1": summary.get("metrics", {}).get("macro", {}).get("f1"),
        "calibration error": summary.get("calibration", {}).get("ece_after"),
    }
    return {key: value for key, value in numbers.items() if value is not None}
