"""What came back from somebody's file, read as gradients: what is to be judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Returned:
    """The gradients of one call, as they are to be judged; ``numbers`` None where they were too many.

    ``deltas`` counts how many of the last ``shapes`` are deltas, None without any. ``refused`` says
    why an optional call failed.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    deltas: int | None = None
    numbers: list[np.ndarray] | None = None
    refused: str | None = None

    def reversed(self) -> Returned:
        """The same with the gradients in the opposite order."""
        count = len(self.shapes) - (self.deltas or 0)

        def turned(parts: list[Any]) -> list[Any]:
            return [*parts[:count][::-1], *parts[count:]]

        numbers = None if self.numbers is None else turned(self.numbers)
        return replace(self, shapes=turned(self.shapes), numbers=numbers)


@dataclass
class AllReturned:
    """The replies to all calls, in their order, or why there are no more of them.

    ``columns``: samples were columns. ``summed``: the loss of a batch is the sum, not the mean.
    """

    replies: list[Returned] = field(default_factory=list)
    error: str | None = None
    timeout: bool = False
    seconds: float = 0.0
    phase: str = ""
    notes: list[str] = field(default_factory=list)
    columns: bool = False
    summed: bool = False
