"""The same small training by Lightning, timm, Hugging Face's Trainer and mlhw, with a fault in it.

    python bench/peers_training.py PEER HOW_MANY_AT_ONCE <JOBS.json >ENDS.json

Run by ``peers_faults.py``. Each is set up as its own documentation has it for training that may be stopped:
Lightning with ``ModelCheckpoint(save_last=True)`` and ``OnExceptionCheckpoint``, gone on with by
``ckpt_path``; timm with ``CheckpointSaver`` and ``resume_checkpoint`` as in its ``train.py``; Hugging Face
with ``save_strategy="epoch"``, ``enable_jit_checkpoint`` and ``resume_from_checkpoint=True``. The jobs are
forks of one process that has imported everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

EPOCHS, STEPS, BATCH = 4, 8, 8
ARMED_AFTER = 2  # epochs, each with its checkpoint, before a fault
CHANGES = (
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.rmdir",
    "shutil.rmtree",
)


class Fault:
    """What a job is to meet: ``{}`` nothing, ``{"kill": N}`` SIGKILL before the N-th change of a file after
    ARMED_AFTER epochs, ``{"count": true}`` only counts them, ``{"killed_at_byte": N}`` and
    ``{"full_at_byte": N}`` end a write at that size, by a signal or by an error, ``{"term": true}`` is a
    SIGTERM in the middle of an epoch, ``{"slow": S}`` makes each step S seconds longer.
    """

    def __init__(self, fault: dict[str, Any], folder: Path) -> None:
        self.fault, self.folder = fault, str(folder)
        self.armed = False
        self.changes = 0
        self.steps = 0
        sys.addaudithook(self._seen)

    def step(self) -> None:
        """Called at every step of the training."""
        self.steps += 1
        if self.steps == ARMED_AFTER * STEPS + 1:
            self.arm()
        time.sleep(self.fault.get("slow", 0))
        if "term" in self.fault and self.steps == ARMED_AFTER * STEPS + STEPS // 2:
            os.kill(os.getpid(), signal.SIGTERM)

    def arm(self) -> None:
        self.armed = True
        for kind in ("killed_at_byte", "full_at_byte"):
            if kind in self.fault:
                # Python ignores the signal, so that a write that is too long is an error.
                ended = signal.SIG_DFL if kind == "killed_at_byte" else signal.SIG_IGN
                signal.signal(signal.SIGXFSZ, ended)
                hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.fault[kind], hard))

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        if not (writes or event in CHANGES):
            return
        names = [os.fsdecode(a) for a in arguments[:2] if isinstance(a, (str, bytes, os.PathLike))]
        if any(name.startswith(self.folder) for name in names):
            self.changes += 1
            if self.changes == self.fault.get("kill"):
                os.kill(os.getpid(), signal.SIGKILL)


def network() -> Any:
    import torch

    class Net(torch.nn.Module):
        """Dropout and shuffling draw random numbers, so a stop shows in what comes after it."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(16, 64),
                torch.nn.ReLU(),
                torch.nn.Dropout(0.3),
                torch.nn.Linear(64, 2),
            )

        def forward(self, x: Any) -> Any:
            return self.layers(x)

    return Net()


def points() -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(1)
    x = torch.randn(STEPS * BATCH, 16, generator=generator)
    return x, (x[:, 0] > 0).long()


# Each takes the folder, whether to go on, and the fault; it gives the epoch at which it began and the state
# at the end.
Training = Callable[[Path, bool, Fault], tuple[int, Any]]


def lightning_training(folder: Path, resume: bool, fault: Fault) -> tuple[int, Any]:
    import lightning
    import torch
    from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint

    first: list[int] = []

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, index: int) -> Any:
            first.append(self.current_epoch)
            fault.step()
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=0.01)

    lightning.seed_everything(0, workers=True, verbose=False)
    module = Module()
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*points()), BATCH, shuffle=True
    )
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(dirpath=folder, save_last=True), OnExceptionCheckpoint(folder)],
    )
    path: str | None = None
    if resume:
        stopped, last = folder / "on_exception.ckpt", folder / "last.ckpt"
        newer = stopped.exists() and not (
            last.exists() and last.stat().st_mtime > stopped.stat().st_mtime
        )
        path = str(stopped) if newer else "last"
    trainer.fit(module, loader, ckpt_path=path)
    return (first or [EPOCHS])[0], module.state_dict()


def timm_training(folder: Path, resume: bool, fault: Fault) -> tuple[int, Any]:
    import torch
    from timm.models import resume_checkpoint
    from timm.utils import CheckpointSaver, random_seed

    random_seed(0, 0)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*points()), BATCH, shuffle=True
    )
    start = 0
    if resume:
        start = resume_checkpoint(model, str(folder / "last.pth.tar"), optimizer) or 0
    saver = CheckpointSaver(
        model,
        optimizer,
        checkpoint_dir=str(folder),
        recovery_dir=str(folder),
        decreasing=True,
        max_history=2,
    )
    if resume:
        saver.load_state_dict_from_checkpoint(str(folder / "last.pth.tar"))
    for epoch in range(start, EPOCHS):
        total = 0.0
        for x, t in loader:
            fault.step()
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), t)
            loss.backward()
            optimizer.step()
            total += loss.item()
        saver.save_checkpoint(epoch, metric=total)
    return start, model.state_dict()


