"""What may be said anew of a run that goes on: ``mlhw finetune --resume RUN --epochs 20 --data MOVED``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GoingOn:
    """The keys that ``--resume`` takes beside the run; all others are those of the run.

    ``longer`` makes a run longer, and lets one that is finished go on; ``moved`` say where things lie now,
    and what is found there has to be what it was.
    """

    longer: str
    moved: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.longer, *self.moved)
