"""The tables of docs/scaling.md: what was measured, and what follows from it for larger work.

Between ``<!-- scaling NAME -->`` and ``<!-- / -->`` stands the table NAME. One whose measurements are not
there yet says so, and names the command that makes them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parents[1] / "bench" / "results"

Found = dict[str, Any]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def processes(found: Found) -> str:
    """Strong and weak scaling of gradient descent."""
    rows = []
    for kind, words in (("strong", "the same rows"), ("weak", "as many rows more")):
        for world, one in found[kind].items():
            spread = f"{one['ms']:,.0f} ± {one['spread_ms'] / 2:,.0f}"
            rows.append([words, world, spread, f"{100 * one['efficiency']:.0f} %"])
    return table(["rows", "processes of one thread", "ms an iteration", "efficiency"], rows)


def traffic(found: Found) -> str:
    """What travels in an iteration."""
    d, r = found["features"], found["rates"]
    return table(
        ["way", "formula", "here"],
        [
            ["sums up, each process", "8 (d + 2) r bytes", f"{8 * (d + 2) * r:,}"],
            ["the same with names and shapes", "", f"{found['up_bytes']:,}"],
            [
                "weights down, each process",
                "8 (d + 1) r bytes and the same",
                f"{found['down_bytes']:,}",
            ],
            ["an exchange without work", "", f"{found['exchange_ms']:.2f} ms"],
        ],
    )


def out_of_core(found: Found) -> str:
    """An iteration over rows larger than memory."""
    limit = found["limit_bytes"]
    said = (
        "without a limit" if limit is None else f"limit {limit / 1e9:.1f} GB, page cache included"
    )
    return table(
        [f"{found['large_bytes'] / 1e9:.1f} GB, {found['few_rates']} rates, {said}", "s"],
        [
            ["reading the file once", f"{found['reading_s']:.2f}"],
            ["the iteration in memory", f"{found['memory_s']:.2f}"],
            ["the iteration from the file", f"{found['disk_s']:.2f}"],
            ["times the larger of the two", f"{found['out_of_core_ratio']:.2f}"],
            ["most memory of the process", f"{found['peak_bytes'] / 1e6:,.0f} MB"],
        ],
    )


# ------------------------------------------------------------------------------------- predictions

MACHINES, ROWS, WIDE = 100, 10**9, 1000
CORES, DISK, MEMORY = 16, 1e9, 100e9
NETWORK, LATENCY = 10e9 / 8, 1e-4
ITERATIONS = 500


def prediction(found: Found) -> str:
    """10⁹ rows of 10³ features on 100 machines, each number beside where it comes from."""
    rates = found["few_rates"]
    each = ROWS / MACHINES
    size = each * (WIDE + 1) * 8
    computing = each * found["wide_ns"] * 1e-9 / CORES
    carrying = size / MEMORY
    message = 8 * (WIDE + 2) * rates
    levels = math.ceil(math.log2(MACHINES))
    # Weights go down a tree; sums come to one machine, which has one cable.
    talking = levels * (LATENCY + message / NETWORK) + LATENCY + MACHINES * message / NETWORK
    talking += found["exchange_ms"] * 1e-3
    iteration = max(computing, carrying) + talking
    even = talking / (max(computing, carrying) / each)
    rows = [
        ["rows of a machine", f"{each:,.0f}", f"{ROWS:.0e} over {MACHINES}, assumed as asked"],
        [
            "their size",
            f"{size / 1e9:.0f} GB",
            f"{WIDE + 1} float64 a row; in memory (`shard_memory`)",
        ],
        [
            "to load them",
            f"{size / DISK:.0f} s",
            f"assumed: {DISK / 1e9:.0f} GB/s of disk or network",
        ],
        [
            "to compute",
            f"{computing:.2f} s",
            f"measured: {found['wide_ns']:,.0f} ns a row at {rates} rates on one thread here; assumed: "
            f"{CORES} cores that do not slow each other",
        ],
        ["to carry the rows", f"{carrying:.2f} s", f"assumed: {MEMORY / 1e9:.0f} GB/s of memory"],
        [
            "to talk",
            f"{1000 * talking:.1f} ms",
            f"{message:,} bytes a machine; assumed: {8 * NETWORK / 1e9:.0f} Gb/s, {1000 * LATENCY:.1f} ms; "
            "measured: an exchange here",
        ],
        [
            "an iteration",
            f"**{iteration:.2f} s**",
            "the larger of computing and carrying, and talk",
        ],
        ["share of talk", f"{100 * talking / iteration:.1f} %", ""],
        [
            f"{ITERATIONS} iterations",
            f"{ITERATIONS * iteration / 60:.0f} minutes",
            "without loading",
        ],
        ["break-even", f"{even:,.0f} rows", "of a machine: as much talk as work"],
    ]
    return table(["for an iteration", "predicted", "from"], rows)


GPUS, IMAGES, PARAMETERS, BATCH = 8, 1_281_167, 25_600_000, 256
PER_GPU, LINK, DECODED = 2500.0, 200e9, 880.0


def finetuning(_: Found) -> str:
    """ImageNet-sized fine-tuning on 8 GPUs: all of it assumed but the arithmetic."""
    step = BATCH / PER_GPU
    gradient = 4 * PARAMETERS
    ring = 2 * (GPUS - 1) / GPUS * gradient / LINK
    decoders = GPUS * PER_GPU / DECODED
    epoch = IMAGES / (GPUS * BATCH) * (step + ring)
    rows = [
        [
            "a step",
            f"{1000 * step:.0f} ms",
            f"assumed: {PER_GPU:,.0f} images/s a GPU, {BATCH} a step",
        ],
        ["its gradients", f"{gradient / 1e6:.0f} MB", f"{PARAMETERS:,} weights in float32"],
        [
            "to add them up",
            f"{1000 * ring:.1f} ms",
            f"a ring sends 2 (N − 1)/N of them; assumed: {LINK / 1e9:.0f} GB/s, nothing overlapped",
        ],
        ["efficiency", f"{100 * step / (step + ring):.1f} %", "of 8 times one GPU"],
        ["an epoch", f"{epoch:.0f} s", f"{IMAGES:,} images"],
        [
            "cores that decode",
            f"{decoders:.0f}",
            f"assumed: {DECODED:,.0f} JPEGs of 500 × 375 a second and core; with fewer these set the pace",
        ],
        [
            "break-even",
            f"{ring * PER_GPU:.1f} images",
            "of a step and GPU: as long to add up gradients as to make them",
        ],
    ]
    return table(["fine-tuning", "predicted", "from"], rows)


# ------------------------------------------------------------------------------------- others


def ranks(found: Found) -> str:
    """Fine-tuning with one process and with two."""
    rows = [
        [f"images a second, {count} process{'es' * (count != '1')}", f"{median(values):.0f}"]
        for count, values in found["images_per_s"].items()
    ]
    rows += [
        ["times those of one", f"{found['ratio']:.2f}"],
        ["sent in a step by each", f"{found['bytes_a_step'] / 1e6:.2f} MB"],
        ["relative difference of the training losses", f"{found['relative_difference']:.0e}"],
    ]
    return table(["two processes of one thread, gloo", "measured"], rows)


def grids(found: Found) -> str:
    """Points that sleep, on this machine's own engines."""
    rows = [
        ["`--engine local`, a run folder a point", f"{100 * found['ours_over_ideal']:.1f} %"],
        ["joblib, which keeps nothing", f"{100 * found['joblib_over_ideal']:.1f} %"],
        ["ProcessPoolExecutor, the same", f"{100 * found['pool_over_ideal']:.1f} %"],
    ]
    head = f"{found['points']} points of one second, {found['workers']} workers"
    return table([head, "over the ideal"], rows)