def hugging_face_training(folder: Path, resume: bool, fault: Fault) -> tuple[int, Any]:
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    first: list[float] = []

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            first.append(trainer.state.global_step / STEPS)
            fault.step()
            logits = self.net(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    set_seed(0)
    model = Model()
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        learning_rate=0.01,
        save_strategy="epoch",
        save_total_limit=2,
        enable_jit_checkpoint=True,
        seed=0,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=False,
    )
    rows = [{"x": x, "labels": t} for x, t in zip(*points(), strict=True)]
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train(resume_from_checkpoint=True if resume else None)
    return int((first or [EPOCHS])[0]), model.state_dict()


MLHW_OPTIONS = [
    *("--model", "cifar_resnet20", "--weights", "none", "--image-size", "8", "--compare", "none"),
    *("--val", "0.4", "--test", "0.4", "--batch-size", "48", "--epochs", str(EPOCHS)),
    *("--unfreeze-at", "null", "--hidden", "16", "--dropout", "0.3"),
    *("--threads", "1", "--precision", "fp32", "--layout", "channels-last", "--features", "memory"),
]
MLHW_ALWAYS = ["--no-plots", "-q", "--no-check"]


def mlhw_training(folder: Path, resume: bool, fault: Fault) -> tuple[int, Any]:
    from safetensors.torch import load_file

    from mlhw.commands.main import main
    from mlhw.vision.schedules import Plan

    steps: list[int] = []
    factor = Plan.factor

    def watched(self: Any, now: int) -> float:
        if not steps or now > steps[-1]:
            steps.append(now)
            fault.step()
        return factor(self, now)

    Plan.factor = watched  # type: ignore[method-assign]
    run = folder / "latest"
    if resume:
        words = ["finetune", "--resume", str(run.resolve()), *MLHW_ALWAYS]
    else:
        words = ["finetune", *MLHW_OPTIONS, "--runs-dir", str(folder), *MLHW_ALWAYS]
    code = main(words)
    if code:
        sys.exit(code)
    return (steps or [EPOCHS * STEPS])[0] // STEPS, load_file(
        run / "checkpoints" / "best.safetensors"
    )


PEERS: dict[str, tuple[str, Training]] = {
    "lightning": ("lightning", lightning_training),
    "timm": ("timm", timm_training),
    "hugging_face": ("transformers", hugging_face_training),
    "mlhw": ("mlhw", mlhw_training),
}


def declare_torchvision_operators() -> Any:
    """So that torchvision imports beside a CPU build of torch, whose operators it does not have."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def import_all() -> None:
    """Every module of mlhw and what it imports when it is called, so that no job has to."""
    import pkgutil

    import mlhw
    from mlhw.vision.networks.torchvision_import import torchvision

    torchvision()
    for module in pkgutil.walk_packages(mlhw.__path__, "mlhw."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
    for name in (
        "jinja2",
        "sklearn.datasets",
        "latex2mathml.converter",
        "rich.progress",
        "pygments",
    ):
        __import__(name)


def digest(state: Any) -> str:
    """sha256 over the bits of all tensors, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode() + state[name].detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def child(training: Training, job: dict[str, Any], end: Path) -> None:
    code = 1
    try:
        for descriptor, kind in ((1, "out"), (2, "err")):
            os.dup2(os.open(end.with_suffix(f".{kind}"), os.O_WRONLY | os.O_CREAT), descriptor)
        import torch

        torch.set_num_threads(1)
        folder = Path(job["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        fault = Fault(job["fault"], folder)
        began, state = training(folder, job["resume"], fault)
        found = {
            "began": began,
            "digest": digest(state),
            "changes": fault.changes,
            "steps": fault.steps,
        }
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        end.write_text(json.dumps(found))
        code = 0
    except SystemExit as error:
        code = 0 if error.code is None else error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def reap(running: dict[int, Path]) -> None:
    """Wait for one of the jobs, and write down how it ended."""
    pid, status = os.wait()
    end = running.pop(pid)
    end.with_suffix(".code").write_text(str(os.waitstatus_to_exitcode(status)))


def main() -> None:
    module, training = PEERS[sys.argv[1]]
    jobs = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    kept = declare_torchvision_operators() if module != "mlhw" else None
    __import__(module)
    __import__("timm.utils" if module == "timm" else "torch.utils.data")
    if module == "transformers":
        from transformers import Trainer  # noqa: F401 - it is imported when it is asked for
    if module == "mlhw":
        import_all()
    running: dict[int, Path] = {}
    for job in jobs:
        end = Path(job["end"])
        end.parent.mkdir(parents=True, exist_ok=True)
        pid = os.fork()
        if pid == 0:
            child(training, job, end)
        running[pid] = end
        while not job.get("beside_next") and len(running) >= int(sys.argv[2]):
            reap(running)
    while running:
        reap(running)
    del kept
    from importlib.metadata import version

    names = {"hugging_face": ["transformers", "accelerate"]}.get(sys.argv[1], [module])
    print(json.dumps({name: version(name) for name in [*names, "torch"]}))


if __name__ == "__main__":
    main()
