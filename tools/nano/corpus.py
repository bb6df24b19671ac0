"""What the model is pretrained on: sentences and stories of the small language, without any task's labels.

A story has two sentences about one cast. The second says the first again in other words, draws something from it, or
tells of something else that the cast does. Where the second sentence is not the next one, it is the second sentence of
another story, mostly one about the same cast. No sentence of the tasks, of either split, is in the text.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from tools.nano.dice import Dice
from tools.nano.lexicon import nouns_of
from tools.nano.relations import follow, plain, reword
from tools.nano.sentences import Cast, Clause, Draw, text, words
from tools.nano.tasks import ACCEPTABILITY, ENTAILMENT, PARAPHRASE

#: How many of a hundred records are single sentences, and what the second sentence of a story does.
SINGLE = 30
SECOND = {"again": 42, "so": 42, "then": 16}


@dataclass(frozen=True, slots=True)
class Record:
    """One input: a sentence, or two; `is_next` says whether the second is of the same story as the first."""

    first: str
    second: str | None = None
    is_next: bool = True


class Corpus:
    """A stream of records, none of which has a sentence in `held_out`."""

    def __init__(self, seed: int, held_out: Container[str]) -> None:
        self.dice = Dice(seed)
        self.held_out = held_out
        self._single = Draw(self.dice, ACCEPTABILITY)
        self._again = Draw(self.dice, PARAPHRASE)
        self._so = Draw(self.dice, ENTAILMENT)

    def _cast(self, draw: Draw) -> Cast:
        """A tense, a verb or two, and two or three characters or things, each as it is called all through the story."""
        dice = self.dice
        sorts = ("pa", "pa", "t") if dice.chance(0.6) else ("p", "at")
        phrases = [draw.noun_phrase(dice.one(nouns_of(sort)), is_object=sort in {"t", "at"}) for sort in sorts]
        verbs = tuple(draw.verb(None) for _ in range(1 + dice.below(2)))
        return Cast(tuple(phrases), verbs, dice.weighted(draw.style.tenses))

    def _told(self, draw: Draw, cast: Cast, kind: str) -> tuple[Clause, Clause]:
        """Two sentences of one story."""
        dice = self.dice
        while True:
            first = draw.clause(cast)
            if kind == "again":
                second = reword(first, dice, 1 + dice.below(2))
            elif kind == "so":
                second = follow(first, dice, 1 + dice.below(2))
            else:
                second = draw.clause(cast)
            if second is not None and second != first:
                return first, second

    def _pair(self) -> Record:
        dice = self.dice
        kind = dice.weighted(SECOND)
        draw = self._again if kind == "again" or (kind == "then" and dice.chance(0.5)) else self._so
        cast = self._cast(draw)
        first, second = self._told(draw, cast, kind)
        is_next = dice.chance(0.5)
        if not is_next:
            # Another story, of other characters or of the same.
            other = self._cast(draw) if dice.chance(0.25) else cast
            start, second = self._told(draw, other, kind)
            while plain(start) == plain(first):
                start, second = self._told(draw, other, kind)
        if kind == "again" and dice.chance(0.5):
            first, second = second, first
        return Record(text(words(first)), text(words(second)), is_next)

    def record(self) -> Record:
        """The next record."""
        while True:
            if self.dice.below(100) < SINGLE:
                record = Record(text(words(self._single.clause())))
            else:
                record = self._pair()
            if record.first not in self.held_out and record.second not in self.held_out:
                return record
