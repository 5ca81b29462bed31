"""What all shapes have in common. Fields that nobody knows are let through."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Shape(BaseModel):
    """Base of all. Text from forms becomes numbers and truth values where these are wanted."""

    model_config = ConfigDict(extra="allow")


def _as_list(value: Any) -> Any:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


TextList = Annotated[list[str], BeforeValidator(_as_list)]
"""Also one text with commas, as forms have it."""
Page = Annotated[int, Field(ge=1, le=1_000_000)]
PerPage = Annotated[int, Field(ge=1)]
DeviceId = Annotated[str, Field(pattern="^[0-9A-Fa-f]{24}$")]


class Paged(Shape):
    """Query of lists."""

    page: Page = 1
    per_page: PerPage = 25


class Ok(Shape):
    """Done."""

    ok: bool
