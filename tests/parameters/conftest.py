"""Configs and catalogues of every architecture in the table of roles, and of some that are not in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.models import read_config
from bitspec.parameters.structure import build

Config: TypeAlias = dict[str, Any]

#: Width 8, two layers, two heads, an MLP of 16, 30 words, 16 positions: small enough to count by hand.
BERT_LIKE: Config = {
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}

GPT2: Config = {
    "model_type": "gpt2",
    "vocab_size": 30,
    "n_positions": 16,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": 16,
}

DEBERTA: Config = BERT_LIKE | {
    "relative_attention": True,
    "max_relative_positions": 4,
    "pos_att_type": ["c2p", "p2c"],
    "type_vocab_size": 0,
    "position_biased_input": False,
    "pooler_hidden_size": 8,
}

LLAMA: Config = BERT_LIKE | {"model_type": "llama", "num_key_value_heads": 1, "head_dim": 4}

T5: Config = {
    "model_type": "t5",
    "vocab_size": 30,
    "d_model": 8,
    "d_kv": 4,
    "d_ff": 16,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 4,
    "pad_token_id": 0,
}

CONFIGS: dict[str, Config] = {
    "bert-base-cased": read_config("bert-base-cased"),
    "llama-7b": {"model_type": "llama"},
    "bert": BERT_LIKE | {"model_type": "bert"},
    "bert-decoder": BERT_LIKE | {"model_type": "bert", "is_decoder": True, "add_cross_attention": True},
    "roberta": BERT_LIKE | {"model_type": "roberta"},
    "xlm-roberta": BERT_LIKE | {"model_type": "xlm-roberta"},
    "camembert": BERT_LIKE | {"model_type": "camembert"},
    "data2vec-text": BERT_LIKE | {"model_type": "data2vec-text"},
    "ernie": BERT_LIKE | {"model_type": "ernie", "use_task_id": True},
    "electra": BERT_LIKE | {"model_type": "electra", "embedding_size": 4},
    "rembert": BERT_LIKE | {"model_type": "rembert", "input_embedding_size": 4, "output_embedding_size": 4},
    "mpnet": BERT_LIKE | {"model_type": "mpnet"},
    "distilbert": {
        "model_type": "distilbert",
        "vocab_size": 30,
        "max_position_embeddings": 16,
        "dim": 8,
        "hidden_dim": 16,
        "n_layers": 2,
        "n_heads": 2,
    },
    "deberta": DEBERTA | {"model_type": "deberta"},
    "deberta-v2": DEBERTA
    | {
        "model_type": "deberta-v2",
        "position_buckets": 4,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": False,
    },
    "albert": BERT_LIKE | {"model_type": "albert", "embedding_size": 4, "num_hidden_groups": 2, "inner_group_num": 2},
    "modernbert": BERT_LIKE | {"model_type": "modernbert"},
    "vit": BERT_LIKE | {"model_type": "vit", "image_size": 4, "patch_size": 2, "num_channels": 3},
    "gpt2": GPT2,
    "gpt2-decoder": GPT2 | {"add_cross_attention": True},
    "llama": LLAMA,
    "mistral": LLAMA | {"model_type": "mistral"},
    "qwen2": LLAMA | {"model_type": "qwen2"},
    "qwen3": LLAMA | {"model_type": "qwen3"},
    "gemma": LLAMA | {"model_type": "gemma"},
    "gemma2": LLAMA | {"model_type": "gemma2"},
    "gemma3": LLAMA | {"model_type": "gemma3_text"},
    "t5": T5,
    "t5-gated": T5 | {"feed_forward_proj": "gated-gelu", "num_decoder_layers": 1},
    "mt5": T5 | {"model_type": "mt5"},
    "umt5": T5 | {"model_type": "umt5"},
    # In no table:
    "bart": {
        "model_type": "bart",
        "vocab_size": 30,
        "d_model": 8,
        "max_position_embeddings": 16,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    },
    "mixtral": LLAMA | {"model_type": "mixtral", "num_local_experts": 2},
    "resnet": {
        "model_type": "resnet",
        "embedding_size": 4,
        "hidden_sizes": [4, 8],
        "depths": [1, 2],
        "layer_type": "basic",
    },
    "splinter": BERT_LIKE | {"model_type": "splinter"},
}


@pytest.fixture(scope="session")
def configs() -> dict[str, Config]:
    return CONFIGS


@pytest.fixture(scope="session")
def catalogue_of() -> Callable[[str], Catalogue]:
    """The catalogue of one of the configs, built once in a session."""

    @cache
    def made(name: str) -> Catalogue:
        return build(CONFIGS[name], name)

    return made


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BITSPEC_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def python() -> Callable[..., str]:
    """Runs a program in a fresh interpreter, warnings being errors, and returns what it prints."""

    def run(program: str, **environment: str) -> str:
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=os.environ | {"PYTHONPATH": str(root)} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
