"""``python -m mlhw`` is the same program as ``mlhw``."""

from mlhw.commands.main import script

script()
