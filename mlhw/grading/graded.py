"""What a submission's grade rests on, in plain values that a journal keeps and a rubric reads."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mlhw.maths.network import Network

if TYPE_CHECKING:
    from mlhw.grading.judgement import Grade

MOST_ENTRIES = 60
"""So many wrong entries are kept of each; how many there are in all is kept too."""
MOST_TEXT = 4000
"""Characters of a message, and of what a submission printed."""

_LAYER = re.compile(r"\^\((\d+)\)")


@dataclass(frozen=True)
class LayerErrors:
    """How many entries of dE/dW^(l) are wrong: those by weights, and those by biases.

    ``nothing``: all of them are 0, so nothing is derived there.
    """

    weights: int = 0
    biases: int = 0
    nothing: bool = False


@dataclass
class Graded:
    """A grade without the submission: ``layers[l-1]`` is of dE/dW^(l).

    ``entries`` are wrong entries as ``quantity, row, column, got, expected``. ``once``: all draws were
    right for single inputs, and only the batch was not. ``deltas_wrong`` counts wrong δ alone.
    ``limits``: seconds for answers and for loading.
    """

    verdict: str
    message: str
    codes: list[str]
    layers: list[LayerErrors]
    batch: str = ""
    general: str = ""
    max_relative_error: float | None = None
    wrong_entries: int = 0
    wrong_draws: int = 0
    deltas_wrong: int = 0
    once: bool = False
    entries: list[list[Any]] = field(default_factory=list)
    seconds: float = 0.0
    printed: str = ""
    rung: str = ""
    limits: list[float] = field(default_factory=list)

    @property
    def first_wrong_layer(self) -> int | None:
        """Of the wrong dE/dW^(l) the one nearest to the output, from which a derivation starts."""
        wrong = [n for n, layer in enumerate(self.layers, 1) if layer.weights or layer.biases]
        return max(wrong, default=None)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        found = asdict(self)
        # JSON has neither NaN nor infinity.
        found["entries"] = [[_plain(value) for value in entry] for entry in self.entries]
        found["max_relative_error"] = _plain(self.max_relative_error)
        return found

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Graded:
        """The grade that ``as_dict`` gave. Raises TypeError for anything else."""
        layers = [LayerErrors(**layer) for layer in entry["layers"]]
        entries = [[name, *map(_number, values)] for name, *values in entry["entries"]]
        worst = _number(entry["max_relative_error"])
        return cls(**{**entry, "layers": layers, "entries": entries, "max_relative_error": worst})


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _printed(grade: Grade) -> str:
    """What a submission printed, its errors apart, each as far as it is kept."""
    out, errors = (
        text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n…"
        for text in (grade.stdout, grade.stderr)
    )
    between = "" if not errors or not out or out.endswith("\n") else "\n"
    return f"{out}{between}--- stderr\n{errors}" if errors else out


def graded_of(grade: Grade, network: Network, inputs: int) -> Graded:
    """A grade of the judge's in plain values, for a function asked for ``inputs`` inputs at once."""
    weights = [0] * (network.depth - 1)
    biases = list(weights)
    zero = [True] * len(weights)
    deltas = 0
    for entry in grade.wrong:
        found = _LAYER.search(entry.quantity)
        layer = int(found[1]) if found else 1
        if entry.column is None or not entry.quantity.startswith("dE/dw"):
            deltas += 1
            continue
        zero[layer - 1] = zero[layer - 1] and entry.got == 0
        if network.bias and entry.column == network.layers[layer - 1] + 1:
            biases[layer - 1] += 1
        else:
            weights[layer - 1] += 1
    once = (
        inputs == 1
        and grade.verdict == "wrong"
        and grade.batch == "wrong"
        and not grade.wrong_draws
    )
    return Graded(
        grade.verdict,
        grade.message[:MOST_TEXT],
        list(grade.diagnosis),
        [LayerErrors(w, b, z and w + b > 0) for w, b, z in zip(weights, biases, zero, strict=True)],
        grade.batch[:MOST_TEXT],
        grade.general[:MOST_TEXT],
        grade.max_relative_error,
        len(grade.wrong),
        grade.wrong_draws,
        deltas,
        once,
        [[e.quantity, e.row, e.column, e.got, e.expected] for e in grade.wrong[:MOST_ENTRIES]],
        round(grade.loading + grade.seconds, 3),
        _printed(grade),
        grade.rung,
    )
