"""The colour, hatch, dash and marker of each class: the same in every figure of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlhw.maths.colouring import colouring
from mlhw.maths.regions import Envelope
from mlhw.result import plots

# An eighth colour, brown, beside those of all figures.
COLOURS = (*plots.COLOURS, "#7A5230")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oo")
# Wide gaps, so that of two lines that coincide the lower one shows.
DASHES: tuple[Any, ...] = ("-", (0, (5, 4)), (0, (1.5, 2.5)), (0, (7, 3, 1, 3)), (0, (1, 5)))


@dataclass(frozen=True)
class Sign:
    """How one class is shown: ``colour`` is shared with classes that are no neighbours, a hatch apart."""

    colour: str
    hatch: str
    dash: Any
    marker: str


def class_signs(envelope: Envelope) -> list[Sign]:
    """A sign for each class. Up to eight classes have a colour each; of more, neighbours differ."""
    pairs = [boundary.classes for boundary in envelope.boundaries]
    numbers = colouring(len(envelope.planes), pairs, len(COLOURS))
    signs = []
    for k, number in enumerate(numbers):
        again = numbers[:k].count(number)
        signs.append(
            Sign(
                COLOURS[number],
                HATCHES[again % len(HATCHES)],
                DASHES[(number + again) % len(DASHES)],
                plots.MARKERS[(number + again) % len(plots.MARKERS)],
            )
        )
    return signs
