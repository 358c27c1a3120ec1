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

    trainers = {name: Trainer(way) for name, way in WAYS.items()}
    for trainer in trainers.values():
        atexit.register(trainer.end)
    alone = {f"{name}, alone": trainer for name, trainer in trainers.items()}
    return {
        name: lambda trainer=trainer: beside_busy(trainer) for name, trainer in trainers.items()
    } | alone


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {
        "1.5 times as fast beside a busy process": times["OpenMP's own way"] >= 1.5 * times["mlhw"],
        "at most 5 % lost alone": times["mlhw, alone"] <= 1.05 * times["OpenMP's own way, alone"],
    }
