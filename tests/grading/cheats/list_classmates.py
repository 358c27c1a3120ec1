# Looks around for files of others, upwards from its own folder and in the class's.
# verdict: correct
import os

from honest import backprop  # noqa: F401
from world import CLASS, RUNS, got_in

for folder in (CLASS, RUNS, "..", "../..", "/home", "/root", "/var"):
    try:
        names = os.listdir(folder)
    except OSError:
        continue
    if "anna.py" in names or "result.json" in names:
        got_in(f"{folder}: {names}")
