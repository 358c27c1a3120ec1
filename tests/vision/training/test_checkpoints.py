"""A save is whole or did not happen, and a damaged file is never used."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from mlhw.errors import DataError
from mlhw.runs import folder as runs
from mlhw.system import digests
from mlhw.vision.training import checkpoints as module
from mlhw.vision.training.checkpoints import Best, Checkpoints, safetensors_bytes, tensor_digests


def state(epoch: int) -> dict[str, Any]:
    return {"format": 1, "epoch": epoch, "weights": torch.full((50,), float(epoch))}


def best(epoch: int) -> Best:
    metadata = {"epoch": epoch, "classes": ["a", "b"], "zeta": 1.5, "model": "m", "alpha": None}
    return Best({"w": torch.full((7,), float(epoch)), "b": torch.arange(3)}, metadata)


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    """Saves after epochs 1, 2 and 3, the best after 2."""
    found = Checkpoints(tmp_path / "checkpoints")
    for epoch in (1, 2, 3):
        found.save(lambda epoch=epoch: state(epoch), epoch, best(epoch) if epoch == 2 else None)
    return found


def resumed(kept: Checkpoints) -> tuple[int, list[str]]:
    warnings: list[str] = []
    return kept.load_last(warnings.append)["epoch"], warnings


def test_the_last_state_the_one_before_and_the_best_are_kept(kept: Checkpoints) -> None:
    assert kept.folder is not None
    assert sorted(p.name for p in kept.folder.iterdir()) == [
        "best.safetensors", "last.pt", "manifest.json", "prev.pt",
    ]  # fmt: skip
    assert resumed(kept) == (3, [])
    assert kept.load_best().metadata["epoch"] == 2
    assert torch.equal(kept.load_best().tensors["w"], torch.full((7,), 2.0))
    files = json.loads((kept.folder / "manifest.json").read_text())["files"]
    for name in ("best.safetensors", "last.pt", "prev.pt"):
        data = (kept.folder / name).read_bytes()
        assert files[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert files[name]["bytes"] == len(data)


DAMAGE = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "one bit flipped": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
    "a web page": lambda data: b"<!doctype html><title>404</title>",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_last_state_falls_back_to_the_one_before_and_says_so(
    kept: Checkpoints, damage: Any
) -> None:
    assert kept.folder is not None
    path = kept.folder / "last.pt"
    path.write_bytes(damage(path.read_bytes()))
    epoch, warnings = resumed(kept)
    assert epoch == 2
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert "going on from prev.pt" in warnings[0]
    kept.save(lambda: state(3), 3, None)
    assert resumed(kept) == (3, [])


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_best_model_is_an_error_that_names_the_file(
    kept: Checkpoints, damage: Any
) -> None:
    assert kept.folder is not None
    path = kept.folder / "best.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=str(path)):
        kept.load_best()
    if damage is not DAMAGE["one bit flipped"]:
        with pytest.raises(DataError, match=str(path)):
            module.read_best(path, path.read_bytes())


def test_both_states_damaged_is_an_error_that_names_both(kept: Checkpoints) -> None:
    assert kept.folder is not None
    for name in ("last.pt", "prev.pt"):
        (kept.folder / name).write_bytes(b"x")
    with pytest.raises(DataError) as error:
        resumed(kept)
    assert "last.pt" in str(error.value)
    assert "prev.pt" in str(error.value)


def test_a_pickle_with_code_in_it_is_not_run(kept: Checkpoints, tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    assert kept.folder is not None
    path = kept.folder / "last.pt"
    torch.save({"format": 1, "epoch": Malicious()}, path)
    manifest = json.loads((kept.folder / "manifest.json").read_text())
    manifest["files"]["last.pt"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (kept.folder / "manifest.json").write_text(json.dumps(manifest))
    assert resumed(kept)[0] == 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("fails_at", range(10))
def test_after_a_failure_at_any_write_of_a_save_a_state_and_a_best_model_can_be_loaded(
    kept: Checkpoints, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """A save writes four files, each by a call and a rename, and renames the last state once."""
    calls = 0

    def failing(function: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == fails_at + 1:
                raise OSError(28, "No space left on device", str(arguments[0]))
            return function(*arguments)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", failing(runs.write_whole))
        patch.setattr(digests, "write_whole", failing(runs.write_whole))
        patch.setattr(os, "replace", failing(os.replace))
        if fails_at < 9:
            with pytest.raises(OSError, match="No space left"):
                kept.save(lambda: state(4), 4, best(4))
        else:
            kept.save(lambda: state(4), 4, best(4))
    epoch, _ = resumed(kept)
    assert epoch == (4 if fails_at >= 7 else 3)
    assert kept.load_best().metadata["epoch"] in (2, 4)
    kept.save(lambda: state(5), 5, best(5))
    assert resumed(kept) == (5, [])
    assert kept.load_best().metadata["epoch"] == 5
    assert kept.folder is not None
    assert not list(kept.folder.glob(".*"))


SAVING = """
import sys, torch
from pathlib import Path
from mlhw.vision.training.checkpoints import Best, Checkpoints
kept = Checkpoints(Path(sys.argv[1]))
print("ready", flush=True)
for epoch in range(1, 100000):
    weights = torch.full((300_000,), float(epoch))
    kept.save(lambda: {"format": 1, "epoch": epoch, "weights": weights}, epoch,
              Best({"weights": weights}, {"epoch": epoch}))
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_whole_state_is_left(tmp_path: Path) -> None:
    generator = random.Random(0)
    epochs = []
    for number in range(8):
        folder = tmp_path / f"checkpoints-{number}"
        child = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(folder)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.05 + generator.random() / 4)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if not (folder / "last.pt").exists() and not (folder / "prev.pt").exists():
            continue  # killed before the first save was whole
        found = Checkpoints(folder).load_last(lambda line: None)
        assert torch.equal(found["weights"], torch.full((300_000,), float(found["epoch"])))
        saved = Checkpoints(folder).load_best()
        assert saved.metadata["epoch"] - found["epoch"] in (0, 1)
        epochs.append(found["epoch"])
    assert epochs


