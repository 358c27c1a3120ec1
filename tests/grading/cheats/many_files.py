# Very many empty files.
# verdict: error, timeout
import os

for folder in range(1000):
    os.mkdir(str(folder))
    for number in range(1000):
        open(f"{folder}/{number}", "w").close()
