"""Models, data and recipes to measure with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bitspec
from bitspec.ir.canonical import Canonical
from bitspec.ir.cascade import resolve
from bitspec.ir.masks import Entries, Mask, Whole
from bitspec.ir.settings import Settings
from bitspec.ir.study import Study, Task
from bitspec.parameters.models import model_folder, read_config
from bitspec.parameters.select import Selector

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bitspec.training.encoding import Encoded
    from bitspec.training.examples import Examples

#: Values of config.json; what is not said is BERT-base.
SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "bert-base": {"vocab_size": 28996},
    "minilm": {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "vocab_size": 30522},
    "tiny": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 700,
        "initializer_range": 0.2,
    },
}


def make_folder(path: Path, shape: str, tokenizer: Path | None = None) -> Path:
    """A model folder of a shape with random weights; its tokenizer is another's, or that of bitspec's own model."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(**SHAPES[shape])
    if tokenizer is not None:
        config.vocab_size = int(read_config(str(tokenizer.resolve()))["vocab_size"])
    model = BertForSequenceClassification(config)
    _quiet()
    model.save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile((tokenizer or nano()) / name, path / name)
    return path


def nano() -> Path:
    """The folder of the model that comes with bitspec."""
    folder = model_folder("builtin/nano")
    assert folder is not None
    return folder


def plain_model(folder: Path, device: str, attention: str = "eager") -> PreTrainedModel:
    """The model as transformers has it, with a head for two classes."""
    import torch
    from transformers import AutoModelForSequenceClassification

    _quiet()
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, dtype=torch.float32, attn_implementation=attention, ignore_mismatched_sizes=True
    )
    own_weights(model)
    model.to(device)  # type: ignore[arg-type]  # a decorator of transformers hides torch's own signature
    return model


def own_weights(model: PreTrainedModel) -> None:
    """Copy weights that may still lie in a file, so that they count as memory before anything is measured."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()


def head_of(model: PreTrainedModel) -> tuple[str, ...]:
    """Full names of the head's parameters."""
    base = {id(parameter) for parameter in model.base_model.parameters()}
    return tuple(name for name, parameter in model.named_parameters() if id(parameter) not in base)


def _quiet() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


# Data -----------------------------------------------------------------------------------------------------


def random_examples(folder: Path, count: int, tokens: int) -> Encoded:
    """Examples of one length, whose tokens are drawn for a model."""
    import torch

    from bitspec.training.encoding import Encoded

    generator = torch.Generator().manual_seed(tokens)
    vocabulary = int(read_config(str(folder.resolve()))["vocab_size"])
    ids = torch.randint(5, vocabulary, (count, tokens), generator=generator, dtype=torch.int32)
    columns = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}
    return Encoded("training", columns, torch.full((count,), tokens), ids[:, 0].long() % 2)


@dataclass(frozen=True)
class Data:
    """A task of GLUE in the tokens of a model."""

    examples: Examples
    training: Encoded
    validation: tuple[Encoded, ...]


def glue(folder: Path, model: Path, task: str, max_length: int) -> Data:
    """Read a task from a folder in the layout of GLUE."""
    from transformers import AutoTokenizer

    from bitspec.training.encoding import encode
    from bitspec.training.tasks import read_task

    examples = read_task(Task(name=task), base=Path(), data_dir=folder)
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    training, *validation = (
        encode(split, tokenizer, max_length, regression=False) for split in (examples.training, *examples.validation)
    )
    return Data(examples, training, tuple(validation))


def first_of(split: Encoded, count: int) -> Encoded:
    """The first examples of a split."""
    from bitspec.training.encoding import Encoded

    columns = {name: column[:count] for name, column in split.columns.items()}
    return Encoded(split.name, columns, split.lengths_N[:count], split.labels_N[:count])


# What is trained ------------------------------------------------------------------------------------------

Masks = Mapping[str, Mask]


@dataclass(frozen=True)
class Cell:
    """A strategy of a study on one task, for one seed: its masks by full name, without the head."""

    strategy: str
    title: str
    seed: int
    masks: Masks
    settings: Settings

    @property
    def key(self) -> str:
        """Its name among others."""
        return f"{self.strategy} {self.seed}"


def cells(study: Study, model: Path, task: str, seeds: Sequence[int], strategies: Sequence[str] = ()) -> list[Cell]:
    """The cells of a study (all strategies, or some) in a model; by seed, then in the order of the study."""
    found = []
    for seed in seeds:
        for strategy in study.strategies:
            if not strategies or strategy.name in strategies:
                masks = _select(study, strategy.name, model, seed)
                settings = resolve(study, strategy.name, task)
                found.append(Cell(strategy.name, strategy.title or strategy.name, seed, masks, settings))
    return found


def selection(text: str, model: Path, seed: int = 0) -> Masks:
    """The masks of one selection, by full name, without the head."""
    return _select(bitspec.loads(f"group selection = {text}"), "selection", model, seed)


def _select(study: Study, name: str, model: Path, seed: int) -> Masks:
    facts = bitspec.catalogue(str(model.resolve()))
    selector = Selector(facts, seed, named=study.selections, canonical=Canonical(study.selections).text)
    return {facts.full_name(facts[name]): mask for name, mask in selector.select(study.selections[name]).items()}


def with_head(masks: Masks, head: Sequence[str]) -> dict[str, Mask]:
    """The masks of all that is trained: the head is, always."""
    return {**masks, **{name: Whole() for name in head}}


def linear_entries(model: PreTrainedModel, seed: int = 0) -> dict[str, Mask]:
    """Random entries of the encoder's linear layers: in each, as many as it has inputs and outputs.

    That is the least that PEFT's SHiRA can be set to (`r = 1`).
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    return {
        f"{name}.weight": Entries(np.sort(generator.choice(rows * columns, rows + columns, replace=False)))
        for name, rows, columns in _linear_layers(model)
    }


def _linear_layers(model: PreTrainedModel) -> Iterator[tuple[str, int, int]]:
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and ".layer." in name:
            yield name, module.out_features, module.in_features
