"""The command line."""

import contextlib
import os
import signal

if "_MLHW_COMPLETE" in os.environ:
    # The shell completes a word, and imports take a moment: Ctrl-C ends that, and nobody asked for a word.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_DFL)
