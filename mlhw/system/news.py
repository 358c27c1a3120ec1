"""What happens to one of several processes, told to all of them at once.

Every process has a connection to process 0, and a thread that listens to it. The system closes a
connection with the process that has it, however that ends, so a process that is killed is known to all
others within milliseconds, on any machine; the end of a machine without a word shows after ``SILENT``
seconds. Whoever stops by itself says so first. What comes first is what counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

SILENT = 30
"""Seconds after which a machine that answers no longer counts as gone."""

_LONGEST = 1 << 16  # bytes of a message
_PROBES = 4


@dataclass(frozen=True)
class Event:
    """What happened to a process.

    ``stop``: the signal ``code`` has come to it. ``failed``: it cannot go on, for the reasons in ``lines``,
    which mean exit code ``code``. ``lost``: it has gone without a word, from where ``lines`` say. ``end``:
    process 0 has recorded how the run ended, with exit code ``code``.
    """

    kind: Literal["stop", "failed", "lost", "end"]
    rank: int
    code: int = 0
    lines: tuple[str, ...] = ()


class News:
    """One end of the connections between process 0 and the others. ``heard`` is called in its thread.

    ``heard`` gets the first event that another process tells of, and, after that, the end.
    """

    def __init__(self, rank: int, heard: Callable[[Event], None]) -> None:
        self.rank = rank
        self.heard = heard
        self.first: Event | None = None
        self.ended = threading.Event()
        self.code: int | None = None
        self._writing = threading.Lock()
        self._closed = False

    def tell(self, event: Event) -> None:
        """Let all others know; nothing happens where they cannot be reached any more."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _hear(self, event: Event) -> None:
        """Note an event of another process."""
        if event.kind == "end":
            self.code = event.code
            self.ended.set()
        elif self.first is not None:
            return
        else:
            self.first = event
        if not self._closed:
            self.heard(event)

    def _send(self, connection: socket.socket, message: dict[str, Any]) -> None:
        with self._writing, contextlib.suppress(OSError):
            connection.sendall(json.dumps(message).encode() + b"\n")


class Centre(News):
    """Process 0's end: it listens to all others, and passes on what one of them says."""

    def __init__(self, world: int, heard: Callable[[Event], None]) -> None:
        super().__init__(0, heard)
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        self._server = socket.create_server(("", 0), family=family, dualstack_ipv6=dual)
        self.port: int = self._server.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.complete = threading.Event()
        self._world = world
        self._others: dict[int, _Reader] = {}
        self._thread = threading.Thread(target=self._listen, name="mlhw news", daemon=True)
        self._read, self._write = socket.socketpair()
        self._thread.start()

    def tell(self, event: Event) -> None:
        for reader in list(self._others.values()):
            if reader.rank != event.rank:
                self._send(reader.connection, asdict(event))

    def close(self, seconds: float = 5.0) -> None:
        """Wait until the others have gone, so long at most."""
        self._closed = True
        self._write.close()
        self._thread.join(seconds)

    def _listen(self) -> None:
        closing = False
        with selectors.DefaultSelector() as selector, self._read:
            selector.register(self._read, selectors.EVENT_READ)
            selector.register(self._server, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    reader: _Reader | None = key.data
                    if reader is not None:
                        if not self._take(reader):
                            selector.unregister(reader.connection)
                            reader.connection.close()
                    elif closing:
                        pass  # the other of the two has been taken out just now
                    elif key.fileobj is self._read:
                        closing = True
                        selector.unregister(self._read)
                        selector.unregister(self._server)
                        self._server.close()
                    else:
                        with contextlib.suppress(OSError):
                            reader = _Reader(_kept_alive(self._server.accept()[0]))
                            selector.register(reader.connection, selectors.EVENT_READ, reader)

    def _take(self, reader: _Reader) -> bool:
        """What has come from one of the others; False where nothing will come any more."""
        messages = reader.messages()
        for message in messages or ():
            if reader.rank < 0:
                if message.get("token") != self.token:
                    return False
                reader.rank, reader.place = int(message["rank"]), str(message["place"])
                self._others[reader.rank] = reader
                if len(self._others) == self._world - 1:
                    self.complete.set()
            elif message.get("kind") == "done":
                reader.is_done = True
            else:
                self._pass_on(_event(message))
        if messages is None:
            known = self._others.pop(reader.rank, None)
            if known is not None and not reader.is_done:
                self._pass_on(Event("lost", reader.rank, lines=(reader.place,)))
            return False
        return True

    def _pass_on(self, event: Event) -> None:
        if self.first is None:
            self.tell(event)
        self._hear(event)


class Outpost(News):
    """The end of any other process.

    Raises OSError where process 0 cannot be reached.
    """

    def __init__(
        self,
        rank: int,
        address: str,
        port: int,
        token: str,
        seconds: float,
        heard: Callable[[Event], None],
    ) -> None:
        super().__init__(rank, heard)
        self._reader = _Reader(
            _kept_alive(socket.create_connection((address, port), timeout=seconds))
        )
        self._reader.connection.settimeout(None)
        place = f"process {os.getpid()} of {socket.gethostname()}"
        self._send(self._reader.connection, {"token": token, "rank": rank, "place": place})
        threading.Thread(target=self._listen, name="mlhw news", daemon=True).start()

    def tell(self, event: Event) -> None:
        self._send(self._reader.connection, asdict(event))

    def close(self) -> None:
        self._closed = True
        self._send(self._reader.connection, {"kind": "done"})
        with contextlib.suppress(OSError):
            self._reader.connection.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while (messages := self._reader.messages()) is not None:
            for message in messages:
                self._hear(_event(message))
        if not self.ended.is_set():
            self._hear(Event("lost", 0))
            self.ended.set()


class _Reader:
    """The messages that come through a connection, one JSON object a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.rank = -1
        self.place = ""
        self.is_done = False
        self._rest = b""

    def messages(self) -> list[dict[str, Any]] | None:
        """Those that have come; None at the end, which is also where something else comes."""
        try:
            piece = self.connection.recv(_LONGEST)
            *lines, self._rest = (self._rest + piece).split(b"\n")
            found = [json.loads(line) for line in lines]
        except (OSError, ValueError):
            return None
        whole = len(self._rest) <= _LONGEST and all(isinstance(one, dict) for one in found)
        return found if piece and whole else None


def _event(message: dict[str, Any]) -> Event:
    return Event(
        message["kind"], message["rank"], message["code"], tuple(map(str, message["lines"]))
    )


def _kept_alive(connection: socket.socket) -> socket.socket:
    """Let the system ask now and then whether the other machine is still there."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    each = SILENT // (_PROBES + 1)
    for name, value in (
        ("TCP_KEEPIDLE", each),
        ("TCP_KEEPINTVL", each),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", 1000 * SILENT),
    ):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection
