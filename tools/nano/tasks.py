"""The three generated tasks: acceptability, paraphrase and entailment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tools.nano.dice import Dice
from tools.nano.lexicon import ALWAYS_ALONE, NEVER_ALONE
from tools.nano.relations import change, follow, not_follow, reword
from tools.nano.sentences import Clause, Draw, Style, Word, text, words

Row = tuple[str, ...]
Maker = Callable[[Dice, bool], Row | None]

ACCEPTABILITY = Style(
    tenses={"present": 5, "past": 1, "will": 1, "can": 1, "must": 1, "perfect": 2, "progressive": 2},
    transitive=55,
    adjective=20,
    attractor=35,
    relative=30,
    adverb=12,
    place=8,
    negative=10,
    passive=12,
    reflexive=20,
)
_DEFINITE = {"the": 4, "this": 1, "that": 1, "a": 2}
_DEFINITE_PLURAL = {"the": 4, "these": 1, "those": 1, "some": 2}
PARAPHRASE = Style(
    singular=_DEFINITE,
    plural=_DEFINITE_PLURAL,
    tenses={"present": 2, "past": 3, "will": 1, "can": 1, "perfect": 1, "progressive": 1},
    transitive=85,
    adjective=30,
    adverb=20,
    place=20,
    negative=12,
    passive=45,
    fronted=40,
    both_ways=True,
)
ENTAILMENT = Style(
    singular={"every": 5, "each": 2, "a": 3, "the": 2, "no": 3},
    plural={"all": 5, "some": 5, "no": 3, "most": 3, "two": 2, "three": 2, "many": 1},
    object_singular={"a": 1},
    object_plural={"two": 1, "three": 1},
    tenses={"present": 2, "past": 3},
    transitive=50,
    plurals=60,
    adjective=20,
    adverb=25,
    adverbs=("quickly", "slowly", "quietly", "silently", "rapidly"),
    place=20,
    place_determiners={"a": 1},
    negative=30,
)


# Acceptability -----------------------------------------------------------------------------------------------


def _one(spoken: list[Word], dice: Dice, at: list[int]) -> int | None:
    return dice.one(at) if spoken and at else None


def _wrong_number(clause: Clause, dice: Dice) -> list[Word] | None:
    """A verb that does not agree with its subject, or a determiner with its noun."""
    spoken = words(clause)
    kinds = ("verb", "aux") if dice.chance(0.75) else ("det", "self")
    at = _one(spoken, dice, [n for n, word in enumerate(spoken) if word.other_number and word.kind in kinds])
    if at is None:
        return None
    spoken[at] = Word(spoken[at].other_number, spoken[at].kind)
    return spoken


def _wrong_form(clause: Clause, dice: Dice) -> list[Word] | None:
    """A verb form that its auxiliary does not take."""
    spoken = words(clause)
    at = _one(spoken, dice, [n for n, word in enumerate(spoken) if word.other_form])
    if at is None:
        return None
    spoken[at] = Word(spoken[at].other_form, spoken[at].kind)
    return spoken


_SWAPS = {
    ("det", "singular"),
    ("det", "plural"),
    ("adj", "singular"),
    ("adj", "plural"),
    ("det", "adj"),
    ("prep", "det"),
    ("verb", "det"),
    ("aux", "verb"),
}


def _wrong_order(clause: Clause, dice: Dice) -> list[Word] | None:
    """Two neighbours that have changed places."""
    spoken = words(clause)
    pairs = [(one.kind, two.kind) for one, two in pairwise(spoken)]
    # An adjective after an object is no fault where it says what becomes of it: `paints the bus red`.
    fit = [n for n, pair in enumerate(pairs) if pair in _SWAPS and (pair[0] != "adj" or n == 1)]
    at = _one(spoken, dice, fit)
    if at is None:
        return None
    spoken[at], spoken[at + 1] = spoken[at + 1], spoken[at]
    return spoken


def _missing(clause: Clause, dice: Dice) -> list[Word] | None:
    """A word that has to be there and is not: the verb, a determiner, an object."""
    if dice.chance(0.5):
        if clause.object is None or clause.passive or clause.verb.base not in NEVER_ALONE:
            return None
        return words(replace(clause, object=None, place=None, fronted=False))
    spoken = words(clause)
    # Without its verb, `is chasing the cow` or `will sleep` would still be English; so would `near school`.
    has_auxiliary = any(word.kind == "aux" for word in spoken)
    triples = zip([spoken[-1], *spoken], spoken, [*spoken[1:], spoken[-1]], strict=False)
    at = _one(
        spoken,
        dice,
        [
            n
            for n, (before, one, after) in enumerate(triples)
            if (one.kind == "det" and after.kind == "singular" and before.kind != "prep")
            or (one.kind == "verb" and not has_auxiliary)
        ],
    )
    if at is None:
        return None
    del spoken[at]
    return spoken


def _too_many(clause: Clause, dice: Dice) -> list[Word] | None:
    """An object where the verb takes none."""
    if clause.verb.base not in ALWAYS_ALONE or clause.adverb:
        return None
    other = Draw(dice, ACCEPTABILITY)
    phrase = replace(other.noun_phrase(other.noun("pat"), is_object=True), place=None, relative=None)
    return words(replace(clause, object=phrase))


_FAULTS = {_wrong_number: 9, _wrong_form: 3, _wrong_order: 4, _missing: 3, _too_many: 1}


def acceptability(dice: Dice, positive: bool) -> Row | None:
    """A sentence, and 1 if it is acceptable."""
    clause = Draw(dice, ACCEPTABILITY).clause()
    if positive:
        return text(words(clause)), "1"
    spoken = dice.weighted(_FAULTS)(clause, dice)
    return (text(spoken), "0") if spoken else None


# Pairs -------------------------------------------------------------------------------------------------------


def paraphrase(dice: Dice, positive: bool) -> Row | None:
    """Two sentences, and 1 if they say the same."""
    clause = Draw(dice, PARAPHRASE).clause()
    other: Clause | None = clause
    if not positive:
        other = change(clause, dice)
    if other is not None:
        other = reword(other, dice, 1 + dice.below(2))
    return _pair(clause, other, "1" if positive else "0")


def entailment(dice: Dice, positive: bool) -> Row | None:
    """A premise and a hypothesis, and 0 if it follows: GLUE's order of the labels."""
    clause = Draw(dice, ENTAILMENT).clause()
    steps = 1 + dice.below(2)
    other = follow(clause, dice, steps) if positive else not_follow(clause, dice, steps)
    return _pair(clause, other, "0" if positive else "1")


