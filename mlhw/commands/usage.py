"""What is wrong with the words of a command line, in one plain line with what was most likely meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from mlhw.config.model import leaves, option_synonyms
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.text.words import hint, nearest

_NUMBER = re.compile(r"[-+]?\.?\d.*")


def usage_line(error: Any, arguments: Sequence[str]) -> str:
    """A usage error of Typer's in one line; ``arguments`` are all words that were typed."""
    message = re.sub(r"\s+", " ", error.format_message()).strip().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    option = getattr(error, "option_name", None)
    if message.startswith("no such option"):
        if _NUMBER.fullmatch(str(option)):
            message = next(_split_lists(context.command, arguments), message)
        else:
            message = _no_option(context.command, str(option), arguments)
    elif message.startswith("got unexpected extra argument"):
        message = next(_split_lists(context.command, arguments), message)
    elif message.startswith("no such command"):
        word = message.split("'")[1]
        known = context.command.list_commands(context)
        near = hint(nearest(word, known)) or f" (commands: {', '.join(known)})"
        message = f"no such command '{word}'{near}"
    return message


def _no_option(command: Any, option: str, arguments: Sequence[str]) -> str:
    if not option.startswith("--"):
        # The parser takes -lr for -l and -r.
        typed = (word.partition("=")[0] for word in arguments if word.startswith(option))
        option = next(typed, option)
    synonyms = option_synonyms(model) if (model := _model(command)) else {}
    near = nearest(option, _options(command), synonyms)
    elsewhere = " (mlhw open shows a run's report)" if option == "--open" else ""
    return f"no such option: {option}" + (f", did you mean {near}?" if near else elsewhere)


def _options(command: Any) -> list[str]:
    """The long spellings of a command's options."""
    spellings = [word for p in command.params for word in (*p.opts, *p.secondary_opts)]
    return [*(word for word in spellings if word.startswith("--")), "--help"]


def _model(command: Any) -> Any:
    """The configuration of an experiment's command; None for other commands."""
    return experiment(command.name).Config if command.name in EXPERIMENTS else None


def _split_lists(command: Any, arguments: Sequence[str]) -> Iterator[str]:
    """A line for each option whose list was typed with blanks, which end it: ``--etas 0.5, 0.3``."""
    taking = {
        word
        for p in command.params
        for word in p.opts
        if word.startswith("-") and not getattr(p, "is_flag", False)
    }
    model = _model(command)
    lists = {leaf.option for leaf in leaves(model) if list in leaf.types} if model else set()
    for place, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if option not in taking:
            continue
        following = list(arguments[place + 1 :])
        words = [value] if equals else following[:1]
        for other in following[0 if equals else 1 :]:
            if other.startswith("-") and not _NUMBER.fullmatch(other):
                break
            words.append(other)
        typed = " ".join(words)
        if len(words) < 2 or not ("," in typed or option in lists):
            continue
        if option not in ("--set", "-s"):
            typed = typed.strip("[]")  # as in a file; an option's list has no brackets
        between = r"\s*,\s*" if "," in typed else r"\s+"
        close = re.sub(r"\s*([\[\]])\s*", r"\1", re.sub(between, ",", typed))
        either = "" if " " in close else f"{shlex.quote(close)} or {option} "
        quoted = shlex.quote(re.sub(between, ", ", typed))
        yield f"{option}: the blank before {words[1]} ends the list; write {option} {either}{quoted}"
