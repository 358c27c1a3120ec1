"""Does a network trained on something else learn a new task faster than one that knows nothing?

A backbone with its published weights gets a new head for the K classes of the data. While the
backbone is frozen its output φ(x) for an image never changes, so it is computed once and the head
alone is trained on it; from epoch ``unfreeze_at`` on all layers learn. Minimised is the mean
cross-entropy −ln p_t(x) (Bishop, PRML, eq. 4.108) with p = softmax(head(φ(x))); every ``val_every``
epochs the same is measured on images that are not trained on, the model with the lowest is kept, and
in the end it alone is tested, once.

    mlhw finetune                                  # 1,797 handwritten digits, all of it offline
    mlhw finetune -c configs/finetune-cifar10.yaml
    mlhw finetune --resume runs/latest

On the digits the head alone gets about 0.95 of the test images right, three more epochs of all
layers 0.98 or more, and the same network from random weights far fewer.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlhw.commands.arguments import Action, Arguments
from mlhw.commands.shared_options import complete_run
from mlhw.config import model as configuration
from mlhw.errors import ConfigError
from mlhw.experiments.finetune.claims import CLAIMS
from mlhw.experiments.finetune.report import answers, formulas, headlines, summary
from mlhw.result.result import Recorder, Result
from mlhw.vision.config import Config

if TYPE_CHECKING:
    from mlhw.vision.images.datasets import ImageSplits

__all__ = ["ACTIONS", "CLAIMS", "QUESTION", "Config", "headlines", "run"]

QUESTION = (
    "Does a network that was trained on something else learn a new task faster than one that knows "
    "nothing? A pre-trained network gets a new head, is trained and validated, and the model with "
    "the best validation is kept and tested."
)


def run(config: Config, recorder: Recorder, splits: ImageSplits | None = None) -> Result:
    """Fine-tune on ``config.data``, or on ``splits`` that a caller brings.

    ``mlhw.vision.images.datasets.from_dataset`` makes splits of any ``torch.utils.data.Dataset``.
    """
    from mlhw.experiments.finetune.figures import figures
    from mlhw.vision.training.session import finetune

    outcome = finetune(config, recorder, splits)
    return Result(
        "finetune",
        summary(outcome),
        CLAIMS.judge(outcome),
        answers(outcome),
        recorder.tables,
        figures(outcome),
        formulas(outcome.config),
    )


def resume(run_folder: str, arguments: Arguments) -> int:
    """Go on with an unfinished run, in its folder, with its configuration. Returns the exit code."""
    import sys

    from mlhw.runs.execute import execute
    from mlhw.runs.folder import unfinished
    from mlhw.runs.history import locate

    given = [*arguments.keys, *(["--config"] if arguments.config_file else [])]
    given += ["--set"] if arguments.sets else []
    if given:
        raise ConfigError(
            f"--resume takes its configuration from the run; leave {', '.join(given)} out"
        )
    where = locate(run_folder, Path(arguments.options.runs_dir))
    folder = unfinished(where.resolve(), "finetune")
    config = configuration.load(Config, str(folder / "config.yaml"))
    if arguments.print_config:
        print(configuration.as_yaml(config), end="")
        return 0
    return execute(
        "finetune", sys.modules[__name__], config, replace(arguments.options, resume=folder)
    )


ACTIONS = [
    Action(
        "--resume",
        "RUN",
        "Go on with an unfinished run, in the same folder.",
        resume,
        complete=complete_run,
    ),
]
