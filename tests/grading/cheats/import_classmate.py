# A classmate's file is imported and its answers are handed in.
# verdict: error
import sys

from world import CLASS, got_in

sys.path.insert(0, CLASS)
from anna import backprop  # noqa: F401

got_in("a classmate's file was imported")
