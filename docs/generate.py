"""Writes docs/configuration.md from the configuration models, so that it cannot be out of date.

python docs/generate.py
"""

from __future__ import annotations

from pathlib import Path

from mlhw.commands import all as assignment
from mlhw.config.model import Leaf, leaves
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.text import yaml12

PAGE = Path(__file__).with_name("configuration.md")

HEAD = """# Configuration

<!-- Written by docs/generate.py from the models; a test compares the two. -->

Defaults, then a YAML file (`--config FILE`), then `--set key.sub=value` (repeatable, the value is
YAML), then named options: the later wins. `--print-config` prints what comes out, as YAML that can be
read back, and every run keeps it as `config.yaml`.

The YAML is that of version 1.2: `1e-3` is a number, `on` and `no` are words, `012` is twelve. A key
stands once. Unknown keys are errors that name the nearest neighbour; all errors are reported at once,
each with its place: `error: my.yaml:12: optim.lr: must be greater than 0 (got -0.1)`. Paths in a file
start from the file's folder, paths on the command line from the working directory.

Every command also has `--runs-dir DIR` (or `MLHW_RUNS_DIR`), `--name TEXT`, `--json`, `--quiet`,
`--verbose`, `--tensorboard`, `--mlflow [URI]`, `--no-plots`, and `--no-check`, with which a failing
claim does not change the exit code.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    models = {name: experiment(name).Config for name in EXPERIMENTS} | {"all": assignment.Config}
    for name, model in models.items():
        parts.append(f"\n## {name}\n\n| key | option | default | meaning |\n|---|---|---|---|\n")
        parts += [row(leaf) for leaf in leaves(model) if not leaf.is_section or leaf.has_option]
    return "".join(parts)


def row(leaf: Leaf) -> str:
    option = f"`{leaf.option}`" if leaf.has_option else ""
    default = yaml12.inline(leaf.default)
    default = "" if leaf.is_section or "; " in default else f"`{default}`"
    meaning = leaf.description.replace("|", "\\|")
    return f"| `{leaf.key}` | {option} | {default} | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
