"""The keys of a configuration that say how somebody's files are asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from mlhw.config.files import shipped_adapter
from mlhw.config.model import InputFile, Option, Section
from mlhw.errors import ConfigError, reason_of
from mlhw.grading.asking import Adapter, Asking
from mlhw.grading.conventions import (
    Bias,
    Conventions,
    Loading,
    Orientation,
    Reduction,
    Returns,
    Samples,
)
from mlhw.grading.isolation.rungs import Isolation
from mlhw.grading.questions import Targets
from mlhw.text.plain_files import read_plain
from mlhw.text.words import hint, nearest

PRESETS = ("nielsen", "cs231n", "coursera", "deeplearning-ai", "forward-backward")
_MOST_BYTES = 1 << 18


def as_bias(value: Any) -> Any:
    """``none`` and ``last`` are the two that a network without further conventions has: false and true."""
    if not isinstance(value, str):
        return value
    if value not in get_args(Bias):
        raise ValueError(f"must be none, first, last or separate (got {value})")
    return {"none": False, "last": True}.get(value, value)


class AskingConfig(Section):
    """How submissions are asked; the network's ``bias`` stands beside it, in its own configuration."""

    GROUP = "Submissions"

    adapter: Annotated[
        str | None,
        InputFile(or_name=True),
        Option(metavar="FILE|PRESET", values=PRESETS),
        Field(
            description="how a class's functions are called: a file with adapt(module, weights, x, t) that "
            f"returns the gradients, or a preset: {', '.join(PRESETS)}"
        ),
    ] = None
    orientation: Annotated[
        Orientation,
        Field(description="a weight matrix is (outputs, inputs) or (inputs, outputs)"),
    ] = "out-in"
    samples: Annotated[
        Samples | None,
        Field(
            description="samples are rows, x is (N, n), or columns, (n, N); with neither, a single x is (n,) "
            "and several are rows"
        ),
    ] = None
    reduction: Annotated[
        Reduction, Field(description="the loss of a batch is the mean or the sum of its samples'")
    ] = "mean"
    returns: Annotated[
        Returns | None,
        Field(description="the form that has to be returned; with none, any that is clear"),
    ] = None
    targets: Annotated[
        Targets,
        Field(
            description="how an implementation gets t, with a cross-entropy: one-hot, class labels "
            "(integers from 0), or bits of their own; auto: one-hot with softmax, else bits"
        ),
    ] = "auto"
    loading: Annotated[
        Loading,
        Field(
            description="run a file whole, or its definitions alone (imports, functions, classes, "
            "constants); auto: whole, and from what fails on its definitions"
        ),
    ] = "auto"
    time_limit: Annotated[
        float, Field(gt=0, le=3600, description="seconds that a file's answers may take")
    ] = 5.0
    import_limit: Annotated[
        float, Field(gt=0, le=3600, description="seconds that loading a file may take")
    ] = 5.0
    isolation: Annotated[
        Isolation,
        Field(
            description="what keeps submissions apart from all else: auto takes the strongest that a trial "
            "proves on this machine, another than is to be had is an error"
        ),
    ] = "auto"


def asking_of(config: AskingConfig, bias: bool | Bias) -> Asking:
    """How the files are asked; raises ConfigError for what does not fit together, or is no adapter.

    ``bias`` is the network's: false and true are ``none`` and ``last``.
    """
    conventions = Conventions(
        orientation=config.orientation,
        bias="last" if bias in (False, True, "none") else bias,  # type: ignore[arg-type]
        samples=config.samples,
        reduction=config.reduction,
        returns=config.returns,
    )
    adapter = None
    if config.adapter is not None:
        _check_alone(conventions)
        adapter = adapter_of(config.adapter)
    return Asking(
        conventions,
        adapter,
        config.loading,
        config.targets,
        config.time_limit,
        config.import_limit,
    )


def _check_alone(conventions: Conventions) -> None:
    """An adapter is given everything in the course's form, and what it returns is read in that."""
    plain = Conventions(reduction=conventions.reduction)
    for key, value in vars(conventions).items():
        if value != getattr(plain, key):
            raise ConfigError(
                f"{key}: {value} says nothing beside an adapter, which is given everything in the course's "
                "form and does this itself; leave one of the two out"
            )


def adapter_of(given: str) -> Adapter:
    """A preset by its name, or a file; ConfigError in one line where it is neither."""
    if given in PRESETS:
        return Adapter(given, preset_text(given))
    path = Path(given)
    if not path.suffix and os.sep not in given and not os.path.exists(given):
        near = (
            hint(nearest(given, PRESETS)) or f" (presets: {', '.join(PRESETS)}; or a file's path)"
        )
        raise ConfigError(f"adapter: there is no preset '{given}'{near}")
    try:
        text = read_plain(path, _MOST_BYTES).decode("utf-8-sig")
        tree = compile(text, str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise ConfigError(f"adapter: {given}: {reason_of(error)}") from None
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigError(f"adapter: {given}{line}: {said}") from None
    if "adapt" not in tree.co_names:
        raise ConfigError(
            f"adapter: {given} defines no function adapt(module, weights, x, t) that returns the gradients"
        )
    return Adapter(path.name, text)


def preset_text(name: str) -> str:
    """A preset's file, which is an adapter like a teacher's own."""
    path = shipped_adapter(name)
    assert path is not None
    return path.read_text(encoding="utf-8")