def test_the_best_model_is_plain_safetensors_and_the_same_bytes_every_time(
    tmp_path: Path,
) -> None:
    data = safetensors_bytes(best(2))
    assert data == safetensors_bytes(best(2))
    (tmp_path / "m.safetensors").write_bytes(data)
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"
        assert json.loads(file.metadata()["classes"]) == ["a", "b"]
        assert torch.equal(file.get_tensor("w"), torch.full((7,), 2.0))


def test_every_single_flipped_bit_of_a_model_by_itself_is_refused() -> None:
    data = safetensors_bytes(Best({"w": torch.ones(2)}, {"epoch": 2, "classes": ["a"]}))
    path = Path("copy.safetensors")
    assert module.read_best(path, data).metadata["epoch"] == 2
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError, match=r"copy\.safetensors: "):
            module.read_best(path, bytes(flipped))


def old_model() -> bytes:
    """As it was written before models had a digest of themselves."""
    metadata = {"epoch": "2", "mlhw_format": "1", "format": "pt"}
    return save({"w": torch.full((7,), 2.0)}, metadata)


def test_a_model_of_before_is_read_and_in_its_run_held_against_the_manifest(
    kept: Checkpoints, tmp_path: Path
) -> None:
    (tmp_path / "old.safetensors").write_bytes(old_model())
    assert module.load_best(tmp_path / "old.safetensors").metadata["epoch"] == 2
    assert kept.folder is not None
    path = kept.folder / "best.safetensors"
    path.write_bytes(old_model())
    with pytest.raises(DataError, match="or not the one saved"):
        module.load_best(path)
    (kept.folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: is missing, damaged or empty"):
        module.load_best(path)
    (kept.folder / "manifest.json").unlink()
    assert module.load_best(path).metadata["epoch"] == 2


def test_the_model_of_another_run_is_not_taken_for_the_one_saved(kept: Checkpoints) -> None:
    assert kept.folder is not None
    path = kept.folder / "best.safetensors"
    path.write_bytes(safetensors_bytes(best(7)))
    with pytest.raises(DataError, match="or not the one saved"):
        module.load_best(path)


@pytest.mark.parametrize("manifest", ["<!doctype html>", '{"files": {}}', None])
def test_a_model_that_no_manifest_vouches_for_is_refused_in_its_run_and_a_copy_of_it_read(
    kept: Checkpoints, manifest: str | None, tmp_path: Path
) -> None:
    assert kept.folder is not None
    path = kept.folder / "best.safetensors"
    (kept.folder / "manifest.json").unlink()
    (tmp_path / "run.json").touch()
    if manifest is not None:
        (kept.folder / "manifest.json").write_text(manifest)
    with pytest.raises(DataError, match=r"manifest\.json: .*; if you trust it, give a copy"):
        module.load_best(path)
    (tmp_path / "elsewhere").mkdir()
    copy = path.rename(tmp_path / "elsewhere" / path.name)
    assert module.load_best(copy).metadata["epoch"] == 2


def test_without_a_folder_the_best_is_kept_in_memory() -> None:
    kept = Checkpoints(None)
    kept.save(lambda: pytest.fail("nothing to write"), 1, best(1))
    kept.save(lambda: pytest.fail("nothing to write"), 2, None)
    assert kept.load_best().metadata["epoch"] == 1


def test_digests_tell_a_single_bit() -> None:
    one = {"w": torch.zeros(4), "n": torch.tensor(3)}
    other = {"w": torch.tensor([0.0, 0.0, -0.0, 0.0]), "n": torch.tensor(3)}
    assert tensor_digests(one)["n"] == tensor_digests(other)["n"]
    assert tensor_digests(one)["w"] != tensor_digests(other)["w"]
