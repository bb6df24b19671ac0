"""Pretraining: masked words, replaced words, and whether two sentences are of one story."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.nano import lexicon, tokenizer
from tools.nano.corpus import Corpus
from tools.nano.dice import Dice
from tools.nano.tasks import TASKS, build, sentences

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

PAD, UNK, CLS, SEP, MASK = range(5)
ALTERNATIVES = 8


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the pretraining does."""

    seed: int = 17
    layers: int = 4
    hidden: int = 64
    heads: int = 4
    dropout: float = 0.0
    records: int = 400_000
    steps: int = 20_000
    batch: int = 64
    rate: float = 3e-3
    warmup: int = 500
    masked: float = 0.25
    mask_share: float = 0.6
    replace_share: float = 0.3
    next_weight: float = 0.5
    replaced_weight: float = 1.0


# Data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoded:
    """Records as numbers: `ids` [N, T] padded with 0, `first` and `length` [N], `is_next` [N], -1 for one sentence."""

    ids: NDArray[np.int16]
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    is_next: NDArray[np.int64]


def encode(recipe: Recipe, folder: Path, width: int = 40) -> Encoded:
    """The corpus in the numbers of the tokenizer in `folder`; what is longer than `width` is left out."""
    import numpy as np
    from tokenizers import Tokenizer

    held_out = {sentence for task in TASKS for sentence in sentences(build(task))}
    corpus = Corpus(recipe.seed, held_out)
    reader = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = np.zeros((recipe.records, width), np.int16)
    first = np.zeros(recipe.records, np.int64)
    length = np.zeros(recipe.records, np.int64)
    is_next = np.full(recipe.records, -1)
    row = 0
    while row < recipe.records:
        records = [corpus.record() for _ in range(min(10_000, recipe.records - row))]
        read = reader.encode_batch([(one.first, one.second) if one.second else one.first for one in records])
        for record, encoding in zip(records, read, strict=True):
            if len(encoding) <= width:
                ids[row, : len(encoding)] = encoding.ids
                length[row] = len(encoding)
                first[row] = len(encoding) - sum(encoding.type_ids)
                if record.second:
                    is_next[row] = record.is_next
                row += 1
    return Encoded(ids, first, length, is_next)


def alternatives() -> dict[str, tuple[str, ...]]:
    """For each word, words of the same kind that it could be mistaken for: other forms, other numbers, neighbours."""
    found: dict[str, list[str]] = {}

    def together(*words: str) -> None:
        for word in words:
            found.setdefault(word, []).extend(other for other in words if other != word)

    for noun in lexicon.NOUNS.values():
        together(noun.singular, noun.plural)
    tables = (lexicon.NOUN_SYNONYMS, lexicon.NOUN_HYPONYMS)
    for name, others in ((name, other) for table in tables for name, many in table.items() for other in many):
        together(name, others)
        together(lexicon.NOUNS[name].plural, lexicon.NOUNS[others].plural)
    for verb in lexicon.VERBS.values():
        together(*{verb.base: 0, verb.third: 0, verb.past: 0, verb.participle: 0, verb.progressive: 0})
    for table in (lexicon.VERB_OPPOSITES, lexicon.VERB_HYPONYMS):
        for name, many in table.items():
            for other in many:
                one, two = lexicon.VERBS[name], lexicon.VERBS[other]
                together(one.base, two.base)
                together(one.past, two.past)
                together(one.third, two.third)
                together(one.participle, two.participle)
    for table in (lexicon.ADJECTIVE_SYNONYMS, lexicon.ADJECTIVE_OPPOSITES):
        for name, many in table.items():
            together(name, *many)
    together("a", "every", "each", "this", "that", "no", "the")
    together("all", "some", "most", "many", "two", "three", "several", "these", "those", "no", "the")
    together("is", "are", "was", "were", "be", "been", "being")
    together("has", "have")
    together("does", "do", "did")
    together("himself", "herself", "itself", "themselves")
    together(*lexicon.PREPOSITIONS, "by")
    return {word: tuple(dict.fromkeys(others)) for word, others in found.items()}


