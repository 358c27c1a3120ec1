"""Writes into the documentation what stands elsewhere, so that it is written once.

    python docs/generate.py

docs/configuration.md, the types of mlhw's functions and the JSON schemas in configs/schemas come from the
configuration models, measured times and errors in README and docs from ``bench/results/``: in
``<!-- bench finetune.stored_s .1f -->15.6<!-- / -->`` what stands between is the number ``stored_s`` of
``bench/results/finetune.json`` in Python's format ``.1f``. ``fault_tables.py``, ``scaling_tables.py`` and
``performance_tables.py`` make whole tables.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mlhw.api import function_of, objects_of, run
from mlhw.commands.configurable import ALL, GRADE, configuration_of
from mlhw.commands.schema import schema_text
from mlhw.config.model import InputFile, Leaf, draw_seed, leaves, section_of
from mlhw.experiments.registry import EXPERIMENTS, experiment, module_name
from mlhw.grids.config import GridConfig
from mlhw.text import yaml12

sys.path.insert(0, str(Path(__file__).parent))
from fault_tables import with_tables
from performance_tables import with_performance
from scaling_tables import with_scaling

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
STUB = ROOT / "mlhw" / "__init__.pyi"
SCHEMAS = ROOT / "configs" / "schemas"
RESULTS = ROOT / "bench" / "results"
MEASURED = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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
would do nothing beside the other keys (`--momentum` with adamw) is an error (but `--seed`, which every
experiment takes, also where nothing is drawn); in a file it may stand, so that a saved configuration runs
again with others changed.

`mlhw init COMMAND` writes a commented file with every key at its default, and writes over none. Editors with
a YAML language server complete keys and mark what is wrong by the schema in the file's first line, which
`mlhw schema COMMAND` prints; the shell completes `-c` by the configurations that come with mlhw.

Every command also has `--runs-dir DIR` (or `MLHW_RUNS_DIR`), `--name TEXT`, `--json`, `--quiet`,
`--verbose`, `--no-progress`, `--tensorboard`, `--mlflow [URI]`, `--no-plots`, and `--no-check`, with
which a failing claim does not change the exit code.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    models = {name: experiment(name).Config for name in EXPERIMENTS}
    models |= {name: configuration_of(name) for name in (ALL, GRADE)} | {"grid": GridConfig}
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

'''


def stub() -> str:
    """``mlhw/__init__.pyi``: each experiment's function with its keys, their types and what they mean."""
    parts = [STUB_HEAD, function("run", "experiment: str, **keys: Any", run.__doc__)]
    for name in EXPERIMENTS:
        found = [leaf for leaf in leaves(experiment(name).Config) if len(leaf.path) == 1]
        keys = [f"    {leaf.key}: {' | '.join(kinds(leaf))} = ...,\n" for leaf in found]
        keys += [f"    {key}: Any = ...,\n" for key in objects_of(name)]
        keywords = f"\n    *,\n{''.join(keys)}"
        parts.append(function(module_name(name), keywords, function_of(name).__doc__))
    return "".join(parts)


def function(name: str, parameters: str, docstring: str | None) -> str:
    """A function of the stub; its docstring is what editors show and the API reference is made of."""
    lines = inspect.cleandoc(docstring or "").replace("\\", "\\\\").splitlines()
    body = "\n".join(f"    {line}".rstrip() for line in lines).lstrip()
    return f'def {name}({parameters}) -> Result:\n    """{body}\n    """\n'


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
    return {SCHEMAS / f"{name}.json": schema_text(name) for name in (*EXPERIMENTS, ALL, GRADE)}


# ---------------------------------------------------------------------------- what was measured

MARK = re.compile(
    r"(?P<mark><!-- bench (?P<file>[\w-]+)\.(?P<key>\S+) ?(?P<form>\S*) -->)(?P<text>.*?)<!-- / -->",
    re.S,
)


def measured(text: str) -> str:
    """A page with every marked number as ``bench/results`` has it. Raises KeyError for an unknown one."""
    return MARK.sub(
        lambda m: f"{m['mark']}{number(m['file'], m['key'], m['form'])}<!-- / -->", text
    )


def with_results(text: str) -> str:
    """A page with every marked number and table as ``bench/results`` has them."""
    return with_performance(with_scaling(with_tables(measured(text))))


def number(file: str, key: str, form: str = "") -> str:
    """A number of a results file, ``scores.3.caught``, in a format of Python's; texts need none.

    ``1000*.1f`` multiplies it first: seconds as milliseconds.
    """
    value = json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))
    for word in key.split("."):
        value = value[int(word)] if isinstance(value, list) else value[word]
    factor, star, form = form.rpartition("*")
    return format(float(factor) * value if star else value, form)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    STUB.write_text(stub(), encoding="utf-8")
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in schemas().items():
        path.write_text(text, encoding="utf-8")
    for path in MEASURED:
        filled = with_results(path.read_text(encoding="utf-8"))
        path.write_text(filled, encoding="utf-8")
