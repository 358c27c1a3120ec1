"""Which points a configuration names: a built-in set or a file, and what to keep of it."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import InputFile, NoOption, Option, Section, comma_list
from mlhw.text.words import nearest

BUILT_IN_POINTS = ("gaussians", "iris", "wine", "breast-cancer")


def _not_empty(value: list[Any] | None) -> list[Any] | None:
    if value == []:
        raise ValueError("must have at least one item, or be null for all (got [])")
    return value


class PointsConfig(Section):
    """Which points: a built-in ``name`` or a ``file``, and what of them."""

    name: Annotated[
        str | None, NoOption(), Field(description=f"built-in set: {', '.join(BUILT_IN_POINTS)}")
    ] = "gaussians"
    file: Annotated[
        str | None,
        InputFile(),
        NoOption(),
        Field(description="or a file: .txt (x1 x2 1 t), .csv, .tsv or .npz"),
    ] = None
    classes: Annotated[
        list[int | float | str] | None,
        BeforeValidator(comma_list),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="keep only these classes"),
    ] = None
    features: Annotated[
        list[int | str] | None,
        BeforeValidator(comma_list),
        AfterValidator(_not_empty),
        Option(metavar="A,B"),
        Field(description="keep only these features, by name or by number from 0"),
    ] = None
    digest: Annotated[
        str | None,
        NoOption(),
        Field(description="sha256 of the points, recorded by a run; a rerun warns if it differs"),
    ] = None

    @staticmethod
    def from_text(text: str) -> dict[str, Any]:
        """``--data X``: a file where X is a path that exists or has a suffix, else a name."""
        is_file = text not in BUILT_IN_POINTS and (
            os.path.splitext(text)[1] or os.path.exists(text)
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
            near = nearest(str(self.name), BUILT_IN_POINTS)
            hint = f", did you mean '{near}'?" if near else ""
            raise ValueError(
                f"unknown data set '{self.name}'{hint} (built in: {', '.join(BUILT_IN_POINTS)}; "
                "or a file with a suffix)"
            )
        return self
