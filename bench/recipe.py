"""The default recipe of finetune beside the head alone, over seeds: accuracy with its errors, and time.

    python bench/recipe.py [--data photos-128,digits] [--seeds 0,1,2,3,4] [--threads 2]
    python bench/recipe.py --table          # prints what is there
    python bench/recipe.py --write          # and puts it into README and docs/finetune.md

Every run is the installed command in a process of its own. What is done is kept in
``bench/results/recipe.json`` and not done again, so it can be stopped at any time. The photographs (397
of ants and bees) and CIFAR-10 are not part of the project; what is not there is left out, and said.
Features are kept in the user's cache, as for a user.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timing import machine

RESULTS = Path(__file__).parent / "results" / "recipe.json"
SHARED = Path(__file__).parents[2] / "shared" / "data"

# The head alone has as many epochs as the others.
RECIPES = {
    "head alone": ["--unfreeze-at", "null"],
    "default": [],
    "default, flips and crops": ["--augment", "flip-crop"],
    "backbone at lr": ["--backbone-lr", "null"],  # what auto keeps from happening
}
DATA = {
    "digits": ["--data", "digits", "--compare", "none"],
    "photos-128": ["--data", "folder:{photos}", "--image-size", "128"],
    "photos-224": ["--data", "folder:{photos}", "--image-size", "224"],
    "cifar-200": [
        "--data",
        "folder:{cifar}",
        "--model",
        "cifar_resnet20",
        "--weights",
        "{weights}",
    ],
}
TRAIN, VAL = 200, 100  # images a class of the CIFAR-10 subset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--recipes", default=";".join(RECIPES))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--threads", default="auto")
    parser.add_argument("--photos", type=Path, default=SHARED / "photos")
    parser.add_argument("--cifar", type=Path, default=SHARED / "cifar10" / "train.tar.xz")
    parser.add_argument(
        "--weights", type=Path, default=SHARED / "weights" / "cifar100_resnet20_backbone.pth"
    )
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--write", action="store_true", help="put it into the documentation too")
    given = parser.parse_args()
    if not (given.table or given.write):
        measure(given)
    found = read()
    print("\n".join(table(found)))
    if given.write:
        for path, lines in pages(found).items():
            path.write_text(filled(path.read_text(encoding="utf-8"), lines), encoding="utf-8")


def measure(given: argparse.Namespace) -> None:
    """Run what is not in the results yet, seed by seed, so that a stopped measurement is still paired."""
    names = given.data.split(",")
    with cifar_subset(given.cifar if "cifar-200" in names else None) as cifar:
        places = {"photos": given.photos, "cifar": cifar, "weights": given.weights}
        for seed in given.seeds.split(","):
            for data in names:
                options = [word.format(**places) for word in DATA[data]]
                needed = [n for n in places if f"{{{n}}}" in " ".join(DATA[data])]
                missing = [n for n in needed if not (places[n] and places[n].exists())]
                if missing:
                    print(f"{data} is left out: no --{missing[0]} there", file=sys.stderr)
                    continue
                for recipe in given.recipes.split(";"):
                    key = f"{data}/{recipe}/{seed}"
                    if key in read()["runs"]:
                        continue
                    words = [*options, *RECIPES[recipe], "--seed", seed, "--threads", given.threads]
                    one = run(words)
                    found = read()  # another process may measure other seeds
                    found["machine"] = machine()
                    found["runs"][key] = one
                    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
                    print(key, one, file=sys.stderr, flush=True)


def read() -> dict[str, Any]:
    if RESULTS.exists():
        return json.loads(RESULTS.read_text())  # type: ignore[no-any-return]
    return {"machine": machine(), "runs": {}}


def run(options: list[str]) -> dict[str, Any]:
    """One run of the command: validation accuracies by epoch, which epoch is kept, seconds in all."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            sys.executable,
            "-m",
            "mlhw",
            "finetune",
            *options,
            "--runs-dir",
            folder,
            "--json",
            "--no-plots",
        ]
        started = time.perf_counter()
        done = subprocess.run([*words, "-q"], capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode not in (0, 3):
            raise SystemExit(done.stderr)
        result = json.loads(done.stdout)
        with open(Path(folder) / "latest" / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
    summary = result["summary"]
    return {
        "val_acc": [float(row["val_acc"]) for row in rows],
        "best_epoch": summary["best_epoch"],
        "test_acc": summary["test_acc"],
        "images": [summary["images"]["val"], summary["images"]["test"]],
        "backbone_lr": summary["backbone_lr"],
        "failed_claims": [c["id"] for c in result["claims"] if c["verdict"] == "fails"],
        "seconds": round(seconds, 1),
    }


@contextmanager
def cifar_subset(archive: Path | None) -> Iterator[Path | None]:
    """A folder with the first images of each class of CIFAR-10; None without the archive."""
    if archive is None or not archive.exists():
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        counts: dict[str, int] = {}
        with tarfile.open(archive) as images:
            for member in images:
                kind = Path(member.name).parent.name
                if not member.isfile() or counts.get(kind, 0) >= TRAIN + VAL:
                    continue
                counts[kind] = counts.get(kind, 0) + 1
                split = "train" if counts[kind] <= TRAIN else "val"
                target = Path(folder) / split / kind / Path(member.name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                file = images.extractfile(member)
                assert file is not None
                target.write_bytes(file.read())
        yield Path(folder)


# ------------------------------------------------------------------------------------- the table

COLUMNS = ("images", "recipe", "seeds", "kept epoch", "last epoch", "kept, above the head alone")
COLUMNS += ("last, above the head alone", "rate of the backbone", "minutes")
NONE = "–"


def table(found: dict[str, Any]) -> list[str]:
    """A row for each data set and recipe, in Markdown."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for data in DATA:
        heads = seeds(found, data, "head alone")
        for recipe in RECIPES:
            runs = seeds(found, data, recipe)
            if not runs:
                continue
            both = [seed for seed in runs if seed in heads]
            cells = [data, recipe, str(len(runs))]
            for which in (kept, last):
                values = [which(one) for one in runs.values()]
                mean, images = statistics.fmean(values), next(iter(runs.values()))["images"][0]
                sampling = math.sqrt(mean * (1 - mean) / images)
                cells.append(
                    f"{with_error(values, '{:.3f}')} (of {images} images ± {sampling:.3f})"
                )
            for which in (kept, last):
                values = [which(runs[seed]) - which(heads[seed]) for seed in both]
                cells.append(NONE if recipe == "head alone" else with_error(values, "{:+.3f}"))
            rates = sorted({one["backbone_lr"] for one in runs.values()} - {None})
            cells.append(", ".join(f"{rate:g}" for rate in rates) or NONE)
            cells.append(f"{statistics.fmean(one['seconds'] for one in runs.values()) / 60:.2f}")
            lines.append("| " + " | ".join(cells) + " |")
    tests = {
        recipe: [one["test_acc"] for one in seeds(found, "digits", recipe).values()]
        for recipe in RECIPES
    }
    words = [f"{recipe} {with_error(values, '{:.4f}')}" for recipe, values in tests.items()]
    return [
        *lines,
        "",
        "Validation accuracy ± standard error over the seeds (of n images: of one run, by their number).",
        f"Test accuracy on the digits, kept epoch: {'; '.join(words)}.",
        f"{found['machine']}",
    ]


def short_table(found: dict[str, Any]) -> list[str]:
    """A row for each data set, a column a recipe: accuracy of the last epoch, and minutes."""
    lines = [f"| images | {' | '.join(RECIPES)} |", f"|---|{'---|' * len(RECIPES)}"]
    for data in DATA:
        cells = []
        for recipe in RECIPES:
            runs = seeds(found, data, recipe).values()
            minutes = statistics.fmean(one["seconds"] for one in runs) / 60 if runs else math.nan
            accuracy = with_error([last(one) for one in runs], "{:.3f}")
            cells.append(f"{accuracy}, {minutes:.1f} min" if runs else NONE)
        lines.append(f"| {data} | {' | '.join(cells)} |")
    return lines


START, END = "<!-- python bench/recipe.py --write -->", "<!-- / -->"
ROOT = Path(__file__).parents[1]


def pages(found: dict[str, Any]) -> dict[Path, list[str]]:
    """The pages that hold a table, and its lines."""
    return {ROOT / "docs" / "finetune.md": table(found), ROOT / "README.md": short_table(found)}


def filled(text: str, lines: list[str]) -> str:
    """A page with these lines where the table stands."""
    before, _, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"there is no {START} … {END}")
    return "\n".join([f"{before}{START}", *lines, f"{END}{after}"])


def seeds(found: dict[str, Any], data: str, recipe: str) -> dict[str, dict[str, Any]]:
    prefix = f"{data}/{recipe}/"
    return {k.removeprefix(prefix): v for k, v in found["runs"].items() if k.startswith(prefix)}


def kept(one: dict[str, Any]) -> float:
    return float(one["val_acc"][one["best_epoch"]])


def last(one: dict[str, Any]) -> float:
    return float(one["val_acc"][-1])


def with_error(values: list[float], form: str) -> str:
    """Mean ± standard error over the seeds."""
    if not values:
        return NONE
    text = form.format(statistics.fmean(values))
    if len(values) < 2:
        return text
    return f"{text} ± {statistics.stdev(values) / math.sqrt(len(values)):.3f}"


if __name__ == "__main__":
    main()
