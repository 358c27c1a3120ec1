"""Devices that are not there are errors; precision and layout are measured without a trace."""

from __future__ import annotations

import copy

import pytest
import torch

from mlhw.errors import ConfigError, RunError
from mlhw.vision.networks.backbones import load_backbone
from mlhw.vision.networks.head import TunedNetwork, new_head
from mlhw.vision.training import device as module
from mlhw.vision.training.device import (
    Compute,
    choose_compute,
    find_device,
    has_bf16,
    memory_errors,
    torch_settings,
)

CPU = torch.device("cpu")
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize(
    "name",
    [
        "gpu",
        "cuda:x",
        "cuda:-1",
        "cpu:",
        "cuda:",
        "cuda:\u0663",
        "cpu:0",
        "mps:1",
        "",
        "CPU",
        "cuda:1:2",
    ],
)
def test_a_name_that_is_no_device_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="--device: must be auto, cpu, cuda, cuda:N or mps"):
        find_device(name)


@NO_GPU
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_asking_for_a_gpu_that_is_not_there_is_an_error_and_no_silent_cpu_run(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--device {name}: no CUDA device here"):
        find_device(name)


@NO_GPU
@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU")
def test_without_a_gpu_auto_is_the_cpu() -> None:
    assert find_device("auto") == CPU


@GPU
def test_auto_is_the_gpu_and_one_too_many_is_an_error() -> None:
    assert find_device("auto").type == "cuda"
    with pytest.raises(ConfigError, match=r"counted from cuda:0"):
        find_device(f"cuda:{torch.cuda.device_count()}")


@pytest.fixture
def network() -> TunedNetwork:
    backbone = load_backbone("cifar_resnet20", "none", image_size=8)
    return TunedNetwork(backbone.module, new_head(backbone.features, 3, dropout=0.5)).train()


@pytest.mark.parametrize("training", [False, True])
def test_choosing_leaves_no_trace(network: TunedNetwork, training: bool) -> None:
    before = copy.deepcopy(network.state_dict())
    generator = torch.get_rng_state()
    lines: list[str] = []
    chosen = choose_compute(
        network,
        torch.randn(4, 3, 8, 8, generator=torch.Generator()),
        CPU,
        precision=None,
        layout=None,
        training=training,
        log=lines.append,
    )
    assert chosen.precision in ("fp32", "bf16")
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert network.training
    assert len(lines) == 1
    assert "chosen" in lines[0]
    assert ("bf16" in lines[0]) == has_bf16(CPU)


TIMES = {
    ("fp32", "channels-last"): 1.0,
    ("bf16", "channels-last"): 0.6,
    ("fp32", "contiguous"): 1.2,
    ("bf16", "contiguous"): 1.6,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("bf16", "channels-last")),
        ({("bf16", "channels-last"): 0.95}, ("fp32", "channels-last")),  # no more than noise
        ({("fp32", "contiguous"): 0.3}, ("fp32", "contiguous")),
        ({("bf16", "contiguous"): 0.2}, ("bf16", "contiguous")),
    ],
)
def test_the_fastest_is_chosen_if_it_is_worth_it(
    network: TunedNetwork, monkeypatch: pytest.MonkeyPatch, changes: dict, expected: tuple[str, str]
) -> None:
    times = TIMES | changes
    monkeypatch.setattr(module, "has_bf16", lambda device: True)
    monkeypatch.setattr(
        module, "trial_step", lambda n, i, c, t: lambda: times[c.precision, c.layout]
    )
    chosen = choose_compute(
        network,
        torch.zeros(1, 3, 8, 8),
        CPU,
        precision=None,
        layout=None,
        training=True,
        log=lambda line: None,
    )
    assert (chosen.precision, chosen.layout) == expected


def test_what_is_given_is_not_measured(
    network: TunedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "trial_step", lambda *_: pytest.fail("measured"))
    chosen = choose_compute(
        network,
        torch.zeros(1, 3, 8, 8),
        CPU,
        precision="fp16",
        layout="contiguous",
        training=True,
        log=lambda line: None,
    )
    assert chosen == Compute(CPU, "fp16", "contiguous")


def test_threads_and_generators_are_put_back() -> None:
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    with torch_settings(1, CPU):
        assert torch.get_num_threads() == 1
        torch.manual_seed(5)
        torch.rand(3)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)


def test_out_of_memory_names_the_batch_size_and_what_helps() -> None:
    helps = r"the GPU is out of memory at batch size 64.*--batch-size.*--image-size"
    with pytest.raises(RunError, match=helps), memory_errors(64):
        raise torch.OutOfMemoryError("CUDA out of memory")
    helps = r"the machine is out of memory at batch size 64"
    with pytest.raises(RunError, match=helps), memory_errors(64):
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="shape"), memory_errors(64):
        torch.zeros(3).reshape(2)


@GPU
def test_a_gpu_computes_what_the_cpu_does(network: TunedNetwork) -> None:
    network.eval()
    images = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images)
        for precision, tolerance in (("fp32", 1e-3), ("bf16", 0.1), ("fp16", 0.02)):
            other = copy.deepcopy(network)
            Compute(torch.device("cuda"), precision, "channels-last").prepare(other)  # type: ignore[arg-type]
            found = other(images.to("cuda", memory_format=torch.channels_last)).cpu()
            assert torch.allclose(found, expected, atol=tolerance)
