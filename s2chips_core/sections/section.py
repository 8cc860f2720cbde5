"""What all sections are made of: the model, and kinds of values that several of them have.

Not here: any key.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LOOPBACK = ("127.0.0.1", "localhost", "::1")
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
ALL = "all"
"""In place of a number in `limits` and `retention`: no cap, nothing is removed. Dagster's Launchpad does not show a null."""

Cap = Annotated[
    Annotated[int, Field(ge=0, strict=True)] | None, BeforeValidator(lambda value: None if value == ALL else value)
]
Days = Annotated[
    Annotated[int, Field(ge=1, le=36_500, strict=True)] | None,
    BeforeValidator(lambda value: None if value == ALL else value),
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def without_login(url: str) -> str:
    """The URL itself; ValueError when it has a login: errors and logs name the services that are asked."""
    if "@" in url:
        raise ValueError("a URL without user name and password")
    return url
