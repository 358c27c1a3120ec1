"""What a function returned, taken apart into arrays of numbers and the form in which they came.

Part of the program that runs beside somebody's file: NumPy and the standard library alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

MOST_PARTS = 2000
"""So many lists, dicts and arrays at most: no network has as many layers."""
MOST_LEVELS = 6
MOST_ITEMS = 1_000_000
"""So many numbers of a generator; a list has an end."""


class Dismantled:
    """``form``: an array is its index in ``arrays``, a list a list, a dict {"dict": [[key, form], …]}.

    None is None; what is none of these is {"other": its type's name}.
    """

    def __init__(self, returned: Any) -> None:
        self.arrays: list[Any] = []
        self._parts = 0
        self.form = self._taken(returned, 0)

    def _taken(self, value: Any, level: int) -> Any:
        self._parts += 1
        if self._parts > MOST_PARTS or level > MOST_LEVELS:
            raise TypeError("what is returned has too many parts")
        if value is None:
            return None
        if hasattr(value, "detach"):  # a torch tensor
            value = value.detach().cpu().numpy()
        if isinstance(value, Mapping):
            pairs = islice(value.items(), MOST_PARTS)
            return {"dict": [[str(key)[:40], self._taken(item, level + 1)] for key, item in pairs]}
        if isinstance(value, (str, bytes)):
            return {"other": type(value).__name__}
        if _is_array(value) or _is_number(value):
            return self._array(value, level)
        if isinstance(value, Iterable):
            items = list(islice(value, MOST_ITEMS + 1))
            if len(items) > MOST_ITEMS:
                raise TypeError("what is returned has too many parts")
            # A list of lists of numbers is a matrix; one of arrays is none, whatever their shapes.
            if items and _is_plain(items, 0):
                return self._array(items, level)
            return [self._taken(item, level + 1) for item in items]
        if hasattr(value, "__array__"):
            return self._array(value, level)
        return {"other": type(value).__name__}

    def _array(self, value: Any, level: int) -> Any:
        import numpy as np

        try:
            array = np.asarray(value)
        except ValueError:  # ragged
            return [self._taken(item, level + 1) for item in value]
        if array.dtype.kind == "O":
            return [self._taken(item, level + 1) for item in np.atleast_1d(array)]
        if array.dtype.kind not in "fiub":
            return {"other": array.dtype.name}
        self.arrays.append(np.array(array, dtype=np.float64, order="C", subok=False))
        return len(self.arrays) - 1


def _is_array(value: Any) -> bool:
    import numpy as np

    return isinstance(value, np.ndarray)


def _is_number(value: Any) -> bool:
    import numpy as np

    return isinstance(value, (bool, int, float, complex, np.generic))


def _is_plain(items: list[Any], level: int) -> bool:
    """Whether lists hold nothing but numbers and such lists."""
    if level > MOST_LEVELS:
        return False
    return all(
        _is_plain(list(item), level + 1) if isinstance(item, (list, tuple)) else _is_number(item)
        for item in items
    )
