"""Models that are loaded: whole, the same every time, and indifferent to padding."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from bitspec.diagnostics import BitspecError
from bitspec.training.model import prepare
from tests.training.small import CONFIGS, model_folder


def without(folder: Path, *parts: str) -> None:
    """Take weights out of a model's file."""
    kept = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if not any(part in name for part in parts)
    }
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def refusal(folder: Path) -> str:
    with pytest.raises(BitspecError) as raised:
        prepare(folder, 2)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    return f"{diagnostic.code}: {diagnostic.message}"


def test_weights_that_are_missing_are_not_drawn(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "bert")
    without(folder, "layer.1.output")
    said = refusal(folder)
    assert said.startswith("weights-misfit")
    assert "bert.encoder.layer.1.output.LayerNorm.bias" in said


def test_weights_of_another_shape_are_not_drawn(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "bert")
    config = AutoConfig.from_pretrained(folder)
    config.intermediate_size = 32
    config.save_pretrained(folder)
    assert refusal(folder).startswith("weights-misfit")


def test_a_pooler_that_is_missing_is_the_same_every_time(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "bert")
    without(folder, "pooler", "classifier")
    torch.manual_seed(1)
    one = prepare(folder, 2).model.get_parameter("bert.pooler.dense.weight")
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    two = prepare(folder, 2).model.get_parameter("bert.pooler.dense.weight")
    assert torch.equal(one, two)
    assert float(one.std()) > 0.01
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_head_of_another_task_is_no_obstacle(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "bert")
    assert prepare(folder, 5).model.get_parameter("classifier.weight").shape[0] == 5


@pytest.mark.parametrize("model_type", list(CONFIGS))
def test_a_model_knows_padding_by_the_number_that_we_pad_with(tmp_path: Path, model_type: str) -> None:
    folder = model_folder(tmp_path / "model", model_type)
    config = AutoConfig.from_pretrained(folder)
    if model_type in {"gpt2", "llama"}:  # they look for the last token that is no padding
        config.pad_token_id = 9
        config.save_pretrained(folder)
    prepared = prepare(folder, 2)
    assert prepared.model.config.pad_token_id == prepared.tokenizer.pad_token_id == 0


def test_a_model_whose_answer_depends_on_padding_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model_folder(folder, "bert")
    config = AutoConfig.for_model("xlnet", vocab_size=60, d_model=16, n_layer=1, n_head=2, d_inner=24, num_labels=2)
    config.initializer_range = 0.5
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    assert refusal(folder).startswith("padding-matters: what the model in ")
    assert refusal(folder).endswith(" says of a text depends on its padding")


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "gpt2")
    path = folder / "tokenizer_config.json"
    path.write_text(path.read_text("utf-8").replace('"pad_token": "[PAD]"', '"pad_token": null'), "utf-8")
    assert refusal(folder) == f"no-padding: the tokenizer in {folder} has no token to pad with"


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder, canary = model_folder(tmp_path / "model", "bert"), tmp_path / "canary"
    for name in (
        "modeling_theirs.py",
        "tokenization_theirs.py",
        "configuration_theirs.py",
        "custom_generate/generate.py",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"open({str(canary)!r}, 'w')\n", "utf-8")
    for file, theirs in (
        (
            "config.json",
            {"AutoModelForSequenceClassification": "modeling_theirs.Model", "AutoConfig": "configuration_theirs.C"},
        ),
        ("tokenizer_config.json", {"AutoTokenizer": ["tokenization_theirs.Slow", "tokenization_theirs.Fast"]}),
    ):
        content = json.loads((folder / file).read_text("utf-8"))
        (folder / file).write_text(json.dumps(content | {"auto_map": theirs, "trust_remote_code": True}), "utf-8")
    with suppress(BitspecError):  # what is known by its type can be loaded without
        prepare(folder, 2)
    assert not canary.exists()
