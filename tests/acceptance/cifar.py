"""A part of the images of CIFAR-10, where what a test says does not depend on how many there are."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.conftest import shared


def unpack_part(folder: Path, endings: tuple[str, ...]) -> Path:
    """``train/CLASS/*.jpg`` in ``folder``, of the 50,000 those with such an end of their name."""
    with tarfile.open(shared("data/cifar10/train.tar.xz")) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(endings):
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                file = archive.extractfile(member)
                assert file is not None
                target.write_bytes(file.read())
    return folder


def pack_part(target: Path, folder: Path, endings: tuple[str, ...]) -> None:
    """The archive of such a part, as the course's is one of all."""
    unpack_part(folder, endings)
    with tarfile.open(target, "w:xz", preset=0) as archive:
        archive.add(folder / "train", "train")
