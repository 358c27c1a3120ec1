"""What a grid is asked for: an experiment, its configuration, and which keys run over which values."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from mlhw.config.model import ExperimentConfig, NoOption, Option
from mlhw.errors import ConfigError
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.grids.addresses import READERS
from mlhw.grids.engines import ENGINES
from mlhw.grids.tasks import Keep
from mlhw.text import yaml12
from mlhw.text.words import hint, nearest

MOST_THREADS = 1024


def _over(value: Any) -> Any:
    """``KEY=VALUES`` as typed, several of them, to a list of values for each key; a mapping as it is."""
    if not isinstance(value, list):
        return value
    found: dict[str, list[Any]] = {}
    for text in value:
        key, equals, values = str(text).partition("=")
        key = key.strip()
        if not equals or not key:
            raise ValueError(f"must be KEY=VALUES, such as optim.lr=0.1,0.03 (got {text})")
        if key in found:
            raise ValueError(f"{key} is given twice; write its values behind one =")
        try:
            # What stands there is the inside of a list in YAML.
            found[key] = yaml12.parse_value(f"[{values}]", key)
        except ConfigError as error:
            raise ValueError("; ".join(error.lines)) from None
    return found


def engine_parts(text: str) -> tuple[str, str | None]:
    """``local:4`` as ``local`` and ``4``; without a colon None stands for what would be behind it."""
    name, colon, argument = text.partition(":")
    return name, argument if colon else None


def known_engine(text: str) -> str:
    """The text itself; raises ValueError where no engine has this name."""
    name, _ = engine_parts(text)
    if name not in ENGINES:
        near = hint(nearest(name, ENGINES)) or f" (known: {', '.join(ENGINES)})"
        raise ValueError(f"no engine '{name}'{near}")
    return text


def require_engine(text: str) -> None:
    """Raise ConfigError where an engine cannot be asked for in these words; it is not opened."""
    name, argument = engine_parts(text)
    READERS[name](argument)


class GridConfig(ExperimentConfig):
    """Which points, and how they are worked on."""

    GROUP: ClassVar[str] = "Grid"
    GROUPS: ClassVar[dict[str, str]] = dict.fromkeys(
        ("engine", "threads", "timeout", "retries", "fail_fast", "keep"), "Work"
    )

    experiment: Annotated[
        str, NoOption(), Field(validate_default=True, description="which one")
    ] = ""
    config: Annotated[
        dict[str, Any], Field(description="its keys that are the same for every point")
    ] = {}
    over: Annotated[
        dict[str, list[Any]],
        BeforeValidator(_over),
        Option(metavar="KEY=VALUES", repeatable=True),
        Field(
            validate_default=True,
            description="a key of the experiment and its values (repeatable): optim.lr=0.1,0.03, a range "
            "0.001:1:log7 or 0:0.9:lin4, lists head.hidden=[],[32]",
        ),
    ] = {}
    repeats: Annotated[
        int,
        Field(ge=1, le=1000, description="runs of each, with the seeds seed, seed + 1, ..."),
    ] = 1
    random: Annotated[
        int | None,
        Option(metavar="N"),
        Field(ge=1, le=1_000_000, description="only so many of them, drawn at random by the seed"),
    ] = None
    optuna: Annotated[
        int | None,
        Option(metavar="N"),
        Field(
            ge=1,
            le=1_000_000,
            description="so many that Optuna's TPE sampler chooses, four at a time, by --by",
        ),
    ] = None
    by: Annotated[
        str | None,
        Option(metavar="KEY[:min|max]"),
        Field(min_length=1, description="the headline number that ranks them; null: its own"),
    ] = None
    engine: Annotated[
        str,
        Option(metavar="NAME[:WHERE]", values=ENGINES),
        Field(
            description="what works on them: "
            + ", ".join(["local", "local:N for N processes", *ENGINES[1:]])
        ),
    ] = "local"
    threads: Annotated[
        int, Field(ge=1, le=MOST_THREADS, description="CPU threads of each point")
    ] = 1
    timeout: Annotated[
        float | None,
        Option(metavar="SECONDS"),
        Field(gt=0, description="a point that takes longer is stopped; null: none"),
    ] = None
    retries: Annotated[
        int, Field(ge=0, le=100, description="how often a point whose worker died is tried again")
    ] = 2
    fail_fast: Annotated[bool, Field(description="stop at the first point that fails")] = False
    keep: Annotated[
        Literal[Keep], Field(description="which checkpoints of finished points stay")
    ] = "best"
    fixed: Annotated[
        dict[str, Any],
        Field(description="recorded by a run: what auto was resolved to, for every point"),
    ] = {}

    @field_validator("experiment")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in EXPERIMENTS:
            near = hint(nearest(name, list(EXPERIMENTS)))
            raise ValueError(f"no experiment '{name}'{near or ' (' + ', '.join(EXPERIMENTS) + ')'}")
        return name

    @field_validator("over")
    @classmethod
    def _some(cls, over: dict[str, list[Any]]) -> dict[str, list[Any]]:
        if not over:
            raise ValueError(
                "give a key and its values: --over KEY=VALUES, as in --over optim.lr=0.1,0.03"
            )
        if empty := [key for key, values in over.items() if not values]:
            raise ValueError(f"{empty[0]} has no values; give some: {empty[0]}=VALUE,VALUE")
        return over

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, text: str) -> str:
        return known_engine(text)

    @field_validator("optuna")
    @classmethod
    def _one_choice(cls, optuna: int | None, info: Any) -> int | None:
        if optuna is not None and info.data.get("random") is not None:
            raise ValueError("random and optuna choose points both; give one of them")
        return optuna
