"""Memory that a step has freed is kept for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from mlhw.vision.training.allocator import keep_freed_memory
import numpy as np
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def step():
    arrays = [np.ones(1 << 20) for _ in range(20)]  # 20 pieces of 8 MiB, all freed at the end
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library is glibc on Linux")
def test_steps_after_the_first_get_their_memory_without_page_faults() -> None:
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("kept", "as it is")
    }
    assert faults["kept"] < faults["as it is"] / 10
