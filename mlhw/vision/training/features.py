"""The outputs of a frozen backbone, computed once and kept.

While the backbone does not change, its output for an image does not either. So the head trains on
stored features, which turns a minute an epoch into a tenth of a second. They are kept in memory or
in a memory-mapped file under the user's cache folder, where the next run on the same data finds them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mlhw.errors import reason_of
from mlhw.result.recorder import Recorder
from mlhw.system.digests import Summed, tail_holds
from mlhw.system.files import discard, whole
from mlhw.system.temporaries import sweep
from mlhw.vision.images.transforms import Changes, changes_of
from mlhw.vision.names import augmentations

if TYPE_CHECKING:
    from mlhw.system.ranks import ProcessGroup
    from mlhw.vision.networks.head import TunedNetwork
    from mlhw.vision.training.batches import Loader

# Files beyond this are removed, the longest unused first.
KEEP_BYTES = 4 << 30
# An NPY file with its sha256 behind, of networks that work as they do now; raised when either changes.
_FORMAT = 3


@dataclass
class FeatureStore:
    """Features of image sets, by the frozen backbone of ``network``.

    Attributes:
        network: ``features`` maps images to features.
        width: number of features, d.
        weights_digest: of the backbone as it is.
        folder: where files are kept; None keeps features in memory.
        threads: with which the network works; the last bit may depend on it.
        recorder: is told where features come from and how far the work is.
        group: the processes, each of which computes a part, and has all of them in the end.
    """

    network: TunedNetwork
    width: int
    weights_digest: str
    folder: Path | None
    threads: int = 1
    recorder: Recorder = field(default_factory=Recorder)
    group: ProcessGroup | None = None
    _held: dict[str, np.ndarray] = field(default_factory=dict)

    def features(
        self, loader: Loader, *, change: str = "none", seed: int = 0, view: int = 0
    ) -> np.ndarray:
        """float32 (n, d), row i of image i; computed if they are not there yet.

        Args:
            loader: the images.
            change, seed, view: random changes of the images, those of epoch ``view``.
        """
        key = self.key(loader, change, seed, view)
        if key not in self._held:
            found = self._load(key, len(loader)) if self.folder else None
            everywhere = self._is_everywhere(found is not None)
            if found is None or not everywhere:
                changes = changes_of(change, seed, view, len(loader))
                found = self._keep(key, self.compute(loader, changes))
            self._held[key] = found
        return self._held[key]

    def stored(self, loader: Loader) -> bool:
        """Whether the features of unchanged images are in memory or on disk: of the backbone as it was."""
        key = self.key(loader, "none", 0, 0)
        return key in self._held or (
            self.folder is not None and (self.folder / f"{key}.npy").is_file()
        )

    def key(self, loader: Loader, change: str, seed: int, view: int) -> str:
        """sha256 over everything that the features depend on, the last bit included."""
        facts = {
            "format": _FORMAT,
            "weights": self.weights_digest,
            "preprocessing": loader.preprocessing.to_json(),
            "images": loader.images.digest,
            "change": None if change == "none" else [augmentations(change), seed, view],
            "precision": [loader.compute.precision, loader.compute.layout],
            # Of several processes each has another GPU.
            "device": loader.compute.device.type if self.group else str(loader.compute.device),
            "threads": self.threads,
            "torch": torch.__version__,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def compute(self, loader: Loader, changes: Changes | None) -> np.ndarray:
        self.network.eval()
        features = np.empty((len(loader), self.width), np.float32)
        own = loader.own(self.group)
        done = own.start
        indices = np.arange(len(loader))[own]
        batches = loader.batches(indices, loader.evaluation_batch, changes=changes)
        with torch.inference_mode():
            for images, _ in batches:
                features[done : done + len(images)] = self.network.features(images).cpu().numpy()
                done += len(images)
                self.recorder.progress(done - own.start, len(indices), "features")
        if self.group is not None:
            for process in range(self.group.world):
                part = features[loader.own(self.group, process)]
                self.group.spread(torch.from_numpy(part), process)
        return features

    def _is_everywhere(self, found: bool) -> bool:
        """Whether every process has found the features; where one has not, all compute them."""
        if self.group is None:
            return found
        return all(self.group.gather(b"found" if found else b""))

    def _load(self, key: str, count: int) -> np.ndarray | None:
        """The stored file, memory-mapped; None if there is none. One that is damaged is removed, and said."""
        assert self.folder is not None
        path = self.folder / f"{key}.npy"
        try:
            if not tail_holds(path):
                raise ValueError("they are not what their sha256 says")
            found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            if found.shape != (count, self.width) or found.dtype != np.float32:
                raise ValueError(f"their shape is {found.shape}")
            os.utime(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, EOFError) as error:
            self.recorder.warn(f"{path}: stored features cannot be used: {error}; computed again")
            discard(path)
            return None
        self.recorder.log(f"features of {count} images are read from {path}")
        return found

    def _keep(self, key: str, features: np.ndarray) -> np.ndarray:
        """Store the features if there is a folder, and give them as they are to be used."""
        if self.folder is None:
            return features
        if self.group is not None and not self.group.leads:
            self.group.barrier()  # until process 0 has written them
            found = self._load(key, len(features))
            return features if found is None else found
        kept = self._written(key, features)
        if self.group is not None:
            self.group.barrier()
        return kept

    def _written(self, key: str, features: np.ndarray) -> np.ndarray:
        assert self.folder is not None
        path = self.folder / f"{key}.npy"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole(path) as file:
                summed = Summed(file)
                np.save(summed, features)
                summed.end()
            remove_unused(self.folder, KEEP_BYTES)
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except OSError as error:
            # A missing or full cache costs the next run some time, and this one nothing.
            reason = reason_of(error)
            self.recorder.warn(f"features are kept in memory only: {self.folder}: {reason}")
            return features


def remove_unused(folder: Path, keep_bytes: int) -> None:
    """Remove stored features, the longest unused first, until ``keep_bytes`` are not exceeded.

    The newest file stays, whatever its size. What killed processes have left goes too.
    """
    sweep(folder)
    found = []
    for path in folder.glob("*.npy"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # another run has just removed it
        found.append((status.st_mtime, status.st_size, path))
    total = 0
    for position, (_, size, path) in enumerate(sorted(found, reverse=True)):
        total += size
        if total > keep_bytes and position:
            path.unlink(missing_ok=True)