def alternative_table() -> NDArray[np.int64]:
    """[V, ALTERNATIVES] the numbers of each piece's alternatives, repeated to fill the row; its own if it has none."""
    import numpy as np

    pieces = tokenizer.vocabulary()
    known = alternatives()
    table = np.arange(len(pieces))[:, None].repeat(ALTERNATIVES, 1)
    for word, others in known.items():
        picked = Dice(pieces[word]).shuffled(others)
        table[pieces[word]] = [pieces[picked[n % len(picked)]] for n in range(ALTERNATIVES)]
    return table


# The model ---------------------------------------------------------------------------------------------------


def new_model(recipe: Recipe) -> Any:
    """A BERT with its pretraining heads, not yet trained."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    torch.manual_seed(recipe.seed)
    config = BertConfig(
        vocab_size=len(tokenizer.vocabulary()),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=4 * recipe.hidden,
        max_position_embeddings=tokenizer.MAX_LENGTH,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=recipe.dropout,
        pad_token_id=PAD,
    )
    return BertForPreTraining(config)


@dataclass
class Batch:
    """A batch [B, T]: `target` is the true word where it is asked for, `replaced` 0 or 1 where it shows; else -100."""

    ids: torch.Tensor
    types: torch.Tensor
    attention: torch.Tensor
    target: torch.Tensor
    replaced: torch.Tensor
    is_next: torch.Tensor


def batches(recipe: Recipe, data: Encoded, table: NDArray[np.int64]) -> Iterator[Batch]:
    """Batches for ever, of records of like lengths, hidden and replaced anew each time."""
    import numpy as np
    import torch

    draw = np.random.default_rng(recipe.seed)
    chunk = recipe.batch * 40
    while True:
        order = draw.permutation(len(data.ids))
        for start in range(0, len(order) - chunk + 1, chunk):
            part = order[start : start + chunk]
            part = part[np.argsort(data.length[part], kind="stable")]
            for at in draw.permutation(40):
                rows = part[at * recipe.batch : (at + 1) * recipe.batch]
                width = int(data.length[rows].max())
                ids = data.ids[rows, :width].astype(np.int64)
                yield _hide(recipe, data, table, rows, ids, draw, torch)


def _hide(
    recipe: Recipe,
    data: Encoded,
    table: NDArray[np.int64],
    rows: NDArray[np.int64],
    ids: NDArray[np.int64],
    draw: np.random.Generator,
    torch: Any,
) -> Batch:
    import numpy as np

    places = np.arange(ids.shape[1])[None]
    types = (places >= data.first[rows][:, None]) & (places < data.length[rows][:, None])
    # Half of the time one of the sentences is hidden more than the other: its words have to be read off the other.
    share = np.full(ids.shape, recipe.masked)
    lean = draw.choice([0.0, 0.6, -0.6], size=len(rows), p=[0.5, 0.25, 0.25])[:, None]
    share *= np.where(data.is_next[rows][:, None] >= 0, 1 + np.where(types, lean, -lean), 1)
    chosen = (draw.random(ids.shape) < share) & (ids > MASK)
    kind = draw.random(ids.shape)
    hidden = chosen & (kind < recipe.mask_share)
    swapped = chosen & (kind >= recipe.mask_share) & (kind < recipe.mask_share + recipe.replace_share)
    near = table[ids, draw.integers(0, ALTERNATIVES, ids.shape)]
    far = draw.integers(len(tokenizer.vocabulary()) - len(tokenizer.lexicon()), len(tokenizer.vocabulary()), ids.shape)
    other = np.where(draw.random(ids.shape) < 0.6, near, far)
    shown = np.where(hidden, MASK, np.where(swapped, other, ids))
    replaced = np.where((ids <= MASK) | hidden, -100, (shown != ids).astype(np.int64))
    return Batch(
        ids=torch.from_numpy(shown),
        types=torch.from_numpy(types.astype(np.int64)),
        attention=torch.from_numpy((ids != PAD).astype(np.int64)),
        target=torch.from_numpy(np.where(chosen, ids, -100)),
        replaced=torch.from_numpy(replaced),
        is_next=torch.from_numpy(data.is_next[rows]),
    )


class Losses:
    """The losses of a batch; the detector of replaced words reads the last layer but one, and is thrown away after."""

    def __init__(self, recipe: Recipe, model: Any) -> None:
        import torch

        self.recipe = recipe
        self.model = model
        self.detector = torch.nn.Linear(recipe.hidden, 1)

    def parameters(self) -> list[Any]:
        """What is trained."""
        return [*self.model.parameters(), *self.detector.parameters()]

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Mean loss of each objective."""
        from torch.nn import functional

        out = self.model.bert(
            input_ids=batch.ids, attention_mask=batch.attention, token_type_ids=batch.types, output_hidden_states=True
        )
        at = batch.target >= 0
        words = self.model.cls.predictions(out.last_hidden_state[at])
        losses = {"words": functional.cross_entropy(words, batch.target[at])}
        pairs = batch.is_next >= 0
        if bool(pairs.any()):
            # As in BERT, 0 says that the second sentence is the next one.
            scores = self.model.cls.seq_relationship(out.pooler_output[pairs])
            losses["next"] = functional.cross_entropy(scores, 1 - batch.is_next[pairs])
        if self.recipe.replaced_weight:
            at = batch.replaced >= 0
            scores = self.detector(out.hidden_states[-2][at])[:, 0]
            losses["replaced"] = functional.binary_cross_entropy_with_logits(scores, batch.replaced[at].float())
        return losses

    def total(self, losses: dict[str, Any]) -> Any:
        """The weighted sum."""
        weights = {"words": 1.0, "next": self.recipe.next_weight, "replaced": self.recipe.replaced_weight}
        return sum(weights[name] * loss for name, loss in losses.items())


