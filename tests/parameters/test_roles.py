"""The table of roles and kinds: well-formed, complete for its families, true to what the models compute."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.roles import Table, digest, table
from bitspec.vocabulary import ROLES

#: role -> (tensors, entries) of the small configs, counted by hand from widths 8 (4), 16 and 30 words.
BERT = {
    "q": (4, 144),
    "k": (4, 144),
    "v": (4, 144),
    "m1": (4, 144),
    "m2": (4, 288),
    "m3": (4, 272),
    "ln1": (4, 32),
    "ln2": (4, 32),
    "emb": (3, 384),
    "emb_ln": (2, 16),
}
LLAMA = {
    "q": (2, 128),
    "k": (2, 64),
    "v": (2, 64),
    "m1": (2, 128),
    "m2": (4, 512),
    "m3": (2, 256),
    "ln1": (2, 16),
    "ln2": (2, 16),
    "emb": (1, 240),
    None: (1, 8),
}
T5 = {
    "q": (6, 384),
    "k": (6, 384),
    "v": (6, 384),
    "m1": (6, 384),
    "m2": (4, 512),
    "m3": (4, 512),
    "ln1": (6, 48),
    "ln2": (4, 32),
    "emb": (3, 256),
    None: (2, 16),
}
GPT2 = {
    "qkv": (4, 432),
    "m1": (4, 144),
    "m2": (4, 288),
    "m3": (4, 272),
    "ln1": (4, 32),
    "ln2": (4, 32),
    "emb": (2, 368),
    None: (2, 16),
}
ATTENTION_768 = (24, 12 * (768 * 768 + 768))

#: What a config has: number of layers, and (tensors, entries) of each role.
GOLDEN: dict[str, tuple[int, dict[Any, tuple[int, int]]]] = {
    "bert-base-cased": (
        12,
        {
            "q": ATTENTION_768,
            "k": ATTENTION_768,
            "v": ATTENTION_768,
            "m1": ATTENTION_768,
            "m2": (24, 12 * (3072 * 768 + 3072)),
            "m3": (24, 12 * (768 * 3072 + 768)),
            "ln1": (24, 18_432),
            "ln2": (24, 18_432),
            "emb": (3, (28_996 + 512 + 2) * 768),
            "emb_ln": (2, 1_536),
            "pooler": (2, 768 * 768 + 768),
        },
    ),
    "llama-7b": (
        32,
        {
            "q": (32, 32 * 4096**2),
            "k": (32, 32 * 4096**2),
            "v": (32, 32 * 4096**2),
            "m1": (32, 32 * 4096**2),
            "m2": (64, 64 * 4096 * 11_008),
            "m3": (32, 32 * 4096 * 11_008),
            "ln1": (32, 32 * 4096),
            "ln2": (32, 32 * 4096),
            "emb": (1, 32_000 * 4096),
            None: (1, 4096),
        },
    ),
    "bert": (2, BERT | {"pooler": (2, 72)}),
    "bert-decoder": (
        2,
        BERT | dict.fromkeys("qkv", (8, 288)) | {"m1": (8, 288), "ln1": (8, 64), "pooler": (2, 72)},
    ),
    "roberta": (2, BERT),
    "xlm-roberta": (2, BERT),
    "camembert": (2, BERT),
    "data2vec-text": (2, BERT),
    "ernie": (2, BERT | {"emb": (4, 408), "pooler": (2, 72)}),
    "electra": (2, BERT | {"emb": (5, 232), "emb_ln": (2, 8)}),
    "rembert": (2, BERT | {"emb": (5, 232), "emb_ln": (2, 8), "pooler": (2, 72)}),
    "mpnet": (2, BERT | {"emb": (3, 432)}),
    "distilbert": (2, BERT | {"emb": (2, 368)}),
    "deberta": (2, BERT | {"q": (6, 160), "k": (2, 128), "v": (2, 16), "qkv": (2, 384), "emb": (2, 304)}),
    "deberta-v2": (2, BERT | {"q": (8, 288), "k": (8, 288), "emb": (2, 304), "emb_ln": (4, 32)}),
    "albert": (
        4,
        {role: (8, 2 * entries) for role, (_, entries) in BERT.items()}
        | {"emb": (5, 232), "emb_ln": (2, 8), "pooler": (2, 72)},
    ),
    "modernbert": (
        2,
        {
            "qkv": (2, 384),
            "m1": (2, 128),
            "m2": (2, 512),
            "m3": (2, 256),
            "ln1": (1, 8),
            "ln2": (2, 16),
            "emb": (1, 240),
            "emb_ln": (1, 8),
            None: (1, 8),
        },
    ),
    "vit": (
        2,
        {role: counts for role, counts in BERT.items() if role != "emb_ln"}
        | {"emb": (4, 8 + 5 * 8 + 8 * 3 * 2 * 2 + 8), None: (2, 16)},
    ),
    "gpt2": (2, GPT2),
    "gpt2-decoder": (2, GPT2 | {"q": (4, 144), "qkv": (8, 720), "m1": (8, 288), "ln1": (8, 64)}),
    "llama": (2, LLAMA),
    "mistral": (2, LLAMA),
    "qwen2": (2, LLAMA | {"q": (4, 144), "k": (4, 72), "v": (4, 72)}),
    "qwen3": (2, LLAMA | {"q": (4, 136), "k": (4, 72)}),
    "gemma": (2, LLAMA),
    "gemma2": (2, LLAMA | {"ln1": (4, 32), "ln2": (4, 32)}),
    "gemma3": (2, LLAMA | {"q": (4, 136), "k": (4, 72), "ln1": (4, 32), "ln2": (4, 32)}),
    "t5": (4, T5),
    "t5-gated": (
        3,
        dict.fromkeys(("q", "k", "v", "m1"), (4, 256))
        | {"m2": (6, 768), "m3": (3, 384), "ln1": (4, 32), "ln2": (3, 24), "emb": (3, 256), None: (2, 16)},
    ),
    "mt5": (4, T5 | {"m2": (8, 1024)}),
    "umt5": (4, T5 | {"m2": (8, 1024), "emb": (5, 272)}),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_roles_of_every_architecture(name: str, catalogue_of: Callable[[str], Catalogue]) -> None:
    catalogue = catalogue_of(name)
    counts: dict[str | None, tuple[int, int]] = {}
    for parameter in catalogue.parameters:
        tensors, entries = counts.get(parameter.role, (0, 0))
        counts[parameter.role] = (tensors + 1, entries + parameter.numel)
    layers, golden = GOLDEN[name]
    assert catalogue.layers == layers
    assert counts == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_everything_in_a_layer_has_a_role(name: str, catalogue_of: Callable[[str], Catalogue]) -> None:
    parameters = catalogue_of(name).parameters
    assert [p.name for p in parameters if p.layer is not None and p.role is None] == []


def test_every_type_in_the_table_is_tested(configs: dict[str, dict[str, Any]]) -> None:
    tested = {configs[name]["model_type"] for name in GOLDEN}
    assert {name for family in table().families.values() for name in family.types} == tested


# Kinds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "slot", "ndim", "kind"),
    [
        ("Linear", "bias", 1, "bias"),
        ("LayerNorm", "bias", 1, "bias"),
        ("DisentangledSelfAttention", "q_bias", 1, "bias"),
        ("MultiheadAttention", "in_proj_bias", 1, "bias"),
        ("Swin", "relative_position_bias_table", 2, "other"),
        ("MultiheadAttention", "bias_k", 3, "other"),
        ("LayerNorm", "weight", 1, "gamma"),
        ("RMSNorm", "weight", 1, "gamma"),
        ("LlamaRMSNorm", "weight", 1, "gamma"),
        ("BatchNorm2d", "weight", 1, "gamma"),
        ("GroupNorm", "weight", 1, "gamma"),
        ("Scaled LayerNorm", "weight", 1, "gamma"),
        ("Normalizer", "weight", 1, "other"),
        ("Linear", "weight", 2, "matrix"),
        ("NonDynamicallyQuantizableLinear Linear", "weight", 2, "matrix"),
        ("Bilinear", "weight", 3, "other"),
        ("Conv1D", "weight", 2, "matrix"),
        ("Conv1d", "weight", 3, "other"),
        ("MultiheadAttention", "in_proj_weight", 2, "matrix"),
        ("Experts", "gate_up_proj", 3, "other"),
        ("Embedding", "weight", 2, "embedding"),
        ("ScaledWordEmbedding Embedding", "weight", 2, "embedding"),
        ("ViTEmbeddings", "cls_token", 3, "other"),
    ],
)
def test_kinds(classes: str, slot: str, ndim: int, kind: str) -> None:
    assert table().kind([*classes.split(), "Module", "object"], slot, ndim) == kind


def test_kinds_in_real_models(catalogue_of: Callable[[str], Catalogue]) -> None:
    t5 = catalogue_of("t5")["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    assert (t5.kind, t5.role, t5.layer) == ("embedding", "emb", 0)
    deberta = catalogue_of("deberta")["encoder.layer.1.attention.self.q_bias"]
    assert (deberta.kind, deberta.role, deberta.module) == ("bias", "q", "encoder.layer.1.attention.self")
    gemma = catalogue_of("gemma")["embed_tokens.weight"]
    assert gemma.kind == "embedding"
    mixtral = {p.slot: p.kind for p in catalogue_of("mixtral").parameters}
    assert mixtral["gate_up_proj"] == "other"
    resnet = catalogue_of("resnet").parameters
    assert {p.kind for p in resnet if p.module_class == "BatchNorm2d"} == {"gamma", "bias"}
    assert {p.kind for p in resnet if p.module_class == "Conv2d"} == {"other"}


def test_only_gpt2s_matrices_are_transposed(catalogue_of: Callable[[str], Catalogue]) -> None:
    gpt2 = catalogue_of("gpt2")
    assert gpt2["h.0.mlp.c_fc.weight"].shape == (8, 16)
    assert {p.module_class for p in gpt2.parameters if p.transposed} == {"Conv1D"}
    assert not any(p.transposed for p in gpt2.parameters if p.kind != "matrix")
    assert not any(p.transposed for p in catalogue_of("bert").parameters)


# The key's bias -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["bert", "roberta", "electra", "distilbert", "mpnet", "albert", "vit", "deberta-v2", "qwen2"]
)
def test_frozen_key_bias_is_what_the_model_computes(
    name: str, catalogue_of: Callable[[str], Catalogue], configs: dict[str, dict[str, Any]]
) -> None:
    catalogue = catalogue_of(name)
    gradients = _gradients(catalogue, configs[name])
    largest = {
        role: max(gradients[p.name] for p in catalogue.parameters if p.role == role and p.kind == "bias")
        for role in ("q", "k")
    }
    assert (largest["k"] < 1e-9 * largest["q"]) == catalogue.frozen_key_bias, largest


def _gradients(catalogue: Catalogue, config: dict[str, Any]) -> dict[str, float]:
    """The largest gradient of each parameter in a small model with large random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        import transformers

        torch.manual_seed(0)
        made = transformers.AutoConfig.for_model(**config)
        model = getattr(transformers, catalogue.architecture)(made).double().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        if catalogue.model_type == "vit":
            inputs = {"pixel_values": torch.randn(2, 3, 4, 4, dtype=torch.float64)}
        else:
            inputs = {"input_ids": torch.randint(3, 30, (2, 6))}
        model(**inputs).logits.square().sum().backward()
    return {
        catalogue.by_name[name.removeprefix(f"{catalogue.prefix}.")].name: float(parameter.grad.abs().max())
        for name, parameter in model.named_parameters()
        if name.startswith(f"{catalogue.prefix}.") and parameter.grad is not None
    }


