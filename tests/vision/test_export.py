"""``mlhw export``: each form computes what the network does, in its own runtime and read back here."""

from __future__ import annotations

import csv
import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors import safe_open

from mlhw.commands.main import main
from mlhw.vision.images.datasets import load_images
from mlhw.vision.networks.preprocessing import Preprocessing
from mlhw.vision.programs import ImagesToProbabilities
from mlhw.vision.training.checkpoints import BEST
from tests.conftest import PROGRAM

OPTIONS = ["--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--threads", "1"]
OPTIONS += [
    "--val",
    "0.3",
    "--test",
    "0.3",
    "--epochs",
    "2",
    "--unfreeze-at",
    "null",
    "--lr",
    "0.05",
]
OPTIONS += ["--compare", "none", "--precision", "fp32", "--no-plots", "-q", "--no-check"]
FORMS = ["safetensors", "onnx", "pt2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert main(["finetune", *OPTIONS, "--runs-dir", str(folder)]) == 0
    return (folder / "latest").resolve()


@pytest.fixture(scope="module")
def files(run: Path) -> dict[str, Path]:
    """The exports of the run by their form, one of them written by the installed command."""
    done = subprocess.run(
        [PROGRAM, "export", run, "--format", "onnx"], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{run / 'model.onnx'}: ")
    assert "on 8 images its logits are within" in done.stdout
    temperature = json.loads((run / "result.json").read_text())["summary"]["calibration"][
        "temperature"
    ]
    assert f"probabilities at temperature {temperature:.3f}" in done.stdout
    for form in ("safetensors", "pt2"):
        assert main(["export", str(run), "--format", form]) == 0
    return {form: run / f"model.{form}" for form in FORMS}


@pytest.fixture(scope="module")
def pixels(run: Path) -> np.ndarray:
    """The run's test images, fitted to the network, uint8 (n, 3, 8, 8)."""
    splits = load_images("digits", val=0.3, test=0.3)
    assert splits.test is not None
    with safe_open(run / "checkpoints" / BEST, "numpy") as file:
        values = json.loads(file.metadata()["preprocessing"])
    images = splits.test.images(np.arange(len(splits.test)))
    fitted = Preprocessing.from_json(values).fitted(images)
    return np.ascontiguousarray(fitted.numpy())


@pytest.fixture(scope="module")
def probabilities(run: Path) -> np.ndarray:
    """What the run itself found for them, with its temperature."""
    with open(run / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[f"p_{k}"]) for k in range(10)] for row in rows])


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# ------------------------------------------------------------------------------------- by themselves


def test_the_onnx_file_runs_in_onnxruntime_with_batches_of_any_size(
    files: dict[str, Path], pixels: np.ndarray, probabilities: np.ndarray
) -> None:
    onnx.checker.check_model(onnx.load(files["onnx"]), full_check=True)
    session = onnxruntime.InferenceSession(files["onnx"], providers=["CPUExecutionProvider"])
    for part in (slice(1), slice(1, 8), slice(8, None)):
        logits, p = session.run(["logits", "probabilities"], {"images": pixels[part]})
        assert p == pytest.approx(probabilities[part], abs=1e-5)
        kept = session.get_modelmeta().custom_metadata_map
        T = json.loads(kept["temperature"])
        e = np.exp(logits / T - (logits / T).max(1, keepdims=True))
        assert p == pytest.approx(e / e.sum(1, keepdims=True), abs=1e-5)
    assert T != 1
    assert json.loads(kept["classes"]) == [str(k) for k in range(10)]
    assert json.loads(kept["preprocessing"])["size"] == 8


def test_the_pt2_file_runs_in_torch_with_batches_of_any_size(
    files: dict[str, Path], pixels: np.ndarray, probabilities: np.ndarray
) -> None:
    extra = {"mlhw.json": ""}
    module = torch.export.load(files["pt2"], extra_files=extra).module()
    for part in (slice(1), slice(1, 8), slice(8, None)):
        _, p = module(torch.from_numpy(pixels[part]))
        assert p.detach().numpy() == pytest.approx(probabilities[part], abs=1e-5)
    facts = json.loads(extra["mlhw.json"])
    assert facts["classes"] == [str(k) for k in range(10)]
    assert {"preprocessing", "temperature", "model", "val_acc"} <= set(facts)


