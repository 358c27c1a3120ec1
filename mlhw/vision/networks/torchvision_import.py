"""The one place that imports torchvision.

torchvision as the package index ships it has its compiled operators linked to CUDA. Next to a CPU
build of torch they cannot be loaded, and then the import itself fails, with ``operator
torchvision::nms does not exist``: the operators' shape functions are registered without asking
whether there are any operators. Nothing here needs them. So where they are missing, the two that
are asked for are declared, with their signatures and no code, and the import succeeds.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from mlhw.errors import RunError

_DETECTION_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # a torch Library takes its declarations back when it is collected


def torchvision() -> Any:
    """The module ``torchvision``, with ``models`` and ``datasets``.

    Raises RunError if it does not fit the installed torch for any other reason.
    """
    with warnings.catch_warnings():
        # Its own image decoders are missing for the same reason; images are read with Pillow.
        warnings.filterwarnings("ignore", "Failed to load image Python extension", UserWarning)
        try:
            import torchvision as module
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise _misfit(error) from error
            _declare_missing_operators()
            import torchvision as module
    return module


def _declare_missing_operators() -> None:
    import torch

    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]  # what the failed import left behind
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _DETECTION_OPERATORS:
        library.define(operator + _SCHEMA)
    _declared.append(library)


def _misfit(error: Exception) -> RunError:
    import importlib.metadata

    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("torch", "torchvision"))
    return RunError(f"torchvision cannot be imported beside this torch ({versions}): {error}")
