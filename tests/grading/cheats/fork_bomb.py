# Processes without end, each starting others.
# verdict: timeout, error
import os

while True:
    try:
        os.fork()
    except OSError:
        continue
