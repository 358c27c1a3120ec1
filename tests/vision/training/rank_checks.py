"""What the processes of a group find out together; called in each by ``tests.several``."""

from __future__ import annotations

import torch
from torch.nn import functional

from mlhw.system.ranks import ProcessGroup, of_environment, together
from mlhw.vision.training.sharing import GradientSums, Share, gathered


class Net(torch.nn.Module):
    """Batch norm, a layer that is used, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm1d(3)
        self.used = torch.nn.Linear(3, 2)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(self.norm(x))  # type: ignore[no-any-return]


def gradients() -> None:
    """Steps of 8 and 3 images, of which each process that has any has 2 or more."""
    ranks = of_environment()
    assert ranks is not None
    with together(ranks) as group:
        for norm_learns in (False, True):
            _steps(group, norm_learns)
        parts = [torch.arange(3.0).numpy() + group.rank] if group.leads else []
        own = parts[0] if parts else torch.empty(0).numpy()
        assert gathered(own, group).tolist() == [0.0, 1.0, 2.0]
        assert group.broadcast(b"" if group.leads else None) == b""
        assert group.gather(b"x" * group.rank) == [b"x" * k for k in range(group.world)]
        if group.leads:
            group.end(0)
        else:
            assert group.wait_end() == 0


def _steps(group: ProcessGroup, norm_learns: bool) -> None:
    net, whole = Net(), Net()
    net.norm.train(norm_learns)
    whole.norm.eval()
    share = Share(group.rank, group.world, 2)
    statistics = [net.norm.running_mean, net.norm.running_var] if norm_learns else []
    sums = GradientSums(group, list(net.parameters()), [b for b in statistics if b is not None])
    for count in (8, 3):
        x = torch.arange(count * 3.0).reshape(count, 3).sin()
        labels = torch.arange(count) % 2
        own = share.of(count)
        net.zero_grad()
        numbers = torch.zeros(1, dtype=torch.float64)
        if len(labels[own]):
            loss = functional.cross_entropy(net(x[own]), labels[own], reduction="sum") / count
            numbers += loss.detach() * count
            with sums.of_last():
                loss.backward()
        sums.finish(numbers, len(labels[own]) / count)
        found = [p.grad for p in net.parameters() if p.grad is not None]
        same = gathered(torch.cat([g.reshape(-1) for g in found]).numpy(), group)
        assert (same.reshape(group.world, -1) == same.reshape(group.world, -1)[0]).all()
        if count == 8:
            assert net.unused.weight.grad is None
        if not norm_learns:
            whole.zero_grad()
            expected = functional.cross_entropy(whole(x), labels)
            expected.backward()
            assert abs(float(numbers) / count - float(expected)) < 1e-6
            torch.testing.assert_close(net.used.weight.grad, whole.used.weight.grad)
            torch.testing.assert_close(net.norm.weight.grad, whole.norm.weight.grad)
        for buffer in statistics:
            assert buffer is not None
            every = gathered(buffer.numpy(), group).reshape(group.world, -1)
            assert (every == every[0]).all()
    if norm_learns:
        assert net.norm.running_mean is not None
        assert float(net.norm.running_mean.abs().max()) > 0
    sums.close()
