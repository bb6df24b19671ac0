"""From a model's config to its catalogue: the model is built on the meta device, shapes without values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from logging import CRITICAL
from typing import TYPE_CHECKING, Any

from bitspec.diagnostics import BitspecError, Diagnostic, closest, error, listed
from bitspec.parameters.catalogue import Catalogue, Parameter
from bitspec.parameters.roles import Family, table

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

#: Keys of a config that change no parameter of the backbone: how it was saved, loaded, or used for a task.
IGNORED_KEYS = frozenset({
    "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal", "_commit_hash",
    "_name_or_path", "_num_labels", "architectures", "attn_implementation", "auto_map", "dtype",
    "finetuning_task", "id2label", "label2id", "name_or_path", "num_labels", "problem_type",
    "tokenizer_class", "torch_dtype", "transformers_version",
})  # fmt: skip

#: No pretrained model comes near it; a larger number is a slip, or meant to keep a machine busy.
MOST_LAYERS = 4096

#: Characters of what transformers says about a config that it cannot use.
LONGEST_REASON = 240


def structural(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that decides what parameters a model has."""
    return {key: value for key, value in config.items() if key not in IGNORED_KEYS}


def build(config: Mapping[str, Any], model: str = "") -> Catalogue:
    """The catalogue of the model that a config describes (what `config.json` says, as a dictionary).

    Runs no code but that of the installed transformers, and makes no weights: the time and memory do not
    depend on the model's width. `model` is what the user calls the model, for the messages.

    Raises BitspecError if transformers does not know the type, or cannot make such a model.
    """
    _check(config, model)
    with _silence(), _as_diagnostic(config, model):
        one, other = _make(config, labels=2, model=model), _make(config, labels=3, model=model)
    prefix, backbone = _backbone(one, config, model)
    family = table().family(config["model_type"])
    modules = dict(backbone.named_modules())
    layers = family.layers(modules) if family else _layers(backbone)
    parameters = tuple(_parameters(one, prefix, modules, layers, family))
    if not parameters or any(parameter.numel == 0 for parameter in parameters):
        raise BitspecError(_bad_config(model, "it makes a model with empty parameters"))
    heads = [_head_size(whole, prefix) for whole in (one, other)]
    per_label = heads[1] - heads[0]
    return Catalogue(
        model=model,
        model_type=config["model_type"],
        architecture=type(one).__name__,
        prefix=prefix,
        layers=len(layers),
        parameters=parameters,
        head_fixed=heads[0] - 2 * per_label,
        head_per_label=per_label,
        frozen_key_bias=family is not None and family.frozen_key_bias,
    )


# The model ------------------------------------------------------------------------------------------------


def _check(config: Mapping[str, Any], model: str) -> None:
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise BitspecError(
            error(
                "bad-config",
                f"the config of {_called(model)} does not say what type of model it is",
                help='a `config.json` of transformers has a line such as `"model_type": "bert"`',
            )
        )
    if config.get("quantization_config") is not None:
        raise BitspecError(
            error(
                "quantized-model",
                f"{_called(model)} is quantized, so its parameters cannot be trained entry by entry",
                help="name the model from which it was quantized",
            )
        )
    for key, number in _repetitions(config):
        if number > MOST_LAYERS:
            raise BitspecError(_bad_config(model, f"`{key}` is {number:,}, and bitspec stops at {MOST_LAYERS:,}"))


