"""Pipes between a process and one that it starts."""

from __future__ import annotations

import os
import stat


def inherited_pipe(variable: str) -> int | None:
    """The pipe whose number the starting process has put into an environment variable; None without one.

    The variable is taken away, and the pipe made ours alone, so that no child of ours gets it.
    """
    text = os.environ.pop(variable, "")
    try:
        pipe = int(text)
        if stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.set_inheritable(pipe, False)
            return pipe
    except (ValueError, OSError, OverflowError):
        pass
    return None
