"""What mathematics is done with here."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
"""An array of numbers; docstrings give its shape, such as (N, n_l)."""
