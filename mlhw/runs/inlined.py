"""What a page carries in itself, so that it stays whole when it is mailed: files as data, and its script.

A link to a file beside the page is dead once the page is copied alone. Files go into the page while they
are small; what is too large is named, and found in the run's folder.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from mlhw.system.files import encoded

LARGEST_FILE = 700_000  # bytes; base64 makes a third more of them
LARGEST_PAGE = 4_800_000  # bytes; mail takes it, and a browser opens it at once

_EMBEDDED = re.compile(
    r'<a class="file" download="(?P<name>[^"]*)" data-size="(?P<size>[^"]*)" href="data:[^"]*">[^<]*</a>'
)


def file_link(folder: Path | None, name: str) -> Markup:
    """A link that saves the file ``name`` of ``folder``, which the page then holds.

    A file that is not there, or larger than ``LARGEST_FILE``, is named as text.
    """
    try:
        content = None if folder is None else (folder / name).read_bytes()
    except OSError:
        content = None
    shown = Markup.escape(Path(name).name)
    if content is None:
        return Markup(f'<span class="file">{shown}</span>')
    size = size_text(len(content))
    if len(content) > LARGEST_FILE:
        return Markup(_named(shown, size))
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    data = f"data:{quote(kind)};base64,{base64.b64encode(content).decode()}"
    return Markup(
        f'<a class="file" download="{shown}" data-size="{size}" href="{data}">{shown}</a>'
    )


def bounded(page: str, most: int = LARGEST_PAGE) -> str:
    """The page with its largest files named instead of held, until it has at most ``most`` bytes.

    The page may stay larger where its files are not what makes it so.
    """
    excess = len(encoded(page)) - most
    if excess <= 0:
        return page
    dropped: set[int] = set()
    for found in sorted(_EMBEDDED.finditer(page), key=lambda found: found.start() - found.end()):
        if excess <= 0:
            break
        dropped.add(found.start())
        excess -= found.end() - found.start()
    return _EMBEDDED.sub(
        lambda found: (
            _named(found["name"], found["size"]) if found.start() in dropped else found[0]
        ),
        page,
    )


def _named(name: str, size: str) -> str:
    return f'<span class="file">{name} ({size}, in the run\'s folder)</span>'


def size_text(size: int) -> str:
    """``870 bytes``, ``12 kB``, ``1.2 MB``."""
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def scripted(live: bool) -> dict[str, Markup]:
    """What a page has for its script: ``policy`` for its head, and ``script`` where figures are live."""
    return {
        "policy": Markup(policy(live)),
        "script": Markup(f"<script>{_source()}</script>" if live else ""),
    }


def policy(live: bool) -> str:
    """HTML of what the page allows: nothing from elsewhere, and no script but this project's own one."""
    allowed = "'none'"
    if live:
        digest = hashlib.sha256(_source().encode()).digest()
        allowed = f"'sha256-{base64.b64encode(digest).decode()}'"
    content = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; script-src {allowed}"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'


@cache
def _source() -> str:
    return (Path(__file__).parent / "templates" / "live.js").read_text(encoding="utf-8")
