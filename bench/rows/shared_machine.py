"""Steps of training beside a busy process, by how the threads of OpenMP wait for each other."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping

ROW = "3"
TITLE = (
    "Eight steps of training all layers of EfficientNet-Lite0 on two threads, beside a busy process"
)
GOAL = "1.5 times as fast as with the way of GNU's OpenMP beside a busy process; at most 5 % lost alone"
TURNS = 5


def works() -> dict[str, Callable[[], object]]:
    from shared_machine import WAYS, Trainer, beside_busy

    ours, usual = (Trainer(WAYS[name]) for name in ("as mlhw sets it", "as GNU's OpenMP has it"))
    for trainer in (ours, usual):
        atexit.register(trainer.end)
    return {
        "mlhw": lambda: beside_busy(ours),
        "OpenMP's own way": lambda: beside_busy(usual),
        "mlhw, alone": ours,
        "OpenMP's own way, alone": usual,
    }


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        "1.5 times as fast beside a busy process": times["OpenMP's own way"] >= 1.5 * times["mlhw"],
        "at most 5 % lost alone": times["mlhw, alone"] <= 1.05 * times["OpenMP's own way, alone"],
    }
