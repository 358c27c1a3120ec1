"""``mlhw init COMMAND [FILE]``: a commented configuration to change, every key at its default."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mlhw.commands.configurable import Configurable, configuration_of
from mlhw.commands.help import Command, examples
from mlhw.commands.new_file import write_asked
from mlhw.commands.run import PLAIN
from mlhw.config.commented import commented
from mlhw.config.files import shipped_schema
from mlhw.errors import FINISHED, ConfigError
from mlhw.text.words import printable

app = typer.Typer(**PLAIN)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.command(
    "init",
    cls=Command,
    epilog=examples(
        ("mlhw init lr-sweep", "write lr-sweep.yaml"),
        ("mlhw init finetune photos.yaml", "write it under another name"),
        ("mlhw init all - > all.yaml", "on standard output"),
    ),
)
def init_command(
    name: Configurable,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="where to; by default COMMAND.yaml, '-' for stdout"),
    ] = None,
) -> int:
    """Write a configuration with every key at its default, and what each key means beside it.

    A file that is there stays as it is (exit code 2). Editors with a YAML language server complete the
    keys and mark what is wrong.
    """
    model = configuration_of(name)
    path = f"{name}.yaml" if file is None else file
    schema = shipped_schema(name)
    # What stands in a comment must not end it, nor be more than it seems.
    target = shlex.quote(path) if path != "-" and path.isprintable() else "FILE"
    head = f"mlhw {name}: every key at its default. Change what you need; mlhw {name} -c {target} runs it."
    text = commented(model, head, schema.as_uri() if schema else None)
    if path == "-":
        print(text, end="")
        return FINISHED
    if not path:
        raise ConfigError("FILE: is empty; give the name of a new file")
    write_asked(path, text)
    words = f"wrote {Path(path)}; run it with: mlhw {name} -c {shlex.quote(path)}"
    print(printable(words), file=sys.stderr)
    return FINISHED
