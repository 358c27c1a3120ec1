"""The new head, and what of a network learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlhw.vision.networks.backbones import Backbone, load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head, parameter_groups, set_learning
from tests.vision.test_schedules import plan


@pytest.fixture
def backbone() -> Backbone:
    return load_backbone("cifar_resnet20", "none", image_size=16)


@pytest.fixture
def network(backbone: Backbone) -> TunedNetwork:
    return TunedNetwork(backbone.module, new_head(backbone.features, 4))


def tensors(network: TunedNetwork) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in network.backbone.state_dict().items()}


def train_a_little(network: TunedNetwork) -> None:
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        loss = network(torch.randn(8, 3, 16, 16, generator=generator)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def changed(before: dict[str, torch.Tensor], network: TunedNetwork) -> set[str]:
    after = network.backbone.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_head_is_linear_by_default_and_otherwise_what_its_widths_say() -> None:
    assert [type(layer) for layer in new_head(8, 3)] == [nn.Linear]
    layers = list(new_head(8, 3, hidden=[5, 4], dropout=0.5))
    assert [type(m) for m in layers] == [
        nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear,
    ]  # fmt: skip
    assert [m.weight.shape for m in layers if isinstance(m, nn.Linear)] == [(5, 8), (4, 5), (3, 4)]


def test_a_heads_weights_come_from_its_seed_and_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (new_head(8, 3, seed=s)[0].weight for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("batch_norm", ["eval", "train"])
def test_a_frozen_backbone_stays_bit_for_bit_what_it_was(
    network: TunedNetwork, backbone: Backbone, batch_norm: str
) -> None:
    before = tensors(network)
    set_learning(network, backbone, len(backbone.stages), batch_norm=batch_norm)
    train_a_little(network)
    assert changed(before, network) == set()
    assert network.head.training


@pytest.mark.parametrize("batch_norm", ["eval", "train"])
def test_open_stages_learn_and_the_others_do_not(
    network: TunedNetwork, backbone: Backbone, batch_norm: str
) -> None:
    first = len(backbone.stages) - 1
    before = tensors(network)
    set_learning(network, backbone, first, batch_norm=batch_norm)
    train_a_little(network)
    names = changed(before, network)
    assert {backbone.stage_of(name) for name in names} == {first}
    statistics = {n for n in names if "running" in n or "num_batches" in n}
    assert bool(statistics) == (batch_norm == "train")


def test_eval_and_back_again_does_not_thaw_batch_norm(
    network: TunedNetwork, backbone: Backbone
) -> None:
    before = tensors(network)
    for _ in range(2):
        network.eval()
        set_learning(network, backbone, 0, batch_norm="eval")
        train_a_little(network)
    assert not {n for n in changed(before, network) if "running" in n}


def test_every_parameter_is_in_one_group_with_decay_on_weights_only(
    network: TunedNetwork, backbone: Backbone
) -> None:
    p = plan(stages=len(backbone.stages))
    groups = parameter_groups(network, backbone, p, weight_decay=0.3)
    grouped = [parameter for group in groups for parameter in group["params"]]
    assert len(grouped) == len({id(x) for x in grouped}) == len(list(network.parameters()))
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0.0)
    rate_of = {id(x): group["full_rate"] for group in groups for x in group["params"]}
    for name, parameter in network.backbone.named_parameters():
        assert rate_of[id(parameter)] == p.full_rate(backbone.stage_of(name))
    assert {rate_of[id(x)] for x in network.head.parameters()} == {p.lr}


def test_the_head_works_in_float32_whatever_the_backbone_does(network: TunedNetwork) -> None:
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    network.eval()
    exact = network(images)
    network.autocast = torch.bfloat16
    with torch.no_grad():
        features = network.features(images)
        assert features.dtype == torch.float32
        assert torch.equal(network(images), network.head(features))
    assert torch.allclose(network(images), exact, atol=0.05)
