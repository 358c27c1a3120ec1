"""The types of mlhw's functions. Written by docs/generate.py from the models."""

import os
from collections.abc import Collection, Mapping
from typing import Any, Literal

from mlhw.result.claims import Claim as Claim
from mlhw.result.observations import Observation as Observation
from mlhw.result.result import Result as Result
from mlhw.vision.images.datasets import from_dataset as image_splits

__version__: str

def run(experiment: str, **keys: Any) -> Result: ...
def softmax_regions(
    *,
    seed: int | Literal["random"] = ...,
    weights: Collection[Collection[float]] = ...,
    biases: Collection[float] = ...,
    names: Collection[str] | None = ...,
    fit: Mapping[str, Any] | str = ...,
    window: Collection[float] | None = ...,
) -> Result: ...
def backprop_check(
    *,
    seed: int | Literal["random"] = ...,
    layers: Collection[int] = ...,
    hidden: str | Collection[str] = ...,
    output: Literal["logistic", "tanh", "relu", "leaky_relu", "softplus", "gelu", "identity", "softmax"] = ...,
    loss: Literal["half_squared_error", "binary_cross_entropy", "cross_entropy"] = ...,
    bias: bool = ...,
    batch: int = ...,
    trials: int = ...,
    max_width: int = ...,
    implementation: Collection[str] = ...,
    time_limit: float = ...,
) -> Result: ...
def vanishing(
    *,
    seed: int | Literal["random"] = ...,
    activation: Literal["sigmoid", "relu", "tanh", "gelu", "leaky_relu", "softplus"] | None = ...,
    depth: int = ...,
    shallow_depth: int | None = ...,
    width: int | None = ...,
    residual: bool = ...,
    weights: Literal["normal", "uniform", "constant", "xavier", "he"] = ...,
    scale: float = ...,
    bias_scale: float = ...,
    output: Literal["identity", "sigmoid"] = ...,
    draws: int = ...,
    input: float = ...,
    target: float = ...,
) -> Result: ...
def lr_sweep(
    *,
    seed: int | Literal["random"] = ...,
    data: Mapping[str, Any] | str = ...,
    etas: Collection[float] = ...,
    w0: Collection[float] | None = ...,
    standardize: bool = ...,
    max_iterations: int = ...,
    tolerance: float = ...,
    log_axis: Literal["none", "iteration", "nll", "both"] = ...,
) -> Result: ...
def sgd_sweep(
    *,
    seed: int | Literal["random"] = ...,
    data: Mapping[str, Any] | str = ...,
    etas: Collection[float] = ...,
    w0: Collection[float] | None = ...,
    standardize: bool = ...,
    epochs: int = ...,
    repeats: int | None = ...,
    batch_size: int = ...,
    tolerance: float | None = ...,
) -> Result: ...
def finetune(
    *,
    seed: int | Literal["random"] = ...,
    model: str = ...,
    weights: str | os.PathLike[str] = ...,
    data: Mapping[str, Any] | str = ...,
    image_size: int | Literal["auto"] = ...,
    fit: Literal["crop", "pad", "squash"] = ...,
    repeats: int = ...,
    epochs: int = ...,
    continued: Collection[Collection[int]] = ...,
    batch_size: int = ...,
    accumulate: int = ...,
    ema: float | None = ...,
    keep: Literal["last", "best"] = ...,
    val_every: int = ...,
    best: Literal["auto", "loss", "accuracy", "balanced-accuracy", "macro-f1"] = ...,
    patience: int | None = ...,
    head: Mapping[str, Any] = ...,
    optim: Mapping[str, Any] = ...,
    schedule: Mapping[str, Any] = ...,
    unfreeze_at: int | Literal["auto"] | None = ...,
    unfreeze_stages: int | None = ...,
    batch_norm: Literal["eval", "train"] = ...,
    augment: str = ...,
    mixup: float = ...,
    cutmix: float = ...,
    sampler: Literal["shuffle", "balanced"] = ...,
    class_weights: Literal["none", "balanced"] = ...,
    features: Literal["auto", "memory", "disk", "off"] = ...,
    views: int = ...,
    compare: Literal["auto", "random", "none"] = ...,
    explain: int = ...,
    device: str = ...,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = ...,
    layout: Literal["auto", "contiguous", "channels-last"] = ...,
    compile: bool = ...,
    deterministic: bool = ...,
    threads: int | Literal["auto"] = ...,
    workers: int | Literal["auto"] = ...,
    splits: Any = ...,
) -> Result: ...
