"""How each claim of sgd-sweep is made to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlhw.maths import sgd

COMMAND: list[str] = []


def with_rates(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pytest.MonkeyPatch], None]:
    """The compiled loop with other learning rates than it was given."""

    def tamper(monkeypatch: pytest.MonkeyPatch) -> None:
        true = sgd.compiled_loop()

        def loop(X: Any, signs: Any, rate: np.ndarray, *rest: Any) -> None:
            true(X, signs, change(rate), *rest)

        monkeypatch.setattr(sgd, "compiled_loop", lambda: loop)

    return tamper


TAMPERINGS = {
    "not-always-faster": with_rates(lambda rate: 0.01 * rate),
    "keeps-fluctuating": with_rates(lambda rate: np.full_like(rate, rate.min())),
    "faster-at-smallest": with_rates(lambda rate: 1e-4 * rate),
}
