"""``--dry-run``: all data read and checked, the plan, its memory and time; nothing is trained.

What is found goes to the screen, and into a folder only where one is named.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlhw.errors import ConfigError, reason_of
from mlhw.experiments.actions import Done
from mlhw.result import plots
from mlhw.result.plots import Plot
from mlhw.system.files import write_whole
from mlhw.text.values import bytes_text, to_json
from mlhw.text.words import listing, printable, quantity, text_table
from mlhw.vision.images.inventory import named_copies
from mlhw.vision.images.shapes import WIDE, aspects

if TYPE_CHECKING:
    from mlhw.result.recorder import Recorder
    from mlhw.vision.config import Config
    from mlhw.vision.images.datasets import ImageSplits
    from mlhw.vision.training.rehearsal import Rehearsal

SHEET_NAME, TEXT, NUMBERS = "augmented", "dry-run.txt", "dry-run.json"
_SPANS = {
    "features": "features",
    "frozen": "frozen epochs",
    "probe": "trying rates",
    "open": "open epochs",
    "test": "test",
    "comparison": "comparison with random weights",
}
_MOST_COLUMNS = 12  # classes that have a column of their own


def rehearsal_report(value: str, config: Config, recorder: Recorder) -> Done:
    """Read, check, measure and report, into the folder ``value`` too if it is not empty.

    Raises ConfigError or DataError as a run would before it begins.
    """
    from mlhw.vision.training.rehearsal import rehearse

    folder = Path(os.path.expanduser(value)) if value else None
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # ValueError: a NUL
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise ConfigError(f"--dry-run: {folder}: cannot be made: {reason}") from None
    found = rehearse(config, recorder)
    record = rehearsal_numbers(found)
    lines = report_lines(record)
    if folder is not None:
        named = name_lines(record)
        files = [folder / name for name in (TEXT, NUMBERS, f"{SHEET_NAME}.png")]
        try:
            write_whole(files[0], "\n".join([*lines, *named]) + "\n")
            write_whole(files[1], json.dumps(to_json(record), indent=2) + "\n")
            plots.save_png(sheet_plot(found), folder)
        except OSError as error:
            raise ConfigError(f"--dry-run: {folder}: {reason_of(error)}") from None
        lines += ["", f"wrote {', '.join(map(str, files))}"]
    return Done("\n".join(lines), record)


# ------------------------------------------------------------------------------------- numbers


def rehearsal_numbers(r: Rehearsal) -> dict[str, Any]:
    """All that is found, as JSON values; bytes, seconds and pixels."""
    splits, config, plan = r.prepared.splits, r.prepared.config, r.task.plan
    work = r.work
    return {
        "data": {
            "name": splits.name,
            "digest": splits.digest,
            "classes": splits.classes,
            "splits": {
                split: {
                    "images": len(part),
                    "from": splits.origins.get(split, splits.name),
                    "classes": dict(zip(splits.classes, splits.counts(split), strict=True)),
                }
                for split, part in splits.parts.items()
            },
            "skipped": len(splits.skipped),
            **image_shapes(splits),
            "duplicates": splits.duplicates.summary(),
            "copies": named_copies(splits),
            "unreadable": [{"file": name, "reason": reason} for name, reason in splits.skipped],
        },
        "plan": {
            "model": config.model,
            "weights": r.prepared.backbone.weights,
            "image_size": config.image_size,
            "device": config.device,
            "precision": config.precision,
            "layout": config.layout,
            "runs": config.repeats,
            "epochs": plan.epochs,
            "frozen_epochs": r.frozen_epochs,
            "batch_size": config.batch_size,
            "accumulate": config.accumulate,
            "steps_per_epoch": plan.steps_per_epoch,
            "schedule": plan.schedule,
            "rates": {"head": config.optim.lr, "backbone": backbone_rate(r)},
            "features": feature_storage(r),
            "memory": {
                "images": r.memory.images,
                "features": r.memory.features,
                "parameters": r.memory.parameters,
                "step": r.memory.step,
                "total": r.memory.total,
            },
            "measured": {
                "image": work.image,
                "head_step": work.head_step,
                "open_step": work.open_step,
            },
            "seconds": r.seconds(),
        },
    }


def feature_storage(r: Rehearsal) -> str:
    """How the frozen epochs come by their features."""
    if not r.frozen_epochs:
        return "none: the backbone learns from the first epoch on"
    if r.task.store is None:
        return "worked out in every epoch"
    if r.task.recomputes:
        return "worked out in every frozen epoch, as the images change; stored to validate"
    views = r.prepared.config.views
    return f"stored, {views} views of each image" if views else "stored"


def backbone_rate(r: Rehearsal) -> Any:
    """The full rate of the backbone's last stage, a word where it is still to be found; None if frozen."""
    if not r.task.plan.ever_unfreezes:
        return None
    given = r.prepared.config.optim.backbone_lr
    return r.prepared.config.optim.lr if given is None else given


