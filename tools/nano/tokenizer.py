"""The model's tokenizer: whole words of the language, and single letters for all others."""

from __future__ import annotations

import json
import string
from pathlib import Path

from tools.nano.lexicon import ADJECTIVES, ADVERBS, NOUNS, PREPOSITIONS, VERBS
from tools.nano.sentences import MODALS, PLURAL, SINGULAR

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MARKS = (".", ",", "'", "?", "!", "-", ":", ";", '"', "(", ")")
MAX_LENGTH = 128

_SMALL = """
an and be been being by close did do does has have herself himself is are itself next not that themselves to was were
"""


def lexicon() -> tuple[str, ...]:
    """Every word that the generator can write, sorted."""
    found = {*_SMALL.split(), *MODALS, *SINGULAR, *PLURAL, *ADJECTIVES, *ADVERBS, *PREPOSITIONS}
    for noun in NOUNS.values():
        found |= {noun.singular, noun.plural}
    for verb in VERBS.values():
        found |= {verb.base, verb.third, verb.past, verb.participle, verb.progressive}
    return tuple(sorted(found))


def vocabulary() -> dict[str, int]:
    """Every piece and its number."""
    letters = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL, *MARKS, *letters, *(f"##{letter}" for letter in letters)]
    pieces += [word for word in lexicon() if word not in pieces]
    return {piece: number for number, piece in enumerate(pieces)}


def write(folder: Path) -> None:
    """Writes `tokenizer.json` and `tokenizer_config.json`, as `AutoTokenizer.from_pretrained` reads them."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces = vocabulary()
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=40))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, pieces[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    folder.mkdir(parents=True, exist_ok=True)
    # One line for each piece makes changes easy to read, and the file is small all the same.
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", "utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_LENGTH,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name.strip('[]').lower()}_token": name for name in SPECIAL},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
