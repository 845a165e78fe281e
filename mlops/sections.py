"""What every section of the settings tree is made of."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list of names; in the environment with commas between them."""
Shares = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], NoDecode, BeforeValidator(_split)]
"""A list of shares in (0, 1]; in the environment with commas between them."""


class Section(BaseModel):
    """A part of the tree: frozen, and strange names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)