def _repetitions(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """The numbers in a config that say how often something is repeated, those of nested configs too."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _repetitions(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _repetitions(inner, key)
    elif isinstance(value, int) and re.search("layer|group|depth|expert|attention_types|blocks", key):
        yield key, value


def _make(config: Mapping[str, Any], labels: int, model: str) -> PreTrainedModel:
    """The model with a head for so many labels, or with none where transformers has none for its type."""
    import torch
    from transformers import AutoModel
    from transformers.models.auto import modeling_auto as auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    model_type = config["model_type"]
    if model_type not in CONFIG_MAPPING:
        raise BitspecError(_unknown_type(config, model, sorted(CONFIG_MAPPING.keys())))
    values = {**structural(config), "id2label": {number: f"LABEL_{number}" for number in range(labels)}}
    made = CONFIG_MAPPING[model_type].from_dict(values)
    tasks = (
        (auto.AutoModelForSequenceClassification, auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING),
        (auto.AutoModelForImageClassification, auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING),
        (auto.AutoModelForAudioClassification, auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING),
        (auto.AutoModelForVideoClassification, auto.MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING),
    )
    chosen = next((cls for cls, mapping in tasks if type(made) in mapping), AutoModel)
    with torch.device("meta"):
        # The kind of attention has no parameters of its own; the eager one can always be made.
        whole: PreTrainedModel = chosen.from_config(  # type: ignore[no-untyped-call]
            made, attn_implementation="eager", trust_remote_code=False
        )
        return whole


def _backbone(whole: PreTrainedModel, config: Mapping[str, Any], model: str) -> tuple[str, torch.nn.Module]:
    """The backbone's path in the whole model, and the backbone."""
    import torch
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    headless: Any = MODEL_MAPPING.get(type(whole.config), None) or ()
    if isinstance(whole, headless):
        return "", whole
    prefix = whole.base_model_prefix
    inner = getattr(whole, prefix, None) if prefix else None
    if isinstance(inner, torch.nn.Module):
        return prefix, inner
    raise BitspecError(
        error(
            "no-backbone",
            f"bitspec cannot tell the backbone of {_called(model)} from its head",
            help=f"in transformers, a `{config['model_type']}` model has no module that is its backbone",
        )
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep transformers' advice on the config from the user, who did not write it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils import logging

        verbosity = logging.get_verbosity()
        logging.set_verbosity(CRITICAL)
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)


# Parameters -----------------------------------------------------------------------------------------------


def _parameters(
    whole: torch.nn.Module,
    prefix: str,
    modules: Mapping[str, torch.nn.Module],
    layers: Mapping[str, int],
    family: Family | None,
) -> Iterator[Parameter]:
    inside: dict[int, list[str]] = {}
    outside: dict[int, list[str]] = {}
    tensors: dict[int, torch.nn.Parameter] = {}
    for full_name, tensor in whole.named_parameters(remove_duplicate=False):
        tensors[id(tensor)] = tensor
        name = _relative(full_name, prefix)
        if name is None:
            outside.setdefault(id(tensor), []).append(full_name)
        else:
            inside.setdefault(id(tensor), []).append(name)
    for key, names in inside.items():
        name, *aliases = names
        module, _, slot = name.rpartition(".")
        owner = modules[module]
        classes = [cls.__name__ for cls in type(owner).__mro__]
        shape = tuple(tensors[key].shape)
        kind = table().kind(classes, slot, len(shape))
        yield Parameter(
            name=name,
            module=module,
            module_class=classes[0],
            slot=slot,
            shape=shape,
            kind=kind,
            role=family.role(name) if family else None,
            layer=_layer_of(module, layers),
            transposed=kind == "matrix" and not set(table().transposed).isdisjoint(classes),
            tied=(*aliases, *outside.get(key, ())),
        )


def _relative(name: str, prefix: str) -> str | None:
    """A name in the whole model as a name in the backbone; None if it lies in the head."""
    if not prefix:
        return name
    return name.removeprefix(f"{prefix}.") if name.startswith(f"{prefix}.") else None


def _layer_of(module: str, layers: Mapping[str, int]) -> int | None:
    while module:
        if module in layers:
            return layers[module]
        module = module.rpartition(".")[0]
    return None


def _layers(backbone: torch.nn.Module) -> dict[str, int]:
    """The layers of a model that is in no table: the members of its outermost ModuleLists, in order."""
    import torch

    layers: dict[str, int] = {}
    for path, module in backbone.named_modules():
        if not isinstance(module, torch.nn.ModuleList) or _layer_of(path, layers) is not None:
            continue
        if next(module.parameters(), None) is not None:
            for index in range(len(module)):
                layers[f"{path}.{index}" if path else str(index)] = len(layers)
    return layers


def _head_size(whole: torch.nn.Module, prefix: str) -> int:
    shared = {
        id(tensor)
        for name, tensor in whole.named_parameters(remove_duplicate=False)
        if _relative(name, prefix) is not None
    }
    return sum(tensor.numel() for tensor in whole.parameters() if id(tensor) not in shared)


# Messages -------------------------------------------------------------------------------------------------


def _called(model: str) -> str:
    return f"`{model}`" if model else "this model"


def _bad_config(model: str, reason: str) -> Diagnostic:
    return error(
        "bad-config",
        f"no model can be made from the config of {_called(model)}: {reason}",
        help="compare its `config.json` with that of a model that works",
    )


def _unknown_type(config: Mapping[str, Any], model: str, known: list[str]) -> Diagnostic:
    model_type = config["model_type"]
    installed = f"transformers {version('transformers')}"
    message = f"{_called(model)} is of the type `{model_type}`, which {installed} does not know"
    if config.get("auto_map"):
        return error(
            "remote-code",
            f"{message}: it brings its own code",
            help="bitspec runs no code that comes with a model; choose one whose type transformers has",
        )
    near = closest(model_type, known)
    suggestion = f"did you mean {listed(near)}? Otherwise, a" if near else "a"
    return error("unknown-model-type", message, help=f"{suggestion} newer transformers may know it")


@contextmanager
def _as_diagnostic(config: Mapping[str, Any], model: str) -> Iterator[None]:
    """Whatever transformers makes of a config that it cannot use, the user sees a message, no traceback."""
    try:
        yield
    except BitspecError:
        raise
    except ImportError as problem:
        raise BitspecError(
            error(
                "missing-package",
                f"{_called(model)} is a `{config['model_type']}` model, and needs a package that is missing",
                help=_reason(problem),
            )
        ) from problem
    except Exception as problem:
        raise BitspecError(_bad_config(model, _reason(problem))) from problem


def _reason(problem: Exception) -> str:
    if isinstance(problem, KeyError):
        return f"it asks for {problem}, which transformers does not have"
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
