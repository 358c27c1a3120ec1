"""The classifiers of torchvision and timm, as ``built_in.WholeNetwork``."""

from __future__ import annotations

import dataclasses
import math
import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlhw.errors import ConfigError, DataError
from mlhw.vision.networks.built_in import WholeNetwork, cannot_take, take_off
from mlhw.vision.networks.preprocessing import Preprocessing
from mlhw.vision.networks.published import Places, Published, checksum_in_name
from mlhw.vision.networks.torchvision_import import torchvision
from mlhw.vision.networks.weight_files import Tensors

if TYPE_CHECKING:
    from torch import nn

# ---------------------------------------------------------------------------- torchvision

# Built without their auxiliary heads, which serve training from scratch, and with the input
# scaling of their published weights.
_WITH_AUXILIARY_HEADS = {"googlenet": ("aux1", "aux2"), "inception_v3": ("AuxLogits",)}


def torchvision_names() -> list[str]:
    """The names of all torchvision classifiers."""
    models = torchvision().models
    return list(models.list_models(module=models))


def torchvision_network(name: str, weights: str, image_size: int | None) -> WholeNetwork:
    """A torchvision classifier; ``weights`` is a name of its enum, or anything for the default."""
    models = torchvision().models
    enum = models.get_model_weights(name)
    entry = enum.__members__.get(weights) or _enum_of_file(enum, weights) or enum.DEFAULT
    preprocessing = preprocessing_of_preset(entry.transforms()).with_size(image_size)
    extra: dict[str, Any] = {}
    ignored = _WITH_AUXILIARY_HEADS.get(name, ())
    if ignored:
        extra = {"aux_logits": False, "transform_input": True, "init_weights": weights == "none"}
    is_transformer = name.startswith("vit_")
    if is_transformer:
        extra["image_size"] = preprocessing.size
    try:
        network = models.get_model(name, weights=None, **extra)
    except AssertionError as error:
        raise cannot_take(f"torchvision:{name}", preprocessing.size, error) from error

    def adapt(tensors: Tensors) -> Tensors:
        position = tensors.get("encoder.pos_embedding")
        if not is_transformer or position is None:
            return tensors
        if position.shape == network.encoder.pos_embedding.shape:
            return tensors
        resized = models.vision_transformer.interpolate_embeddings(
            preprocessing.size, network.patch_size, dict(tensors)
        )
        return dict(resized)

    def load(places: Places) -> tuple[Tensors, str]:
        file = entry.url.rsplit("/", 1)[1]
        published = Published((file,), entry.url, checksum_in_name(file))
        tensors, path = published.read(f"torchvision:{name}", places)
        return adapt(tensors), path

    head = _last_layer(network)
    return WholeNetwork(
        network,
        (head,),
        preprocessing,
        load,
        lambda: take_off(network, head),
        adapt,
        ignored,
    )


def torchvision_weights(name: str) -> list[str]:
    """The names in the weights enum of a torchvision classifier."""
    return list(torchvision().models.get_model_weights(name).__members__)


def _enum_of_file(enum: Any, weights: str) -> Any:
    """The entry whose published file has the name of the file ``weights``; None if none has."""
    name = Path(weights).name
    return next((entry for entry in enum if entry.url.rsplit("/", 1)[1] == name), None)


def preprocessing_of_preset(preset: Any) -> Preprocessing:
    return Preprocessing(
        size=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def _last_layer(network: nn.Module) -> str:
    from torch import nn

    layers = (nn.Linear, nn.Conv2d)
    names = [name for name, module in network.named_modules() if isinstance(module, layers)]
    return str(names[-1])


# ----------------------------------------------------------------------------------- timm

HUB = "hf-hub:"
"""What the name of a model of the Hugging Face hub begins with, as timm has it."""


def timm_module() -> Any:
    """The module ``timm``. Raises ConfigError if it is not installed."""
    torchvision()  # timm imports it
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ConfigError(
            "model: names that begin with timm: need timm; install it with 'pip install mlhw[timm]'"
        ) from error
    return timm


def timm_network(name: str, image_size: int | None) -> WholeNetwork:
    """A timm classifier, with the preprocessing of timm's own data config.

    ``hf-hub:OWNER/MODEL[@REVISION]`` is one of the Hugging Face hub.
    """
    timm = timm_module()
    config = hub_config(name) if name.startswith(HUB) else timm.get_pretrained_cfg(name)
    preprocessing = _of_timm_config(
        name, timm.data.resolve_data_config({}, pretrained_cfg=config.to_dict())
    ).with_size(image_size)
    extra = {}
    if config.fixed_input_size and preprocessing.size != config.input_size[1]:
        extra["img_size"] = preprocessing.size
    try:
        network = timm.create_model(name, **extra)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise cannot_take(f"timm:{name}", preprocessing.size, error) from error
    names = config.classifier or ()

    def adapt(tensors: Tensors) -> Tensors:
        """timm renames and resizes what its files hold while it loads them."""
        wanted = network.state_dict()
        shapes = {n: tensor.shape for n, tensor in tensors.items()}
        if shapes == {n: tensor.shape for n, tensor in wanted.items()}:
            return tensors
        overlay = {"state_dict": tensors}
        try:
            loaded = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **extra
            )
        # Whatever a stranger's tensors upset in there, they are listed as misfits afterwards.
        except Exception:
            return tensors
        return dict(loaded.state_dict())

    def load(places: Places) -> tuple[Tensors, str]:
        published = _published_by_timm(name, config)
        if config.hf_hub_id and published.find(places) is None:
            require_online(name)
        tensors, path = published.read(f"timm:{name}", places)
        return adapt(tensors), path

    return WholeNetwork(
        network,
        (names,) if isinstance(names, str) else tuple(names),
        preprocessing,
        load,
        lambda: network.reset_classifier(0),
        adapt,
    )


