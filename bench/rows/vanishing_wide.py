"""Networks of 16 units a layer drawn, and their gradients, beside torch autograd with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

ROW = "11b"
TITLE = "400 ReLU networks of 153 layers of 16 units: drawn, and the gradients"
GOAL = "at most 150 ms"

WIDTH, DEPTH, DRAWS = 16, 153, 400


def works() -> dict[str, Callable[[], object]]:
    from mlhw.experiments.vanishing.kinds import NetworkKind, Setting, block_gradients, blocks

    network = NetworkKind("relu", WIDTH, DEPTH)
    setting = Setting("normal", 1.0, DRAWS, 1.0, 0.0, 0)

    def mine() -> None:
        for w in blocks(network, setting):
            block_gradients(network, w, 1.0, setting)

    found: dict[str, Callable[[], object]] = {"mlhw": mine}
    try:
        import torch
    except ImportError:
        return found

    def batched() -> None:
        for hidden, last in blocks(network, setting):
            layers = torch.from_numpy(hidden).requires_grad_()
            end = torch.from_numpy(last).requires_grad_()
            z = torch.ones(last.shape, dtype=torch.float64)
            for layer in layers.unbind():
                z = torch.relu(torch.einsum("ijn,jn->in", layer, z))
            (0.5 * (end * z).sum(0) ** 2).sum().backward()

    return found | {"torch, the networks drawn here": batched}


def goals(times: Mapping[str, float]) -> dict[str, bool]:
    return {GOAL: times["mlhw"] <= 0.150}
