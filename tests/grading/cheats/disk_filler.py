# The disk is filled.
# verdict: error, timeout
import os

for number in range(100_000):
    for folder in (".", "/tmp", "/dev/shm", "/var/tmp"):
        try:
            with open(f"{folder}/mlhw-cheat-{os.getpid()}-{number}", "wb") as file:
                file.write(bytes(4 << 20))
        except OSError:
            if folder == ".":
                raise
