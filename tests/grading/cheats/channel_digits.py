# A number of 5,000 digits stands for a size.
# verdict: error
import os
import stat

import numpy as np  # noqa: F401

for number in range(3, 256):
    try:
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            os.write(number, b'{"form": 1, "shapes": [[' + b"9" * 5000 + b"]]}n")
    except OSError:
        continue
from honest import backprop  # noqa: E402, F401
