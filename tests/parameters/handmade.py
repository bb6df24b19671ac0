"""Small catalogues made by hand, masks as dense booleans, and short names for the nodes of selections."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError, Diagnostic
from bitspec.ir import selection as ir
from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Selected, Shape, Whole
from bitspec.parameters.catalogue import Catalogue, Kind, Parameter
from bitspec.parameters.sampling import Values
from bitspec.parameters.select import Selector
from tests.tiers import examples

#: For property tests: a busy machine is no failure.
steady = settings(deadline=None, max_examples=examples(25))

Dense = npt.NDArray[np.bool_]


def parameter(
    name: str,
    shape: Shape,
    kind: Kind,
    role: str | None = None,
    layer: int | None = None,
    cls: str = "Linear",
) -> Parameter:
    module, _, slot = name.rpartition(".")
    return Parameter(
        name=name,
        module=module,
        module_class=cls,
        slot=slot,
        shape=shape,
        kind=kind,
        role=role,
        layer=layer,
        transposed=cls == "Conv1D",
    )


def catalogue_of(*parameters: Parameter, layers: int = 2, model: str = "tiny") -> Catalogue:
    return Catalogue(
        model_type=model,
        architecture="TinyForSequenceClassification",
        prefix=model,
        layers=layers,
        parameters=parameters,
        head_fixed=0,
        head_per_label=1,
    )


def _layer(number: int) -> list[Parameter]:
    at = f"layer.{number}"
    return [
        parameter(f"{at}.attention.query.weight", (3, 3), "matrix", "q", number),
        parameter(f"{at}.attention.query.bias", (3,), "bias", "q", number),
        parameter(f"{at}.norm.weight", (3,), "gamma", "ln1", number, "LayerNorm"),
        parameter(f"{at}.norm.bias", (3,), "bias", "ln1", number, "LayerNorm"),
        parameter(f"{at}.up.weight", (4, 3), "matrix", "m2", number),
        parameter(f"{at}.up.bias", (4,), "bias", "m2", number),
    ]


#: 15 + 3 + 2 * 34 + 6 = 92 entries; `out` is kept as (in, out) = (2, 3).
TINY = catalogue_of(
    parameter("embeddings.word.weight", (5, 3), "embedding", "emb", cls="Embedding"),
    parameter("token", (1, 1, 3), "other", cls="Model"),
    *_layer(0),
    *_layer(1),
    parameter("out.weight", (2, 3), "matrix", cls="Conv1D"),
)

GPT = catalogue_of(
    parameter("h.0.attn.c_attn.weight", (3, 9), "matrix", "qkv", 0, "Conv1D"),
    parameter("h.0.attn.c_attn.bias", (9,), "bias", "qkv", 0, "Conv1D"),
    layers=1,
    model="gpt2",
)

LLAMA = catalogue_of(
    parameter("embed_tokens.weight", (5, 4), "embedding", "emb", cls="Embedding"),
    parameter("layers.0.q_proj.weight", (4, 4), "matrix", "q", 0),
    parameter("layers.0.norm.weight", (4,), "gamma", "ln1", 0, "LlamaRMSNorm"),
    layers=1,
    model="llama",
)


def llama_7b() -> Catalogue:
    """The shapes of Llama 7B with its output embedding: 6,738,415,616 entries."""
    wide, deep = 4096, 11008
    parameters = [parameter(f"{name}.weight", (32000, wide), "embedding") for name in ("embed", "lm_head")]
    for layer in range(32):
        at = f"layers.{layer}"
        parameters += [parameter(f"{at}.{name}.weight", (wide, wide), "matrix", None, layer) for name in "qkvo"]
        parameters += [parameter(f"{at}.{name}.weight", (deep, wide), "matrix", None, layer) for name in ("gate", "up")]
        parameters += [parameter(f"{at}.down.weight", (wide, deep), "matrix", None, layer)]
        parameters += [parameter(f"{at}.{name}.weight", (wide,), "gamma", None, layer) for name in ("ln1", "ln2")]
    return catalogue_of(*parameters, parameter("norm.weight", (wide,), "gamma"), layers=32, model="llama")


# Masks --------------------------------------------------------------------------------------------------


def dense(mask: Mask | None, shape: Shape) -> Dense:
    """A mask as booleans of the tensor's shape."""
    picked = np.zeros(shape, dtype=bool)
    match mask:
        case Whole():
            picked[...] = True
        case Rows(indices):
            picked[indices] = True
        case Cols(indices):
            picked[:, indices] = True
        case Entries(indices):
            picked.flat[indices] = True
        case AllBut(indices):
            picked[...] = True
            picked.flat[indices] = False
    return picked


def dense_all(selected: Selected, shapes: Mapping[str, Shape]) -> dict[str, Dense]:
    return {name: dense(selected.get(name), shape) for name, shape in shapes.items()}


def shapes_of(catalogue: Catalogue) -> dict[str, Shape]:
    return {parameter.name: parameter.shape for parameter in catalogue.parameters}


