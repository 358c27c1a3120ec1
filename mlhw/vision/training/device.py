"""Where and how to compute: device, precision and memory layout; the last two chosen by measuring.

bfloat16 halves the bytes and doubles the multiplications where the hardware has it, and still loses
on some networks (depthwise convolutions on a CPU). No rule tells which; a few batches do.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from mlhw.errors import ConfigError, RunError
from mlhw.vision.names import DEVICES, Layout, Precision

if TYPE_CHECKING:
    from mlhw.system.ranks import Ranks
    from mlhw.vision.networks.head import TunedNetwork

DTYPES: dict[Precision, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}

# Another precision or layout has to be faster by this factor, or the choice would follow the noise.
WORTHWHILE = 1.15
# Each candidate is timed so often at least, and as often as fits into the seconds.
ROUNDS, SECONDS = 4, 1.5
# Multiplications of a step that one thread does within a millisecond or so.
SMALL_STEP = 1 << 24


def find_device(name: str, ranks: Ranks | None = None) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` names.

    Of several processes (``ranks``) each takes the GPU of its number on its machine.

    Raises ConfigError for a device that is not there: never a silent run on the CPU.
    """
    kind, colon, index = name.partition(":")
    if ranks is not None and index:
        raise ConfigError(
            f"--device {name}: several processes take a GPU each, process k of a machine cuda:k; give cuda"
        )
    if ranks is not None:
        return _device_of(name, ranks)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    numbered = kind == "cuda" and index.isascii() and index.isdecimal()
    if kind not in DEVICES or (colon and not numbered):
        raise ConfigError(f"--device: must be auto, cpu, cuda, cuda:N or mps (got {name})")
    if kind == "cuda":
        if not torch.cuda.is_available():
            built = (
                "" if torch.version.cuda else f" (torch {torch.__version__} is a build without it)"
            )
            raise ConfigError(f"--device {name}: no CUDA device here{built}; --device cpu runs")
        count = torch.cuda.device_count()
        if index and int(index) >= count:
            raise ConfigError(f"--device {name}: there are {count}, counted from cuda:0")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: no Apple GPU here; --device cpu runs")
    return torch.device(name)


def _device_of(name: str, ranks: Ranks) -> torch.device:
    """The device of one of several processes on a machine."""
    device = find_device("cpu" if name == "auto" and not torch.cuda.is_available() else name)
    if device.type == "mps":
        raise ConfigError(
            f"--device {name}: an Apple GPU serves one process; call it without torchrun"
        )
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    if ranks.local_rank >= count:
        raise ConfigError(
            f"--device {name}: {ranks.local_world} processes on a machine with {count} GPUs; start as many "
            "as there are"
        )
    device = torch.device("cuda", ranks.local_rank)
    torch.cuda.set_device(device)
    return device


