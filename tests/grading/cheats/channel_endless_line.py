# A line that does not end.
# verdict: error
import os
import stat

import numpy as np  # noqa: F401

for number in range(3, 256):
    try:
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            os.write(number, b"x" * 1_000_000)
    except OSError:
        continue
from honest import backprop  # noqa: E402, F401
