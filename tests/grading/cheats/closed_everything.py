# It closes every descriptor and goes on.
# verdict: timeout, error
import os

os.closerange(0, 1 << 16)
while True:
    pass
