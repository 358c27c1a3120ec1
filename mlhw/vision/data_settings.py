"""The section ``data`` of ``mlhw finetune``'s configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlhw.config.model import InputFile, NoOption, Option, Section, comma_list
from mlhw.vision.names import DATA_SETS, OWN_DATA, OnError, OnLeak


def _span(value: Any) -> Any:
    """``"0,4095"`` as [0, 4095]; None where nothing is set."""
    if isinstance(value, str):
        value = None if value.strip() in ("", "null") else comma_list(value)
    return value


def _rising(value: list[float] | None) -> list[float] | None:
    if value is not None and (len(value) != 2 or not value[0] < value[1]):
        raise ValueError(f"must be two values, black below white, such as 0,4095 (got {value})")
    return value


class DataSettings(Section):
    """Which images. As one text (``--data digits``) it is the name."""

    GROUP = "Data"

    name: Annotated[
        str,
        InputFile(prefixes=OWN_DATA),
        Option("--data", metavar="NAME|folder:PATH|csv:PATH", values=(*DATA_SETS, *OWN_DATA)),
        Field(
            description="images: digits, cifar10, cifar100, mnist, fashion-mnist, folder:PATH or csv:PATH"
        ),
    ] = "digits"
    dir: Annotated[
        str | None,
        InputFile,
        Option(name="--data-dir", metavar="DIR"),
        Field(description="where named data sets and one's own weights are kept; null is ./data"),
    ] = None
    val: Annotated[
        int | float | None,
        Option(metavar="COUNT|SHARE"),
        Field(ge=0, description="validation images, a count or a fraction; null as the data say"),
    ] = None
    test: Annotated[
        int | float | None,
        Option(metavar="COUNT|SHARE"),
        Field(ge=0, description="test images, a count or a fraction; 0 for none"),
    ] = None
    folds: Annotated[
        int | None,
        Field(ge=2, le=1000, description="validate on one of so many equal folds, not on val"),
    ] = None
    fold: Annotated[
        int | None, Field(ge=0, description="which of the folds, from 0; null is 0")
    ] = None
    group: Annotated[
        str | None,
        Option(metavar="COLUMN"),
        Field(
            min_length=1,
            description="CSV column whose values no split may divide; null is group, if it is there",
        ),
    ] = None
    image_root: Annotated[
        str | None,
        InputFile,
        Option(metavar="DIR"),
        Field(min_length=1, description="where relative names in a CSV begin; null is its folder"),
    ] = None
    on_error: Annotated[OnError, Field(description="what an unreadable image does")] = "fail"
    max_skipped: Annotated[
        float,
        Option(metavar="SHARE"),
        Field(ge=0, le=1, description="share that skip may leave out; above 0 one image always"),
    ] = 0.01
    on_leak: Annotated[
        OnLeak,
        Field(description="what one picture in two splits, or in two classes, does"),
    ] = "warn"
    pixel_range: Annotated[
        list[float] | None,
        BeforeValidator(_span),
        AfterValidator(_rising),
        Option(metavar="LOW,HIGH"),
        Field(
            description="black and white of pixels of more than 8 bits; null is the training images' range"
        ),
    ] = None
    resident: Annotated[
        bool | None,
        Field(description="keep the decoded images in memory; null does where they fit"),
    ] = None
    download: Annotated[bool, Field(description="fetch a named data set that is missing")] = False
    digest: Annotated[
        str | None, NoOption(), Field(description="recorded by a run; a rerun warns of a change")
    ] = None

    @staticmethod
    def from_text(text: str) -> dict[str, Any]:
        return {"name": text}

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> DataSettings:
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold: must be below folds, {self.folds} (got {self.fold})")
        return self
