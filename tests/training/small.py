"""Small random models of several architectures, and data for them: what training is tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Whole
from bitspec.training.encoding import Encoded

VOCABULARY = 60

#: Architectures that differ most: weights that stand as the paper has them, and transposed ones under a causal mask.
UNLIKE = ("bert", "gpt2")

#: Configs of every architecture, small enough for a test; dropout everywhere.
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "initializer_range": 0.2,
    },
    "roberta": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 40,
        "initializer_range": 0.2,
        "pad_token_id": 0,
    },
    "electra": {
        "embedding_size": 12,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "initializer_range": 0.2,
    },
    "distilbert": {
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 24,
        "max_position_embeddings": 32,
        "initializer_range": 0.2,
    },
    "gpt2": {
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 32,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
    },
    "llama": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "attention_dropout": 0.1,
    },
}

#: Every architecture, to parametrize a test with: those that differ most, and the others in the slow tier.
MODEL_TYPES = [name if name in UNLIKE else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]


def model_folder(path: Path, model_type: str, **changes: Any) -> Path:
    """A random model of a type, with a tokenizer of single letters, saved as transformers saves them."""
    config = AutoConfig.for_model(model_type, vocab_size=VOCABULARY, num_labels=2, **(CONFIGS[model_type] | changes))
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():  # biases and gammas of a fresh model are all alike: a mistake among them would not show
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
            assert name
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


def _tokenizer() -> PreTrainedTokenizerFast:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(VOCABULARY - 5))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def encoded(name: str, examples: int, *, longest: int = 11, seed: int = 0, outputs: int = 2) -> Encoded:
    """Random examples of different lengths; labels that can be learnt from the first token."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, longest + 1, (examples,), generator=generator)
    ids = torch.randint(5, VOCABULARY, (examples, int(lengths.max())), generator=generator, dtype=torch.int32)
    ids[torch.arange(ids.shape[1])[None, :] >= lengths[:, None]] = 0
    if outputs == 1:
        return Encoded(name, {"input_ids": ids}, lengths, ids[:, 0].float() / VOCABULARY)
    return Encoded(name, {"input_ids": ids}, lengths, ids[:, 0].long() % outputs)


def masks_of_every_kind(model: PreTrainedModel, seed: int = 0) -> dict[str, dict[str, Mask]]:
    """For each kind of mask, one over some tensors of the base model; and a mixture of all."""
    generator = np.random.default_rng(seed)
    base = {name: tuple(tensor.shape) for name, tensor in model.named_parameters() if _in_base(name, model)}
    matrices = [name for name, shape in base.items() if len(shape) == 2]
    vectors = [name for name, shape in base.items() if len(shape) == 1]
    embedding = matrices[0]

    def some(count: int, part: float) -> np.ndarray[Any, Any]:
        return np.sort(generator.choice(count, max(1, int(count * part)), replace=False))

    rows: dict[str, Mask] = {name: Rows(some(base[name][0], 0.3)) for name in matrices}
    cols: dict[str, Mask] = {name: Cols(some(base[name][1], 0.3)) for name in matrices}
    entries: dict[str, Mask] = {name: Entries(some(int(np.prod(base[name])), 0.1)) for name in base}
    all_but: dict[str, Mask] = {name: AllBut(some(int(np.prod(base[name])), 0.2)) for name in base}
    forms = (rows, cols, entries, all_but, {name: Whole() for name in base})
    mixture = {name: forms[place % len(forms)].get(name, Whole()) for place, name in enumerate(base)}
    return {
        "none": {},
        "vectors": {name: Whole() for name in vectors},
        "rows": rows,
        "cols": cols,
        "entries": entries,
        "all but": all_but,
        "whole matrices": {name: Whole() for name in matrices if name != embedding},
        "everything": {name: Whole() for name in base},
        "mixture": mixture,
    }


def _in_base(name: str, model: PreTrainedModel) -> bool:
    return name.startswith(f"{model.base_model_prefix}.")


def dense(mask: Mask | None, shape: tuple[int, ...]) -> Tensor:
    """A mask as a boolean tensor; for the slow oracle only."""
    found = torch.zeros(shape, dtype=torch.bool)
    match mask:
        case None:
            pass
        case Whole():
            found[...] = True
        case Rows(indices=indices):
            found[torch.from_numpy(indices.copy())] = True
        case Cols(indices=indices):
            found[:, torch.from_numpy(indices.copy())] = True
        case Entries(indices=indices):
            found.view(-1)[torch.from_numpy(indices.copy())] = True
        case AllBut(indices=indices):
            found[...] = True
            found.view(-1)[torch.from_numpy(indices.copy())] = False
    return found