def _pair(first: Clause, second: Clause | None, label: str) -> Row | None:
    if second is None:
        return None
    one, two = text(words(first)), text(words(second))
    return (one, two, label) if one != two else None


# Data sets ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A task: its columns, how a row is made, its seed, and how many rows each split has."""

    name: str
    columns: tuple[str, ...]
    make: Maker
    seed: int
    train: int
    validation: int


TASKS = (
    Task("cola", ("sentence", "label"), acceptability, 1, 1600, 500),
    Task("mrpc", ("sentence1", "sentence2", "label"), paraphrase, 2, 1600, 500),
    Task("rte", ("sentence1", "sentence2", "label"), entailment, 3, 1600, 500),
)


def build(task: Task) -> dict[str, list[Row]]:
    """Both splits of a task; half of each has either label, and no sentence is in both."""
    dice = Dice(task.seed)
    seen: set[str] = set()
    splits: dict[str, list[Row]] = {}
    for split, size in (("validation", task.validation), ("train", task.train)):
        new: set[str] = set()
        rows: list[Row] = []
        while len(rows) < size:
            row = task.make(dice, len(rows) % 2 == 0)
            if row is None or any(sentence in seen or sentence in new for sentence in row[:-1]):
                continue
            new.update(row[:-1])
            rows.append(row)
        seen |= new
        splits[split] = dice.shuffled(rows)
    return splits


def sentences(splits: dict[str, list[Row]]) -> list[str]:
    """Every sentence of a task."""
    return [sentence for rows in splits.values() for row in rows for sentence in row[:-1]]


def write(folder: Path) -> None:
    """Writes every task's two files below a folder."""
    for task in TASKS:
        for split, rows in build(task).items():
            path = folder / task.name / f"{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = ["\t".join(row) for row in (task.columns, *rows)]
            path.write_bytes(("\n".join(lines) + "\n").encode())
