"""Image files as somebody names them: paths, folders, patterns, lists, and what comes through a pipe.

===================  =========================================================================
``a.jpg``            a file
``photos``           the images in a folder and below it, sorted
``'photos/*.jpg'``   what a pattern matches, where the shell has not put it in; ``**`` is any depth
``@list.txt``        a path a line, from the list's folder on
``-``                a path a line from stdin, each used once it has come
===================  =========================================================================

What exists is taken as it is: a file that is called ``@a.jpg`` is no list. A list may also be one of
``find -print0``, and may name folders.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mlhw.errors import ConfigError, reason_of
from mlhw.system.patterns import any_depth, matches, once
from mlhw.text.plain_files import is_utf16, read_plain
from mlhw.vision.images.decode import SUFFIXES

STDIN = "-"
MOST_KINDS = 6
_CHUNK = 1 << 16
_MOST_LIST = 1 << 26  # bytes of a list; a million long paths
_MOST_NOTHING = 1 << 20  # bytes that may come through a pipe without a path
_BOM = b"\xef\xbb\xbf"

Note = Callable[[str], None]


def given_images(given: list[str], note: Note, stdin: int = 0) -> Iterator[list[Path]]:
    """The paths that ``given`` stands for, in groups: each word's, and of stdin whatever has come.

    All but stdin is looked up before this returns. ``note`` is told what is passed over in folders.

    Args:
        given: words as in the table at the top.
        stdin: the descriptor that ``-`` reads.

    Raises ConfigError for a word that leads to nothing, and for a second ``-``.
    """
    if given.count(STDIN) > 1:
        raise ConfigError(f"{STDIN}: stdin can be read once")
    groups = [None if word == STDIN else _of_word(word, note) for word in given]

    def in_order() -> Iterator[list[Path]]:
        for group in groups:
            if group is not None:
                yield group
            else:
                yield from _arriving(stdin, note)

    return in_order()


def _of_word(word: str, note: Note) -> list[Path]:
    if not word:
        raise ConfigError("IMAGE|FOLDER: is empty; give a path, or '.' for the current folder")
    path = Path(word)
    if os.path.lexists(path):
        if not os.path.exists(path):
            raise ConfigError(f"{word}: is a link that leads nowhere")
        return _of_path(path, note)
    if word.startswith("@"):
        return _of_list(word, Path(word[1:]).expanduser(), note)
    if glob.has_magic(word):
        return _of_pattern(word, note)
    raise ConfigError(f"{word}: no such file or folder")


def _of_pattern(word: str, note: Note) -> list[Path]:
    matched = list(map(Path, matches(os.path.expanduser(word))))
    if not matched:
        raise ConfigError(f"{word}: matches no file or folder")
    # ** matches folders and what is in them, which is not to come twice.
    opened = {folder for match in matched for folder in match.parents}
    found = [
        path
        for match in matched
        if match not in opened
        for path in (_of_folder(match, note) if match.is_dir() else [match])
    ]
    if not any_depth(word):
        return found
    kept = set(once(map(str, found)))
    return [path for path in found if str(path) in kept]


def _of_path(path: Path, note: Note) -> list[Path]:
    """A file itself, or the images of a folder. Raises ConfigError for a folder without one."""
    if not path.is_dir():
        return [path]
    found = _of_folder(path, note)
    if not found:
        raise ConfigError(f"{path}: holds no image ({', '.join(sorted(SUFFIXES))})")
    return found


def _of_folder(folder: Path, note: Note) -> list[Path]:
    """The images in ``folder`` and below, sorted; linked folders too, each once."""
    found: list[Path] = []
    passed: Counter[str] = Counter()
    seen, hidden = set(), 0

    def refuse(error: OSError) -> None:
        note(f"{error.filename}: cannot be read: {reason_of(error)}")

    for place, below, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above it, or the same one twice
            below.clear()
            continue
        seen.add(real)
        hidden += sum(name.startswith(".") for name in (*names, *below))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if suffix not in SUFFIXES:
                passed[suffix or "without suffix"] += 1
            else:
                found.append(Path(place, name))
    ordered = sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    kinds = [f"{count} {kind}" for kind, count in ordered[:MOST_KINDS]]
    if rest := sum(count for _, count in ordered[MOST_KINDS:]):
        kinds.append(f"{rest} others")
    if hidden:
        kinds.append(f"{hidden} hidden")
    if kinds:
        note(f"{folder}: passed over {', '.join(kinds)}")
    return sorted(found)


# ------------------------------------------------------------------------------------- lists


def _of_list(word: str, file: Path, note: Note) -> list[Path]:
    try:
        content = read_plain(file, _MOST_LIST)
    except OSError as error:
        raise ConfigError(f"{word}: the list cannot be read: {reason_of(error)}") from None
    _require_bytes(word, content)
    content = content.removeprefix(_BOM)
    found = [
        path
        for entry in _entries(content, _separator(content))
        for path in _of_entry(file.parent / entry, note)
    ]
    if not found:
        raise ConfigError(f"{word}: names no image")
    return found


def _of_entry(path: Path, note: Note) -> list[Path]:
    """A path of a list; one that leads to nothing is found out when it is read."""
    # os.path, which takes a name that no file can have for one that leads to nothing.
    return _of_folder(path, note) if os.path.isdir(path) else [path]


def _arriving(descriptor: int, note: Note) -> Iterator[list[Path]]:
    """Groups of the paths that come through a pipe, each as soon as it is there."""
    rest, separator, any_came, nothing = b"", b"", False, 0
    while True:
        # Not sys.stdin, which waits until it has as much as it wants.
        chunk = os.read(descriptor, _CHUNK)
        rest += chunk
        if not separator:
            _require_bytes(STDIN, rest)
            rest = rest.removeprefix(_BOM)
            separator = _separator(rest) if b"\0" in rest or b"\n" in rest else b""
        end = rest.rfind(separator) + 1 if chunk and separator else 0 if chunk else len(rest)
        whole, rest = rest[:end], rest[end:]
        entries = _entries(whole, separator or b"\n")
        group = [path for entry in entries for path in _of_entry(Path(entry), note)]
        nothing = 0 if group else nothing + len(chunk)
        if nothing > _MOST_NOTHING:
            raise ConfigError(f"{STDIN}: no path in {_MOST_NOTHING:,} bytes from stdin")
        if group:
            any_came = True
            yield group
        if not chunk:
            break
    if not any_came:
        raise ConfigError(f"{STDIN}: no path came through stdin")


def _require_bytes(word: str, content: bytes) -> None:
    """Raise ConfigError for text whose letters have two bytes, one of them what may divide a list."""
    if is_utf16(content):
        raise ConfigError(f"{word}: the list is UTF-16; save it as UTF-8")


def _separator(content: bytes) -> bytes:
    return b"\0" if b"\0" in content else b"\n"


def _entries(content: bytes, separator: bytes) -> Iterator[str]:
    """The paths in the bytes of a list: its lines, or what stands between NULs."""
    for entry in content.split(separator):
        text = os.fsdecode(entry if separator == b"\0" else entry.removesuffix(b"\r"))
        if text.strip():
            yield text
