"""Run, understand and prove machine-learning experiments.

Every experiment of the command line is a function here: keyword arguments are the keys of its
configuration, and it returns a :class:`Result`. Nothing is printed and no file is written.

>>> import mlhw
>>> result = mlhw.lr_sweep(etas=[0.5, 0.1], data={"name": "gaussians"})
>>> [run["eta"] for run in result.summary["runs"]]
[0.5, 0.1]
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``run``, the experiments as functions and what goes with them, imported when first asked for."""
    found: Any
    if name == "run":
        from mlhw.api import run

        found = run
    elif name == "Result":
        from mlhw.result.result import Result

        found = Result
    elif name == "Claim":
        from mlhw.result.claims import Claim

        found = Claim
    elif name == "Observation":
        from mlhw.result.observations import Observation

        found = Observation
    elif name == "image_splits":
        from mlhw.vision.images.datasets import from_dataset

        found = from_dataset
    else:
        from mlhw.experiments.registry import EXPERIMENTS, module_name

        experiments = {module_name(experiment): experiment for experiment in EXPERIMENTS}
        if name not in experiments:
            raise AttributeError(f"module 'mlhw' has no attribute {name!r}")
        from mlhw.api import function_of

        found = function_of(experiments[name])
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    from mlhw.experiments.registry import EXPERIMENTS, module_name

    return sorted(
        {
            *globals(),
            "Claim",
            "Observation",
            "Result",
            "image_splits",
            "run",
            *map(module_name, EXPERIMENTS),
        }
    )
