"""What a run keeps on disk: the best model, and all that is needed to go on.

=====================  ==========================================================================
``best.safetensors``   the model with the best validation, and what is needed to use it
``last.pt``            tensors and JSON values: the run as it stood after its last epoch
``prev.pt``            the same, one save earlier, until the run has finished
``manifest.json``      sha256, size and epoch of each
=====================  ==========================================================================

The best model's file has a digest of itself among its metadata besides, so that a copy of it elsewhere
can be checked too.

A save is whole or did not happen. ``Checkpoints.save`` writes the manifest twice: before the other
files, with the checksums of the old and of the new ones, and after them. So at any moment, and after
a crash, the manifest has the checksum of every whole file, and a file without one is damaged.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from mlhw.errors import ConfigError, DataError, reason_of
from mlhw.system.digests import (
    COMING,
    CONFIG,
    MANIFEST,
    RECORD,
    UNSEALED,
    file_sha256,
    manifest_entries,
    seal_holds,
    sealed,
    sha256,
    write_manifest,
)
from mlhw.system.files import write_whole
from mlhw.text.plain_files import open_plain, read_plain
from mlhw.vision.networks.weight_files import MOST_BYTES, Tensors

FORMAT = 2
READABLE = (1, FORMAT)
MODEL_FORMATS = (1, 2)
"""Of a model's file: 1 has no digest of itself, 2 has one."""
BEST, LAST, PREVIOUS = "best.safetensors", "last.pt", "prev.pt"


@dataclass(frozen=True)
class Best:
    """The model of the best validation. ``metadata`` holds JSON values (see ``docs/finetune.md``)."""

    tensors: Tensors
    metadata: dict[str, Any]


class Checkpoints:
    """The checkpoints in ``folder``; without one (no run folder), only the best, in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._best: Best | None = None

    def save(self, last: Callable[[], Mapping[str, Any]], epoch: int, best: Best | None) -> None:
        """Keep the state of the run and, where there is a new one, the best model.

        Args:
            last: gives the state, tensors and JSON values in dicts and lists; called only if it is
                to be written.
            epoch: epochs that are complete, for the manifest.
            best: a new best model; None leaves the one before.

        Raises:
            OSError: the disk is full or cannot be written; what was saved before is still there.
        """
        if best is not None:
            self._best = best if self.folder is None else None
        if self.folder is None:
            return
        self.folder.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        torch.save(dict(last()), buffer)
        new = {LAST: buffer.getvalue()}
        if best is not None:
            new[BEST] = safetensors_bytes(best)
        entries = manifest_entries(self.folder)
        kept = {name: entry for name, entry in entries.items() if (self.folder / name).exists()}
        written = {name: _entry(data, epoch) for name, data in new.items()}
        coming = {f"{name}{COMING}": entry for name, entry in written.items()}
        write_manifest(self.folder, kept | coming)
        if BEST in new:
            write_whole(self.folder / BEST, new[BEST])
        if LAST in kept:
            os.replace(self.folder / LAST, self.folder / PREVIOUS)
            kept[PREVIOUS] = kept[LAST]
        write_whole(self.folder / LAST, new[LAST])
        write_manifest(self.folder, kept | written)

    def load_last(self, warn: Callable[[str], None]) -> dict[str, Any]:
        """The state to go on from: ``last.pt``, or ``prev.pt`` where that one is damaged.

        Raises DataError if neither can be used.
        """
        assert self.folder is not None
        self._settle()
        problems: list[str] = []
        for name in (LAST, PREVIOUS):
            path = self.folder / name
            try:
                found = torch.load(
                    io.BytesIO(self._read(path)), map_location="cpu", weights_only=True
                )
                if not isinstance(found, dict) or found.get("format") not in READABLE:
                    raise DataError(f"{path}: is no checkpoint of format {FORMAT}")
            except DataError as error:
                problems.extend(error.lines)
            except Exception as error:  # torch.load has no error of its own
                problems.append(f"{path}: cannot be loaded: {str(error).splitlines()[0]}")
            else:
                for problem in problems:
                    warn(f"{problem}; going on from {name}")
                return found
        raise DataError(*problems, f"{self.folder}: holds no checkpoint to go on from")

    def load_best(self) -> Best:
        """The best model, as it is on disk. Raises DataError if it is missing or damaged."""
        if self.folder is None:
            assert self._best is not None
            return self._best
        path = self.folder / BEST
        return read_best(path, self._read(path))

    def _settle(self) -> None:
        """Write the manifest for the whole files that a crash in the middle of a save has left."""
        assert self.folder is not None
        before = manifest_entries(self.folder)
        known = {entry.get("sha256"): entry for entry in before.values()}
        # Of a damaged best model the digest stays: a whole copy may be put back.
        entries = {BEST: before[BEST]} if BEST in before else {}
        for name in (BEST, LAST, PREVIOUS):
            path = self.folder / name
            with contextlib.suppress(OSError):  # one that cannot be read is not whole
                if entry := known.get(file_sha256(path)):
                    entries[name] = entry
        if entries:
            write_manifest(self.folder, entries)

    def _read(self, path: Path) -> bytes:
        """The bytes of a file. Raises DataError if the manifest does not have their checksum."""
        data = bytes_of(path)
        _require_listed(path, data)
        return data


def bytes_of(path: Path) -> bytes:
    """What a file holds. Raises DataError if it cannot be read."""
    try:
        return read_plain(path, MOST_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None


def beginning_of(path: Path) -> bytes:
    """A file's first 9 bytes. Raises DataError if it cannot be read."""
    try:
        with open_plain(path) as file:
            return file.read(9)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None


