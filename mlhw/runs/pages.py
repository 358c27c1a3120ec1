"""Pages to be filled in: the files of the folder ``templates``, compiled once on a machine."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

from mlhw.system import checked
from mlhw.system.files import cache_folder
from mlhw.system.provenance import package_version

_MOST_FILES = 32
"""One for each page and version."""


@cache
def template(name: str) -> Any:
    """A page of the folder ``templates``, which escapes what is put into it."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("mlhw.runs", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        bytecode_cache=_kept(),
    ).get_template(name)


def _kept() -> Any:
    """What jinja asks before it compiles a page, which takes longer than filling it in."""
    import jinja2

    class KeptPages(jinja2.BytecodeCache):
        def load_bytecode(self, bucket: Any) -> None:
            content = checked.recall(_path(bucket))
            if content is not None:
                bucket.bytecode_from_string(content)

        def dump_bytecode(self, bucket: Any) -> None:
            checked.remember(_path(bucket), bucket.bytecode_to_string(), most=_MOST_FILES)

    return KeptPages()


def _path(bucket: Any) -> Path:
    """A file for this page, as it stands, and these versions alone."""
    made_from = (bucket.key, bucket.checksum, package_version("jinja2"), sys.version)
    return cache_folder("pages") / hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]
