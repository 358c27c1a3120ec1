"""The experiments by name, each with the line that ``mlhw --help`` shows for it.

``lr-sweep`` lives in ``mlhw.experiments.lr_sweep``. A module has, in this order: a docstring (the
question, the mathematics, the command, the number to expect), ``QUESTION``, ``Config``, helpers,
``run``, ``CLAIMS`` and the figures.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlhw.config import ExperimentConfig
    from mlhw.result import Claims, Recorder, Result

EXPERIMENTS: dict[str, str] = {
    "softmax-regions": "class probabilities of a linear softmax over the plane",
    "backprop-check": "a derivation of back-propagation against three other ways, and anybody's file",
    "vanishing": "gradients through very deep chains and bipartite networks, sigmoid and ReLU",
    "lr-sweep": "logistic regression by gradient descent at several learning rates",
    "sgd-sweep": "logistic regression by stochastic gradient descent, against gradient descent",
    "finetune": "a pre-trained network on a new task, the best validation kept",
}
"""In the order of the course."""


class Experiment(Protocol):
    """What a module of this package offers."""

    QUESTION: str
    Config: type[ExperimentConfig]
    CLAIMS: Claims[Any]

    def run(self, config: Any, recorder: Recorder) -> Result: ...


def module_name(name: str) -> str:
    return name.replace("-", "_")


def experiment(name: str) -> Experiment:
    """The module of the experiment called ``name`` on the command line."""
    module: Experiment = importlib.import_module(f"{__name__}.{module_name(name)}")
    return module
