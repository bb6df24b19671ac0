"""A pretrained model with a new head, ready for any number of trials."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from logging import CRITICAL
from pathlib import Path
from typing import Final

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from bitspec.diagnostics import BitspecError, error
from bitspec.training.noise import ATTENTION, Noise, keyed, register

_CPU = torch.device("cpu")

#: What architectures call a table of learnt positions.
_POSITIONS: Final = ("position_embeddings", "wpe")


@dataclass(frozen=True)
class Prepared:
    """A model with a head for `outputs` classes (1: a regression), its tokenizer and its dropout.

    Trials use it one after the other: each trains a few of its values and puts them back.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    noise: Noise
    outputs: int

    @cached_property
    def head(self) -> tuple[str, ...]:
        """Full names of the head's parameters: those that lie outside the base model and are not tied into it."""
        base = {id(parameter) for parameter in self.model.base_model.parameters()}
        return tuple(name for name, parameter in self.model.named_parameters() if id(parameter) not in base)

    @cached_property
    def positions(self) -> int | None:
        """Tokens of the longest text for which the model has positions; None if they are computed, as in Llama."""
        for path, module in self.model.base_model.named_modules():
            if isinstance(module, nn.Embedding) and path.rpartition(".")[2] in _POSITIONS:
                # Where padding has a row of its own, as in RoBERTa, positions count from the row after it.
                return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        return None

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    def new_head(self, seed: int, task: str) -> None:
        """Draw the head as the architecture initialises it, keyed by (seed, task), the same on every device."""
        device = self.device
        names = {name.rpartition(".")[0] for name in self.head}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(keyed("head", seed, task))
            for path, module in self.model.named_modules():
                if path in names:
                    module.to("cpu")
                    for parameter in module.parameters(recurse=False):
                        parameter._is_hf_initialized = False
                    self.model._init_weights(module)
                    module.to(device)


def prepare(folder: Path, outputs: int, device: torch.device = _CPU, dtype: torch.dtype = torch.float32) -> Prepared:
    """Load a model from a folder (config, safetensors, tokenizer); no code of the folder's is run.

    The head's values are whatever they are: `new_head` draws them. Raises BitspecError if transformers cannot make
    a classifier of the model.
    """
    register()
    with _silence():
        try:
            try:
                model = _load(folder, outputs, dtype, ATTENTION)
            except ValueError as problem:
                if "attention" not in str(problem):
                    raise
                # An architecture with attention of its own keeps it; docs/training.md says what that means.
                model = _load(folder, outputs, dtype, "eager")
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except (OSError, KeyError, ValueError, RuntimeError) as problem:
            raise _cannot_load(folder, problem) from problem
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    model.to(device)  # type: ignore[arg-type]  # a decorator of transformers hides torch's own signature
    model.eval().requires_grad_(False)
    return Prepared(model, tokenizer, Noise.attach(model), outputs)


def _load(folder: Path, outputs: int, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=outputs,
        dtype=dtype,
        attn_implementation=attention,
        ignore_mismatched_sizes=True,  # the head of another task
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    return model


def _cannot_load(folder: Path, problem: Exception) -> BitspecError:
    reason = " ".join(str(problem).split())
    return BitspecError(
        error(
            "model-not-loaded",
            f"transformers cannot make a classifier of the model in {folder}: {reason[:300]}",
            help="try the folder with transformers' AutoModelForSequenceClassification.from_pretrained",
        )
    )


@contextmanager
def _silence() -> Iterator[None]:
    # That the head is new is no news, and loading is shown in our own way.
    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def save(prepared: Prepared, folder: Path, classes: tuple[str, ...]) -> None:
    """Write a model and its tokenizer into a folder, as transformers has it; `classes` names the outputs."""
    model = prepared.model
    config = model.config
    if classes:
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: number for number, name in enumerate(classes)}
    config.problem_type = "single_label_classification" if classes else "regression"
    # Our attention is for training only; whoever loads the folder has the usual choice.
    model.set_attn_implementation("eager")
    with _silence():
        model.save_pretrained(folder)
        prepared.tokenizer.save_pretrained(folder)
