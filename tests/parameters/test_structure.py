"""From configs to catalogues: backbone and head, tied tensors, layers, and configs that make no model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.structure import build, structural


@pytest.mark.parametrize(
    ("name", "architecture", "prefix", "fixed", "per_label"),
    [
        ("bert-base-cased", "BertForSequenceClassification", "bert", 0, 769),
        ("roberta", "RobertaForSequenceClassification", "roberta", 72, 9),
        ("distilbert", "DistilBertForSequenceClassification", "distilbert", 72, 9),
        ("gpt2", "GPT2ForSequenceClassification", "transformer", 0, 8),
        ("modernbert", "ModernBertForSequenceClassification", "model", 72, 9),
        ("t5", "T5ForSequenceClassification", "transformer", 72, 9),
        ("vit", "ViTForImageClassification", "vit", 0, 9),
        ("splinter", "SplinterModel", "", 0, 0),
    ],
)
def test_backbone_and_head(
    name: str,
    architecture: str,
    prefix: str,
    fixed: int,
    per_label: int,
    catalogue_of: Callable[[str], Catalogue],
) -> None:
    catalogue = catalogue_of(name)
    assert catalogue.architecture == architecture
    assert catalogue.prefix == prefix
    assert (catalogue.head_fixed, catalogue.head_per_label) == (fixed, per_label)
    assert not any("classifier" in p.name or "score" in p.name for p in catalogue.parameters)


def test_a_model_without_a_head_keeps_its_names(catalogue_of: Callable[[str], Catalogue]) -> None:
    splinter = catalogue_of("splinter")
    assert splinter.full_name(splinter.parameters[0]) == "embeddings.word_embeddings.weight"


def test_tied_tensors_count_once(catalogue_of: Callable[[str], Catalogue]) -> None:
    t5 = catalogue_of("t5")
    assert t5["shared.weight"].tied == ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    assert "encoder.embed_tokens.weight" not in [p.name for p in t5.parameters]
    assert t5.size == sum(p.numel for p in t5.parameters)
    bart = catalogue_of("bart")
    assert bart["decoder.embed_tokens.weight"].name == "shared.weight"


def test_known_sizes() -> None:
    assert build({"model_type": "gpt2"}).size == 124_439_808
    assert build({"model_type": "t5"}).size == 60_506_624
    assert build({"model_type": "distilbert"}).size == 66_362_880


def test_seven_billion_parameters_take_seconds() -> None:
    start = time.monotonic()
    assert build({"model_type": "llama"}).size == 6_607_343_616
    assert time.monotonic() - start < 10


# Layers ---------------------------------------------------------------------------------------------------


def _layers(catalogue: Catalogue) -> dict[int | None, str]:
    return {p.layer: p.name for p in reversed(catalogue.parameters)}


def test_layers_of_models_in_no_table(catalogue_of: Callable[[str], Catalogue]) -> None:
    bart = catalogue_of("bart")
    assert bart.layers == 3
    layers = _layers(bart)
    assert layers[None].startswith("shared")
    assert [layers[number].split(".self_attn")[0] for number in range(3)] == [
        "encoder.layers.0",
        "encoder.layers.1",
        "decoder.layers.0",
    ]
    assert {p.role for p in bart.parameters} == {None}
    assert not bart.frozen_key_bias
    resnet = catalogue_of("resnet")
    assert resnet.layers == 2
    assert resnet["encoder.stages.1.layers.1.layer.0.convolution.weight"].layer == 1


def test_layers_of_groups_and_stacks(catalogue_of: Callable[[str], Catalogue]) -> None:
    albert = catalogue_of("albert")
    assert albert["encoder.albert_layer_groups.1.albert_layers.0.ffn.bias"].layer == 2
    t5 = catalogue_of("t5")
    assert t5["decoder.block.1.layer.2.layer_norm.weight"].layer == 3
    assert t5["decoder.block.1.layer.1.layer_norm.weight"].role == "ln1"
    assert t5["encoder.block.1.layer.1.layer_norm.weight"].role == "ln2"
    assert t5["encoder.final_layer_norm.weight"].layer is None


# Configs --------------------------------------------------------------------------------------------------


def test_how_a_model_was_saved_changes_nothing(configs: dict[str, dict[str, Any]]) -> None:
    config = configs["bert"]
    saved = config | {
        "_name_or_path": "somewhere",
        "architectures": ["BertForTokenClassification"],
        "attn_implementation": "flash_attention_2",
        "auto_map": {"AutoModel": "theirs.Model"},
        "id2label": {"0": "a", "1": "b", "2": "c"},
        "label2id": {"a": 0, "b": 1, "c": 2},
        "num_labels": 3,
        "torch_dtype": "float16",
        "transformers_version": "4.0.0",
    }
    assert structural(saved) == config
    assert build(saved) == build(config)


def test_building_leaves_nothing_behind(configs: dict[str, dict[str, Any]]) -> None:
    import torch
    from transformers.utils import logging

    before = logging.get_verbosity(), torch.get_default_dtype(), torch.get_default_device()
    build(configs["bert"])
    with pytest.raises(BitspecError):
        build(configs["bert"] | {"hidden_size": 7})
    assert (logging.get_verbosity(), torch.get_default_dtype(), torch.get_default_device()) == before


def test_building_says_nothing_runs_nothing_and_takes_little_memory(python: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("raise SystemExit('their code ran')")
    program = (
        "import resource\n"
        "from bitspec.parameters.structure import build\n"
        "build({'model_type': 'bert', 'is_decoder': True, 'pad_token_id': 0, 'hidden_dropout': 3, 'xyz': 1})\n"
        f"config = {{'auto_map': {{'AutoConfig': '{tmp_path}--theirs.Config'}}, 'trust_remote_code': True}}\n"
        "print(build({**config, 'model_type': 'bert'}).size)\n"
        "build({'model_type': 'llama'})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    size, memory = python(program).splitlines()
    assert size == "109482240"  # of a config that cannot bring code
    assert int(memory) < 2_000  # MiB; the weights of the last alone would take 25,000


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"hidden_size": 7}, "bad-config", "hidden size"),
        ({"hidden_size": "wide"}, "bad-config", "hidden_size"),
        ({"hidden_size": -8}, "bad-config", "negative"),
        ({"hidden_size": 0}, "bad-config", "config of `mine`"),
        ({"vocab_size": 0, "pad_token_id": None}, "bad-config", "empty parameters"),
        ({"pad_token_id": 1000}, "bad-config", "adding_idx"),
        ({"hidden_act": "foo"}, "bad-config", "foo"),
        ({"num_hidden_layers": 10**9}, "bad-config", "num_hidden_layers"),
        ({"model_type": "resnet", "depths": [2, 10**9]}, "bad-config", "depths"),
        ({"model_type": None}, "bad-config", "does not say what type"),
        ({"model_type": ["bert"]}, "bad-config", "does not say what type"),
        ({"model_type": "brt"}, "unknown-model-type", "`brt`"),
        ({"model_type": "theirs", "auto_map": {"AutoModel": "theirs.Model"}}, "remote-code", "its own code"),
        ({"model_type": "clip"}, "no-backbone", "bitspec cannot tell the backbone of `mine` from its head"),
        (
            {"quantization_config": {"bits": 4}},
            "quantized-model",
            "is quantized, so its parameters cannot be trained entry by entry",
        ),
        (
            {"model_type": "layoutlmv2"},
            "missing-package",
            "is a `layoutlmv2` model, and needs a package that is missing",
        ),
    ],
)
def test_configs_of_which_no_model_can_be_made(
    change: dict[str, Any], code: str, words: str, configs: dict[str, dict[str, Any]]
) -> None:
    with pytest.raises(BitspecError) as raised:
        build(configs["bert"] | change, "mine")
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code
    assert words in diagnostic.message
    assert "mine" in diagnostic.message
    assert diagnostic.help
    assert len(diagnostic.message) < 400


def test_an_unknown_type_has_a_suggestion() -> None:
    with pytest.raises(BitspecError, match=r"did you mean `bert`, .*\? Otherwise, a newer transformers"):
        build({"model_type": "brt"})
    with pytest.raises(BitspecError, match="help: a newer transformers may know it"):
        build({"model_type": "qqqqqq"})
