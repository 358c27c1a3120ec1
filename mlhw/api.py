"""The experiments as functions: keyword arguments are keys of the configuration, and a Result comes back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mlhw.config.load import from_keywords
from mlhw.config.model import leaves
from mlhw.errors import ConfigError
from mlhw.experiments import registry
from mlhw.result.kernel import KernelRecorder, in_notebook
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.text.words import hint, nearest


def run(experiment: str, **keys: Any) -> Result:
    """Run an experiment by its name on the command line, ``"lr-sweep"``.

    Parameters
    ----------
    experiment
        Its name on the command line.
    **keys
        The keys of its configuration, and objects that no file can hold, such as ``splits`` for
        ``finetune``; what is left out has its default.

    Raises
    ------
    mlhw.errors.ConfigError
        There is no such experiment, or a key or a value is wrong; one line for each.
    mlhw.errors.DataError
        The data cannot be used.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
    if experiment not in registry.EXPERIMENTS:
        near = nearest(experiment, list(registry.EXPERIMENTS))
        raise ConfigError(
            f"no experiment '{experiment}'"
            + (hint(near) or f" ({', '.join(registry.EXPERIMENTS)})")
        )
    found = registry.experiment(experiment)
    brought = {key: keys.pop(key) for key in objects_of(experiment) if key in keys}
    config = from_keywords(found.Config, keys)
    if not in_notebook():
        return found.run(config, Recorder(), **brought)
    recorder = KernelRecorder()
    try:
        return found.run(config, recorder, **brought)
    finally:
        recorder.close()


def objects_of(experiment: str) -> list[str]:
    """What an experiment takes beside its configuration, from Python alone: finetune's ``splits``."""
    return list(inspect.signature(registry.experiment(experiment).run).parameters)[2:]


def function_of(experiment: str) -> Callable[..., Result]:
    """``mlhw.lr_sweep`` and its like: ``run`` for one experiment, its keys in signature and docstring."""

    def function(**keys: Any) -> Result:
        return run(experiment, **keys)

    question = registry.experiment(experiment).question
    function.__name__ = function.__qualname__ = experiment.replace("-", "_")
    function.__doc__ = _docstring(experiment, question)
    function.__signature__ = _signature(experiment)  # type: ignore[attr-defined]
    return function


def _signature(name: str) -> inspect.Signature:
    """The keys and their defaults, for ``help`` and the completion of notebooks."""
    fields = registry.experiment(name).Config.model_fields
    defaults = {key: field.default for key, field in fields.items()}
    return inspect.Signature(
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default)
            for key, default in (defaults | dict.fromkeys(objects_of(name))).items()
        ],
        return_annotation="Result",
    )


def _docstring(name: str, question: str) -> str:
    """The docstring of an experiment's function, from its configuration's model."""
    lines = [question, "", "Parameters", "----------"]
    for leaf in leaves(registry.experiment(name).Config):
        if len(leaf.path) == 1:
            kind = "mapping, see below" if leaf.is_section else f"default {leaf.default!r}"
            lines += [f"{leaf.key} : {kind}"]
            lines += [f"    {leaf.description}"] if leaf.description else []
        else:
            lines += [f"    ``{leaf.key}`` (default {leaf.default!r}): {leaf.description}"]
    lines += [f"{key} : object, from Python alone" for key in objects_of(name)]
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
