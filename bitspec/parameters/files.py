"""The files that a training needs of a model, and what to say where some are not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import BitspecError, Diagnostic, error, listed
from bitspec.parameters.weights import (
    INDEX,
    PICKLED,
    PICKLED_INDEX,
    PICKLED_SINGLE,
    SINGLE,
    check_whole,
    check_whole_pickle,
    read_index,
    unreadable,
)

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
_PICKLED: Final = (PICKLED, ".pt", ".pth", ".ckpt", ".pkl", ".pickle")

#: Weights that transformers takes instead of those in the usual files, or puts on top of them.
_PART_OF_TRAINING: Final = "shard-[0-9]*-model-[0-9]*-of-[0-9]*.safetensors"
_ADAPTER: Final = "adapter_config.json"


@dataclass(frozen=True)
class ModelFiles:
    """What a training reads of a model's folder: its config, its weights, its tokenizer, by name."""

    folder: Path
    weights: tuple[str, ...]
    tokenizer: tuple[str, ...]

    @property
    def is_pickled(self) -> bool:
        """Whether its weights are pickles."""
        return any(name.endswith(PICKLED) for name in self.weights)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them, with the index where there are several files of weights."""
        index = () if self.weights in {(SINGLE,), (PICKLED_SINGLE,)} else (_index_of(self.weights),)
        return tuple(self.folder / name for name in (CONFIG, *index, *self.weights, *self.tokenizer))


def _index_of(weights: Sequence[str]) -> str:
    return PICKLED_INDEX if weights[0].endswith(PICKLED) else INDEX


def model_files(folder: Path, source: str, *, allow_pickle: bool = False) -> ModelFiles:
    """The files of a model in a folder that has a config. Raises BitspecError if some of the others lack."""
    files, lack = survey(folder, source, allow_pickle=allow_pickle)
    if lack is not None:
        raise BitspecError(lack)
    return files


def is_pickled(folder: Path) -> bool:
    """Whether a model that `model_folder` gave, pickles allowed, has no other weights than pickled ones."""
    return model_files(folder, str(folder), allow_pickle=True).is_pickled


def survey(folder: Path, source: str, *, allow_pickle: bool = False) -> tuple[ModelFiles, Diagnostic | None]:
    """The files of a model that are in a folder, and what to say if they are not all.

    Raises BitspecError if the folder or its index of weights cannot be read.
    """
    try:
        names = frozenset(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as problem:
        raise BitspecError(unreadable(source, folder, problem)) from problem
    weights = weight_names(names, lambda index: read_index(folder / index, source), allow_pickle=allow_pickle)
    lack = lack_of_weights(source, names, weights, where=str(folder)) or lack_of_tokenizer(source, folder, names)
    return ModelFiles(folder, weights, tokenizer_names(names)), lack


def check_weights(files: ModelFiles, source: str, *, is_cached: bool = False) -> None:
    """Read the headers of all weights. Raises BitspecError if a file is cut off, or holds no weights."""
    for path in (files.folder / name for name in files.weights):
        # What the hub's cache shows is a link to the file that has to go.
        hint = f"delete {path.resolve()}, and it is fetched again the next time" if is_cached else None
        check = check_whole_pickle if path.suffix == PICKLED else check_whole
        check(path, source, help_line=hint)


def check_alone(folder: Path, source: str, config: Mapping[str, Any]) -> None:
    """Raise BitspecError if transformers would take other weights than those of `ModelFiles`, or more."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as problem:
        raise BitspecError(unreadable(source, folder, problem)) from problem
    stray = next((name for name in names if name == _ADAPTER or fnmatchcase(name, _PART_OF_TRAINING)), None)
    named = next(_values_of("transformers_weights", config), None)
    if stray is None and named is None:
        return
    what = f"there is a `{stray}`" if stray is not None else f"its `config.json` names `{named}`"
    hint = "name a folder that holds the model alone: config, weights and tokenizer as `save_pretrained` writes them"
    message = f"beside the weights of `{source}` {what}, which would be loaded with them or in their place"
    raise BitspecError(error("stray-weights", message, help=hint))


def _values_of(key: str, content: Any) -> Iterator[Any]:
    """What a key stands for in a JSON value, at any depth, where it is not null."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            if value.get(key) is not None:
                yield value[key]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def weight_names(
    names: Collection[str], shards: Callable[[str], Sequence[str]], *, allow_pickle: bool = False
) -> tuple[str, ...]:
    """Which files hold the weights, as transformers chooses them; `shards` reads the index of a name.

    Pickles are taken only if they are allowed, and there is nothing else.
    """
    kinds = [(SINGLE, INDEX), (PICKLED_SINGLE, PICKLED_INDEX)] if allow_pickle else [(SINGLE, INDEX)]
    for single, index in kinds:
        if single in names:
            return (single,)
        if index in names:
            return tuple(shards(index))
    return ()


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
            help=f"its `{_index_of(weights)}` names {_some(weights)}: save or copy it again, with all of them",
        )
    if weights:
        return None
    pickled = sorted(name for name in names if name.endswith(_PICKLED))
    if pickled:
        can_be_allowed = PICKLED_SINGLE in names or PICKLED_INDEX in names
        allowing = (
            "; or pass `--allow-pickle`, which reads the tensors in it and nothing else" if can_be_allowed else ""
        )
        return error(
            "pickled-weights",
            f"`{source}` has its weights in pickle files only ({_some(pickled)}), which bitspec does not load: "
            "reading one can run any code",
            help="if you trust it, write it anew, once, with transformers: "
            f'`AutoModel.from_pretrained("{where}").save_pretrained("./converted")`, the same with `AutoTokenizer`; '
            f"then name `./converted`{allowing}",
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
