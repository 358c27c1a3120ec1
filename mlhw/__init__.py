"""Run, understand and prove machine-learning experiments.

Every experiment of the command line is a function here: keyword arguments are the keys of its
configuration, and it returns a :class:`Result`. Nothing is printed and no file is written.

>>> import mlhw
>>> result = mlhw.lr_sweep(etas=[0.5, 0.1], data={"name": "gaussians"})
>>> [run["eta"] for run in result.summary["runs"]]
[0.5, 0.1]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlhw.result.claims import Claim as Claim
    from mlhw.result.result import Result as Result

    # Made when first asked for, below; here for those who read types.
    def softmax_regions(**keys: Any) -> Result: ...
    def backprop_check(**keys: Any) -> Result: ...
    def vanishing(**keys: Any) -> Result: ...
    def lr_sweep(**keys: Any) -> Result: ...
    def sgd_sweep(**keys: Any) -> Result: ...
    def finetune(**keys: Any) -> Result: ...


__version__ = "0.1.0"


def run(experiment: str, **keys: Any) -> Result:
    """Run an experiment by its name on the command line, ``"lr-sweep"``.

    Parameters
    ----------
    experiment
        One of ``mlhw.experiments.registry.EXPERIMENTS``.
    **keys
        The keys of its configuration; what is left out has its default.

    Raises
    ------
    mlhw.errors.ConfigError
        A key or a value is wrong; one line for each.
    mlhw.errors.DataError
        The data cannot be used.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
    from mlhw.config.load import from_keywords
    from mlhw.experiments.registry import experiment as load
    from mlhw.result.recorder import Recorder

    module = load(experiment)
    return module.run(from_keywords(module.Config, keys), Recorder())


def _attribute(name: str) -> Any:
    """The experiments as functions and the result types, imported when first asked for."""
    from mlhw.experiments.registry import EXPERIMENTS, experiment, module_name

    for known in EXPERIMENTS:
        if name == module_name(known):
            function = _function(known, experiment(known).QUESTION)
            globals()[name] = function
            return function
    if name in ("Result", "Claim"):
        from mlhw.result import result

        return getattr(result, name)
    raise AttributeError(f"module 'mlhw' has no attribute {name!r}")


if not TYPE_CHECKING:
    # A type checker that saw it would take every misspelt name for something of unknown type.
    __getattr__ = _attribute


def _function(experiment: str, question: str) -> Callable[..., Result]:
    def function(**keys: Any) -> Result:
        return run(experiment, **keys)

    function.__name__ = function.__qualname__ = experiment.replace("-", "_")
    function.__doc__ = _docstring(experiment, question)
    function.__signature__ = _signature(experiment)  # type: ignore[attr-defined]
    return function


def _signature(name: str) -> inspect.Signature:
    """The keys and their defaults, for ``help`` and the completion of notebooks."""
    from mlhw.experiments.registry import experiment

    return inspect.Signature(
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=field.default)
            for key, field in experiment(name).Config.model_fields.items()
        ],
        return_annotation="Result",
    )


def _docstring(name: str, question: str) -> str:
    """The docstring of an experiment's function, from its configuration's model."""
    from mlhw.config.model import leaves
    from mlhw.experiments.registry import experiment

    lines = [question, "", "Parameters", "----------"]
    for leaf in leaves(experiment(name).Config):
        if len(leaf.path) == 1:
            kind = "mapping, see below" if leaf.is_section else f"default {leaf.default!r}"
            lines += [f"{leaf.key} : {kind}"]
            lines += [f"    {leaf.description}"] if leaf.description else []
        else:
            lines += [f"    ``{leaf.key}`` (default {leaf.default!r}): {leaf.description}"]
    lines += [
        "",
        "Returns",
        "-------",
        "Result",
        "    ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.",
        "",
        "Raises",
        "------",
        "mlhw.errors.ConfigError, mlhw.errors.DataError",
        "    A key, a value or the data cannot be used; one line for each error.",
        "mlhw.errors.RunError",
        "    The run failed after work had begun.",
    ]
    return "\n".join(lines)


def __dir__() -> list[str]:
    from mlhw.experiments.registry import EXPERIMENTS, module_name

    return sorted([*globals(), "Claim", "Result", *map(module_name, EXPERIMENTS)])
