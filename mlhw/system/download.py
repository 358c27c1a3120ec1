"""Files from the net: whole and checked, or not at all."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlhw.errors import DataError, reason_of
from mlhw.system.files import tell_room, whole
from mlhw.text.values import bytes_text

ProgressBar = Callable[[float, float, str], None]
"""Takes how much is done, of how much, and of what."""

MOST_BYTES = 8_000_000_000
"""More than any published weights or data set here has; a server that sends more is not believed."""

# Of each wait for a byte; a server that sends one now and then is held against the other two.
_TIMEOUT_S = 20.0
_ANSWER_S = 60.0
_MINUTE_S, _FEWEST_A_MINUTE = 60.0, 600_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """A hash, or the beginning of one, that a file must have."""

    kind: Literal["md5", "sha256"]
    digits: str

    def __str__(self) -> str:
        full = len(self.digits) == hashlib.new(self.kind, usedforsecurity=False).digest_size * 2
        return f"{self.kind} {self.digits}{'' if full else '…'}"

    def hasher(self) -> hashlib._Hash:
        return hashlib.new(self.kind, usedforsecurity=False)

    def matches(self, hasher: hashlib._Hash) -> bool:
        return hasher.hexdigest().startswith(self.digits)

    def of_file(self, path: Path) -> bool:
        """Whether the file at ``path`` has it."""
        with open(path, "rb") as file:
            return self.matches(hashlib.file_digest(file, self.hasher))


def fetch(
    url: str,
    target: Path,
    checksum: Checksum | None,
    *,
    progress: ProgressBar = lambda done, total, what: None,
    most: int = MOST_BYTES,
) -> None:
    """Download ``url`` to ``target``, which appears only once it is whole and its checksum right.

    Raises DataError: the server cannot be reached, sends something else, more than ``most`` bytes or
    these too slowly, or the disk has no room.
    """
    hasher = checksum.hasher() if checksum else hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _answered(url) as answer, whole(target) as file:
            total = max(0, int(answer.headers.get("Content-Length") or 0))
            _check_size(url, total, most)
            _check_room(target, total)
            done, pace = 0, _Pace(url)
            # What is there, not a whole chunk, which a slow server may take hours for.
            while not 0 < total <= done and (chunk := answer.read1(_CHUNK)):
                done += len(chunk)
                _check_size(url, done, most)
                pace.check(done)
                file.write(chunk)
                hasher.update(chunk)
                progress(done, max(total, done), target.name)
            if total and done != total:
                raise DataError(f"{url}: the connection broke after {done:,} of {total:,} bytes")
            if checksum and not checksum.matches(hasher):
                raise DataError(
                    f"{url}: what the server sent is not the file ({done:,} bytes, {checksum.kind} "
                    f"{hasher.hexdigest()}, expected {checksum})"
                )
    # URLError and timeouts are OSErrors; a malformed URL is a ValueError.
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is an answer too
        raise DataError(f"{url}: cannot be downloaded to {target}: {_reason(error)}") from error


def _answered(url: str) -> Any:
    """What a server answers, its head read. Raises what urllib does; TimeoutError if that takes too long."""
    opener = urllib.request.build_opener()  # the shared one keeps the proxies of its first use
    found: list[Any] = []
    given_up = threading.Event()

    def ask() -> None:
        try:
            answer = opener.open(url, timeout=_TIMEOUT_S)
        except Exception as error:
            found.append(error)
            return
        found.append(answer)
        if given_up.is_set():
            answer.close()

    # Each byte of a head may take _TIMEOUT_S, and nothing ends that from outside.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWER_S)
    if not found:
        given_up.set()
        raise TimeoutError(f"the server has not answered within {_ANSWER_S:.0f} s")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


class _Pace:
    """Raises DataError for a download that comes too slowly to be worth its time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since, self._before = time.monotonic(), 0

    def check(self, done: int) -> None:
        """``done`` bytes have come since the beginning."""
        now = time.monotonic()
        if now - self._since < _MINUTE_S:
            return
        if done - self._before < _FEWEST_A_MINUTE:
            raise DataError(
                f"{self._url}: too slow: {done - self._before:,} bytes in {now - self._since:.0f} s; "
                "try again later"
            )
        self._since, self._before = now, done


def _check_size(url: str, size: int, most: int) -> None:
    if size > most:
        raise DataError(f"{url}: the server sends more than {bytes_text(most)}, which it cannot be")


def _check_room(target: Path, needed: int) -> None:
    """Raise OSError where the disk has less room than a file will need, before it is fetched."""
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        tell_room(full, target, needed)
        raise full


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
    if isinstance(error, OSError) and error.strerror:
        return reason_of(error)
    return str(error) or type(error).__name__