# The table itself -----------------------------------------------------------------------------------------


def _table(**family: object) -> dict[str, object]:
    whole = {
        "types": ["x"],
        "frozen_key_bias": True,
        "outside": {},
        "stacks": [{"path": "h.{}", "roles": {}}],
    }
    return {"transposed": [], "kinds": [], "families": {"x": whole | family}}


def test_a_small_table_is_fine() -> None:
    assert Table.model_validate(_table()).family("x") is not None
    assert table().family("nonsense") is None


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({"outside": {"qk": ["a"]}}, "unknown roles: qk"),
        ({"outside": {"q": ["a"], "k": ["a"]}}, "listed twice"),
        ({"stacks": [{"path": "h.0", "roles": {}}]}, "needs a part"),
        ({"stacks": [{"path": "h.{}", "roles": {"ln3": ["a"]}}]}, "unknown roles: ln3"),
        ({"stacks": [{"path": "h.{}", "roles": {}, "role": {}}]}, "Extra inputs"),
        ({"stacks": []}, "at least 1 item"),
        ({"types": ["x", "x"]}, "two families"),
        ({"frozen": True}, "Extra inputs"),
    ],
)
def test_a_slip_in_the_table_is_found(family: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Table.model_validate(_table(**family))


def test_a_slip_in_the_kinds_is_found() -> None:
    with pytest.raises(ValidationError, match="kind"):
        Table.model_validate(_table() | {"kinds": [{"kind": "scale", "slot": "weight"}]})
    with pytest.raises(ValidationError, match="class"):
        Table.model_validate(_table() | {"kinds": [{"kind": "bias", "slot": "bias", "classes": "x"}]})


def test_paths_match_as_a_whole() -> None:
    family = table().family("bert")
    assert family is not None
    assert family.role("encoder.layer.10.output.LayerNorm.weight") == "ln2"
    assert family.role("encoder.layer.10.attention.output.LayerNorm.weight") == "ln1"
    assert family.role("encoder.layer.10.other.output.LayerNorm.weight") is None
    assert family.role("deeper.encoder.layer.0.output.LayerNorm.weight") is None
    assert family.role("encoder.layer.0.embeddings.LayerNorm.weight") is None
    assert family.role("encoder.layer.x.output.LayerNorm.weight") is None


def test_layers_are_numbered_by_value_and_stack_after_stack() -> None:
    family = table().family("t5")
    assert family is not None
    paths = [f"{side}.block.{n}" for side in ("decoder", "encoder") for n in (10, 2, 0)]
    assert list(family.layers(["encoder", "encoder.block", *paths, "encoder.block.0.layer.0"])) == [
        "encoder.block.0",
        "encoder.block.2",
        "encoder.block.10",
        "decoder.block.0",
        "decoder.block.2",
        "decoder.block.10",
    ]


def test_every_role_is_used_by_some_family() -> None:
    used = {
        role
        for family in table().families.values()
        for paths in (family.outside, *(stack.roles for stack in family.stacks))
        for role in paths
    }
    assert used == set(ROLES)


def test_digest_is_a_sha256() -> None:
    assert len(digest()) == 64
