# The network: a connection to the outside, a port that is opened.
# verdict: correct
import socket

from honest import backprop  # noqa: F401
from world import PORT, got_in

for act in (
    lambda: socket.create_connection(("127.0.0.1", PORT), 0.3),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)),
    lambda: socket.socket().bind(("0.0.0.0", 0)),
):
    try:
        act()
        got_in("the network")
    except OSError:
        continue
