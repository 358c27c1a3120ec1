"""What a run of ``vanishing`` found: its claims, report and figures are made from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlhw.experiments.vanishing.kinds import Setting
from mlhw.experiments.vanishing.sample import Profile, SurvivalCurve


@dataclass(frozen=True)
class Evidence:
    """The profile of each network, and the share of zeros by depth where ReLU networks were drawn.

    ``depth`` is that of the networks but for the shallow ones of a comparison.
    """

    setting: Setting
    depth: int
    profiles: list[Profile]
    curves: list[SurvivalCurve]

    def plain_relu(self, chains: bool) -> list[Profile]:
        """The plain ReLU networks: chains, or the wider ones."""
        return [
            p for p in self.profiles if p.network.plain_relu and (p.network.width == 1) == chains
        ]

    @property
    def doubled(self) -> list[Profile]:
        """The deep ReLU networks of which half the decades come from t = 0.

        Their error a^(L) − t is then their product of weights once more; in shallow networks one weight
        more or less hides it.
        """
        plain = (
            self.setting.t == 0 and self.setting.output == "identity" and not self.setting.biased
        )
        found = []
        for p in self.profiles:
            whole, without = p.quantiles[0, 0], p.jacobian[0, 0]
            half = np.isfinite(whole) and abs(without - whole / 2) < 0.05 * abs(whole)
            if plain and half and p.network.plain_relu and not p.network.shallow:
                found.append(p)
        return found

    @property
    def relu_drawn(self) -> bool:
        """Whether the law of dead ReLUs without biases speaks of networks that were drawn."""
        plain = self.setting.random and not self.setting.biased
        return plain and any(p.network.plain_relu for p in self.profiles)
