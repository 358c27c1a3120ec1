"""A network as a program that runs without mlhw: ONNX, and the archive of ``torch.export``.

=======================  ==========================================================================
input ``images``         uint8 (N, 3, S, S), RGB, resized and cut as ``preprocessing`` says; N is free
output ``logits``        float32 (N, classes), before the temperature
output ``probabilities`` float32 (N, classes), the softmax of the logits over the temperature
=======================  ==========================================================================

Mean, standard deviation and temperature are inside. Classes, preprocessing and the rest of what the
model's file says go along as JSON: ONNX's metadata, one text a key, and ``extra/mlhw.json`` in the archive.
"""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mlhw.errors import ConfigError, DataError, RunError
from mlhw.system.digests import UNSEALED, seal_broken, sealed
from mlhw.system.provenance import usable_cpus
from mlhw.vision.training.checkpoints import MODEL_FORMATS, beginning_of, bytes_of, require_whole

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mlhw.vision.networks.preprocessing import Preprocessing

ONNX, PT2 = ".onnx", ".pt2"
INPUT, OUTPUTS = "images", ("logits", "probabilities")
EXTRA = "mlhw.json"
NEEDS = "pip install 'mlhw[export]' brings it"


class Program(NamedTuple):
    """A program read back: ``outputs`` for 8-bit images on the CPU, and the JSON values that go along."""

    outputs: Callable[[torch.Tensor], tuple[np.ndarray, np.ndarray]]
    facts: dict[str, Any]


