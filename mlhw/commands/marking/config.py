"""The configuration of ``mlhw grade``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mlhw.config.model import InputFile, Option, comma_list
from mlhw.experiments.backprop_check.network_config import NetworkConfig
from mlhw.grading.implementations import DEFAULT_FUNCTION
from mlhw.grading.options import AskingConfig
from mlhw.grids.config import known_engine
from mlhw.grids.engines import ENGINES
from mlhw.system.provenance import usable_cpus
from mlhw.text.words import not_there

MOST_JOBS = 256


def _texts(value: Any) -> Any:
    """``a,b`` as a list, also in the items of one: an option may be repeated."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        return value
    return [part for item in items for part in comma_list(item, read=str)]


def _is_name(value: str) -> str:
    if not all(map(str.isidentifier, value.split("."))):
        raise ValueError(f"must be the name of a function, or CLASS.METHOD (got {value!r})")
    return value


class GradeConfig(NetworkConfig, AskingConfig):
    """Who is graded, by what, and what comes out."""

    GROUP = "Class"

    submissions: Annotated[
        list[str],
        InputFile(),
        Option(metavar="SUBMISSIONS", positional=True),
        Field(description="folders, files and archives (.zip, .tar) of a class"),
    ] = []
    only: Annotated[
        list[str],
        Option(metavar="STUDENT", repeatable=True),
        Field(description="grade this student alone"),
    ] = []
    pattern: Annotated[
        list[str],
        BeforeValidator(_texts),
        Option(metavar="GLOB", repeatable=True),
        Field(
            min_length=1,
            description="files that are judged, by name or by path below the student's",
        ),
    ] = ["*.py", "*.ipynb"]
    function: Annotated[
        str,
        BeforeValidator(lambda value: _is_name(value) if isinstance(value, str) else value),
        Field(description="what the function to be judged is called"),
    ] = DEFAULT_FUNCTION
    rubric: Annotated[
        str | None,
        InputFile(),
        Option(metavar="FILE"),
        Field(description="YAML file with points; null: the default one (--write-rubric)"),
    ] = None
    reference: Annotated[
        str | None,
        InputFile(),
        Option(metavar="FILE"),
        Field(description="a right solution, which has to get all points before anybody is graded"),
    ] = None
    overrides: Annotated[
        str | None,
        InputFile(),
        Option(metavar="FILE"),
        Field(
            description="CSV (student,points,reason) of points changed by hand; null: the run's own"
        ),
    ] = None
    worksheet: Annotated[
        str | None,
        InputFile(),
        Option(metavar="FILE"),
        Field(description="Moodle's grading worksheet (CSV), to be filled in as moodle.csv"),
    ] = None
    anonymous: Annotated[
        bool, Field(description="feedback under codes instead of names; names.csv has both")
    ] = False
    jobs: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_JOBS,
            description="submissions at once; null: one for each processor, in an engine's worker one",
        ),
    ] = None
    engine: Annotated[
        str | None,
        AfterValidator(lambda value: None if value is None else known_engine(value)),
        Option(metavar="NAME[:WHERE]", values=ENGINES),
        Field(
            description="what grades parts of the class: local:N for N processes, "
            f"{', '.join(ENGINES[1:])}; null: this process"
        ),
    ] = None


def jobs_of(config: GradeConfig) -> int:
    return config.jobs or usable_cpus()


def existing(config: GradeConfig) -> Sequence[str]:
    """A line for each file of the configuration that is not there."""
    named = {key: getattr(config, key) for key in ("rubric", "reference", "overrides", "worksheet")}
    return [
        f"--{key} {path}: {not_there(path)}"
        for key, path in named.items()
        if path and not os.path.isfile(path)
    ]
