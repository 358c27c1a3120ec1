"""Depthwise convolutions: torch's results, with a gradient of the weights of their own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from mlhw.vision.networks.depthwise import DepthwiseConv2d, weight_gradient
from mlhw.vision.networks.efficientnet_lite import EfficientNetLite0

SHAPES = [
    (kernel, stride, padding, rows, columns)
    for kernel in (1, 3, 5, 7)
    for stride in (1, 2, 3)
    for padding in (0, kernel // 2)
    for rows, columns in ((1, 1), (2, 2), (4, 4), (7, 7), (3, 6))
    if min(rows, columns) + 2 * padding >= kernel
]
LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("layout", LAYOUTS, ids=("contiguous", "channels-last"))
@pytest.mark.parametrize(("kernel", "stride", "padding", "rows", "columns"), SHAPES)
def test_the_gradient_of_the_weights_is_the_one_of_torch(
    kernel: int, stride: int, padding: int, rows: int, columns: int, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(kernel + 10 * stride + 100 * rows + columns)
    x = torch.randn(5, 6, rows, columns, generator=generator).contiguous(memory_format=layout)
    weight = torch.randn(6, 1, kernel, kernel, generator=generator).double().requires_grad_()
    y = functional.conv2d(x.double(), weight, None, stride, padding, 1, 6)
    slope = torch.randn(y.shape, generator=generator).contiguous(memory_format=layout)
    y.backward(slope.double())
    found = weight_gradient(x, slope, kernel, stride, padding)
    assert weight.grad is not None
    torch.testing.assert_close(found.double(), weight.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=("contiguous", "channels-last"))
@pytest.mark.parametrize(("kernel", "stride", "side"), [(5, 1, 4), (5, 2, 4), (3, 1, 2), (5, 1, 2)])
def test_a_layer_on_small_maps_is_torchs_but_for_the_last_bits_of_the_gradient(
    kernel: int, stride: int, side: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    ours = DepthwiseConv2d(24, kernel, stride, kernel // 2)
    other = nn.Conv2d(24, 24, kernel, stride, kernel // 2, groups=24, bias=False)
    other.load_state_dict(ours.state_dict())
    x = torch.randn(9, 24, side, side).contiguous(memory_format=layout)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [layer(one) for layer, one in zip((ours, other), inputs, strict=True)]
    assert "Depthwise" in type(outputs[0].grad_fn).__name__
    assert torch.equal(*outputs)
    assert outputs[0].stride() == outputs[1].stride()
    for y in outputs:
        y.square().sum().backward()
    assert torch.equal(*(one.grad for one in inputs))
    torch.testing.assert_close(ours.weight.grad, other.weight.grad, rtol=1e-5, atol=1e-5)


def test_the_gradient_passes_the_check_by_differences_and_can_be_differentiated() -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv2d(2, 5, 1, 2).double()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    def of(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = torch.func.functional_call(layer, {"weight": weight}, (x,))
        assert isinstance(y, torch.Tensor)
        return y

    weight = layer.weight.detach().requires_grad_()
    assert torch.autograd.gradcheck(of, (x, weight))
    assert torch.autograd.gradgradcheck(of, (x, weight))


@pytest.mark.parametrize(
    "kind", ["large maps", "no gradients", "frozen weights", "bfloat16", "autocast"]
)
def test_where_nothing_is_gained_the_layer_is_torchs(kind: str) -> None:
    layer, x = DepthwiseConv2d(4, 5, 1, 2), torch.randn(2, 4, 4, 4)
    if kind == "large maps":
        x = torch.randn(2, 4, 9, 9)
    if kind == "frozen weights":
        layer.requires_grad_(False)
        x.requires_grad_()
    if kind == "bfloat16":
        layer, x = layer.bfloat16(), x.bfloat16()
    with (
        torch.set_grad_enabled(kind != "no gradients"),
        torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"),
    ):
        assert "Depthwise" not in type(layer(x).grad_fn).__name__


def test_what_is_exported_holds_the_convolutions_of_torch_alone() -> None:
    network = EfficientNetLite0().eval()
    program = torch.export.export(network, (torch.randn(2, 3, 64, 64),))
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.conv2d.default" in operators
    assert not any("autograd" in name or "Depthwise" in name for name in operators)


def test_a_step_of_efficientnet_lite0_is_that_of_plain_convolutions() -> None:
    torch.manual_seed(0)
    ours = EfficientNetLite0().eval()
    plain = copy.deepcopy(ours)
    for module in plain.modules():
        if isinstance(module, DepthwiseConv2d):
            module._is_slow_to_learn = lambda x: False  # type: ignore[method-assign]
    x = torch.randn(4, 3, 64, 64)
    features = [network(x) for network in (ours, plain)]
    assert torch.equal(*features)
    for y in features:
        y.square().mean().backward()
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        apart = (one.grad - other.grad).abs().max() / other.grad.abs().max()
        assert apart <= 1e-5, name
