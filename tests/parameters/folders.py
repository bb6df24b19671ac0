"""Folders of small models, written byte by byte: what a test wants to be wrong or different, it can make so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias


class Raw(NamedTuple):
    """A tensor as a safetensors file has it."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes


Tensors: TypeAlias = dict[str, Raw]

#: A model's tensors: of several types, with an empty one and one of a single value.
TENSORS: Tensors = {
    "embeddings.weight": Raw("F32", (4, 3), bytes(range(48))),
    "layer.0.weight": Raw("BF16", (3, 3), bytes(range(100, 118))),
    "layer.0.bias": Raw("F16", (3,), b"abcdef"),
    "layer.1.bias": Raw("F32", (0,), b""),
    "scale": Raw("F64", (), b"12345678"),
}

CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 8,
    "hidden_dropout_prob": 0.1,
    "architectures": ["BertModel"],
    "transformers_version": "5.17.0",
}

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")

#: A tokenizer that transformers can load; it knows the word `a`.
TOKENIZER: dict[str, bytes] = {
    "tokenizer.json": json.dumps({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(_WORDS)},
        },
    }).encode(),
    "tokenizer_config.json": b'{"tokenizer_class": "BertTokenizer", "do_lower_case": false}',
    "vocab.txt": "\n".join(_WORDS).encode(),
}  # fmt: skip


def safetensors(
    tensors: Tensors, order: Sequence[str] | None = None, metadata: Mapping[str, str] | None = None
) -> bytes:
    """A safetensors file, its tensors in an order."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata is not None else {}
    data = b""
    for name in order or sorted(tensors):
        dtype, shape, content = tensors[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def weight_files(tensors: Tensors = TENSORS, shards: Sequence[Sequence[str]] = ()) -> dict[str, bytes]:
    """The files of weights: a single one, or one for each list of names, and their index."""
    if not shards:
        return {"model.safetensors": safetensors(tensors, metadata={"format": "pt"})}
    files: dict[str, bytes] = {}
    where: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        files[file] = safetensors(tensors, names)
        where |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 80}, "weight_map": where}
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


def model(
    tensors: Tensors = TENSORS,
    shards: Sequence[Sequence[str]] = (),
    config: Mapping[str, Any] = CONFIG,
    tokenizer: Mapping[str, bytes] = TOKENIZER,
) -> dict[str, bytes]:
    """All files of a model."""
    return {"config.json": json.dumps(config).encode(), **tokenizer, **weight_files(tensors, shards)}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder that need not be there; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
