"""Folders in which mlhw, and the libraries that it uses, keep what can be had again."""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlhw.system import machine_code
from mlhw.system.files import cache_folder


@dataclass(frozen=True)
class Cache:
    """A folder of such files: what they are, where, and how many bytes they take."""

    name: str
    holds: str
    path: Path

    @cached_property
    def sizes(self) -> list[int]:
        """Bytes of each file; what cannot be read is left out."""
        found = []
        for place, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):  # another program has just removed it
                    found.append(os.lstat(os.path.join(place, name)).st_size)
        return found

    @property
    def clear(self) -> str:
        """The command that empties it."""
        return f"rm -r {shlex.quote(str(self.path))}"


def caches() -> list[Cache]:
    """Every such folder, those that do not exist included, by the variables that their owners document."""
    home = Path(os.path.expanduser("~"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch")
    hub = Path(os.environ.get("HF_HOME") or cache / "huggingface") / "hub"
    hub = Path(os.environ.get("HF_HUB_CACHE") or hub)
    matplotlib = Path(os.environ.get("MPLCONFIGDIR") or cache / "matplotlib")
    return [
        Cache("features", "outputs of frozen backbones, at most 4 GiB", cache_folder("features")),
        Cache("images", "what is known of own image files", cache_folder("images")),
        Cache("formulas", "formulas of reports, drawn", cache_folder("formulas")),
        Cache("pages", "the pages of reports, compiled", cache_folder("pages")),
        Cache("torch", "weights fetched for torchvision", torch_home / "hub" / "checkpoints"),
        Cache("hugging face", "networks and weights of the hub", hub),
        Cache("compiled", "the compiled loops of the sweeps", machine_code.folder()),
        Cache("matplotlib", "the list of fonts", matplotlib),
    ]
