"""How each architecture that we know is run on tokens without padding: from their numbers to the logits.

transformers computes layer by layer on (rows, N, D), as it would on padded batches; only where examples are told
apart, at the attention and at the head, do we step in. Shapes: K trials, B examples, N tokens, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bitspec.training.architectures import is_unpadded
from bitspec.training.attention import ATTENTION
from bitspec.training.layout import Tokens


@dataclass(frozen=True)
class Architecture:
    """How an architecture is run.

    `blocks` is the path of its layers. `hidden` computes the last hidden state (rows, N, D) of tokens at positions;
    `head` the logits of (examples, 1, D): the first token of each example, or with `reads_last` the last.
    """

    blocks: str
    hidden: Callable[[Any, Tokens, Tensor], Tensor]
    head: Callable[[Any, Tensor], Tensor]
    reads_last: bool = False

    def logits(self, model: PreTrainedModel, tokens: Tokens) -> Tensor:
        """The logits of all examples of all trials, (K, B, C)."""
        layout = tokens.layout
        hidden = self.hidden(model, tokens, layout.positions())
        ends = layout.ends(last=self.reads_last)
        if len(hidden) < layout.trials:  # nothing has told the trials apart
            ends = ends % layout.tokens
        features = hidden.flatten(0, 1).index_select(0, ends).unsqueeze(1)
        return self.head(model, features).view(layout.trials, layout.examples, -1)

    def blocks_of(self, model: nn.Module) -> list[nn.Module]:
        """The layers of a model, one after the other."""
        return list(model.get_submodule(self.blocks).children())


def _bert(model: Any, tokens: Tokens, positions: Tensor) -> Tensor:
    base = model.base_model
    x = base.embeddings(input_ids=tokens.ids, token_type_ids=tokens.types, position_ids=positions)
    if hasattr(base, "embeddings_project"):  # ELECTRA, where embeddings are smaller
        x = base.embeddings_project(x)
    hidden: Tensor = base.encoder(x, attention_mask=None)[0]
    return hidden


def _roberta(model: Any, tokens: Tokens, positions: Tensor) -> Tensor:
    # Positions count from the row after that of padding.
    return _bert(model, tokens, positions + model.base_model.embeddings.padding_idx + 1)


def _distilbert(model: Any, tokens: Tokens, positions: Tensor) -> Tensor:
    x = model.distilbert.embeddings(tokens.ids, position_ids=positions)
    hidden: Tensor = model.distilbert.transformer(hidden_states=x, attention_mask=None)[0]
    return hidden


def _decoder(model: Any, tokens: Tokens, positions: Tensor) -> Tensor:
    # A mask of four dimensions is handed through to our attention, which has the layout instead.
    mask = torch.zeros(1, 1, 1, 1, device=positions.device)
    types = {} if tokens.types is None else {"token_type_ids": tokens.types}
    run = model.base_model(tokens.ids, attention_mask=mask, position_ids=positions, use_cache=False, **types)
    hidden: Tensor = run.last_hidden_state
    return hidden


def _pooled(model: Any, features: Tensor) -> Tensor:
    out: Tensor = model.classifier(model.dropout(model.bert.pooler(features)))
    return out


def _classified(model: Any, features: Tensor) -> Tensor:
    out: Tensor = model.classifier(features)
    return out


def _distilbert_head(model: Any, features: Tensor) -> Tensor:
    hidden = nn.functional.relu(model.pre_classifier(features[:, 0]))
    out: Tensor = model.classifier(model.dropout(hidden))
    return out


def _scored(model: Any, features: Tensor) -> Tensor:
    out: Tensor = model.score(features)
    return out


_ARCHITECTURES: Final[dict[str, Architecture]] = {
    "bert": Architecture("bert.encoder.layer", _bert, _pooled),
    "roberta": Architecture("roberta.encoder.layer", _roberta, _classified),
    "electra": Architecture("electra.encoder.layer", _bert, _classified),
    "distilbert": Architecture("distilbert.transformer.layer", _distilbert, _distilbert_head),
    "gpt2": Architecture("transformer.h", _decoder, _scored, reads_last=True),
    "llama": Architecture("model.layers", _decoder, _scored, reads_last=True),
}


def architecture(model: PreTrainedModel) -> Architecture | None:
    """How a model is run without padding; None if we do not know how, and it is padded."""
    config = model.config
    if config._attn_implementation != ATTENTION or not is_unpadded(config.to_dict()):
        return None
    return _ARCHITECTURES[config.model_type]


def is_causal(model: PreTrainedModel) -> bool:
    """Whether tokens attend only to those before them."""
    return model.config.model_type in {"gpt2", "llama"}
