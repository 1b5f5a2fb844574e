"""What the sections of a study are made of: types, and fields that carry their unit and source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.types import Strict

Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40)]

#: The source of a setting that this workflow adds to the paper's.
OURS = "this workflow"


def given(default: Any, description: str, *, unit: str = "", source: str = "paper", **limits: Any) -> Any:
    """A field with its unit and where its default comes from: ``paper`` or ``assumption: <reason>``."""
    extra: dict[str, Any] = {"unit": unit, "source": source}
    return Field(default, description=description, json_schema_extra=extra, validate_default=True, **limits)


def assumed(default: Any, description: str, *, reason: str, unit: str = "", **limits: Any) -> Any:
    """A field whose default the paper does not state, with the reason for ours."""
    return given(default, description, unit=unit, source=f"assumption: {reason}", **limits)


def once(what: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A check that nothing is listed twice."""

    def check(value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"a {what} is listed twice")
        return value

    return check


class Section(BaseModel):
    """A part of a study; unknown keys are refused and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Settings that were added later. At their default they change nothing, so they stay out of the digest.
    later: ClassVar[tuple[str, ...]] = ()


def part(section: Section, keys: tuple[str, ...] | list[str] | None = None) -> dict[str, Any]:
    """Some fields of a section as plain built-in values, without ``later`` fields at their default."""
    include = None if keys is None else set(keys)
    return section.model_dump(mode="json", include=include, exclude=_neutral(section))


def _neutral(section: Section) -> dict[str, Any]:
    """The ``later`` fields at their default, in a section and its inner sections, for pydantic's ``exclude``."""
    fields = type(section).model_fields
    neutral: dict[str, Any] = {name: True for name in section.later if getattr(section, name) == fields[name].default}
    nested = {name: _neutral(value) for name, value in section if isinstance(value, Section)}
    return {name: names for name, names in nested.items() if names} | neutral
