"""How far a fine-tuned network's probabilities can be trusted, with its temperature and without.

    python bench/calibration.py [--data digits] [--seeds 5] [KEY=VALUE …]

``mlhw finetune --compare none --seed k`` for each seed: the expected calibration error (15 bins) of the
images that are tested, or of those that validate where there are none, and the mean over the seeds with
its standard error. Temperatures below 1 sharpen: labels are smoothed in training.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from timing import machine, record

from mlhw.config.load import from_keywords
from mlhw.result.recorder import Recorder
from mlhw.text import yaml12
from mlhw.vision.config import Config
from mlhw.vision.training.session import finetune


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="of the configuration")
    given = parser.parse_args()
    print(machine())
    keys: dict[str, object] = {"data": {"name": given.data}, "compare": "none"}
    for text in given.keys:
        *sections, last = text.partition("=")[0].split(".")
        place: dict[str, object] = keys
        for section in sections:
            place = place.setdefault(section, {})  # type: ignore[assignment]
        place[last] = yaml12.parse_scalar(text.partition("=")[2])
    print("seed  accuracy  temperature  error without  error with  seconds")
    rows: list[list[float]] = []
    epochs: list[list[float]] = []
    for seed in range(given.seeds):
        started = time.perf_counter()
        run = finetune(from_keywords(Config, keys | {"seed": seed}), Recorder())
        found = run.assessed
        numbers = found.calibration()
        epochs.append(run.table.column("val_acc").tolist())
        rows.append(
            [found.accuracy, *(numbers[k] for k in ("temperature", "ece_before", "ece_after"))]
        )
        shown = "  ".join(f"{value:11.4f}" for value in rows[-1])
        print(f"{seed:4}{shown}  {time.perf_counter() - started:7.0f}", flush=True)
    table = np.array(rows)
    if given.data == "digits" and not given.keys:
        names = ("test_acc", "temperature", "ece_before", "ece_after")
        columns = dict(zip(names, table.T.tolist(), strict=True))
        record("calibration", columns | {"val_acc": epochs} | spread(columns))
    error = table.std(0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.full(4, np.nan)
    for name, values in (("mean", table.mean(0)), ("± error", error)):
        print(f"{name}: " + "  ".join(f"{value:.4f}" for value in values))


def spread(columns: dict[str, list[float]]) -> dict[str, float]:
    """Mean, least and largest of each column, and the standard error of the means."""
    found = {}
    for name, values in columns.items():
        found[f"{name}_mean"] = float(np.mean(values))
        found[f"{name}_least"], found[f"{name}_most"] = min(values), max(values)
        if len(values) > 1:
            found[f"{name}_error"] = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return found


if __name__ == "__main__":
    main()
