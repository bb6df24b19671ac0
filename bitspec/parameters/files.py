"""The files that a training needs of a model, and what to say where some are not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from bitspec.diagnostics import BitspecError, Diagnostic, error, listed
from bitspec.parameters.weights import INDEX, SINGLE, check_whole, read_index, unreadable

CONFIG: Final = "config.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"

#: Files that say how a tokenizer's words are used.
_BESIDE_VOCABULARY: Final = (
    TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "merges.txt", "byte_maps.json",
    "emoji.json", "normalizer.json", "word_shape.json", "word_pronunciation.json",
)  # fmt: skip

#: Files that hold the words themselves; nearly every tokenizer has at least one, and the last tells most.
_VOCABULARY: Final = (
    "*vocab*.txt", "*vocab*.json", "dict.txt", "bpe.codes", "prophetnet.tokenizer", "tekken.json", "*.tiktoken",
    "*.spm", "spm*.model", "spiece*.model", "sentencepiece*.model", "tiktoken.model", "tokenizer*.model",
    "tokenizer.[0-9]*.json", "tokenizer.json",
)  # fmt: skip

#: Tokenizers that read bytes or characters, and have no words.
_WITHOUT_VOCABULARY: Final = frozenset({"ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer"})

#: Formats of weights that can run code when they are read.
_PICKLED: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True)
class ModelFiles:
    """What a training reads of a model's folder: its config, its safetensors files, its tokenizer, by name."""

    folder: Path
    weights: tuple[str, ...]
    tokenizer: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, with the index where there are several files of weights."""
        index = () if self.weights == (SINGLE,) else (INDEX,)
        return tuple(self.folder / name for name in (CONFIG, *index, *self.weights, *self.tokenizer))


def model_files(folder: Path, source: str) -> ModelFiles:
    """The files of a model in a folder that has a config. Raises BitspecError if some of the others lack."""
    files, lack = survey(folder, source)
    if lack is not None:
        raise BitspecError(lack)
    return files


def survey(folder: Path, source: str) -> tuple[ModelFiles, Diagnostic | None]:
    """The files of a model that are in a folder, and what to say if they are not all.

    Raises BitspecError if the folder or its index of weights cannot be read.
    """
    try:
        names = frozenset(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as problem:
        raise BitspecError(unreadable(source, folder, problem)) from problem
    weights = weight_names(names, lambda: read_index(folder / INDEX, source))
    lack = lack_of_weights(source, names, weights, where=str(folder)) or lack_of_tokenizer(source, folder, names)
    return ModelFiles(folder, weights, tokenizer_names(names)), lack


def check_weights(files: ModelFiles, source: str, *, is_cached: bool = False) -> None:
    """Read the headers of all weights. Raises BitspecError if a file is cut off, or no safetensors file."""
    for path in (files.folder / name for name in files.weights):
        # What the hub's cache shows is a link to the file that has to go.
        hint = f"delete {path.resolve()}, and it is fetched again the next time" if is_cached else None
        check_whole(path, source, help_line=hint)


def weight_names(names: Collection[str], shards: Callable[[], Sequence[str]]) -> tuple[str, ...]:
    """Which files hold the weights, as transformers chooses them; `shards` reads the index where that decides."""
    if SINGLE in names:
        return (SINGLE,)
    return tuple(shards()) if INDEX in names else ()


def tokenizer_names(names: Iterable[str]) -> tuple[str, ...]:
    """Which files belong to a tokenizer, those last by which it is known to be there."""
    patterns = (*_BESIDE_VOCABULARY, *_VOCABULARY)
    ranked = ((_rank(name, patterns), name) for name in names)
    return tuple(name for rank, name in sorted(ranked) if rank >= 0)


def _rank(name: str, patterns: Sequence[str]) -> int:
    return next((rank for rank, pattern in enumerate(patterns) if fnmatchcase(name, pattern)), -1)


# What is not there ----------------------------------------------------------------------------------------


def lack_of_weights(source: str, names: Collection[str], weights: Sequence[str], *, where: str) -> Diagnostic | None:
    """What to say where a model has no weights, or not all; `where` is what transformers would call it."""
    absent = [name for name in weights if name not in names]
    if absent:
        return error(
            "missing-weights",
            f"the weights of `{source}` are not all there: {_some(absent)} is missing",
            help=f"its `{INDEX}` names {_some(weights)}: save or copy it again, with all of them",
        )
    if weights:
        return None
    pickled = sorted(name for name in names if name.endswith(_PICKLED))
    if pickled:
        return error(
            "pickled-weights",
            f"`{source}` has its weights in pickle files only ({_some(pickled)}), which bitspec never loads: "
            "reading one can run any code",
            help="if you trust it, write it anew, once, with transformers: "
            f'`AutoModel.from_pretrained("{where}").save_pretrained("./converted")`, the same with `AutoTokenizer`; '
            "then name `./converted`",
        )
    return error("no-weights", f"`{source}` has no weights: no `{SINGLE}`, and no `{INDEX}`", help=holding(names))


def lack_of_tokenizer(source: str, folder: Path, names: Collection[str]) -> Diagnostic | None:
    """What to say where a model of these files, those of its tokenizer in `folder`, has no tokenizer."""
    if any(_rank(name, _VOCABULARY) >= 0 for name in names):
        return None
    if TOKENIZER_CONFIG in names and _tokenizer_class(folder) in _WITHOUT_VOCABULARY:
        return None
    return error(
        "no-tokenizer",
        f"`{source}` has no tokenizer: no `tokenizer.json`, and no vocabulary",
        help=f"put the files there that `save_pretrained` of its tokenizer writes; {holding(names)}",
    )


def _tokenizer_class(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / TOKENIZER_CONFIG).read_bytes())["tokenizer_class"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def holding(names: Iterable[str]) -> str:
    """`it holds a, b and c`, for the help of messages."""
    found = sorted(names)
    return f"it holds {_some(found)}" if found else "it is empty"


def _some(names: Sequence[str]) -> str:
    return listed([*names[:5], "…"] if len(names) > 5 else names, "and")
