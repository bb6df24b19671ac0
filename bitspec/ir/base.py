"""What every noun of the IR has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from bitspec.diagnostics import NOWHERE, Span


class Noun(BaseModel):
    """A frozen value that refuses fields it does not know."""

    # Validators are built when first needed: `bitspec check` needs none and starts twice as fast.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Node(Noun):
    """A noun that was read from a text.

    `span` is where, for messages. It is left out of equality, of JSON and of keys.
    """

    span: Annotated[SkipJsonSchema[Span], Field(exclude=True, repr=False)] = NOWHERE
