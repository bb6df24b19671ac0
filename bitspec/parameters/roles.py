"""The table of roles and kinds in `roles.toml`: read, checked, and asked."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from bitspec.ir.base import Noun
from bitspec.parameters.catalogue import Kind
from bitspec.vocabulary import ROLES


def _known(paths: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    unknown = [role for role in paths if role not in ROLES]
    if unknown:
        raise ValueError(f"unknown roles: {', '.join(unknown)}")
    listed = [path for group in paths.values() for path in group]
    if len(set(listed)) < len(listed):
        raise ValueError("a path is listed twice")
    return paths


#: The paths of each role.
Paths = Annotated[dict[str, tuple[str, ...]], AfterValidator(_known)]


def _role(paths: Mapping[str, tuple[str, ...]], path: str) -> str | None:
    # A parameter goes by its own path (a bare parameter) or by its module's.
    names = {path, path.rpartition(".")[0]}
    return next((role for role, group in paths.items() if names.intersection(group)), None)


class KindRule(Noun):
    """Gives a kind to the parameters whose slot and module class match; both patterns match as a whole."""

    kind: Kind
    slot: str
    class_: str = Field(default=".*", alias="class")
    ndim: int | None = None

    @field_validator("slot", "class_")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        re.compile(pattern)
        return pattern

    def fits(self, classes: Iterable[str], slot: str, ndim: int) -> bool:
        """Whether a parameter in a module of these classes (its own and its bases) gets this kind."""
        return (
            (self.ndim is None or self.ndim == ndim)
            and re.fullmatch(self.slot, slot) is not None
            and any(re.fullmatch(self.class_, name) for name in classes)
        )


class Stack(Noun):
    """A list of layers: the path of a layer, with `{}` for a number, and the paths of each role inside it."""

    path: str
    roles: Paths

    @field_validator("path")
    @classmethod
    def _has_number(cls, path: str) -> str:
        if "{}" not in path.split("."):
            raise ValueError("a layer's path needs a part `{}` for its number")
        return path

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches a layer, or what lies in it: one group for each number, `rest` for the path inside."""
        parts = [r"(\d+)" if part == "{}" else re.escape(part) for part in self.path.split(".")]
        return re.compile(r"\.".join(parts) + r"(?:\.(?P<rest>.+))?")


class Family(Noun):
    """Model types whose modules have the same names, and what these modules do."""

    types: tuple[str, ...] = Field(min_length=1)
    frozen_key_bias: bool
    outside: Paths
    stacks: tuple[Stack, ...] = Field(min_length=1)

    def layers(self, modules: Iterable[str]) -> dict[str, int]:
        """The number of every layer, by its path, among the paths of a backbone's modules."""
        paths = list(modules)
        found: list[str] = []
        for stack in self.stacks:
            numbered = []
            for path in paths:
                match = stack.pattern.fullmatch(path)
                if match is not None and match["rest"] is None:
                    numbers = [int(match[group]) for group in range(1, stack.path.count("{}") + 1)]
                    numbered.append((numbers, path))
            found += [path for _, path in sorted(numbered)]
        return {path: number for number, path in enumerate(found)}

    def role(self, name: str) -> str | None:
        """The role of a parameter, by its name in the backbone; None if it has none."""
        for stack in self.stacks:
            match = stack.pattern.fullmatch(name)
            if match is not None and match["rest"] is not None:
                return _role(stack.roles, match["rest"])
        return _role(self.outside, name)


class Table(Noun):
    """Everything in `roles.toml`."""

    transposed: tuple[str, ...]
    kinds: tuple[KindRule, ...]
    families: dict[str, Family]

    @model_validator(mode="after")
    def _no_type_twice(self) -> Table:
        types = [name for family in self.families.values() for name in family.types]
        if len(set(types)) < len(types):
            raise ValueError("a model type stands in two families")
        return self

    def family(self, model_type: str) -> Family | None:
        """The family of a model type; None if the table has none."""
        return next((family for family in self.families.values() if model_type in family.types), None)

    def kind(self, classes: Iterable[str], slot: str, ndim: int) -> Kind:
        """The kind of a parameter, by its module's class and bases, its slot and its number of dimensions."""
        names = list(classes)
        return next((rule.kind for rule in self.kinds if rule.fits(names, slot, ndim)), "other")


def _text() -> bytes:
    return resources.files("bitspec.parameters").joinpath("roles.toml").read_bytes()


@cache
def table() -> Table:
    """The table that comes with bitspec."""
    return Table.model_validate(tomllib.loads(_text().decode("utf-8")))


def digest() -> str:
    """The sha256 of the table: what was built with another table has to be built again."""
    return hashlib.sha256(_text()).hexdigest()
