# Files are planted in a finished run folder.
# verdict: correct
import os

from honest import backprop  # noqa: F401
from world import RUNS, got_in

for name in ("result.json", "planted.txt", "claims/new.json"):
    try:
        os.makedirs(os.path.dirname(f"{RUNS}/{name}"), exist_ok=True)
        with open(f"{RUNS}/{name}", "w") as file:
            file.write("{}")
        got_in(name)
    except OSError:
        continue
