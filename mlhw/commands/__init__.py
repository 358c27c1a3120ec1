"""The command line."""

import contextlib
import os
import signal

from mlhw.system import early

if "_MLHW_COMPLETE" in os.environ:
    # The shell completes a word, and imports take a moment: Ctrl-C ends that, and nobody asked for a word.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_DFL)
elif early.is_program():
    # Here, since this is the first of mlhw that a command runs: the imports take the longest.
    early.install()
    early.hurry()
