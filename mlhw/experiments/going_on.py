"""What may be said anew of a run that goes on: ``mlhw finetune --resume RUN --epochs 20 --data MOVED``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GoingOn:
    """The keys that ``--resume`` takes beside the run; all others are those of the run.

    ``longer`` makes a run longer, and lets one that is finished go on; ``moved`` say where things lie now,
    and what is found there has to be what it was. ``finished``: one that is finished goes on in any case,
    with what has changed since.
    """

    longer: str
    moved: tuple[str, ...]
    finished: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return (*filter(None, [self.longer]), *self.moved)
