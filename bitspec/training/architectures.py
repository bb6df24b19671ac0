"""Architectures that are trained without padding and in packs. No torch here: the planner asks too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Values of `model_type` in a model's config, as transformers has them; how each is run is told in `flat.py`.
UNPADDED: Final = frozenset({"bert", "roberta", "electra", "distilbert", "gpt2", "llama"})

#: Of these, those whose attention looks both ways, unless the config makes a decoder of them.
_ENCODERS: Final = frozenset({"bert", "roberta", "electra"})


def is_unpadded(config: Mapping[str, Any]) -> bool:
    """Whether a model with this config is trained without padding; others are padded, and train alone."""
    model_type = config.get("model_type")
    return model_type in UNPADDED and not (model_type in _ENCODERS and config.get("is_decoder", False))
