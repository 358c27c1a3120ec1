"""Does a network trained on something else learn a new task faster than one that knows nothing?

A backbone with its published weights gets a new head for the K classes of the data. While the
backbone is frozen its output φ(x) for an image never changes, so it is computed once and the head
alone is trained on it; from epoch ``unfreeze_at`` on all layers learn. Minimised is the mean
cross-entropy −ln p_t(x) (Bishop, PRML, eq. 4.108) with p = softmax(head(φ(x))); every ``val_every``
epochs the same is measured on images that are not trained on; the model that judges most of them right
is kept, and in the end it alone is tested, once.

    mlhw finetune                                  # 1,797 handwritten digits, all of it offline
    mlhw finetune -c configs/finetune-cifar10.yaml
    mlhw finetune --dry-run                        # what would be done, and how long it takes
    mlhw finetune --resume runs/latest

On the digits the head alone gets about 0.94 of the test images right, three more epochs of all
layers 0.98 or more, and the same network from random weights far fewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlhw.experiments.actions import Action, Done
from mlhw.experiments.finetune.claims import CLAIMS
from mlhw.experiments.finetune.observations import OBSERVATIONS
from mlhw.experiments.finetune.report import answers, formulas, summary
from mlhw.experiments.going_on import GoingOn
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.vision.config import Config

if TYPE_CHECKING:
    from mlhw.vision.images.datasets import ImageSplits

__all__ = [
    "DRAWN_BESIDE",
    "GOING_ON",
    "POSITION",
    "QUESTION",
    "RESUMABLE",
    "SHARED",
    "Config",
    "run",
]

POSITION = 6
RESUMABLE = True
SHARED = True
DRAWN_BESIDE = False
GOING_ON = GoingOn("epochs", ("data.name", "data.dir", "data.image_root"))
QUESTION = (
    "Does a network that was trained on something else learn a new task faster than one that knows "
    "nothing? A pre-trained network gets a new head, is trained and validated, and the model with "
    "the best validation is kept and tested."
)
EXAMPLES = (
    ("mlhw finetune", "handwritten digits, a minute"),
    (
        "mlhw finetune --data folder:photos --dry-run",
        "what is in one's images, and how long it takes",
    ),
    ("mlhw finetune --resume latest --epochs 20", "go on with a run for longer"),
)


def dry_run(value: str, config: Config, recorder: Recorder) -> Done:
    """``--dry-run [FOLDER]``: read and check everything, measure a few batches, say what would be done."""
    from mlhw.experiments.finetune.dry_run import rehearsal_report

    return rehearsal_report(value, config, recorder)


ACTIONS = [
    Action(
        "--dry-run",
        "[FOLDER]",
        "read and check all data, say what would be trained and how long it takes, and end; with a "
        "folder, write that report and a sheet of training images into it",
        dry_run,
        may_be_alone=True,
    )
]


def run(config: Config, recorder: Recorder, splits: ImageSplits | None = None) -> Result:
    """Fine-tune on ``config.data``, or on ``splits`` that a caller brings.

    ``mlhw.image_splits`` makes splits of any ``torch.utils.data.Dataset``.
    """
    if config.repeats > 1:
        from mlhw.experiments.finetune.repeats import over_repeats

        return over_repeats(config, recorder, lambda one, part: run(one, part, splits))
    from mlhw.experiments.finetune.figures import FIGURES
    from mlhw.experiments.finetune.live import LIVE
    from mlhw.experiments.finetune.looks import where_it_looked
    from mlhw.vision.gallery import judged_images
    from mlhw.vision.gradcam import require_captum
    from mlhw.vision.training.session import finetune

    if config.explain:
        require_captum()
    outcome = finetune(config, recorder, splits)
    return Result(
        "finetune",
        summary(outcome),
        CLAIMS.judge(outcome),
        answers(outcome),
        recorder.tables,
        FIGURES.plots(outcome),
        formulas(outcome.config),
        gallery=judged_images(
            outcome.images,
            outcome.labels,
            outcome.splits.classes,
            outcome.assessed.probabilities,
            outcome.split,
            lambda: where_it_looked(outcome, recorder),
        ),
        observations=OBSERVATIONS.look(outcome),
        live=LIVE.of(outcome),
    )
