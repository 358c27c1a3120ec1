"""The digest of what a point computes, by which a finished one is known again."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from mlhw.config.model import ExperimentConfig, InputFile, leaves
from mlhw.system.digests import file_sha256
from mlhw.text.values import flat


def identity_of(name: str, config: ExperimentConfig, seed: int, data_digest: str | None) -> str:
    """SHA-256 of what a point computes, as canonical JSON.

    The command; the configuration before ``auto`` is resolved, without paths, names of data, digests and
    what changes figures or files alone; digests of the data and of files that are read; the seed.
    """
    left_out = {"seed", "threads", *config.only_drawn, *config.only_kept}
    for leaf in leaves(type(config)):
        if leaf.marked(InputFile) is not None:
            left_out.add(leaf.key)
            left_out |= {".".join((*leaf.path[:-1], "name"))} if data_digest else set()
        if leaf.path[-1] == "digest":
            left_out.add(leaf.key)
    keys = {k: v for k, v in flat(config.model_dump(mode="json")) if k not in left_out}
    files = {
        key: _digest(path)
        for key, path in paths_in(config).items()
        if os.path.isfile(path) and not (data_digest and key.startswith("data."))
    }
    whole = {
        "command": name,
        "config": keys,
        "digests": {"data": data_digest, **files},
        "seed": seed,
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def paths_in(config: ExperimentConfig) -> dict[str, str]:
    """The texts of keys that hold paths, each by its key, an item of a list by its number too."""
    values = dict(flat(config.model_dump(mode="python")))
    found = {}
    for leaf in leaves(type(config)):
        if leaf.marked(InputFile) is None:
            continue
        value = values.get(leaf.key)
        several = value if isinstance(value, list) else [value]
        for i, item in enumerate(several):
            if isinstance(item, str):
                found[leaf.key if item is value else f"{leaf.key}.{i}"] = item
    return found


@cache
def _digest(path: str) -> str | None:
    try:
        return file_sha256(Path(path))
    except OSError:
        return None
