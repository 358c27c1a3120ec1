"""Which of several processes this one is.

torchrun, or whatever else starts them, tells each in its environment: ``RANK`` of ``WORLD_SIZE``,
``LOCAL_RANK`` of ``LOCAL_WORLD_SIZE`` on its machine, and where the first one is reached (``MASTER_ADDR``,
``MASTER_PORT``). Process 0 leads: it alone makes files and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mlhw.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """Which of several processes this one is.

    Attributes:
        rank: its number, from 0, of ``world``.
        local_rank: its number on its machine, of ``local_world`` there.
        address, port: where the processes find each other.
    """

    rank: int
    world: int
    local_rank: int
    local_world: int
    address: str
    port: int

    @property
    def leads(self) -> bool:
        """Whether it is the one that makes files and speaks."""
        return self.rank == 0

    @property
    def speaks(self) -> bool:
        """Whether it may say on stderr what is wrong before the processes have come together.

        On process 0's machine that one does, on each other machine its first.
        """
        return self.local_rank == 0


def of_environment(variables: Mapping[str, str] = os.environ) -> Ranks | None:
    """Which process this one is by the variables that torchrun sets; None for one by itself.

    Raises ConfigError for variables that make no sense.
    """
    found = {name: variables.get(name, "") for name in VARIABLES}
    if not all(found.values()):
        return None
    try:
        rank, world = int(found["RANK"]), int(found["WORLD_SIZE"])
        port, local = int(found["MASTER_PORT"]), int(variables.get("LOCAL_RANK") or rank)
        beside = int(variables.get("LOCAL_WORLD_SIZE") or world)
        if not (0 <= rank < world and 0 <= local <= rank and local < beside and 0 < port < 1 << 16):
            raise ValueError
    except ValueError:
        told = ", ".join(f"{name}={value}" for name, value in found.items())
        raise ConfigError(
            f"the environment names no process of several ({told}); torchrun sets these variables, "
            "or unset RANK"
        ) from None
    return None if world == 1 else Ranks(rank, world, local, beside, found["MASTER_ADDR"], port)