class ImagesToProbabilities(nn.Module):
    """What is exported: normalisation, network and temperature in one."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, temperature: float
    ) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        scale, shift = preprocessing.scale_and_shift()
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.network(images.to(torch.float32) * self.scale + self.shift)
        return logits, (logits / self.temperature).softmax(1)


# ------------------------------------------------------------------------------------- writing


def onnx_bytes(module: ImagesToProbabilities, size: int, facts: Mapping[str, Any]) -> bytes:
    """The network for images of ``size`` × ``size`` as an ONNX model with all weights inside.

    Raises ConfigError without the packages for it, RunError for a network that has no such form.
    """
    try:
        import onnx  # noqa: F401 - torch's exporter needs both
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--format onnx: {error.name} is not installed; {NEEDS}") from None
    exported = _exported(module, size)
    with _quiet(), _naming("onnx"):
        program = torch.onnx.export(
            exported,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            external_data=False,
            verbose=False,
        )
        assert program is not None
        sealable = {"mlhw_format": MODEL_FORMATS[-1], "sha256": UNSEALED}
        for key, value in {**facts, **sealable}.items():
            program.model.metadata_props[key] = json.dumps(value)
        return sealed(program.model_proto.SerializeToString())


def pt2_bytes(module: ImagesToProbabilities, size: int, facts: Mapping[str, Any]) -> bytes:
    """The same as an archive that ``torch.export.load`` reads.

    Raises RunError for a network that has no such form.
    """
    exported = _exported(module, size)
    file = io.BytesIO()
    with _quiet(), _naming("pt2"):
        # A zip file has a checksum of each member.
        facts = {**facts, "mlhw_format": MODEL_FORMATS[0]}
        torch.export.save(exported, file, extra_files={EXTRA: json.dumps(facts)})
    return file.getvalue()


def _exported(module: ImagesToProbabilities, size: int) -> ExportedProgram:
    # Two images: torch takes a dimension of one for a constant.
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    batch = torch.export.Dim("batch")
    with _quiet(), _naming("torch.export"), torch.no_grad():
        program = torch.export.export(
            module.eval(), (example,), dynamic_shapes={"images": {0: batch}}
        )
    for node in program.graph.nodes:  # the lines of our source, with the paths of this machine
        node.meta.pop("stack_trace", None)
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor log lines of torch's, which speak to those who write exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _naming(form: str) -> Iterator[None]:
    """Whatever the exporter raises, as a line of ours."""
    try:
        yield
    except Exception as error:  # exporters have dozens, some of them private
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(f"the network cannot be written as {form}: {reason[0]}") from error


# ------------------------------------------------------------------------------------- reading

# The first field of an ONNX model, its version as a varint; the first member of a zip file.
_BEGINS = {ONNX: b"\x08", PT2: b"PK\x03\x04"}


def program_bytes(path: Path) -> bytes:
    """What the file of a program holds, unless it begins like something else.

    Raises DataError where it does, or cannot be read.
    """
    if not beginning_of(path).startswith(_BEGINS[path.suffix.lower()]):  # before gigabytes are read
        raise DataError(f"{path}: is no model that mlhw export wrote")
    return bytes_of(path)


def read_program(path: Path, data: bytes, device: torch.device) -> Program:
    """The program in the bytes of the file ``path``, whose suffix says of which kind it is.

    Raises ConfigError where it cannot run here, DataError for bytes that hold something else or are damaged.
    """
    program = (_read_onnx if path.suffix.lower() == ONNX else _read_pt2)(path, data, device)
    require_whole(path, data, program.facts)
    return program


def _read_onnx(path: Path, data: bytes, device: torch.device) -> Program:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(f"{path}: onnxruntime is not installed; {NEEDS}") from None
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device.type)
    if provider not in onnxruntime.get_available_providers():
        raise ConfigError(
            f"--device {device}: the onnxruntime that is installed does not work there"
        )
    if seal_broken(data):  # before anything else reads it
        raise DataError(f"{path}: is damaged: it is not what its own sha256 says; export it again")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what matters comes as an exception
    options.intra_op_num_threads = usable_cpus()
    chosen: Any = provider if device.index is None else (provider, {"device_id": device.index})
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[chosen])
        kept = session.get_modelmeta().custom_metadata_map
        facts = {key: json.loads(value) for key, value in kept.items()}
        names = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
    except Exception as error:  # onnxruntime's errors have no class in common
        raise _damaged(path, error) from None
    if not facts or names != ([INPUT], list(OUTPUTS)):
        raise DataError(f"{path}: is no model that mlhw export wrote")

    def outputs(pixels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        logits, probabilities = session.run(None, {INPUT: np.ascontiguousarray(pixels.numpy())})
        return np.asarray(logits), np.asarray(probabilities)

    return Program(outputs, facts)


def _read_pt2(path: Path, data: bytes, device: torch.device) -> Program:
    try:
        refuse_other_code(path, data)
        with _quiet():
            extra = {EXTRA: ""}
            exported = torch.export.load(io.BytesIO(data), extra_files=extra)
            facts = json.loads(extra[EXTRA])
            if device.type != "cpu":
                from torch.export.passes import move_to_device_pass

                exported = move_to_device_pass(exported, device)
            module = exported.module()
    except DataError:
        raise
    except Exception as error:  # torch.export has no error of its own
        raise _damaged(path, error) from None
    if not isinstance(facts, dict):
        raise DataError(f"{path}: is no model that mlhw export wrote")

    def outputs(pixels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            logits, probabilities = module(pixels.contiguous().to(device))
        return logits.cpu().numpy(), probabilities.cpu().numpy()

    return Program(outputs, facts)


def _damaged(path: Path, error: Exception) -> DataError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(f"{path}: is no model that mlhw export wrote, or damaged ({first[:120]})")


# An archive of torch.export is a program, and torch's reader trusts it: it unpickles, evaluates
# expressions and looks operators up by name. What export writes here needs none of the dangerous ones.
_OPERATORS = re.compile(r"torch\.ops\.aten\.[\w.]+|_operator\.(?:getitem|mul|add|sub|floordiv)")
_SYMBOLS = {"Symbol", "Integer", "Add", "Mul", "Max", "Min", "FloorDiv", "Mod"}
_SYMBOLS |= {"positive", "integer", "nonnegative", "True"}


def refuse_other_code(path: Path, data: bytes) -> None:
    """Raise DataError for an archive that would run more than tensor operators when it is read or used."""

    def refuse(what: str) -> DataError:
        return DataError(f"{path}: {what}, which no model that mlhw export wrote does; not loaded")

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if bad := archive.testzip():
            raise DataError(
                f"{path}: is damaged: {bad} is not what its checksum says; export it again"
            )
        names = [name.partition("/")[2] for name in archive.namelist()]
        if f"extra/{EXTRA}" not in names:
            raise DataError(f"{path}: is no model that mlhw export wrote")
        for whole, name in zip(archive.namelist(), names, strict=True):
            if name.endswith("_config.json"):
                config = json.loads(archive.read(whole))["config"]
                if any(entry["use_pickle"] for entry in config.values()):
                    raise refuse("holds pickled weights")
            elif name.startswith("data/sample_inputs/"):
                torch.load(io.BytesIO(archive.read(whole)), weights_only=True)
            elif name == "models/model.json":
                for key, value in _leaves(json.loads(archive.read(whole))):
                    if key == "guards_code":
                        raise refuse("holds code")
                    if key in ("target", "as_operator") and not _OPERATORS.fullmatch(value):
                        raise refuse(f"calls {value}")
                    words = set(re.findall(r"[^\W\d]\w*", value))
                    known = all(w in _SYMBOLS or re.fullmatch(r"[su]\d+", w) for w in words)
                    if key == "expr_str" and not known:
                        raise refuse("evaluates an expression of another kind")
            elif not re.fullmatch(
                r"extra/[\w.]+|data/weights/weight_\d+|archive_(format|version)|byteorder|"
                r"\.data/(version|serialization_id)|data/constants/tensor_\d+",
                name,
            ):
                raise refuse(f"holds {name or whole}")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON value, with the key that it stands under."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, key)
    elif isinstance(value, str):
        yield key, value
