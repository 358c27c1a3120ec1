# A classmate's file is overwritten, removed, renamed, locked.
# verdict: correct
import os

from honest import backprop  # noqa: F401
from world import CLASS, CLASSMATE, got_in

for act in (
    lambda: open(CLASSMATE, "w").close(),
    lambda: os.truncate(CLASSMATE, 0),
    lambda: os.unlink(CLASSMATE),
    lambda: os.rename(CLASSMATE, CLASSMATE + "~"),
    lambda: os.chmod(CLASSMATE, 0),
    lambda: os.chmod(CLASS, 0),
    lambda: os.symlink("/dev/null", CLASS + "/berta.py"),
):
    try:
        act()
        got_in("a classmate's file was changed")
    except OSError:
        continue