def image_shapes(splits: ImageSplits) -> dict[str, Any]:
    """Widths and heights, and how much longer the longer side is than the shorter."""
    sizes = np.concatenate([part.sizes for part in splits.parts.values()])
    areas, ratios = sizes.prod(axis=1), aspects(sizes)
    order = np.argsort(areas, kind="stable")
    named = {"smallest": order[0], "median": order[len(order) // 2], "largest": order[-1]}
    return {
        "sizes": {
            name: {"width": int(sizes[i][1]), "height": int(sizes[i][0])}
            for name, i in named.items()
        },
        "aspects": {
            "median": float(np.median(ratios)),
            "largest": float(ratios.max()),
            "wide": int((ratios > WIDE).sum()),
        },
    }


# ------------------------------------------------------------------------------------- words


def report_lines(record: dict[str, Any]) -> list[str]:
    """The report as lines."""
    data, plan = record["data"], record["plan"]
    sizes = {name: f"{size['width']} × {size['height']}" for name, size in data["sizes"].items()}
    lines = [f"{data['name']}: {len(data['classes'])} classes", *count_lines(record)]
    if data["skipped"]:
        lines.append(f"left out: {quantity(data['skipped'], 'image')} that cannot be read")
    if sizes["smallest"] == sizes["largest"]:
        lines.append(f"sizes: all {sizes['median']} pixels")
    else:
        lines.append(
            f"sizes: {sizes['smallest']} to {sizes['largest']} pixels, the median {sizes['median']}"
        )
    sides = data["aspects"]
    if sides["largest"] > 1:
        total = sum(split["images"] for split in data["splits"].values())
        lines.append(
            f"sides: the longer up to {sides['largest']:.2f} times the shorter, the median "
            f"{sides['median']:.2f}; {sides['wide']} of {total} images beyond {WIDE:g}"
        )
    lines += [*duplicate_lines(data["duplicates"]), "", *plan_lines(plan)]
    return lines


def count_lines(record: dict[str, Any]) -> list[str]:
    """A row for each split: images by class, where they are from."""
    splits = record["data"]["splits"]
    classes = record["data"]["classes"]
    if len(classes) <= _MOST_COLUMNS:
        header = ["split", "images", *classes, "from"]
        rows = [
            [name, str(s["images"]), *(str(n) for n in s["classes"].values()), s["from"]]
            for name, s in splits.items()
        ]
        return text_table(header, rows)
    header = ["split", "images", "smallest class", "largest class", "from"]
    rows = []
    for name, s in splits.items():
        few, many = (pick(s["classes"], key=s["classes"].get) for pick in (min, max))
        ends = [f"{label} {s['classes'][label]}" for label in (few, many)]
        rows.append([name, str(s["images"]), *ends, s["from"]])
    return text_table(header, rows)


def duplicate_lines(found: dict[str, Any]) -> list[str]:
    """What is there twice, counted."""
    leaked = [f"{count} of {split}" for split, count in found["leaked"].items() if count]
    two = found["in_two_classes"]
    said = [quantity(found["copies"], "copy", "copies")] if found["copies"] else []
    said += [f"{listing(leaked)} in an earlier split too"] if leaked else []
    said += [f"{quantity(two, 'picture')} in two classes"] if two else []
    lines = [f"duplicates: {'; '.join(said) or 'none'}"]
    near = found["near"]
    if near is None:
        lines.append("near-duplicates: not looked for in images below 32 pixels")
    else:
        lines.append(
            f"near-duplicates: {quantity(near['pairs'], 'pair')}, {near['across_splits']} across splits, "
            f"{near['in_two_classes']} in two classes"
            if near["pairs"]
            else "near-duplicates: none"
        )
    return lines


def name_lines(record: dict[str, Any]) -> list[str]:
    """What is there twice and what cannot be read, by name: for the file, as there may be hundreds."""
    data = record["data"]
    lines = [f"{kind}: {text}" for kind, texts in data["copies"].items() for text in texts]
    lines += [f"left out: {each['file']}: {each['reason']}" for each in data["unreadable"]]
    return ["", *map(printable, lines)] if lines else []


def plan_lines(plan: dict[str, Any]) -> list[str]:
    frozen, opened = plan["frozen_epochs"], plan["epochs"] - plan["frozen_epochs"]
    parts = [f"{frozen} of the head alone"] if frozen else []
    parts += [f"{opened} of the backbone too"] if opened else []
    rates = plan["rates"]
    backbone = "stays frozen" if rates["backbone"] is None else rate(rates["backbone"])
    memory = plan["memory"]
    held = {
        "images": memory["images"],
        "stored features": memory["features"],
        "parameters, gradients and optimizer": memory["parameters"],
        "a step": memory["step"],
    }
    each = f", {plan['runs']} times" if plan["runs"] > 1 else ""
    took = {name: s for name, s in plan["seconds"].items() if name != "total" and s}
    rows = [
        (
            "network",
            f"{plan['model']} ({plan['weights']}), {plan['image_size']} × {plan['image_size']} pixels, "
            f"{plan['device']}, {plan['precision']}",
        ),
        (
            "epochs",
            f"{plan['epochs']}: {listing(parts)}; {quantity(plan['steps_per_epoch'], 'step')} of "
            f"{plan['batch_size'] * plan['accumulate']} images each",
        ),
        ("rates", f"head {rate(rates['head'])}, backbone {backbone}, {plan['schedule']}"),
        ("features", plan["features"]),
        (
            "memory",
            f"{bytes_text(memory['total'])}: "
            + ", ".join(f"{name} {bytes_text(n)}" for name, n in held.items() if n),
        ),
        (
            "time",
            f"{duration(plan['seconds']['total'])} in all: "
            + ", ".join(f"{_SPANS[name]} {duration(s)}" for name, s in took.items())
            + each,
        ),
    ]
    return [f"{name:<9} {words}" for name, words in rows]


def rate(value: Any) -> str:
    return "to be found by trying some" if value == "auto" else f"{value:g}"


def duration(seconds: float) -> str:
    if seconds < 1:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# ------------------------------------------------------------------------------------- sheet


def sheet_plot(r: Rehearsal) -> Plot:
    """Training images as the network takes them, and as epochs change them."""
    from mlhw.vision.training.sheet import augmented_sheet

    return Plot(
        SHEET_NAME,
        "Training images",
        "Training images at the size that the network sees, and as epochs change them.",
        "A grid of training images and their random changes.",
        lambda: augmented_sheet(r.task),
    )
