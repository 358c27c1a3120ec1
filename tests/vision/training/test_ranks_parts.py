"""Which process has which images, and what it draws for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from mlhw.errors import ConfigError
from mlhw.result.recorder import Recorder
from mlhw.system.ranks import Ranks, of_environment
from mlhw.vision.config import Config
from mlhw.vision.images.datasets import load_images
from mlhw.vision.images.transforms import Changes
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.training.batches import Loader
from mlhw.vision.training.device import Compute, find_device
from mlhw.vision.training.draws import Draws, draws_in_training, keyed_draws
from mlhw.vision.training.joint_preparation import require_possible
from mlhw.vision.training.sharing import Share
from tests.several import several


@given(count=some.integers(0, 200), world=some.integers(1, 9), least=some.integers(1, 3))
def test_shares_are_consecutive_and_even_and_none_is_too_small(
    count: int, world: int, least: int
) -> None:
    parts = [list(range(count))[Share(rank, world, least).of(count)] for rank in range(world)]
    assert [n for part in parts for n in part] == list(range(count))
    sizes = [len(part) for part in parts if part]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    if count >= least:
        assert min(sizes, default=least) >= least


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.0, 0.0), (0.4, 0.0), (0.4, 1.0)])
def test_the_parts_of_a_batch_are_what_the_whole_batch_is(mixup: float, cutmix: float) -> None:
    images = load_images("digits", val=0.1, test=0.8).train
    backbone = load_backbone("cifar_resnet20", "none", image_size=8, seed=0)
    compute = Compute(torch.device("cpu"), "fp32", "channels-last")
    loader = Loader(images, backbone.preprocessing, compute, 0)
    changes = Changes(("flip", "crop"), 3, 1, len(images), mixup, cutmix, 10)
    order = np.random.default_rng(0).permutation(len(images))[:21]
    whole = list(loader.batches(order, 8, changes=changes))
    parts = [
        list(loader.batches(order, 8, changes=changes, share=Share(rank, 3, 2)))
        for rank in range(3)
    ]
    assert [len(labels) for _, labels in parts[2]] == [2, 2, 0]
    for number, (pixels, labels) in enumerate(whole):
        mine = [part[number] for part in parts if len(part[number][1])]
        torch.testing.assert_close(torch.cat([p for p, _ in mine]), pixels, rtol=0, atol=0)
        torch.testing.assert_close(torch.cat([t for _, t in mine]), labels, rtol=0, atol=0)


# ------------------------------------------------------------------------------------- draws


class Drawing(torch.nn.Module):
    """Dropout of elements and of channels, and a whole branch dropped as torchvision and timm do it."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_prob = 0.3
        self.elements, self.channels = torch.nn.Dropout(0.25), torch.nn.Dropout2d(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = torch.empty(len(x), 1, 1, 1).bernoulli_(1 - self.drop_prob)
        shaken = torch.rand((len(x), 1, 1, 1))
        return self.channels(self.elements(x)) * branch + shaken  # type: ignore[no-any-return]


def test_what_is_drawn_for_an_image_does_not_depend_on_its_batch() -> None:
    network, x = Drawing(), torch.ones(12, 4, 5, 5)
    numbers = np.arange(100, 112)
    with keyed_draws(True, 1, 2, numbers):
        whole = network(x)
    parts = []
    for own in (slice(0, 5), slice(5, 12)):
        with keyed_draws(True, 1, 2, numbers[own]):
            parts.append(network(x[own]))
    assert torch.equal(torch.cat(parts), whole)
    with keyed_draws(True, 1, 3, numbers):
        assert not torch.equal(network(x), whole)
    with keyed_draws(True, 2, 2, numbers):
        assert not torch.equal(network(x), whole)
    assert len({tuple(row.flatten().tolist()) for row in whole}) == 12


def test_dropout_sets_the_asked_share_to_zero_and_scales_the_rest() -> None:
    x = torch.ones(400, 500)
    with Draws(0, 0, np.arange(400)):
        found = torch.nn.functional.dropout(x, 0.3)
        again = torch.nn.functional.dropout(x, 0.3)
        assert torch.equal(torch.nn.functional.dropout(x, 0.3, training=False), x)
    zeros = (found == 0).double()
    # 200,000 draws: a standard error of 0.001; by rows and columns of 0.02.
    assert abs(float(zeros.mean()) - 0.3) < 0.005
    assert float((zeros.mean(0) - 0.3).abs().max()) < 0.11
    assert float((zeros.mean(1) - 0.3).abs().max()) < 0.1
    assert found[found != 0].unique().tolist() == pytest.approx([1 / 0.7])
    # The next layer draws others: what two have in common is what chance gives.
    both = float((zeros * (again == 0)).mean())
    assert abs(both - 0.09) < 0.005


def test_numbers_drawn_are_uniform_and_differ_by_seed_epoch_and_image() -> None:
    with Draws(7, 0, np.arange(1000)):
        drawn = torch.rand(1000, 100)
    counts = torch.histc(drawn, 20, 0, 1)
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) < 1
    assert float(((counts - 5000) ** 2 / 5000).sum()) < 50  # chi-squared of 19 degrees
    correlation = np.corrcoef(drawn.numpy()[:-1].ravel(), drawn.numpy()[1:].ravel())[0, 1]
    assert abs(correlation) < 0.02


