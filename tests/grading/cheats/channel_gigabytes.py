# The channel is written to without end.
# verdict: error
import os
import stat

channels = []
for number in range(3, 256):
    try:
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            channels.append(number)
    except OSError:
        continue
message = b'{"note": "' + b"x" * 60_000 + b'"}\n'
while True:
    for number in channels:
        os.write(number, message)
