"""Numbers at the ends of what there is: true sentences, or a line that says why not, and no warning."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.forks import Ended, Forks, forks
from tests.faults.tally import LONG, Tally

Words = tuple[str, ...]


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    with forks(
        *(f"mlhw.experiments.{name}.experiment" for name in ("lr_sweep", "sgd_sweep", "vanishing")),
        "mlhw.experiments.softmax_regions.experiment",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
    ) as one:
        yield one


def points(folder: Path) -> list[str]:
    """Files of points that are as large, small, few, equal or apart as can be."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), [0, 1] * 6
    sets: dict[str, tuple[object, list[int]]] = {
        **{f"e{e}": (X * 10.0**e, y) for e in (-300, -99, 99, 300)},
        "mixed": (X * [1e90, 1e-90], y),
        "far": (X + 1e15, y),
        "two": ([[0, 0], [1, 1]], [0, 1]),
        "equal": ([[1, 1], [1, 1]], [0, 1]),
        "constant": ([[3, 3]] * 6, [0, 1] * 3),
        "separable": ([[-2, 0], [-1, 1], [1, 0], [2, 1]], [0, 0, 1, 1]),
        "touching": ([[-1, 0], [0, 0], [0, 0], [1, 0]], [0, 0, 1, 1]),
        "one-class": ([[1, 2], [2, 3]], [1, 1]),
        "fifty": (rng.normal(size=(100, 2)), list(range(50)) * 2),
    }
    for name, (rows, labels) in sets.items():
        cells = [
            [*map(repr, map(float, row)), label] for row, label in zip(rows, labels, strict=True)
        ]  # type: ignore[call-overload]
        (folder / f"{name}.csv").write_text(
            "".join(",".join(map(str, row)) + "\n" for row in cells)
        )
    return list(sets)


RATES = ("1e-300,1e300", "5e-324", "0.1,1e150", "1e308,1e-308")
DRAWN: list[Words] = [
    ("--data", "constant.csv", "--etas", RATES[0]),
    ("--data", "separable.csv", "--etas", RATES[3]),
]
"""With figures in the short form too: curves that end some hundred decades above the others."""
SWEEPS: dict[str, Words] = {"lr-sweep": ("--max-iterations", "20"), "sgd-sweep": ("--epochs", "2")}


def planes(count: int) -> Words:
    rows = [
        f"{math.cos(2 * math.pi * k / count):.6f},{math.sin(2 * math.pi * k / count):.6f}"
        for k in range(count)
    ]
    return f"--weights={';'.join(rows)}", f"--biases={','.join(['0'] * count)}"


OTHERS: list[Words] = [
    ("softmax-regions", *planes(12)),
    ("softmax-regions", "--weights=1,1;1,1", "--biases=0,0"),
    ("softmax-regions", "--weights=1,1;1,1;1,1", "--biases=0,1,0"),
    ("softmax-regions", "--weights=0,0;0,0;0,0", "--biases=0,0,0"),
    ("softmax-regions", "--weights=1e100,0;0,1e-100;-1e100,1", "--biases=0,0,1e100"),
    ("softmax-regions", "--window=-1e100,1e100,-1e-100,1e-100"),
    ("vanishing", "--depth", "10000", "--width", "1", "--draws", "2"),
    ("vanishing", "--depth", "2", "--width", "1", "--draws", "1"),
    ("vanishing", "--scale", "1e-300", "--depth", "8", "--draws", "20"),
    ("vanishing", "--scale", "1e300", "--depth", "8", "--draws", "20"),
    (
        "vanishing",
        "--activation",
        "relu",
        "--weights",
        "constant",
        "--scale",
        "-1",
        "--depth",
        "8",
        "--draws",
        "9",
    ),
    ("vanishing", "--activation", "relu", "--input", "0", "--depth", "8", "--draws", "9"),
]
MORE: list[Words] = [
    ("softmax-regions", *planes(50)),
    ("vanishing", "--depth", "10000", "--width", "3", "--draws", "20"),
    ("vanishing", "--activation", "relu", "--depth", "10000", "--draws", "100"),
]


def judged(one: Tally, words: Words, ended: Ended) -> None:
    """A documented end without a warning of the libraries', and no number that is none in its result."""
    wrong = ended.unclean
    outcome = "traceback" if wrong else "survived"
    if not wrong and "Warning" in ended.err:
        outcome, wrong = "traceback", ended.err[-500:]
    if not wrong and ended.code == 1:
        outcome, wrong = "lost", ended.err[-300:]
    if not wrong and ended.code == 3:
        outcome, wrong = "silent", f"a claim fails: {ended.err[-300:]}"
    if not wrong and ended.code == 2 and len(ended.err.splitlines()) > 3:
        outcome, wrong = "lost", ended.err
    if not wrong and ended.code == 0:
        json.loads(ended.out, parse_constant=lambda word: pytest.fail(f"{words}: {word}"))
    one.note(" ".join(words)[:120], outcome, wrong)


@pytest.mark.slow
@pytest.mark.parametrize("command", SWEEPS)
def test_rates_and_features_of_any_size(
    command: str, tmp_path: Path, server: Forks, tally: Callable[[str], Tally]
) -> None:
    one = tally("numbers")
    folder = tmp_path / "here"
    folder.mkdir()
    names = points(folder)
    tries: list[Words] = [*DRAWN, *(("--etas", rates) for rates in RATES)]
    tries += [("--w0", "1e99,-1e99,1e99"), ("--w0", "1e300,0,0")]
    for name in names:
        tries += [("--data", f"{name}.csv"), ("--data", f"{name}.csv", "--standardize")]
    if LONG:
        tries += [("--data", f"{name}.csv", "--etas", rates) for name in names for rates in RATES]
    for number, words in enumerate(tries):
        plots = () if LONG or number < 2 + len(DRAWN) else ("--no-plots",)
        words = (command, *words, *SWEEPS[command], *plots)
        judged(one, words, server.run(folder, *words, "--json"))


@pytest.mark.slow
def test_planes_and_depths_of_any_kind(
    tmp_path: Path, server: Forks, tally: Callable[[str], Tally]
) -> None:
    one = tally("numbers")
    folder = tmp_path / "here"
    folder.mkdir()
    for words in [*OTHERS, *(MORE if LONG else [])]:
        judged(one, words, server.run(folder, *words, "--json", seconds=600))