KILLED = {
    "worker": "a worker of Ray",
    "machine": "a node of Ray",
    "driver": "the driver of Ray, which comes back",
    "results": "Ray's process that keeps results",
    "slurm_job": "a job of SLURM",
    "slurm_node": "a node of SLURM",
    "slurm_driver": "the driver of SLURM, which comes back",
}


def engines(found: Found) -> str:
    """Ray and SLURM, two nodes each on this machine: what Ray costs, and what SIGKILL does to them."""
    parts = []
    if "overhead" in found:
        rows = [
            [f"`--engine {name}`", f"{one['seconds']:.1f}", f"{100 * one['over_ideal']:.1f} %"]
            for name, one in found["overhead"].items()
            if isinstance(one, dict)
        ]
        over = found["overhead"]
        head = [
            f"{over['points']} points of one second, {over['places']} places",
            "s",
            "over the ideal",
        ]
        parts.append(table(head, rows))
    rows = [
        [KILLED[kind], f"{one['kills']}", f"{one['as_undisturbed']} of {one['grids']}"]
        for kind, one in found.get("kills", {}).items()
    ]
    if rows:
        head = ["SIGKILL of", "kills", "grids that end as undisturbed, byte for byte"]
        parts.append(table(head, rows))
    return "\n\n".join(parts)


TABLES: dict[str, tuple[str, Callable[[Found], str]]] = {
    "processes": ("shards", processes),
    "traffic": ("shards", traffic),
    "out_of_core": ("shards", out_of_core),
    "prediction": ("shards", prediction),
    "finetuning": ("", finetuning),
    "ranks": ("ranks", ranks),
    "grids": ("grids", grids),
    "engines": ("engines", engines),
}

MARK = re.compile(r"(?P<mark><!-- scaling (?P<name>\w+) -->\n)(?P<text>.*?)(?=<!-- / -->)", re.S)


def with_scaling(text: str) -> str:
    """A page with these tables as ``bench/results`` has them."""

    def made(match: re.Match[str]) -> str:
        file, function = TABLES[match["name"]]
        path = RESULTS / f"{file}.json"
        if file and not path.exists():
            return f"{match['mark']}Not measured yet: `python bench/{file}.py`.\n"
        found = json.loads(path.read_text(encoding="utf-8")) if file else {}
        where = f"\n\n{found['machine']}; `{found['command']}`." if "machine" in found else ""
        told = {key: value for key, value in found.items() if key not in ("machine", "command")}
        return f"{match['mark']}{function(told)}{where}\n"

    return MARK.sub(made, text)
