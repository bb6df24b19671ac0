"""A pretrained model with a new head, ready for any number of trials."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from logging import CRITICAL
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from bitspec.diagnostics import BitspecError, error, listed
from bitspec.training.attention import ATTENTION, register
from bitspec.training.flat import Architecture, architecture
from bitspec.training.noise import Noise, keyed

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

    @cached_property
    def architecture(self) -> Architecture | None:
        """How the model is run without padding, and in packs; None if we do not know how."""
        return architecture(self.model)

    @property
    def vocabulary(self) -> int:
        """Numbers of tokens that the model knows."""
        return self.model.get_input_embeddings().weight.size(0)  # type: ignore[operator]

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


def prepare(
    folder: Path,
    outputs: int,
    device: torch.device = _CPU,
    dtype: torch.dtype = torch.float32,
    *,
    pickled: bool = False,
) -> Prepared:
    """Load a model from a folder (config, safetensors, tokenizer); no code of the folder's is run.

    With `pickled`, its weights are in `pytorch_model.bin`, of which torch reads tensors and nothing else. The head's
    values are whatever they are: `new_head` draws them. Raises BitspecError if transformers cannot make a classifier of
    the model, or a pickle holds more than tensors.
    """
    register()
    with _silence():
        try:
            try:
                model = _load(folder, outputs, dtype, ATTENTION, pickled=pickled)
            except ValueError as problem:
                if "attention" not in str(problem):
                    raise
                # An architecture with attention of its own keeps it; docs/training.md says what that means.
                model = _load(folder, outputs, dtype, "eager", pickled=pickled)
            tokenizer = _load_tokenizer(folder)
        except (OSError, LookupError, ValueError, RuntimeError, ImportError, TypeError, AttributeError) as problem:
            raise _cannot_load(folder, problem) from problem
    _check_pads(folder, tokenizer)
    # Models that look for the last token must know padding by the number that we pad with.
    model.config.pad_token_id = tokenizer.pad_token_id
    try:
        _check_padding(folder, model.eval(), tokenizer.pad_token_id)
    except (RuntimeError, ValueError, AttributeError, IndexError, TypeError) as problem:
        raise _cannot_load(folder, problem) from problem
    model.to(device)  # type: ignore[arg-type]  # a decorator of transformers hides torch's own signature
    model.eval().requires_grad_(False)
    return Prepared(model, tokenizer, Noise.attach(model), outputs)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model as `prepare` has it, without the model. Raises BitspecError as it does."""
    with _silence():
        try:
            tokenizer = _load_tokenizer(folder)
        except (OSError, LookupError, ValueError, RuntimeError, ImportError, TypeError, AttributeError) as problem:
            raise _cannot_load(folder, problem) from problem
    _check_pads(folder, tokenizer)
    return tokenizer


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_pads(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.pad_token_id is None:
        hint = "give its tokenizer a `pad_token`, and save it again"
        raise BitspecError(error("no-padding", f"the tokenizer in {folder} has no token to pad with", help=hint))


def _load(folder: Path, outputs: int, dtype: torch.dtype, attention: str, *, pickled: bool) -> PreTrainedModel:
    with _unpickling(folder) if pickled else nullcontext(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed("missing weights"))  # a pooler that the checkpoint lacks is the same in every trial
        model: PreTrainedModel
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            folder,
            num_labels=outputs,
            dtype=dtype,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,  # the head of another task
            use_safetensors=not pickled,
            weights_only=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    _check_complete(folder, model, loading)
    return model


@contextmanager
def _unpickling(folder: Path) -> Iterator[None]:
    """While a pickle is read by torch's own reader, which knows tensors and refuses all else before it is called."""
    try:
        yield
    except (UnpicklingError, EOFError, AttributeError, IndexError, TypeError, AssertionError) as problem:
        # What is cut off or made up breaks the reader in many ways; what it refuses by name is the first.
        refused = re.search(r"GLOBAL ([\w.]+)", str(problem))
        if isinstance(problem, UnpicklingError) and "Weights only load failed" in str(problem):
            named = f" (`{refused[1]}`)" if refused else ""
            message = f"the pickled weights in {folder} hold more than tensors{named}, so they are not loaded"
            hint = "whoever reads all of it runs whatever code it names: get this model as safetensors"
            raise BitspecError(error("unsafe-pickle", message, help=hint)) from problem
        message = f"the pickled weights in {folder} cannot be read: {_said(problem)}"
        raise BitspecError(error("bad-weights", message, help="copy or fetch them again")) from problem


def _check_complete(folder: Path, model: PreTrainedModel, loading: Mapping[str, Any]) -> None:
    """Raise BitspecError where weights of the base model are not in its files, or of another shape."""
    prefix = f"{model.base_model_prefix}."
    misfits = [name if isinstance(name, str) else name[0] for name in loading["mismatched_keys"]]
    lacking = [
        name
        for name in sorted({*loading["missing_keys"], *misfits})
        if name.startswith(prefix) and (name in misfits or ".pooler." not in name)
    ]
    if lacking:
        hint = "save the model again with all of its weights, or correct its `config.json`"
        shown = listed([*lacking[:3], "…"] if len(lacking) > 3 else lacking, "and")
        message = f"the weights of the model in {folder} do not fill it: {shown} are missing, or of another shape"
        raise BitspecError(error("weights-misfit", message, help=hint))


@torch.no_grad()
def _check_padding(folder: Path, model: PreTrainedModel, padding: int) -> None:
    """Raise BitspecError where a model's answer changes with the padding: its scores would depend on the batch."""
    ids = torch.tensor([[number for number in range(9) if number != padding][:5]])
    alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    padded = torch.cat([ids, torch.full((1, 3), padding)], dim=1)
    beside = model(input_ids=padded, attention_mask=(torch.arange(8)[None, :] < 5).long()).logits
    if not torch.allclose(alone, beside, atol=1e-3, rtol=1e-3) and bool(alone.isfinite().all()):
        hint = "bitspec pads on the right and masks the padding; choose a model that leaves it out of account"
        raise BitspecError(
            error("padding-matters", f"what the model in {folder} says of a text depends on its padding", help=hint)
        )


def _cannot_load(folder: Path, problem: Exception) -> BitspecError:
    reason = _said(problem)
    return BitspecError(
        error(
            "model-not-loaded",
            f"transformers cannot make a classifier of the model in {folder}: {reason[:300]}",
            help="try the folder with transformers' AutoModelForSequenceClassification.from_pretrained",
        )
    )


def _said(problem: Exception) -> str:
    said = " ".join(str(problem).split()).partition(" Model type should be one of")[0]
    return said or type(problem).__name__


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
    """Write a model and its tokenizer into a folder, as transformers has it; `classes` names the outputs.

    Raises OSError where they cannot be written.
    """
    model = prepared.model
    config = model.config
    if classes:
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: number for number, name in enumerate(classes)}
    config.problem_type = "single_label_classification" if classes else "regression"
    # Our attention is for training only; whoever loads the folder has the usual choice.
    model.set_attn_implementation("eager")
    try:
        with _silence():
            model.save_pretrained(folder)
            prepared.tokenizer.save_pretrained(folder)
    except SafetensorError as problem:  # which it says of a disk that is full, too
        raise OSError(str(problem)) from problem
