"""Points for a derivation: of the output layer, the hidden layers, biases, batches and other sizes.

A layer that is wrong by a mistake that has a name gets a part of its points, and what is wrong further on
only because of that mistake gets the part of what is carried forward: one mistake counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from mlhw.config.model import Section
from mlhw.grading.graded import Graded
from mlhw.grading.traits import TRAITS
from mlhw.maths.mistakes.kinds import CODES
from mlhw.maths.network import Network
from mlhw.text.values import number_text

Points = Annotated[float, Field(ge=0, le=10_000)]
Share = Annotated[float, Field(ge=0, le=1)]

BATCH_CODES = frozenset(
    ("batch_mean", "batch_average_twice", "last_sample_only", "product_of_means")
)


class RubricPoints(Section):
    """Points of each part. Parts that do not apply, biases without biases, fall out."""

    output_layer: Annotated[Points, Field(description="the gradient of the last weights")] = 3
    hidden_layers: Annotated[
        Points, Field(description="the gradients of all other weights, each an equal part")
    ] = 5
    biases: Annotated[Points, Field(description="the gradients by biases, each an equal part")] = 1
    batches: Annotated[Points, Field(description="several inputs at once")] = 1
    generality: Annotated[Points, Field(description="a network with other sizes")] = 1


class Rubric(Section):
    """What a derivation is worth."""

    points: Annotated[RubricPoints, Field(description="points of each part")] = RubricPoints()
    out_of: Annotated[
        float | None,
        Field(
            gt=0, le=10_000, description="the parts that apply are scaled to this; null: their sum"
        ),
    ] = 10
    named: Annotated[
        Share,
        Field(description="part of its points for what is wrong by a mistake that has a name"),
    ] = 0.5
    carried_forward: Annotated[
        Share,
        Field(
            description="part of its points for what is wrong only because of a mistake before it"
        ),
    ] = 1
    deduct: Annotated[
        dict[str, Points],
        Field(description="points taken off for a code, such as finite_differences: 5"),
    ] = {}
    round_to: Annotated[
        float, Field(gt=0, le=100, description="scores are rounded to multiples of this")
    ] = 0.01

    def unknown(self) -> list[str]:
        """Codes in ``deduct`` that do not exist."""
        return [code for code in self.deduct if code not in (*CODES, *TRAITS)]


@dataclass(frozen=True)
class ScoredPart:
    """A part of a score: its points, of how many, and why not all."""

    name: str
    points: float
    of: float
    reason: str

    @property
    def full(self) -> bool:
        return self.points >= self.of


@dataclass(frozen=True)
class Score:
    """``points`` of ``of``, in parts; ``deducted`` has what is taken off, with the reason."""

    points: float
    of: float
    parts: list[ScoredPart]
    deducted: list[ScoredPart] = field(default_factory=list)


PARTS = {
    "output_layer": "output layer",
    "hidden_layers": "hidden layers",
    "biases": "biases",
    "batches": "batches",
    "generality": "other sizes",
}


def scored(graded: Graded, rubric: Rubric, network: Network) -> Score:
    """The points of a grade."""
    applying = {
        name: getattr(rubric.points, name)
        for name in PARTS
        if (name != "biases" or network.bias) and (name != "hidden_layers" or network.depth > 2)
    }
    total = sum(applying.values())
    scale = 1.0 if rubric.out_of is None or total == 0 else rubric.out_of / total
    judged = _Judged(graded, rubric, network)
    parts = []
    for name, points in applying.items():
        share, reason = judged.share(name)
        of = round(points * scale, 10)
        parts.append(ScoredPart(PARTS[name], round(of * share, 10), of, reason))
    of = round(sum(part.of for part in parts), 6)
    deducted = [
        ScoredPart(code, -points, 0, "taken off")
        for code, points in rubric.deduct.items()
        if code in graded.codes and points
    ]
    reached = sum(part.points for part in (*parts, *deducted))
    points = min(max(_rounded(reached, rubric.round_to), 0.0), of)
    return Score(points, of, parts, deducted)


def _rounded(points: float, step: float) -> float:
    return round(round(points / step + 1e-9) * step, 6)


class _Judged:
    """Which part of its points each part of a rubric gets, and why."""

    def __init__(self, graded: Graded, rubric: Rubric, network: Network) -> None:
        self.graded = graded
        self.network = network
        self.named, self.carried = rubric.named, rubric.carried_forward
        self.codes = [code for code in graded.codes if code in CODES]
        self.name = ", ".join(self.codes)
        # Where nothing is derived nothing is carried on either.
        self.nothing = any(layer.nothing for layer in graded.layers)

    def share(self, part: str) -> tuple[float, str]:
        if self.graded.verdict in ("error", "timeout"):
            return 0.0, self.graded.message
        if (
            not self._seen
            and self.graded.verdict == "wrong"
            and part in ("output_layer", "hidden_layers", "biases")
        ):
            return self._unseen(part)
        if part == "output_layer":
            return self._layers([self.network.depth - 1])
        if part == "hidden_layers":
            return self._layers(list(range(1, self.network.depth - 1)))
        if part == "biases":
            return self._biases()
        return self._batches() if part == "batches" else self._generality()

    @property
    def _seen(self) -> bool:
        """Whether single entries were compared: shapes alone may have told a mistake."""
        return bool(self.graded.wrong_entries)

    def _unseen(self, part: str) -> tuple[float, str]:
        if "order_reversed" in self.codes:
            return self.named, "right, but the last layer's gradient comes first (order_reversed)"
        if "bias_column" in self.codes:
            return (
                0.0 if part == "biases" else 1.0
            ), "the column of the biases is missing (bias_column)"
        return 0.0, self.graded.message

    def _layers(self, layers: list[int]) -> tuple[float, str]:
        shares, reasons = [], []
        for layer in reversed(layers):
            share, reason = self._layer(layer)
            shares.append(share)
            if reason:
                reasons.append(f"dE/dW^({layer}): {reason}")
        if not reasons:
            return 1.0, "right in all draws"
        return sum(shares) / len(shares), "; ".join(reasons)

    def _layer(self, layer: int) -> tuple[float, str]:
        if self.graded.once or not self.graded.layers[layer - 1].weights:
            return 1.0, ""
        if self.graded.layers[layer - 1].nothing:
            return 0.0, "every wrong entry is 0: nothing is derived there"
        if not self.codes:
            return 0.0, "wrong, and by no mistake that has a name"
        first = max(n for n, errors in enumerate(self.graded.layers, 1) if errors.weights)
        if layer == first:
            return self.named, f"wrong by a mistake that has a name ({self.name})"
        return self.carried, f"wrong by the same mistake, which counts once ({self.name})"

    def _biases(self) -> tuple[float, str]:
        shares, reasons = [], []
        for number, errors in reversed([*enumerate(self.graded.layers, 1)]):
            share, reason = 1.0, ""
            if errors.biases and not self.graded.once:
                if errors.nothing:
                    share, reason = 0.0, "every wrong entry is 0: nothing is derived there"
                elif not self.codes:
                    share, reason = 0.0, "wrong, and by no mistake that has a name"
                elif errors.weights:
                    share, reason = (
                        self.carried,
                        f"wrong by the same mistake, which counts once ({self.name})",
                    )
                else:
                    share, reason = self.named, f"wrong by a mistake that has a name ({self.name})"
            shares.append(share)
            if reason:
                reasons.append(f"layer {number}: {reason}")
        return sum(shares) / len(shares), "; ".join(reasons) or "right in all draws"

    def _batches(self) -> tuple[float, str]:
        status = self.graded.batch
        slips = [code for code in self.codes if code in BATCH_CODES]
        if not status:  # every draw was a batch
            if slips:
                return self.named, f"wrong by a mistake that has a name ({', '.join(slips)})"
            return (1.0, "every draw was a batch") if self.codes or self._right else (0.0, "wrong")
        if status == "right":
            return 1.0, "right for several inputs at once"
        if status.startswith("not taken"):
            return 0.0, f"one input at a time: batches are {status}"
        if not self.codes or self.nothing:
            return 0.0, "wrong for several inputs at once"
        if slips or self.graded.once:
            return (
                self.named,
                f"wrong by a mistake that has a name ({', '.join(slips) or self.name})",
            )
        return self.carried, f"wrong by the same mistake, which counts once ({self.name})"

    def _generality(self) -> tuple[float, str]:
        status = self.graded.general
        if status == "right":
            return 1.0, "right for another network"
        mistaken = self.codes and not self._right and not self.graded.once
        if status == "wrong" and mistaken and not self.nothing:
            return self.carried, f"wrong by the same mistake, which counts once ({self.name})"
        if not status:
            return 0.0, "not reached"
        return (
            0.0,
            f"another network is {status}" if status != "wrong" else "wrong for another network",
        )

    @property
    def _right(self) -> bool:
        return self.graded.verdict == "correct"


def points_text(points: float) -> str:
    """``7.5``, ``10``."""
    return number_text(points)
