"""A run's folder that came from elsewhere: what a run that goes on in it writes stays in it."""

from __future__ import annotations

import os
from pathlib import Path

from mlhw.errors import UsageError


def require_no_links(run: Path) -> None:
    """Raise UsageError for a folder in a run's folder, or below, that is a link to another place.

    Checkpoints, figures and points that were written there would take the place of somebody else's. Files
    that are links do no harm: they are replaced, or refused where they are written in place.
    """
    for place, folders, _ in os.walk(run):
        for name in sorted(folders):
            path = Path(place, name)
            if path.is_symlink():
                raise UsageError(
                    f"{path}: is a link to another folder, and a run goes on only in its own; put what it "
                    "leads to in its place, or remove it"
                )
