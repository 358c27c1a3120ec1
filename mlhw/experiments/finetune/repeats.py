"""The same fine-tuning with several seeds, or on several folds: each a run, and what they have in common.

One number of one seed is one draw. R runs give a mean m and its standard error s/√R, s² the sum of squared
differences from m over R − 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.experiments.finetune.report import formulas
from mlhw.result import plots
from mlhw.result.claims import tally
from mlhw.result.plots import Figures
from mlhw.result.recorder import Recorder
from mlhw.result.result import Result
from mlhw.result.tables import Table
from mlhw.text.values import NOTHING, is_nothing
from mlhw.text.words import text_table
from mlhw.vision.training.columns import REPEAT_COLUMNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlhw.result.recorder import PartRecorder
    from mlhw.vision.config import Config

# Columns that are averaged, each with its name in a sentence.
AVERAGED = {
    "test_acc": "test accuracy",
    "test_loss": "test loss",
    "val_acc": "validation accuracy",
    "val_loss": "validation loss",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "best_epoch": "best epoch",
}


@dataclass(frozen=True)
class Repeated:
    """The table ``repeats`` of all runs, for figures."""

    table: Table

    def values(self, name: str) -> np.ndarray:
        """One column, float64 (R,); NaN where there is none."""
        return self.table.column(name).astype(float)


def over_repeats(
    config: Config, recorder: Recorder, run: Callable[[Config, PartRecorder], Result]
) -> Result:
    """Run ``config`` as often as it says, each run in a folder of its own, and sum them up.

    ``run`` is one fine-tuning. A run that was stopped goes on with the part that it was stopped in; parts
    that are done are read back and judged again.
    """
    results: list[Result] = []
    rows: list[tuple[Any, ...]] = []
    for number in range(config.repeats):
        one, name = variant(config, number)
        part = recorder.part(name, partial(of_all, repeats=config.repeats))
        if number == 0 and recorder.resumes is not None and part.resumes is None:
            recorder.log_nothing_saved()  # it died before its first part had begun
        recorder.log(f"{name}: run {number + 1} of {config.repeats}")
        result = run(one, part)
        part.end(result)
        results.append(replace(result, plots=[], tables={}, gallery=None))
        rows.append(row_of(number, one, name, result))
        table = recorder.table("repeats", REPEAT_COLUMNS, kept=rows)
        if number == 0 and recorder.config is not None:
            # Precision, layout and the like were measured once; the later ones take what was found.
            config = as_the_first(config, recorder.config)
    found = Repeated(table)
    names = [row[3] for row in rows]
    return Result(
        "finetune",
        summary(results, found),
        [
            replace(claim, id=f"{name}/{claim.id}", statement=f"{name}: {claim.statement}")
            for name, result in zip(names, results, strict=True)
            for claim in result.claims
        ],
        answers(found),
        recorder.tables,
        FIGURES.plots(found),
        formulas(config),
        observations=[
            replace(seen, id=f"{name}/{seen.id}", statement=f"{name}: {seen.statement}")
            for name, result in zip(names, results, strict=True)
            for seen in result.observations
        ],
    )


def variant(config: Config, number: int) -> tuple[Config, str]:
    """The configuration of run ``number``, from 0, and its name.

    Its seed is ``seed`` plus its number, so that ``--seed`` with it repeats that run alone; where there are
    folds, the seed stays and the fold is the next. Other seeds cut other splits, so that the digest of
    the first one's data is not that of the others.
    """
    data, seed = config.data, config.seed
    if data.folds is not None:
        fold = ((data.fold or 0) + number) % data.folds
        data, name = data.model_copy(update={"fold": fold}), f"fold-{fold}"
    else:
        seed += number
        name = f"seed-{seed}"
    if number:
        data = data.model_copy(update={"digest": None})
    return config.model_copy(update={"repeats": 1, "seed": seed, "data": data}), name


def of_all(first: Config, repeats: int) -> Config:
    """The configuration of all runs, with what the first one has resolved."""
    return first.model_copy(update={"repeats": repeats})


def as_the_first(config: Config, resolved: Any) -> Config:
    """``resolved`` with the seed and the fold that ``config`` begins with."""
    data = resolved.data.model_copy(update={"fold": config.data.fold})
    found: Config = resolved.model_copy(update={"seed": config.seed, "data": data})
    return found


# ------------------------------------------------------------------------------------- in numbers


def row_of(number: int, config: Config, name: str, result: Result) -> tuple[Any, ...]:
    """A row of ``repeats.csv``."""
    found = result.summary
    metrics = found.get("metrics", {})
    held, _ = tally(result.claims)
    return (
        number,
        config.seed,
        config.data.fold if config.data.folds is not None else None,
        name,
        found["best_epoch"],
        found["best_val_loss"],
        found["best_val_acc"],
        found["test_loss"],
        found["test_acc"],
        metrics.get("balanced_accuracy"),
        metrics.get("macro", {}).get("f1"),
        found.get("calibration", {}).get("ece_after"),
        held,
        len(result.fails),
    )


def mean_and_error(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The mean, and its standard error; NaN for that of fewer than two values."""
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return float(found.mean()), math.nan
    return float(found.mean()), float(found.std(ddof=1) / math.sqrt(len(found)))


