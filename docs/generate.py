"""Writes what the configuration models say: docs/configuration.md, the types of mlhw's functions, and
the JSON schemas of the configurations in configs/schemas.

python docs/generate.py
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mlhw.api import objects_of
from mlhw.commands.all import AllConfig
from mlhw.commands.configurable import ALL
from mlhw.commands.schema import schema_text
from mlhw.config.model import InputFile, Leaf, draw_seed, leaves, section_of
from mlhw.experiments.registry import EXPERIMENTS, experiment, module_name
from mlhw.text import yaml12

PAGE = Path(__file__).with_name("configuration.md")
STUB = Path(__file__).parents[1] / "mlhw" / "__init__.pyi"
SCHEMAS = Path(__file__).parents[1] / "configs" / "schemas"

HEAD = """# Configuration

<!-- Written by docs/generate.py from the models; a test compares the two. -->

Defaults, then YAML files in their order (`-c base.yaml -c mine.yaml`), then `--set key.sub=value`
(repeatable, the value is YAML), then named options: the later wins, key by key; a list is replaced as a
whole. `--print-config` prints what comes out, as YAML that can be read back, and every run keeps it as
`config.yaml`.

The YAML is that of version 1.2: `1e-3` is a number, `on` and `no` are words, `012` is twelve; where a
whole number is due, `1e3` is one. A key stands once. Unknown keys are errors that name the nearest
neighbour, also of what others call a key (`lr` for `etas`); all errors are reported at once, each with
its place: `error: my.yaml:12: optim.lr: must be greater than 0 (got -0.1)`. Paths in a file start from
the file's folder, paths on the command line from the working directory. An option, or a `--set`, that
would do nothing beside the other keys (`--momentum` with adamw) is an error; in a file it may stand, so that
a saved configuration runs again with others changed.

Every command also has `--runs-dir DIR` (or `MLHW_RUNS_DIR`), `--name TEXT`, `--json`, `--quiet`,
`--verbose`, `--no-progress`, `--tensorboard`, `--mlflow [URI]`, `--no-plots`, and `--no-check`, with
which a failing claim does not change the exit code.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    models = {name: experiment(name).Config for name in EXPERIMENTS} | {"all": AllConfig}
    for name, model in models.items():
        parts.append(f"\n## {name}\n\n| key | option | default | meaning |\n|---|---|---|---|\n")
        parts += [row(leaf) for leaf in leaves(model) if not leaf.is_section or leaf.has_option]
    return "".join(parts)


def row(leaf: Leaf) -> str:
    option = ", ".join(f"`{word}`" for word in leaf.spellings) if leaf.has_option else ""
    default = yaml12.inline(leaf.default)
    default = "" if leaf.is_section or "; " in default else f"`{default}`"
    meaning = leaf.description.replace("|", "\\|")
    return f"| `{leaf.key}` | {option} | {default} | {meaning} |\n"


# ------------------------------------------------------------------------------------- types

STUB_HEAD = '''"""The types of mlhw's functions. Written by docs/generate.py from the models."""

import os
from collections.abc import Collection, Mapping
from typing import Any, Literal

from mlhw.result.claims import Claim as Claim
from mlhw.result.observations import Observation as Observation
from mlhw.result.result import Result as Result
from mlhw.vision.images.datasets import from_dataset as image_splits

__version__: str

def run(experiment: str, **keys: Any) -> Result: ...
'''


def stub() -> str:
    """``mlhw/__init__.pyi``: each experiment's function, its keys as keyword arguments."""
    parts = [STUB_HEAD]
    for name in EXPERIMENTS:
        found = [leaf for leaf in leaves(experiment(name).Config) if len(leaf.path) == 1]
        keys = [f"    {leaf.key}: {' | '.join(kinds(leaf))} = ...,\n" for leaf in found]
        keys += [f"    {key}: Any = ...,\n" for key in objects_of(name)]
        parts.append(f"def {module_name(name)}(\n    *,\n{''.join(keys)}) -> Result: ...\n")
    return "".join(parts)


def kinds(leaf: Leaf) -> list[str]:
    """The types of Python that a key takes: a path for a text that is one, any collection for a list."""
    if leaf.is_section:
        section = section_of(leaf.annotation)
        return ["Mapping[str, Any]", *(["str"] if hasattr(section, "from_text") else [])]
    found = list(dict.fromkeys(_kinds(leaf.annotation)))
    if leaf.marked(InputFile) is not None and "str" in found:
        found.insert(found.index("str") + 1, "os.PathLike[str]")
    if any(getattr(mark, "func", None) is draw_seed for mark in leaf.metadata):
        found.append('Literal["random"]')
    return [*(kind for kind in found if kind != "None"), *(["None"] if "None" in found else [])]


def _kinds(annotation: Any) -> Iterator[str]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(inner[0])
    elif origin in (Union, types.UnionType):
        for part in inner:
            yield from _kinds(part)
    elif origin is Literal:
        yield f"Literal[{', '.join(map(repr, inner)).replace(chr(39), chr(34))}]"
    elif origin is list:
        yield f"Collection[{' | '.join(dict.fromkeys(_kinds(inner[0])))}]"
    else:
        yield "None" if annotation is type(None) else annotation.__name__


# ------------------------------------------------------------------------------------- schemas


def schemas() -> dict[Path, str]:
    """Each file of ``configs/schemas``, which the configurations name in their first lines, and its text."""
    return {SCHEMAS / f"{name}.json": schema_text(name) for name in (*EXPERIMENTS, ALL)}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    STUB.write_text(stub(), encoding="utf-8")
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in schemas().items():
        path.write_text(text, encoding="utf-8")