def device_name(device: torch.device) -> str:
    """What it is, for records: ``cpu``, ``cuda (NVIDIA H100 80GB HBM3)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


@dataclass(frozen=True)
class Compute:
    """Where and how a network works."""

    device: torch.device
    precision: Precision
    layout: Layout

    def prepare(self, network: TunedNetwork) -> None:
        """Move the network there and set its memory layout and precision."""
        network.to(self.device)
        network.to(memory_format=memory_format(self.layout))  # type: ignore[call-overload]
        network.autocast = DTYPES[self.precision]

    def describe(self) -> str:
        return f"{device_name(self.device)}, {self.precision}, {self.layout}"


def memory_format(layout: Layout) -> torch.memory_format:
    return torch.channels_last if layout == "channels-last" else torch.contiguous_format


def has_bf16(device: torch.device) -> bool:
    """Does the hardware compute in bfloat16 itself?"""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        asked = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        return bool(asked()) or "avx512_bf16" in _cpu_flags()
    return False


def _cpu_flags() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return []


def choose_compute(
    network: TunedNetwork,
    images: torch.Tensor,
    device: torch.device,
    *,
    precision: Precision | None,
    layout: Layout | None,
    training: bool,
    log: Callable[[str], None],
) -> Compute:
    """The fastest precision and layout for this network here, among those left open (None).

    A few batches of ``images`` (N, 3, S, S), normalised, are timed, forward and, for ``training``,
    backward too. The candidates take turns, so that other programs on the machine slow them alike,
    and a CPU works with one thread: on a busy machine several wait for each other for random times.
    The trials use copies and draw no random numbers, so they change nothing in the run.
    """
    base = Compute(device, precision or "fp32", layout or "channels-last")
    candidates = [base]
    if precision is None and has_bf16(device):
        candidates.append(replace(base, precision="bf16"))
    if layout is None:
        candidates += [replace(candidate, layout="contiguous") for candidate in candidates]
    if len(candidates) == 1:
        return base
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = _time_in_turn({c: trial_step(network, images, c, training) for c in candidates})
    finally:
        torch.set_num_threads(threads)
    chosen = min(candidates, key=lambda c: seconds[c])
    if seconds[chosen] * WORTHWHILE > seconds[base]:
        chosen = base
    times = ", ".join(f"{c.precision} {c.layout} {1e3 * s:.0f} ms" for c, s in seconds.items())
    log(f"{len(images)} images take: {times}; chosen: {chosen.precision} {chosen.layout}")
    return chosen


def _time_in_turn(trials: dict[Compute, Callable[[], float]]) -> dict[Compute, float]:
    """The least seconds of each; one that is twice as slow as the fastest is not tried again."""
    for trial in trials.values():
        trial()  # the first of each sets things up
    seconds = {candidate: trial() for candidate, trial in trials.items()}
    started = time.perf_counter()
    rounds = 1
    while rounds < ROUNDS or (rounds < 10 * ROUNDS and time.perf_counter() - started < SECONDS):
        rounds += 1
        fastest = min(seconds.values())
        for candidate in trials:
            if seconds[candidate] < 2 * fastest:
                seconds[candidate] = min(seconds[candidate], trials[candidate]())
    return seconds


def trial_step(
    network: TunedNetwork, images: torch.Tensor, compute: Compute, training: bool
) -> Callable[[], float]:
    """A function that does one step on a copy of the network and gives its seconds."""
    trial = copy.deepcopy(network).eval()
    trial.requires_grad_(training)
    compute.prepare(trial)
    batch = images.to(compute.device).contiguous(memory_format=memory_format(compute.layout))

    def step() -> float:
        started = time.perf_counter()
        with torch.set_grad_enabled(training):
            loss = trial(batch).square().mean()
            if training:
                loss.backward()
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)
        return time.perf_counter() - started

    return step


@contextmanager
def torch_settings(
    threads: int, device: torch.device, deterministic: bool = False
) -> Iterator[None]:
    """torch's settings for a run; at the end the caller, a notebook say, has its own back.

    Operators use ``threads`` threads, and random numbers drawn in the block change no generator
    outside. On a GPU cuDNN's algorithms add in a fixed order: without that a resumed run would end with
    other numbers than one that never stopped. ``deterministic`` goes all the way: any operation that may
    give other bits is an error, and products have float32's own digits, not TF32's.
    """
    before, ordered = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    try:
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            same_bits() if deterministic else nullcontext(),
        ):
            yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.deterministic = ordered


@contextmanager
def same_bits() -> Iterator[None]:
    """torch's settings under which the same run on the same GPU gives the same bits.

    cuBLAS reads its variable when it is first used (its reproducibility is described in NVIDIA's manual
    of cuBLAS, section 2.1.4).
    """
    workspace = "CUBLAS_WORKSPACE_CONFIG"
    before = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    variable, tries = os.environ.get(workspace), torch.backends.cudnn.benchmark
    os.environ.setdefault(workspace, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warns)
        torch.backends.cudnn.benchmark = tries
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32
        if variable is None:
            os.environ.pop(workspace, None)


@contextmanager
def deterministic_errors() -> Iterator[None]:
    """What ``deterministic`` forbids as a RunError that names the operation."""
    try:
        yield
    except RuntimeError as error:
        operation, refused, _ = str(error).partition(
            " does not have a deterministic implementation"
        )
        if not refused:
            raise
        raise RunError(
            f"deterministic: {operation.split()[-1]} on this device may give other bits each time; leave "
            "--deterministic out, or take another network"
        ) from error


@contextmanager
def one_thread(multiplications: int) -> Iterator[None]:
    """One thread inside the block if its steps are that small.

    A head on stored features takes a tenth of a millisecond a step; waking a second thread takes as
    long, and many times longer where other programs want the processor.
    """
    before = torch.get_num_threads()
    if multiplications < SMALL_STEP:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def memory_errors(batch_size: int) -> Iterator[None]:
    """Out of memory as a RunError that names the batch size and what helps."""
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
            where = "the GPU" if isinstance(error, torch.OutOfMemoryError) else "the machine"
            raise RunError(
                f"{where} is out of memory at batch size {batch_size}; a smaller --batch-size, a "
                "smaller --image-size, --precision bf16 or fewer --unfreeze-stages need less"
            ) from error
        raise
