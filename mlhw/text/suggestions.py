"""What was most likely meant by a word or a file that is not there."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that ``word`` was most likely meant to be, or None."""
    found = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=1)
    return next((k for k in known if found and k.lower() == found[0]), None)


def near_file(path: str) -> str:
    """``, did you mean 'x.yaml'?`` for a file that is not there, if one of a like name is."""
    folder, name = os.path.split(path)
    try:
        near = nearest(name, os.listdir(folder or "."))
    except OSError:
        near = None
    return f", did you mean '{os.path.join(folder, near)}'?" if near else ""