def hub_config(name: str) -> Any:
    """timm's configuration of a model of the Hugging Face hub, from its cache or from the net.

    Raises DataError, one line, where neither has it, or it is no timm model.
    """
    import huggingface_hub

    repository, revision = _of_hub(name.removeprefix(HUB))
    timm = timm_module()
    try:
        if _in_hub_cache(repository, "config.json", revision) is None:
            _require_name_of_hub()
            huggingface_hub.hf_hub_download(repository, "config.json", revision=revision)
    # A wrong name, no such model, a private one, no network, HF_HUB_OFFLINE: all their own errors.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"model: {name}: its config.json is neither in the cache of the hub "
            f"({huggingface_hub.constants.HF_HUB_CACHE}) nor to be had: {reason[:200]}"
        ) from error
    try:
        found, architecture, _ = timm.models.load_model_config_from_hf(name.removeprefix(HUB))
        if not timm.is_model(architecture):
            raise ValueError(f"no timm network is called {architecture!r}")
        fields = {field.name for field in dataclasses.fields(timm.models.PretrainedCfg)}
        return timm.models.PretrainedCfg(**{k: v for k, v in found.items() if k in fields})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"model: {name} is no model of timm's: {error}") from error


def require_online(name: str) -> None:
    """Raise DataError if the user wants nothing fetched from the Hugging Face hub."""
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise DataError(
            f"weights: those of {name} are not in the cache of the hub "
            f"({huggingface_hub.constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE is set; unset it once, or "
            "name a file with --weights FILE"
        )


def _require_name_of_hub() -> None:
    """Raise OSError at once where the hub's name is not known: its client tries half a minute long."""
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE or "https" in urllib.request.getproxies():
        return
    host = urllib.parse.urlsplit(huggingface_hub.constants.ENDPOINT).hostname
    socket.getaddrinfo(host, 443)


def _of_hub(model: str) -> tuple[str, str | None]:
    """``OWNER/MODEL@REVISION`` in two; without a revision None."""
    repository, at, revision = model.partition("@")
    return repository, revision if at else None


def _published_by_timm(name: str, config: Any) -> Published:
    if config.hf_hub_id:
        file = config.hf_hub_filename or "model.safetensors"
        server = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        repository, revision = _of_hub(config.hf_hub_id)
        url = f"{server}/{repository}/resolve/{revision or 'main'}/{file}"
        cached = _in_hub_cache(repository, file, revision)
        # A file of that name says nothing; the copy kept here is called after the model.
        own_name = f"{config.hf_hub_id.replace('/', '-')}{Path(file).suffix}"
        return Published((own_name,), url, None, cached)
    if config.url:
        file = str(config.url).rsplit("/", 1)[1]
        return Published((file,), str(config.url), checksum_in_name(file))
    raise ConfigError(f"weights: there are none for timm:{name}; give a file or 'none'")


def _in_hub_cache(repository: str, file: str, revision: str | None = None) -> Path | None:
    import huggingface_hub

    path = huggingface_hub.try_to_load_from_cache(repository, file, revision=revision)
    return Path(path) if isinstance(path, str) else None


def _of_timm_config(name: str, config: Mapping[str, Any]) -> Preprocessing:
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["crop_mode"] not in ("center", "squash"):
        raise ConfigError(
            f"model: timm:{name} takes images of {height} × {width} pixels and {channels} channels, "
            f"fitted by {config['crop_mode']!r}; only square RGB, fitted by 'center' or 'squash', "
            "is supported"
        )
    return Preprocessing(
        size=height,
        resize=math.floor(height / config["crop_pct"]),
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        squash=config["crop_mode"] == "squash",
    )
