"""A training prepared by several processes: once by the first, then by the others from what that has found.

The first process downloads what is missing, reads all images and measures what is to be measured; the others
take its configuration, with everything that was ``auto`` written out, and find weights and what is known of
the images where it has put them. On another machine its first process prepares before the others there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlhw.errors import ConfigError, DataError
from mlhw.vision.config import Config
from mlhw.vision.training.preparation import Prepared, prepare

if TYPE_CHECKING:
    import torch

    from mlhw.result.recorder import Recorder
    from mlhw.system.ranks import ProcessGroup
    from mlhw.vision.images.datasets import ImageSplits


def prepare_jointly(
    config: Config,
    recorder: Recorder,
    device: torch.device,
    threads: int,
    splits: ImageSplits | None = None,
) -> Prepared:
    """``prepare``, by one process or by all of ``recorder.group``.

    Raises ConfigError or DataError for what cannot be used, or is another in one of the processes.
    """
    group = recorder.group
    require_possible(config, group, device, recorder)
    if group is None:
        return prepare(config, recorder, device, threads, splits)
    prepared = None
    if group.leads:
        prepared = prepare(config, recorder, device, threads, splits)
        found: dict[str, Any] = {
            "config": prepared.config.model_dump(mode="python"),
            "data": prepared.splits.digest,
            "weights": prepared.backbone.weights_digest,
            "threads": prepared.threads,
        }
        group.broadcast(json.dumps(found).encode())
    else:
        found = json.loads(group.broadcast(None))
    for first in (True, False):
        if not group.leads and (group.ranks.local_rank == 0) == first:
            settled = Config.model_validate(found["config"])
            prepared = prepare(settled, recorder, device, threads)
            prepared = replace(prepared, config=settled, threads=found["threads"])
            require_same(prepared, found["data"], found["weights"])
        group.barrier()
    assert prepared is not None
    return prepared


def require_possible(
    config: Config, group: ProcessGroup | None, device: torch.device, recorder: Recorder
) -> None:
    """Raise ConfigError for what several processes cannot do, or what needs several."""
    if config.sync_batch_norm:
        if device.type != "cuda":
            raise ConfigError(
                "sync_batch_norm: torch's SyncBatchNorm works on accelerators only, and the device is "
                f"{device.type}; leave it out, or give --device cuda"
            )
        if group is None and recorder.resumes is None:
            raise ConfigError(
                "sync_batch_norm: one process sees the whole batch; leave it out, or start several "
                "with torchrun"
            )
    if group is not None and config.batch_size < group.world:
        raise ConfigError(
            f"batch_size: is what all processes have together, and {config.batch_size} are too few for "
            f"{group.world}; give {group.world} or more"
        )


def require_same(prepared: Prepared, data: str, weights: str) -> None:
    """Raise DataError where this process has found other images or weights than the first one."""
    if prepared.splits.digest != data:
        raise DataError(
            f"finds other images than process 0 (digest {prepared.splits.digest[:12]}, there {data[:12]}); "
            "every machine needs the same files at the same paths"
        )
    if prepared.backbone.weights_digest != weights:
        raise DataError(
            f"finds other weights for {prepared.config.model} than process 0 (digest "
            f"{prepared.backbone.weights_digest[:12]}, there {weights[:12]})"
        )
