"""Tensors from files that strangers wrote: read without running them, then fitted to a network.

safetensors files hold nothing but tensors. What ``torch.save`` wrote is a pickle, and is read with
``weights_only=True``, which builds tensors and plain containers and refuses the rest; there is no
way around it here.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw.errors import DataError
from mlhw.text.plain_files import open_plain

if TYPE_CHECKING:
    import torch
    from torch import nn

NESTED_UNDER = ("state_dict", "model", "model_state_dict", "model_state", "net")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
OWN_PREFIX = "backbone."  # of a network that finetune saved
_LISTED = 4

MOST_BYTES = 1 << 33
"""Bytes of a file of weights; the largest published ones have half of it."""

Tensors = dict[str, "torch.Tensor"]


def read_tensors(path: Path) -> Tensors:
    """The state dict in a file: safetensors, or what ``torch.save`` wrote.

    One that is nested under ``state_dict``, ``model`` … is found, and the prefixes ``module.`` and
    ``_orig_mod.`` are taken off. Of a network that ``finetune`` saved, the backbone's tensors are
    returned.

    Raises DataError, one line, for a file that is missing, cut off, or something else.
    """
    try:
        with open_plain(path) as file:
            start = file.read(512)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if size > MOST_BYTES:
        raise DataError(f"{path}: is larger than {MOST_BYTES:,} bytes, as no weights here are")
    _refuse_what_is_no_weights(path, start)
    is_safetensors = start[8:9] == b"{" and not start.startswith(b"PK")
    content = _read_safetensors(path) if is_safetensors else _read_pickled(path)
    tensors = {_bare(name): tensor for name, tensor in _state_dict(path, content).items()}
    if any(name.startswith(OWN_PREFIX) for name in tensors):
        return {
            name.removeprefix(OWN_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(OWN_PREFIX)
        }
    return tensors


def fill(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    source: str,
    head: Collection[str] = (),
    ignored: Collection[str] = (),
) -> None:
    """Load ``tensors`` into ``network``, which must have the same names and shapes.

    Three things may differ. Tensors of the modules in ``head`` are loaded only where they have the
    network's shapes; those of the modules in ``ignored``, which the network lacks, are left out; and
    batch norm's counters may be missing, as in old files.

    Raises DataError that lists what is missing, unexpected or of another shape.
    """
    import torch

    wanted = network.state_dict()
    missing = [
        name
        for name in wanted
        if name not in tensors and not _under(name, head) and not name.endswith("_tracked")
    ]
    unexpected = [n for n in tensors if n not in wanted and not _under(n, (*head, *ignored))]
    shared = {name: tensor for name, tensor in tensors.items() if name in wanted}
    reshaped = [n for n, tensor in shared.items() if tensor.shape != wanted[n].shape]
    misfits = [name for name in reshaped if not _under(name, head)]
    problems = [
        *_listing("missing", missing),
        *_listing("unexpected", unexpected),
        *_listing(
            "of another shape",
            [f"{n} {tuple(shared[n].shape)} for {tuple(wanted[n].shape)}" for n in misfits],
        ),
    ]
    if problems:
        raise DataError(f"{source}: these weights are of another network: {'; '.join(problems)}")
    broken = [
        name
        for name, tensor in shared.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if broken:
        raise DataError(f"{source}: NaN or infinite values in {'; '.join(_listing('', broken))}")
    # Into the network's own state dict: it carries the modules' versions, which some ask for.
    wanted.update((name, tensor) for name, tensor in shared.items() if name not in reshaped)
    network.load_state_dict(wanted)


def digest(module: nn.Module) -> str:
    """sha256 over the names, types, shapes and values of all tensors of ``module``, in order."""
    import torch

    hasher = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        hasher.update(memoryview(values.numpy()))
    return hasher.hexdigest()


# --------------------------------------------------------------------------------- reading


def _refuse_what_is_no_weights(path: Path, start: bytes) -> None:
    text = start.lstrip().lower()
    if not start:
        raise DataError(f"{path}: is empty; it should hold a network's weights")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise DataError(
            f"{path}: is a web page, not weights; download the file itself, not the page about it"
        )
    if text.startswith(b"version https://git-lfs"):
        raise DataError(
            f"{path}: is a pointer to a file in Git LFS, not weights; run 'git lfs pull'"
        )


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise DataError(
            f"{path}: is cut off or damaged, or no safetensors file ({_first_line(error)}); "
            "get it again"
        ) from error


def _read_pickled(path: Path) -> Any:
    import pickle

    import torch

    try:
        _refuse_compressed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle protocols and TorchScript: judged below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            raise DataError(
                f"{path}: holds Python objects besides tensors, which could run code and are never "
                "loaded; save its state_dict() alone"
            ) from error
        raise DataError(f"{path}: {_NOT_WEIGHTS}") from error
    except DataError:
        raise
    # A damaged pickle can fail with nearly anything while its instructions are followed.
    except Exception as error:
        if "TorchScript" in str(error):
            raise DataError(
                f"{path}: is a TorchScript program, which is never run; save its state_dict() alone"
            ) from error
        size = path.stat().st_size
        raise DataError(
            f"{path}: is cut off or damaged, or no file of weights ({size:,} bytes); get it again"
        ) from error


def _refuse_compressed(path: Path) -> None:
    """Raise DataError for an archive that would unpack to more than it has: torch.save packs nothing."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > path.stat().st_size:
            raise DataError(
                f"{path}: is compressed and unpacks to {unpacked:,} bytes; torch.save compresses nothing, "
                "so save it anew"
            )


_NOT_WEIGHTS = "is no file of weights (expected safetensors or what torch.save wrote)"


def _state_dict(path: Path, content: Any) -> Tensors:
    import torch

    while isinstance(content, Mapping):
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return {str(name): tensor for name, tensor in content.items()}
        inner = next((content[key] for key in NESTED_UNDER if key in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    raise DataError(f"{path}: holds no state dict (names with tensors)")


def _bare(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


# --------------------------------------------------------------------------------- words


def _under(name: str, parts: Collection[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def _listing(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return [f"{what} {', '.join(names[:_LISTED])}{more}".strip()]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
