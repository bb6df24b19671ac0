"""What a catalogue says of BERT-base, in numbers that the paper and arithmetic give."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from pydantic import ValidationError

from bitspec.ir.selection import Attribute, BaseName
from bitspec.parameters.catalogue import Catalogue, Kind, Parameter
from bitspec.vocabulary import ATTRIBUTES, KINDS, ROLES, SELECTIONS


@pytest.fixture(scope="module")
def bert(catalogue_of: Callable[[str], Catalogue]) -> Catalogue:
    return catalogue_of("bert-base-cased")


def _entries(catalogue: Catalogue, kind: str, *roles: str) -> int:
    return sum(
        parameter.numel
        for parameter in catalogue.parameters
        if parameter.kind == kind and (not roles or parameter.role in roles)
    )


def test_bert_base_has_the_published_size(bert: Catalogue) -> None:
    assert bert.size == 108_310_272
    assert bert.layers == 12
    assert len(bert.parameters) == 199


def test_bert_base_has_the_papers_biases(bert: Catalogue) -> None:
    assert _entries(bert, "bias") == 102_912
    assert _entries(bert, "bias", "m2") == 36_864
    assert _entries(bert, "bias", "q") == 9_216
    assert _entries(bert, "bias", "q", "m2") == 46_080
    assert _entries(bert, "bias", "emb_ln") == 768
    assert _entries(bert, "bias", "pooler") == 768
    assert sum(p.numel for p in bert.parameters if p.kind == "bias" and p.layer is not None) == 101_376


@pytest.mark.parametrize("role", ["ln1", "ln2"])
@pytest.mark.parametrize("kind", ["gamma", "bias"])
def test_bert_base_has_the_papers_norms(bert: Catalogue, kind: str, role: str) -> None:
    assert _entries(bert, kind, role) == 9_216


def test_the_two_output_norms_are_told_apart(bert: Catalogue) -> None:
    assert bert["encoder.layer.3.attention.output.LayerNorm.weight"].role == "ln1"
    assert bert["encoder.layer.3.output.LayerNorm.weight"].role == "ln2"
    assert bert["encoder.layer.3.attention.output.dense.bias"].role == "m1"
    assert bert["encoder.layer.3.output.dense.bias"].role == "m3"


def test_a_head_grows_with_its_labels(bert: Catalogue) -> None:
    assert bert.head_size(1) == 769
    assert bert.head_size(2) == 1_538
    assert bert.head_size(3) == 2_307
    with pytest.raises(ValueError, match="at least one label"):
        bert.head_size(0)


def test_a_parameter_says_all_that_a_selection_asks(bert: Catalogue) -> None:
    parameter = bert["encoder.layer.0.attention.self.query.bias"]
    assert parameter == Parameter(
        name="encoder.layer.0.attention.self.query.bias",
        module="encoder.layer.0.attention.self.query",
        module_class="Linear",
        slot="bias",
        shape=(768,),
        kind="bias",
        role="q",
        layer=0,
    )
    assert (parameter.numel, parameter.ndim) == (768, 1)
    assert bert.full_name(parameter) == "bert.encoder.layer.0.attention.self.query.bias"


def test_look_up_by_name(catalogue_of: Callable[[str], Catalogue], bert: Catalogue) -> None:
    assert "pooler.dense.bias" in bert
    assert "bert.pooler.dense.bias" not in bert
    with pytest.raises(KeyError):
        bert["pooler.dense"]
    t5 = catalogue_of("t5")
    assert t5["encoder.embed_tokens.weight"] is t5["shared.weight"]


def test_sizes_by_role_add_up(bert: Catalogue) -> None:
    assert bert.sizes_by_role["m2"] == 12 * 3072 * 769
    assert sum(bert.sizes_by_role.values()) == bert.size


def test_json_round_trip_leaves_the_users_name_out(bert: Catalogue) -> None:
    text = bert.model_dump_json()
    assert "bert-base-cased" not in text
    back = Catalogue.model_validate_json(text)
    assert back.model == ""
    assert back.model_copy(update={"model": bert.model}) == bert


def test_a_catalogue_is_frozen_and_refuses_what_it_does_not_know(bert: Catalogue) -> None:
    with pytest.raises(ValidationError):
        bert.layers = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Catalogue.model_validate(bert.model_dump() | {"weights": 1})


def test_the_vocabulary_is_complete() -> None:
    assert tuple(ROLES) == ("q", "k", "v", "qkv", "m1", "m2", "m3", "ln1", "ln2", "emb", "emb_ln", "pooler")
    assert set(KINDS) == set(get_args(Kind))
    assert set(SELECTIONS) == set(get_args(BaseName))
    assert set(ATTRIBUTES) == set(get_args(Attribute))


def test_a_catalogue_needs_neither_torch_nor_numpy(python: Callable[..., str]) -> None:
    program = (
        "import sys, bitspec.parameters.catalogue, bitspec.parameters.structure, bitspec.parameters.cache\n"
        "heavy = {'torch', 'transformers', 'numpy', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(program) == "[]\n"
