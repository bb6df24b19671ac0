"""Small worlds in which clauses of the generated language are true or false: an oracle for what follows from what.

It knows nothing of how the generator makes its pairs: it goes through individuals and events one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.nano.lexicon import (
    ADJECTIVE_SYNONYMS,
    NOUN_HYPERNYMS,
    NOUN_SYNONYMS,
    VERB_HYPERNYMS,
    VERB_SYNONYMS,
    related_nouns,
)
from tools.nano.sentences import Clause, NounPhrase

AT_LEAST = {"a": 1, "some": 1, "two": 2, "three": 3, "many": 4}


def _same(word: str, synonyms: dict[str, tuple[str, ...]]) -> str:
    return min((word, *synonyms.get(word, ())))


def _and_above(word: str, hypernyms: dict[str, str], synonyms: dict[str, tuple[str, ...]]) -> set[str]:
    found = {_same(word, synonyms)}
    while (above := hypernyms.get(word)) is not None:
        word = above
        found.add(_same(word, synonyms))
    return found


@dataclass(frozen=True)
class Event:
    """Who did what to whom, and how and where."""

    agent: int
    deeds: frozenset[str]
    patient: int | None
    manner: frozenset[str]
    places: frozenset[str]


@dataclass
class World:
    """Individuals, each with the nouns and adjectives that are true of it, and what happened among them."""

    nouns: list[set[str]]
    adjectives: list[set[str]]
    events: list[Event]

    def are(self, phrase: NounPhrase) -> set[int]:
        """The individuals that a phrase is true of."""
        noun = _same(phrase.noun.singular, NOUN_SYNONYMS)
        fit = {n for n, nouns in enumerate(self.nouns) if noun in nouns}
        if phrase.adjective:
            adjective = _same(phrase.adjective, ADJECTIVE_SYNONYMS)
            fit &= {n for n in fit if adjective in self.adjectives[n]}
        return fit

    def do(self, clause: Clause) -> set[int]:
        """The individuals of which the predicate is true."""
        deed = _same(clause.verb.base, VERB_SYNONYMS)
        found = set()
        for agent in range(len(self.nouns)):
            done = [one for one in self.events if one.agent == agent and deed in one.deeds]
            if clause.adverb:
                done = [one for one in done if _manner(clause.adverb) in one.manner]
            if clause.place:
                done = [
                    one
                    for one in done
                    if f"{clause.place.preposition} {_same(clause.place.noun.singular, NOUN_SYNONYMS)}" in one.places
                ]
            if clause.object is None:
                if done:
                    found.add(agent)
            else:
                patients = {one.patient for one in done if one.patient is not None}
                if _holds(clause.object.determiner, self.are(clause.object), patients):
                    found.add(agent)
        return found

    def makes_true(self, clause: Clause, pointed_at: int) -> bool:
        """Whether the clause is true here; `the` and `this` mean the individual that is pointed at."""
        things, doers = self.are(clause.subject), self.do(clause)
        determiner = clause.subject.determiner
        if determiner in {"the", "this", "that"}:
            return pointed_at in things and (pointed_at in doers) != clause.negative
        return _holds(determiner, things, doers)


def _holds(determiner: str, things: set[int], doers: set[int]) -> bool:
    """Whether so many of the things are doers; of all of nothing, anything is true."""
    both = len(things & doers)
    if determiner in {"every", "each", "all"}:
        return things <= doers
    if determiner == "no":
        return both == 0
    if determiner == "most":
        return 2 * both > len(things) or not things
    return both >= AT_LEAST[determiner]


def _manner(adverb: str) -> str:
    return {"rapidly": "quickly", "silently": "quietly"}.get(adverb, adverb)


def _some(dice: Random, items: list[str], probability: float) -> frozenset[str]:
    return frozenset(item for item in items if dice.random() < probability)


def world(dice: Random, premise: Clause, hypothesis: Clause) -> World:
    """A random world of what two clauses speak of."""
    phrases = [one.subject for one in (premise, hypothesis)]
    phrases += [one.object for one in (premise, hypothesis) if one.object is not None]
    names = sorted({name for phrase in phrases for name in related_nouns(phrase.noun.singular)})
    mentioned = sorted({phrase.noun.singular for phrase in phrases})
    adjectives = sorted({_same(phrase.adjective, ADJECTIVE_SYNONYMS) for phrase in phrases if phrase.adjective})
    verbs = sorted({one.verb.base for one in (premise, hypothesis)})
    manners = sorted({_manner(one.adverb) for one in (premise, hypothesis) if one.adverb})
    places = sorted(
        {
            f"{one.place.preposition} {_same(one.place.noun.singular, NOUN_SYNONYMS)}"
            for one in (premise, hypothesis)
            if one.place
        }
    )
    above = {name: _and_above(name, NOUN_HYPERNYMS, NOUN_SYNONYMS) for name in names}
    size = dice.randint(2, 9)
    nouns = [above[dice.choice(mentioned if dice.random() < 0.7 else names)] for _ in range(size)]
    density = dice.choice([0.1, 0.4, 0.7, 0.95])
    events = []
    for agent in range(size):
        for patient in range(size) if premise.object or hypothesis.object else [None]:
            for verb in verbs:
                if dice.random() < density:
                    deeds = frozenset(_and_above(verb, VERB_HYPERNYMS, VERB_SYNONYMS))
                    events.append(Event(agent, deeds, patient, _some(dice, manners, 0.7), _some(dice, places, 0.7)))
    return World(nouns, [set(_some(dice, adjectives, 0.6)) for _ in range(size)], events)


def refuted(premise: Clause, hypothesis: Clause, dice: Random, worlds: int) -> bool:
    """Whether there is a world, of so many tried, in which the premise is true and the hypothesis is not.

    Only worlds count that have some of what the premise speaks of: the generator takes `all dogs` to say that much.
    """
    for _ in range(worlds):
        here = world(dice, premise, hypothesis)
        for pointed_at in range(len(here.nouns)):
            speaks_of_some = premise.subject.determiner == "no" or here.are(premise.subject)
            if speaks_of_some and here.makes_true(premise, pointed_at) and not here.makes_true(hypothesis, pointed_at):
                return True
            if premise.subject.determiner not in {"the", "this", "that"}:
                break
    return False