def test_the_safetensors_file_holds_the_tensors_and_all_that_was_known(
    run: Path, files: dict[str, Path]
) -> None:
    with (
        safe_open(files["safetensors"], "pt") as found,
        safe_open(run / "checkpoints" / BEST, "pt") as best,
    ):
        assert found.metadata() == best.metadata()
        assert set(found.keys()) == set(best.keys())
        for name in best.keys():  # noqa: SIM118 - no dict
            assert torch.equal(found.get_tensor(name), best.get_tensor(name))


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_an_export_tells_nothing_of_the_machine_it_was_made_on(
    files: dict[str, Path], form: str
) -> None:
    content = files[form].read_bytes()
    if form == "pt2":
        with zipfile.ZipFile(files[form]) as archive:
            content = b"".join(map(archive.read, archive.namelist()))
    for place in (str(Path(__file__).parents[2]), sys.prefix, "site-packages"):
        assert place.encode() not in content


# ------------------------------------------------------------------------------------- read back


@pytest.mark.parametrize("form", FORMS)
def test_predict_and_evaluate_take_an_exported_file(
    run: Path,
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    rng = np.random.default_rng(0)
    for i in range(12):  # of differing sizes, and more than one class
        folder = tmp_path / "own" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (9 + i, 20 - i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    found = {}
    for model in (run, files[form]):
        code, text, _ = command(
            capsys, "predict", model, tmp_path / "own", "--json", "--probabilities"
        )
        assert code == 0
        predictions = json.loads(text)["predictions"]
        found[model] = [list(p["probabilities"].values()) for p in predictions]
        code, text, _ = command(
            capsys, "evaluate", model, "--data", f"folder:{tmp_path / 'own'}", "--json"
        )
        assert code == 0
        found[model].append(list(json.loads(text)["metrics"].values())[:1])
    for a, b in zip(found[run], found[files[form]], strict=True):
        assert a == pytest.approx(b, abs=1e-5)


# ------------------------------------------------------------------------------------- refused


def test_what_computes_something_else_is_not_written(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def off(self: ImagesToProbabilities, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.network(images.to(torch.float32) * self.scale + self.shift)
        return logits, logits.softmax(1)  # the temperature is forgotten

    monkeypatch.setattr(ImagesToProbabilities, "forward", off)
    out = tmp_path / "model.pt2"
    code, text, err = command(capsys, "export", run, "--out", out)
    assert (code, text) == (1, "")
    assert "not written, for what was read back is off by" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_line_that_names_the_extra(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    arguments = ["export", run, "--out", tmp_path / "m.onnx"]
    if package == "onnxruntime":
        (tmp_path / "n.onnx").write_bytes(b"\x08x")  # begins like a model
        arguments = ["predict", tmp_path / "n.onnx", tmp_path]
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    code, out, err = command(capsys, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()[-1:]
    assert line.startswith("error: ")
    assert package in line
    assert "pip install 'mlhw[export]'" in line


def foreign_onnx() -> bytes:
    """A sound model of somebody else's."""
    kind = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "g", [kind], [result])
    opsets = [helper.make_opsetid("", 17)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return model


def foreign_pt2() -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), file)
    return file.getvalue()


def test_damaged_and_foreign_files_are_one_line(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    contents = {"foreign.onnx": foreign_onnx(), "foreign.pt2": foreign_pt2()}
    for form in FORMS:
        whole = files[form].read_bytes()
        contents |= {f"cut.{form}": whole[: len(whole) // 2], f"empty.{form}": b""}
        contents |= {f"other.{form}": b"<!doctype html>", f"zeros.{form}": bytes(5000)}
        contents |= {
            f"swapped-{other}.{form}": files[other].read_bytes() for other in FORMS if other != form
        }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        code, out, err = command(capsys, "predict", tmp_path / name, tmp_path / "a.png")
        assert (code, out) == (2, ""), name
        (line,) = err.splitlines()
        assert line.startswith(f"error: {tmp_path / name}: "), line
        assert len(line) < 400


def rewritten(archive: bytes, change: Callable[[str, bytes], bytes | None], **more: bytes) -> bytes:
    """The archive with its members changed, or left out where ``change`` gives None."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in more.items():
            new.writestr(name, content)
    return file.getvalue()


class Payload:
    """Unpickled, it writes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.proof, "run")


def test_a_pt2_that_would_run_code_is_refused(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    proof = tmp_path / "proof"
    whole = files["pt2"].read_bytes()
    touch = f"__import__('os').system('touch {proof}')"
    buffer = io.BytesIO()
    torch.save(Payload(proof), buffer)

    def replace(part: str, old: bytes, new: bytes) -> bytes:
        def change(name: str, content: bytes) -> bytes:
            changed = content.replace(old, new) if name.endswith(part) else content
            assert changed != content or not name.endswith(part), part
            return changed

        return rewritten(whole, change)

    def inputs(name: str, content: bytes) -> bytes:
        return buffer.getvalue() if "sample_inputs" in name else content

    conv = b'"torch.ops.aten.softmax.int"'
    hostile = {
        "operator": replace("model.json", conv, b'"torch.serialization.os.system"'),
        "guard": replace(
            "model.json", b'"guards_code": []', f'"guards_code": ["{touch}"]'.encode()
        ),
        "expression": replace("model.json", b"Symbol('s", f"{touch} or Symbol('s".encode()),
        "pickled": replace("weights_config.json", b'"use_pickle": false', b'"use_pickle": true'),
        "inputs": rewritten(whole, inputs),
        "object": rewritten(
            whole,
            lambda name, content: content,
            **{"m/data/constants/custom_obj_0": pickle.dumps(Payload(proof))},
        ),
        "legacy": rewritten(whole, lambda name, content: content, version=b"8.20"),
    }
    for name, content in hostile.items():
        path = tmp_path / f"{name}.pt2"
        path.write_bytes(content)
        code, out, err = command(capsys, "predict", path, tmp_path / "a.png")
        assert (code, out) == (2, ""), name
        assert len(err.splitlines()) == 1, err
        assert str(path) in err
        assert not proof.exists(), name


def test_bad_arguments_are_one_line_and_replace_nothing(
    run: Path, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.pt2"
    kept.write_bytes(b"mine")
    cases: list[tuple[list[object], str]] = [
        ([run], "--format: must be one of safetensors, onnx, pt2"),
        ([run, "--out", kept], "is there already; --force replaces it"),
        ([run, "--format", "pt2"], "is there already"),
        ([run, "--format", "onnx", "--out", tmp_path / "x.pt2"], "suffix of another format"),
        ([run, "--format", "onnx", "--out", tmp_path / "x.bin"], "must end with .onnx"),
        ([run, "--format", "onnx", "--out", tmp_path / "no" / "x.onnx"], "cannot be written"),
        ([files["onnx"], "--out", tmp_path / "x.pt2"], "is exported already"),
        ([tmp_path, "--out", tmp_path / "x.pt2"], "best.safetensors"),
        ([run, "--format", "tflite"], "--format"),
    ]
    for arguments, message in cases:
        code, out, err = command(capsys, "export", *arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert len(err.splitlines()) == 1
    assert kept.read_bytes() == b"mine"
    code, out, _ = command(capsys, "export", run, "--out", kept, "--force", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["file"], found["bytes"]) == (str(kept), kept.stat().st_size)
    assert found["logits_off"] < 1e-4


def test_help_costs_no_torch() -> None:
    code = (
        "import sys; from mlhw.commands.main import main; main(['export', '--help']); "
        "assert not {'torch', 'numpy', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--format" in done.stdout
