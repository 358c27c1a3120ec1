"""Weights that a network's makers have published: a local copy, or the file from the net."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlhw.errors import DataError
from mlhw.result.recorder import Recorder
from mlhw.system.download import Checksum, fetch
from mlhw.vision.networks.weight_files import Tensors, read_tensors


@dataclass(frozen=True)
class Places:
    """Where published weights are looked for and where they are fetched to."""

    data_dir: Path
    recorder: Recorder

    def folders(self) -> list[Path]:
        import torch

        return [self.data_dir / "weights", Path(torch.hub.get_dir()) / "checkpoints"]


@dataclass(frozen=True)
class Published:
    """A file of weights that its makers have published.

    Attributes:
        files: the published name, then the names of other copies that may be used.
        url: where it is published.
        checksum: of the file with the published name; None where nobody tells it.
        elsewhere: a copy in another program's cache.
    """

    files: tuple[str, ...]
    url: str
    checksum: Checksum | None
    elsewhere: Path | None = None

    def read(self, model: str, places: Places) -> tuple[Tensors, str]:
        """Its tensors, from a local copy or downloaded, and where they came from."""
        path = self.find(places)
        if path is None:
            path = places.folders()[-1] / self.files[0]
            places.recorder.log(f"downloading the weights of {model} from {self.url}")
            try:
                fetch(self.url, path, self.checksum, progress=places.recorder.progress)
            except DataError as error:
                raise DataError(*self._not_to_be_had(model, places, error)) from error
        return read_tensors(path), str(path)

    def find(self, places: Places) -> Path | None:
        """A local copy, or None. Raises DataError if it is not the published file."""
        for folder in places.folders():
            for name in self.files:
                path = folder / name
                if not path.is_file():
                    continue
                if name == self.files[0] and self.checksum and not self.checksum.of_file(path):
                    raise DataError(
                        f"{path}: is not the published file, or is damaged (its {self.checksum.kind} "
                        f"is not {self.checksum.digits}…); delete it or get it again"
                    )
                return path
        return self.elsewhere

    def _not_to_be_had(self, model: str, places: Places, error: DataError) -> list[str]:
        checksum = f" ({self.checksum})" if self.checksum else ""
        folders = " and ".join(str(folder) for folder in places.folders())
        return [
            f"the weights of {model} are not here: {' or '.join(self.files)}, looked for in {folders}",
            *error.lines,
            f"bring {self.files[0]}{checksum} from {self.url} into one of these folders, or name a "
            "file with --weights FILE, or start from random weights with --weights none",
        ]


def checksum_in_name(file: str) -> Checksum | None:
    """The first digits of the sha256 that torch's convention puts at the end of a file's name."""
    digits = Path(file).stem.rpartition("-")[2]
    is_hex = len(digits) >= 8 and all(c in "0123456789abcdef" for c in digits)
    return Checksum("sha256", digits) if is_hex else None