def _optimizer(recipe: Recipe, losses: Losses) -> torch.optim.AdamW:
    import torch

    vectors = [value for value in losses.parameters() if value.ndim < 2]
    matrices = [value for value in losses.parameters() if value.ndim >= 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), eps=1e-6)


def _rate(recipe: Recipe, step: int) -> float:
    """Up in a line, then down in half a cosine, to a fiftieth."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    cool = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.rate * warm * (0.02 + 0.98 * cool)


def pretrain(recipe: Recipe, folder: Path, report_every: int = 500) -> Any:
    """Pretrains a model, writes it (at every report) and its tokenizer to `folder`, and returns it."""
    import torch

    tokenizer.write(folder)
    started = time.monotonic()
    data = encode(recipe, folder)
    print(json.dumps(asdict(recipe)))
    print(f"{int(data.length.sum()):,} words in {time.monotonic() - started:.0f} s", flush=True)
    model = new_model(recipe)
    model.train()
    losses = Losses(recipe, model)
    optimizer = _optimizer(recipe, losses)
    recent: list[dict[str, float]] = []
    for step, batch in zip(range(recipe.steps), batches(recipe, data, alternative_table()), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = _rate(recipe, step)
        optimizer.zero_grad()
        found = losses(batch)
        losses.total(found).backward()
        torch.nn.utils.clip_grad_norm_(losses.parameters(), 1.0)
        optimizer.step()
        recent.append({name: loss.item() for name, loss in found.items()})
        if step % report_every == 0 or step == recipe.steps - 1:
            told = {name: [one[name] for one in recent if name in one] for name in found}
            said = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in told.items())
            print(f"step {step}: {said}, {time.monotonic() - started:.0f} s", flush=True)
            recent.clear()
            model.save_pretrained(folder)
    return model.eval()
