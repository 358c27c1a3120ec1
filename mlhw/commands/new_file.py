"""A file that somebody has named for the program to make."""

from __future__ import annotations

from pathlib import Path

from mlhw.errors import ConfigError, reason_of
from mlhw.system.files import write_new


def write_asked(path: str, text: str) -> None:
    """Write a new file; raises ConfigError, in one line, where it is there already or cannot be written."""
    try:
        write_new(Path(path), text.encode())
    except FileExistsError:
        raise ConfigError(
            f"{path}: is there already and stays as it is; give another name"
        ) from None
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: cannot be written: {reason}") from None