def whole(catalogue: Catalogue, *kinds: str) -> Selected:
    """All parameters of some kinds, or of all kinds."""
    shapes = shapes_of(catalogue)
    names = [one.name for one in catalogue.parameters if not kinds or one.kind in kinds]
    return Selected({name: Whole() for name in names}, shapes)


def int64(*numbers: int) -> npt.NDArray[np.int64]:
    return np.array(numbers, np.int64)


def subsets(size: int) -> st.SearchStrategy[npt.NDArray[np.int64]]:
    """Sorted, unique, non-empty indices below a size."""
    members = st.sets(st.integers(0, size - 1), min_size=1)
    return members.map(lambda chosen: np.array(sorted(chosen), np.int64))


@st.composite
def masks(draw: st.DrawFn, shape: Shape) -> Mask | None:
    """Any mask of a tensor; None for nothing."""
    size = math.prod(shape)
    forms: list[st.SearchStrategy[Mask | None]] = [
        st.none(),
        st.just(Whole()),
        subsets(size).map(Entries),
        subsets(size).map(lambda missing: AllBut(missing) if missing.size < size else None),
    ]
    if len(shape) == 2:
        forms += [subsets(shape[0]).map(Rows), subsets(shape[1]).map(Cols)]
    return draw(st.one_of(forms))


@st.composite
def selections(draw: st.DrawFn, shapes: Mapping[str, Shape]) -> Selected:
    drawn = {name: draw(masks(shape)) for name, shape in shapes.items()}
    return Selected({name: mask for name, mask in drawn.items() if mask is not None}, shapes)


# Nodes --------------------------------------------------------------------------------------------------


def base(name: ir.BaseName) -> ir.Base:
    return ir.Base(name=name)


def where(of: ir.Selection, condition: ir.Condition) -> ir.Where:
    return ir.Where(of=of, condition=condition)


def matches(attribute: ir.Attribute, pattern: str, *, negated: bool = False) -> ir.Matches:
    return ir.Matches(attribute=attribute, pattern=pattern, negated=negated)


def compares(attribute: ir.Attribute, operator: ir.Operator, value: int | str) -> ir.Compares:
    return ir.Compares(attribute=attribute, operator=operator, value=value)


def within(attribute: ir.Attribute, *items: int | str | tuple[int, int], negated: bool = False) -> ir.IsIn:
    nodes = [
        ir.Range(first=item[0], last=item[1]) if isinstance(item, tuple) else ir.Value(value=item) for item in items
    ]
    return ir.IsIn(attribute=attribute, items=tuple(nodes), negated=negated)


def count(number: int) -> ir.Count:
    return ir.Count(count=number)


def percent(number: str) -> ir.Percent:
    return ir.Percent(percent=Decimal(number))


def draw_of(
    of: ir.Selection,
    amount: ir.Amount,
    rule: Literal["rand", "rows", "cols", "rowcol"] = "rand",
    per: Literal["pool", "tensor"] = "pool",
    seed: int | None = None,
) -> ir.Draw:
    return ir.Draw(of=of, amount=amount, rule=rule, per=per, seed=seed)


def selector(
    catalogue: Catalogue = TINY,
    seed: int = 0,
    groups: Mapping[str, ir.Selection] | None = None,
    values: Values | None = None,
) -> Selector:
    known = groups or {}

    def canonical(node: ir.Selection) -> str:
        return canonical(known[node.name]) if isinstance(node, ir.Ref) else node.model_dump_json()

    source = None if values is None else lambda _need, _by, _names: values
    return Selector(catalogue, seed, named=known, canonical=canonical, source=source)


def complaint(error: BitspecError) -> Diagnostic:
    (diagnostic,) = error.diagnostics
    return diagnostic


ALL, NONE, BIAS, GAMMA, MATRIX = (base(name) for name in ("all", "none", "bias", "gamma", "matrix"))
QUERY = where(BIAS, compares("role", "==", "q"))

#: Groups and values for trees that use names and weights.
GROUPS: dict[str, ir.Selection] = {
    "sample": draw_of(BIAS, ir.SizeOf(of=QUERY), per="tensor"),
    "top": ir.Top(of=ALL, amount=count(20)),
}

VALUES = {
    one.name: np.random.Generator(np.random.PCG64(place)).normal(size=one.shape)
    for place, one in enumerate(TINY.parameters)
}


def every(*parts: ir.Condition) -> ir.And:
    return ir.And(conditions=parts)


def either(*parts: ir.Condition) -> ir.Or:
    return ir.Or(conditions=parts)


def message_of(
    selection: ir.Selection,
    catalogue: Catalogue = TINY,
    groups: Mapping[str, ir.Selection] | None = None,
    *,
    bounds: bool = False,
) -> str:
    """Code, message and help of the error that a selection raises."""
    one = selector(catalogue, groups=groups)
    with pytest.raises(BitspecError) as raised:
        (one.size_bounds if bounds else one.select)(selection)
    said = complaint(raised.value)
    return f"{said.code}: {said.message}" + (f"\nhelp: {said.help}" if said.help else "")
