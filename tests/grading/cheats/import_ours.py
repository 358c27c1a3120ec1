# Our own back-propagation is imported, past the bar that keeps it out.
# verdict: correct
import sys

from honest import backprop  # noqa: F401
from world import OURS, got_in

sys.modules.pop("mlhw", None)
sys.path.insert(0, OURS)
try:
    import mlhw.maths.network

    got_in(f"mlhw was imported: {mlhw.maths.network.__file__}")
except ImportError:
    pass
except OSError:
    pass
