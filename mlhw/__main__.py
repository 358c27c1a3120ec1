"""``python -m mlhw`` is the same program as ``mlhw``."""

from mlhw.cli import script

script()
