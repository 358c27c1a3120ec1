"""``mlhw schema COMMAND``: the JSON schema of a command's configuration."""

from __future__ import annotations

import json
from typing import Any

import typer

from mlhw.commands.configurable import Configurable, configuration_of
from mlhw.commands.help import Command, examples
from mlhw.commands.run import PLAIN
from mlhw.config.schema import json_schema
from mlhw.errors import FINISHED

app = typer.Typer(**PLAIN)


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


def schema_text(name: str) -> str:
    """The schema as it is printed, and as ``configs/schemas`` holds it."""
    found = json_schema(configuration_of(name), f"configuration of mlhw {name}")
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


@app.command(
    "schema",
    cls=Command,
    epilog=examples(
        ("mlhw schema finetune > finetune.json", "for an editor or a validator"),
        ("mlhw schema lr-sweep | jq '.properties | keys'", "the names of the keys"),
    ),
)
def schema_command(name: Configurable) -> int:
    """Print the JSON schema of a command's configuration.

    The configurations that come with mlhw, and what mlhw init writes, name theirs in their first line.
    """
    print(schema_text(name), end="")
    return FINISHED