def _require_listed(path: Path, data: bytes) -> None:
    """Raise DataError for bytes whose checksum the manifest beside the file does not have."""
    digest = sha256(data)
    entries = manifest_entries(path.parent).values()
    if digest not in {entry.get("sha256") for entry in entries}:
        raise DataError(
            f"{path}: is damaged, or not the one saved: its sha256 {digest[:16]}… is not in "
            f"{path.parent / MANIFEST}"
        )


def best_in(run: Path) -> Path:
    """The best model's file in a run folder.

    Raises ConfigError for a folder without one: of something else, or of several runs.
    """
    path = run / "checkpoints" / BEST
    if path.is_file():
        return path
    parts = sorted(str(part.parents[1]) for part in run.glob(f"*/checkpoints/{BEST}"))
    if parts:
        raise ConfigError(
            f"{run}: is made of {len(parts)} runs; give one of them, such as {parts[0]}"
        )
    raise ConfigError(
        f"{run}: has no {Path('checkpoints', BEST)}; give the run folder of an mlhw finetune that has "
        "validated at least once"
    )


def load_best(path: Path) -> Best:
    """The best model in a file: where a run keeps it, or a copy of it elsewhere.

    Raises DataError if it cannot be read, is damaged, or is not the one that the manifest beside it lists,
    which it has to have where a run keeps it.
    """
    if beginning_of(path)[8:] != b"{":  # before gigabytes of something else are read
        raise DataError(f"{path}: is no model that mlhw finetune saved, or incomplete")
    data = bytes_of(path)
    found = read_best(path, data)
    manifest, folder = path.parent / MANIFEST, path.absolute().parent
    of_run = folder.name == "checkpoints" and any(
        (folder.parent / name).is_file() for name in (RECORD, CONFIG)
    )
    if path.name == BEST and (of_run or os.path.lexists(manifest)):
        if not manifest_entries(path.parent):
            raise DataError(
                f"{manifest}: is missing, damaged or empty, so nothing tells that {BEST} is this run's; if "
                "you trust it, give a copy of it in another folder"
            )
        _require_listed(path, data)
    return found


def read_best(path: Path, data: bytes) -> Best:
    """A model from the bytes of its file. Raises DataError if they hold something else, or are damaged."""
    try:
        tensors = load_safetensors(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        values = {key: json.loads(value) for key, value in metadata.items() if key != "format"}
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path}: is no model that mlhw finetune saved, or incomplete") from None
    require_whole(path, data, values)
    return Best(tensors, values)


def require_whole(path: Path, data: bytes, facts: dict[str, Any]) -> None:
    """Take the digest out of what a model's file says of itself, and raise DataError if it does not hold."""
    kind = facts.get("mlhw_format")
    if kind not in MODEL_FORMATS:
        raise DataError(f"{path}: is no model of format {MODEL_FORMATS[-1]} that mlhw saved")
    digest = facts.pop("sha256", None)
    if (kind > 1 or digest is not None) and not seal_holds(data):
        raise DataError(
            f"{path}: is damaged: it is not what its own sha256 says; take a whole copy, or train again"
        )


def safetensors_bytes(best: Best) -> bytes:
    """The model as a safetensors file, the same bytes for the same model.

    Every metadata value is JSON, for the format has texts only; ``format: pt`` is what other readers
    look for, ``sha256`` the digest of the file with zeros in its place.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in best.tensors.items()}
    facts = best.metadata | {"mlhw_format": MODEL_FORMATS[-1], "sha256": UNSEALED}
    metadata = {key: json.dumps(value) for key, value in facts.items()} | {"format": "pt"}
    data = save_safetensors(tensors, metadata)
    # The library writes the metadata in an order that differs from process to process.
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return sealed(len(text).to_bytes(8, "little") + text + data[8 + length :])


def copied(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Copies on the CPU that training on does not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def tensor_digests(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """sha256 of each tensor's values, for a comparison bit for bit."""
    return {
        name: sha256(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
        for name, tensor in tensors.items()
    }


def _entry(data: bytes, epoch: int) -> dict[str, Any]:
    return {"sha256": sha256(data), "bytes": len(data), "epochs": epoch}
