"""A recogniser of the generated language, written without the generator: what it refuses is not acceptable."""

from __future__ import annotations

from collections.abc import Iterator

from tools.nano.lexicon import ADJECTIVES, ADVERBS, GENDER, NOUNS, VERBS

SINGULAR = {"the", "a", "an", "this", "that", "every", "each", "no"}
PLURAL = {"the", "some", "these", "those", "all", "two", "three", "many", "several", "most", "no"}
PREPOSITIONS = {("near",), ("behind",), ("beside",), ("inside",), ("outside",), ("close", "to"), ("next", "to")}

Number = bool  # whether it is plural
Heads = tuple[int, Number, str]


class Reader:
    """Reads one sentence; every method gives the places where what it looks for can end."""

    def __init__(self, sentence: str) -> None:
        self.words = sentence.lower().replace(",", " ,").replace(".", " .").split()

    def is_sentence(self) -> bool:
        """Whether all of it is one sentence."""
        for one, two in zip(self.words, self.words[1:], strict=False):
            if one in {"a", "an"} and (one == "an") != (two[0] in "aeiou"):
                return False
        starts = [0, *(end + 1 for end in self.place(0) if self.at(end) == ",")]
        return any(
            self.words[after:] == ["."]
            for start in starts
            for end, plural, noun in self.phrase(start)
            for after in self.predicate(end, plural, noun)
        )

    def at(self, place: int) -> str:
        return self.words[place] if place < len(self.words) else ""

    def noun(self, place: int, plural: Number) -> str | None:
        forms = {(noun.plural if plural else noun.singular): name for name, noun in NOUNS.items()}
        return forms.get(self.at(place))

    def short_phrase(self, place: int) -> Iterator[Heads]:
        for plural, determiners in ((False, SINGULAR), (True, PLURAL)):
            if self.at(place) in determiners:
                head = place + 1 + (self.at(place + 1) in ADJECTIVES)
                noun = self.noun(head, plural)
                if noun:
                    yield head + 1, plural, noun

    def phrase(self, place: int) -> Iterator[Heads]:
        for end, plural, noun in self.short_phrase(place):
            yield end, plural, noun
            yield from ((after, plural, noun) for after in self.place(end))
            if self.at(end) == "that":
                yield from ((after, plural, noun) for after in self.relative(end + 1, plural))

    def place(self, start: int) -> Iterator[int]:
        for preposition in PREPOSITIONS:
            end = start + len(preposition)
            if tuple(self.words[start:end]) == preposition:
                yield from (after for after, _, _ in self.short_phrase(end))

    def finite(self, place: int, plural: Number) -> Iterator[bool]:
        """Whether the verb that stands here, agreeing, takes an object."""
        for verb in VERBS.values():
            if self.at(place) in {verb.past, verb.base if plural else verb.third}:
                yield verb.is_transitive

    def relative(self, place: int, plural: Number) -> Iterator[int]:
        for is_transitive in self.finite(place, plural):
            if is_transitive:
                yield from (end for end, _, _ in self.short_phrase(place + 1))
            else:
                yield place + 1
        for end, other, _ in self.short_phrase(place):
            yield from (end + 1 for is_transitive in self.finite(end, other) if is_transitive)

    def predicate(self, place: int, plural: Number, noun: str) -> Iterator[int]:
        for start, form, is_passive in self.auxiliaries(place, plural):
            at = start + (self.at(start) in ADVERBS)
            for verb in VERBS.values():
                forms = {
                    "finite": {verb.past, verb.base if plural else verb.third},
                    "base": {verb.base},
                    "participle": {verb.participle},
                    "progressive": {verb.progressive},
                }
                if self.at(at) not in forms[form] or (is_passive and not verb.is_transitive):
                    continue
                for end in self.complement(at + 1, verb.is_transitive, is_passive, plural, noun):
                    late = end + (at == start and self.at(end) in ADVERBS)
                    yield late
                    yield from self.place(late)

    def complement(self, place: int, takes: bool, is_passive: bool, plural: Number, noun: str) -> Iterator[int]:
        if is_passive:
            if self.at(place) == "by":
                yield from (end for end, _, _ in self.phrase(place + 1))
        elif takes:
            yield from (end for end, _, _ in self.phrase(place))
            if self.at(place) == ("themselves" if plural else GENDER.get(noun, "itself")):
                yield place + 1
        else:
            yield place

    def auxiliaries(self, place: int, plural: Number) -> Iterator[tuple[int, str, bool]]:
        yield place, "finite", False
        after = place + 1 + (self.at(place + 1) == "not")
        is_denied = after == place + 2
        has, does = ("have", "do") if plural else ("has", "does")
        present, past = ("are", "were") if plural else ("is", "was")
        word = self.at(place)
        if word in {does, "did"} and is_denied:
            yield after, "base", False
        elif word in {"will", "can", "must"}:
            yield after, "base", False
            if self.at(after) == "be":
                yield after + 1, "participle", True
        elif word == has:
            yield after, "participle", False
            if self.at(after) == "been":
                yield after + 1, "participle", True
        elif word in {present, past}:
            yield after, "participle", True
            if word == present:
                yield after, "progressive", False
                if self.at(after) == "being":
                    yield after + 1, "participle", True
