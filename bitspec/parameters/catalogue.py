"""A catalogue: what parameters a model has, without their values.

Needs neither torch nor transformers, so that everything that only asks about names and sizes is quick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, TypeAlias

from pydantic import Field

from bitspec.ir.base import Noun

Kind: TypeAlias = Literal["bias", "gamma", "matrix", "embedding", "other"]


class Parameter(Noun):
    """One tensor of the backbone.

    `name` is relative to the backbone: `encoder.layer.0.attention.self.query.bias`. `module` is the name
    without its last part, `slot` that last part, `module_class` the module's class (`Linear`). `role` and
    `layer` are None where a parameter has none; layers count from 0. `transposed` says that a matrix is
    kept as (in, out), as in GPT-2's Conv1D, and not as (out, in). `tied` holds the other names of the same
    tensor: relative to the backbone, or full names in the whole model where they lie in the head.
    """

    name: str
    module: str
    module_class: str
    slot: str
    shape: tuple[int, ...]
    kind: Kind
    role: str | None = None
    layer: int | None = None
    transposed: bool = False
    tied: tuple[str, ...] = ()

    @property
    def numel(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


class Catalogue(Noun):
    """The parameters of a model's backbone, and the size of the head that lies outside it.

    `model` is what the user calls the model; it is left out of the cached file, which serves every name of
    the same config. `architecture` is the class of the whole model, backbone and head; there, a parameter
    is called `prefix`, a dot, and its name, or just its name where `prefix` is empty. `layers` counts the
    layers that have parameters of their own, and `parameters` holds every tensor of the backbone once, in
    the model's order. A head for n labels has head_fixed + head_per_label * n entries.

    `frozen_key_bias` says that the gradient of the key projections' bias is zero but for rounding: softmax
    does not see a constant added to every key's score, and nothing else in this architecture reads the
    key's bias.
    """

    model: str = Field(default="", exclude=True)
    model_type: str
    architecture: str
    prefix: str
    layers: int = Field(ge=0)
    parameters: tuple[Parameter, ...]
    head_fixed: int
    head_per_label: int
    frozen_key_bias: bool = False

    @cached_property
    def size(self) -> int:
        """Number of entries of the backbone, tied ones once."""
        return sum(parameter.numel for parameter in self.parameters)

    def head_size(self, labels: int) -> int:
        """Number of entries of the head for a task with `labels` labels (1 for a regression)."""
        if labels < 1:
            raise ValueError(f"a head needs at least one label, not {labels}")
        return self.head_fixed + self.head_per_label * labels

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """Every parameter under its name and under each name that is tied to it."""
        names = {alias: parameter for parameter in self.parameters for alias in parameter.tied}
        return names | {parameter.name: parameter for parameter in self.parameters}

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of a name; KeyError if there is none."""
        return self.by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    @cached_property
    def transposed(self) -> frozenset[str]:
        """Names of the matrices that are stored as (in, out)."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.transposed)

    def full_name(self, parameter: Parameter) -> str:
        """A parameter's name in the whole model."""
        return f"{self.prefix}.{parameter.name}" if self.prefix else parameter.name

    @cached_property
    def sizes_by_role(self) -> Mapping[str | None, int]:
        """Number of entries of each role that occurs, in the model's order; None for those without a role."""
        sizes: dict[str | None, int] = {}
        for parameter in self.parameters:
            sizes[parameter.role] = sizes.get(parameter.role, 0) + parameter.numel
        return sizes