def test_a_network_that_draws_nothing_is_left_alone() -> None:
    quiet = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.0))
    assert not draws_in_training(quiet)
    assert not draws_in_training(Drawing().eval())
    assert draws_in_training(Drawing())
    assert not isinstance(keyed_draws(False, 0, 0, np.arange(2)), Draws)


# ------------------------------------------------------------------------------------- processes

RANKED = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "here", "MASTER_PORT": "29500"}


def test_torchruns_variables_name_the_process() -> None:
    found = of_environment({**RANKED, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    assert found == Ranks(3, 4, 1, 2, "here", 29500)
    assert not found.leads
    assert not found.speaks
    assert of_environment({}) is None
    assert of_environment({"RANK": "0"}) is None
    assert of_environment({**RANKED, "RANK": "0", "WORLD_SIZE": "1"}) is None


@pytest.mark.parametrize(
    "wrong", [{"RANK": "4"}, {"RANK": "x"}, {"LOCAL_RANK": "9"}, {"MASTER_PORT": "0"}]
)
def test_variables_that_make_no_sense_are_one_line(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="names no process of several"):
        of_environment({**RANKED, **wrong})


def test_what_needs_an_accelerator_or_several_processes_is_refused() -> None:
    synced = Config(batch_norm="train", sync_batch_norm=True)
    with pytest.raises(ConfigError, match="works on accelerators only, and the device is cpu"):
        require_possible(synced, None, torch.device("cpu"), Recorder())
    with pytest.raises(ConfigError, match="one process sees the whole batch"):
        require_possible(synced, None, torch.device("cuda"), Recorder())
    require_possible(Config(), None, torch.device("cpu"), Recorder())


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_each_process_takes_the_gpu_of_its_number(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    one = Ranks(3, 6, 1, 3, "here", 29500)
    assert find_device(device, one) == torch.device("cuda:1")
    assert taken == [torch.device("cuda:1")]
    with pytest.raises(ConfigError, match="cuda:k; give cuda"):
        find_device("cuda:0", one)
    with pytest.raises(ConfigError, match="3 processes on a machine with 2 GPUs"):
        find_device(device, Ranks(5, 6, 2, 3, "here", 29500))


@pytest.mark.slow
def test_gradients_are_those_of_all_images_whoever_has_how_many(tmp_path: Path) -> None:
    with several() as start:
        ended = start.run(tmp_path, 3, function="tests.vision.training.rank_checks:gradients")
    assert ended.codes == [0, 0, 0], ended.err
