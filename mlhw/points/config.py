"""Which points a configuration names: a built-in set or a file, and what to keep of it."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import InputFile, NoOption, Option, Section
from mlhw.text import yaml12
from mlhw.text.words import nearest

BUILT_IN_POINTS = ("gaussians", "iris", "wine", "breast-cancer")


_WEB = "is a web address and mlhw downloads no data; as in: curl -LO '{}', then give the file"


def _names(value: Any) -> Any:
    """``a,"b, c",2`` as on the command line, to names and numbers; a list of them as it is.

    What a YAML file takes for true, false or null, and numbers written otherwise than they print
    (``01``), are texts: names and classes are identities.
    """
    if isinstance(value, list):
        return [str(item) if isinstance(item, bool) else item for item in value]
    if not isinstance(value, str):
        return value
    if not value.strip():
        return []
    return [_name(part) for part in split_outside_quotes(value)]


def _name(text: str) -> Any:
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        return text[1:-1].replace('""', '"')
    number = yaml12.parse_scalar(text)
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return number if is_number and str(number) == text else text


def split_outside_quotes(text: str) -> list[str]:
    """The parts between commas, without the blanks around them; a quoted part may have commas."""
    return [
        part.strip() for part in re.findall(r'(?:^|,)\s*("(?:[^"]|"")*"\s*(?=,|$)|[^,]*)', text)
    ]


def _known_encoding(value: str | None) -> str | None:
    """A name of an encoding of text that Python knows."""
    if value is None:
        return None
    try:
        "".encode(value)
        b"".decode(value)
    except (LookupError, ValueError):
        raise ValueError(
            f"'{value}' is no encoding (as in utf-8, cp1252, latin-1, utf-16)"
        ) from None
    return value


def _no_address(value: str | None) -> str | None:
    """A path that is no web address."""
    if value is not None and "://" in value:
        raise ValueError(_WEB.format(value))
    return value


def _not_empty(value: list[Any] | None) -> list[Any] | None:
    if value == []:
        raise ValueError("must have at least one item, or be null for all (got [])")
    return value


class PointsConfig(Section):
    """Which points: a built-in ``name`` or a ``file``, and what of them."""

    GROUP = "Data"

    name: Annotated[
        str | None, NoOption(), Field(description=f"built-in set: {', '.join(BUILT_IN_POINTS)}")
    ] = "gaussians"
    file: Annotated[
        str | None,
        InputFile(or_stdin=True),
        AfterValidator(_no_address),
        NoOption(),
        Field(
            description="or a file: text, CSV, ARFF, svmlight, NPZ or NPY; '-' is the standard input"
        ),
    ] = None
    label: Annotated[
        int | str | None,
        Option(metavar="NAME|NUMBER"),
        Field(
            description="the class's column, by name or by number from 0; null: label, else the last"
        ),
    ] = None
    classes: Annotated[
        list[int | float | str] | None,
        BeforeValidator(_names),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="keep only these classes"),
    ] = None
    features: Annotated[
        list[int | str] | None,
        BeforeValidator(_names),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="keep only these features, by name or by number from 0"),
    ] = None
    drop: Annotated[
        list[int | str] | None,
        BeforeValidator(_names),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="leave these features out, by name or by number from 0"),
    ] = None
    missing: Annotated[
        Literal["fail", "drop"],
        Field(description="missing values: fail names their lines, drop leaves the rows out"),
    ] = "fail"
    encode: Annotated[
        Literal["none", "yes-no", "one-hot"],
        Field(
            description="words as numbers: yes-no makes 0 and 1 of no and yes, false and true; "
            "one-hot also a column sex=male for each other word"
        ),
    ] = "none"
    encoding: Annotated[
        str | None,
        AfterValidator(_known_encoding),
        Field(description="of a text: cp1252, latin-1, …; null: UTF-8, or as its first bytes say"),
    ] = None
    header: Annotated[
        bool | None,
        Field(description="whether the first line names the columns; null: find out"),
    ] = None
    digest: Annotated[
        str | None,
        NoOption(),
        Field(description="sha256 of the points, recorded by a run; a rerun warns if it differs"),
    ] = None

    @staticmethod
    def from_text(text: str) -> dict[str, Any]:
        """``--data X``: a file where X exists, has a suffix or a folder, or is ``-``; else a name."""
        is_file = text not in BUILT_IN_POINTS and (
            text == "-" or "/" in text or os.path.splitext(text)[1] or os.path.lexists(text)
        )
        return {"name": None, "file": text} if is_file else {"name": text, "file": None}

    @model_validator(mode="before")
    @classmethod
    def _name_or_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("file") is not None:
            if value.get("name") is not None:
                raise ValueError("give a name or a file, not both")
            return {**value, "name": None}
        return value

    @model_validator(mode="after")
    def _known_name(self) -> PointsConfig:
        if self.file is None and self.name is None:
            raise ValueError(f"give a name or a file (built in: {', '.join(BUILT_IN_POINTS)})")
        if self.file is None and self.name not in BUILT_IN_POINTS:
            if not str(self.name).strip():
                built_in = ", ".join(BUILT_IN_POINTS)
                raise ValueError(f"is empty; give a name or a file (built in: {built_in})")
            near = nearest(str(self.name), BUILT_IN_POINTS)
            hint = f", did you mean '{near}'?" if near else ""
            raise ValueError(
                f"unknown data set '{self.name}'{hint} (built in: {', '.join(BUILT_IN_POINTS)}; "
                "or a file with a suffix)"
            )
        return self