def summary(results: Sequence[Result], found: Repeated) -> dict[str, Any]:
    """The summary of one run, its numbers the means over all, with standard errors and single values."""
    means, errors = {}, {}
    for name in AVERAGED:
        values = found.values(name)
        if not np.isnan(values).any():
            means[name], errors[name] = mean_and_error(values)
    columns = ("seed", "fold", "folder", *AVERAGED)
    places = [found.table.columns.index(name) for name in columns]
    shared: dict[str, Any] = common([result.summary for result in results])
    return shared | {
        "repeats": len(results),
        "mean": means,
        "standard_error": errors,
        "runs": [
            dict(zip(columns, (row[place] for place in places), strict=True))
            for row in found.table.rows
        ],
    }


def common(values: Sequence[Any]) -> Any:
    """What several values have in common: their mean if they are numbers, key by key if mappings.

    None where they differ otherwise.
    """
    first = values[0]
    if all(isinstance(value, dict) and value.keys() == first.keys() for value in values):
        return {key: common([value[key] for value in values]) for key in first}
    if all(value == first for value in values):
        return first
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return float(np.mean(values))
    return None


def answers(found: Repeated) -> list[str]:
    """A row for each run, then means with their standard errors."""
    shown = ["folder", *(name for name in AVERAGED if not np.isnan(found.values(name)).any())]
    header = ["run", *(AVERAGED[name] for name in shown[1:])]
    rows = [
        [NOTHING if is_nothing(value) else _digits(value) for value in row]
        for row in zip(*(found.table.column(name) for name in shown), strict=True)
    ]
    count = len(found.table)
    lines = [*text_table(header, rows), ""]
    for name in shown[1:]:
        mean, error = mean_and_error(found.values(name))
        lines.append(
            f"{AVERAGED[name]}: {mean:.4f} ± {error:.4f} (mean and standard error of {count} runs)"
        )
    return lines


def _digits(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------- figures

FIGURES = Figures[Repeated]()


@FIGURES.figure(
    "repeats",
    "Accuracy of each run",
    "The model that each run kept, on the validation images that it was picked by and on the test images; "
    "lines are the means, bands one standard error of the mean to both sides.",
    alt=lambda o: (
        f"Accuracies of {len(o.table)} runs, in validation "
        f"{mean_and_error(o.values('val_acc'))[0]:.4f} on average."
    ),
)
def accuracies(o: Repeated) -> Figure:
    figure = plots.new_figure()
    axes = figure.add_subplot()
    numbers = np.arange(len(o.table))
    for i, (name, label) in enumerate((("val_acc", "validation"), ("test_acc", "test"))):
        values = o.values(name)
        if np.isnan(values).any():
            continue
        mean, error = mean_and_error(values)
        style: dict[str, Any] = {"color": plots.colour(i)}
        label = f"{label}: {mean:.4f} ± {error:.4f}"
        axes.plot(numbers, values, linestyle="none", marker=plots.MARKERS[i], label=label, **style)
        axes.axhline(mean, linestyle=plots.dash(i), **style)
        axes.axhspan(mean - error, mean + error, alpha=0.15, linewidth=0, **style)
    names = [str(name) for name in o.table.column("folder")]
    step = math.ceil(len(names) / 12)
    axes.set_xticks(numbers[::step], names[::step], rotation=30, ha="right")
    axes.set_xlabel("run")
    axes.set_ylabel("accuracy")
    plots.legend(axes, outside=True)
    figure.set_size_inches(8.4, 4.2)
    return figure
