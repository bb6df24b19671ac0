"""What one clause says of another: the same in other words, something that follows from it, or something else.

Entailment goes by monotonicity. A place in a clause is upward (what is said there may be widened: `some dogs sleep`, so
`some animals sleep`), downward (it may be narrowed: `no animals sleep`, so `no dogs sleep`) or neither (after `most`).
As in everyday talk, `all dogs` is taken to say that there are some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from tools.nano.dice import Dice
from tools.nano.lexicon import (
    ADJECTIVE_OPPOSITES,
    ADJECTIVE_SYNONYMS,
    ADVERB_SYNONYMS,
    NOUN_HYPERNYMS,
    NOUN_HYPONYMS,
    NOUN_SYNONYMS,
    NOUNS,
    PREPOSITION_SYNONYMS,
    VERB_HYPERNYMS,
    VERB_HYPONYMS,
    VERB_OPPOSITES,
    VERB_SYNONYMS,
    VERBS,
    adjectives_of,
    nouns_of,
    related_nouns,
    related_verbs,
    verbs_of,
)
from tools.nano.sentences import Clause, NounPhrase, flip

Part = Literal["subject", "object"]
Move = Callable[[Clause, Dice], Clause | None]

DEFINITE = frozenset({"the", "this", "that", "these", "those"})
EXISTENTIAL = frozenset({"a", "some"})

#: Of each determiner, those that it makes true, and those with which it cannot be true or need not be.
_QUANTIFIERS = {
    "every": (("all", "each", "most", "some"), ("no",)),
    "each": (("all", "every", "most", "some"), ("no",)),
    "all": (("every", "each", "most", "some"), ("no",)),
    "most": (("some",), ("all", "every", "no")),
    "many": (("some",), ("all", "most", "no")),
    "three": (("two", "some"), ("all", "most", "no")),
    "two": (("some",), ("three", "all", "most", "no")),
    "some": ((), ("all", "most", "many", "no", "three")),
    "a": ((), ("every", "no", "two")),
    "no": ((), ("some", "every", "all", "most")),
}
_NOT_UPWARD = frozenset({"every", "each", "all", "no", "most"})
_SINGULAR_ONLY = frozenset({"a", "every", "each", "this", "that"})


def _phrases(clause: Clause) -> list[tuple[Part, NounPhrase]]:
    found: list[tuple[Part, NounPhrase]] = [("subject", clause.subject)]
    if clause.object is not None:
        found.append(("object", clause.object))
    return found


def _with(clause: Clause, part: Part, phrase: NounPhrase) -> Clause:
    return replace(clause, subject=phrase) if part == "subject" else replace(clause, object=phrase)


def _can(verb: str, clause: Clause) -> bool:
    """Whether the subject can do it, and the object, if there is one, have it done to it."""
    of = VERBS[verb]
    if clause.subject.noun.sort not in of.agents or of.is_transitive != clause.verb.is_transitive:
        return False
    patient = clause.subject if clause.reflexive else clause.object
    return patient is None or patient.noun.sort in of.patients


# The same in other words -----------------------------------------------------------------------------------


def _other_voice(clause: Clause, dice: Dice) -> Clause | None:  # noqa: ARG001 - moves have one form
    """Active to passive and back, where no quantifier would change its scope."""
    if clause.object is None:
        return None
    determiners = {clause.subject.determiner, clause.object.determiner}
    plain = DEFINITE if clause.negative else DEFINITE | EXISTENTIAL
    return flip(clause) if determiners <= plain else None


def _synonym(clause: Clause, dice: Dice) -> Clause | None:
    """A word replaced by its synonym."""
    found: list[Clause] = [
        replace(clause, verb=VERBS[other]) for other in VERB_SYNONYMS.get(clause.verb.base, ()) if _can(other, clause)
    ]
    for part, phrase in _phrases(clause):
        nouns = NOUN_SYNONYMS.get(phrase.noun.singular, ())
        found += [_with(clause, part, replace(phrase, noun=NOUNS[other])) for other in nouns]
        adjectives = ADJECTIVE_SYNONYMS.get(phrase.adjective or "", ())
        found += [_with(clause, part, replace(phrase, adjective=other)) for other in adjectives]
    found += [replace(clause, adverb=other) for other in ADVERB_SYNONYMS.get(clause.adverb or "", ())]
    if clause.place:
        prepositions = PREPOSITION_SYNONYMS.get(clause.place.preposition, ())
        found += [replace(clause, place=replace(clause.place, preposition=other)) for other in prepositions]
    return dice.one(found) if found else None


def _other_order(clause: Clause, dice: Dice) -> Clause | None:
    """The place or the adverb put elsewhere."""
    found = []
    if clause.place:
        found.append(replace(clause, fronted=not clause.fronted))
    if clause.adverb:
        found.append(replace(clause, early=not clause.early))
    return dice.one(found) if found else None


_REWORDINGS: dict[Move, int] = {_other_voice: 5, _synonym: 4, _other_order: 2}


def plain(clause: Clause) -> Clause:
    """The clause put in the plainest way: active, in the usual order."""
    return replace(clause, passive=False, early=False, fronted=False)


def reword(clause: Clause, dice: Dice, moves: int) -> Clause | None:
    """The same in other words, by so many moves; nothing where the clause does not allow that many."""
    for _ in range(moves):
        move = dice.weighted(_REWORDINGS)
        changed = move(clause, dice)
        if changed is None:
            return None
        clause = changed
    return clause


# Something else ----------------------------------------------------------------------------------------------


def _exchange(clause: Clause, dice: Dice) -> Clause | None:  # noqa: ARG001
    """Who did it has it done to them."""
    if clause.object is None:
        return None
    subject, patient = clause.subject, clause.object
    if patient.noun.sort not in clause.verb.agents or subject.noun.sort not in clause.verb.patients:
        return None
    if subject.place or subject.relative:
        return None
    return replace(clause, subject=patient, object=subject)


def _exchange_adjectives(clause: Clause, dice: Dice) -> Clause | None:  # noqa: ARG001
    """The one's adjective is said of the other."""
    if clause.object is None or clause.subject.adjective == clause.object.adjective:
        return None
    first, second = clause.subject.adjective, clause.object.adjective
    if first in ADJECTIVE_SYNONYMS.get(second or "", ()):
        return None
    if first and first not in adjectives_of(clause.object.noun.sort):
        return None
    if second and second not in adjectives_of(clause.subject.noun.sort):
        return None
    return replace(
        clause, subject=replace(clause.subject, adjective=second), object=replace(clause.object, adjective=first)
    )


def _other_verb(clause: Clause, dice: Dice) -> Clause | None:
    """Another deed, the opposite for choice."""
    related = related_verbs(clause.verb.base)
    opposite = [verb for verb in VERB_OPPOSITES.get(clause.verb.base, ()) if _can(verb, clause)]
    if opposite and dice.chance(0.6):
        return replace(clause, verb=VERBS[dice.one(opposite)])
    fit = [verb for verb in verbs_of(clause.verb.is_transitive) if verb.base not in related and _can(verb.base, clause)]
    return replace(clause, verb=dice.one(fit))


def _other_noun(clause: Clause, dice: Dice) -> Clause | None:
    """Someone or something else."""
    part, phrase = dice.one(_phrases(clause))
    but = {name for _, one in _phrases(clause) for name in related_nouns(one.noun.singular)}
    fit = [noun for noun in nouns_of(phrase.noun.sort) if noun.singular not in but]
    return _with(clause, part, replace(phrase, noun=dice.one(fit))) if fit else None


def _other_adjective(clause: Clause, dice: Dice) -> Clause | None:
    """The opposite adjective, or another."""
    found = [(part, phrase) for part, phrase in _phrases(clause) if phrase.adjective]
    if not found:
        return None
    part, phrase = dice.one(found)
    same = {phrase.adjective, *ADJECTIVE_SYNONYMS.get(phrase.adjective or "", ())}
    fit = ADJECTIVE_OPPOSITES.get(phrase.adjective or "", ())
    fit = fit or tuple(word for word in adjectives_of(phrase.noun.sort) if word not in same)
    return _with(clause, part, replace(phrase, adjective=dice.one(fit)))


def _deny(clause: Clause, dice: Dice) -> Clause | None:  # noqa: ARG001
    """Said where it was denied, denied where it was said."""
    if clause.subject.determiner not in DEFINITE:
        return None
    return replace(clause, negative=not clause.negative)


_CHANGES: dict[Move, int] = {
    _exchange: 8,
    _other_verb: 4,
    _other_noun: 3,
    _other_adjective: 3,
    _exchange_adjectives: 2,
    _deny: 3,
}


def change(clause: Clause, dice: Dice) -> Clause | None:
    """A clause in much the same words that says something else."""
    return dice.weighted(_CHANGES)(clause, dice)


# What follows ------------------------------------------------------------------------------------------------


def _restrictor(clause: Clause) -> int:
    """Whether the subject's noun phrase is upward (1), downward (-1) or neither (0)."""
    determiner = clause.subject.determiner
    return {"every": -1, "each": -1, "all": -1, "no": -1, "most": 0}.get(determiner, 1)


def _predicate(clause: Clause) -> int:
    """Whether what is said of the subject is upward (1) or downward (-1)."""
    return -1 if clause.negative or clause.subject.determiner == "no" else 1


def _widened_phrase(phrase: NounPhrase, dice: Dice, wider: bool) -> NounPhrase | None:
    found = []
    name = phrase.noun.singular
    if wider:
        if phrase.adjective:
            found.append(replace(phrase, adjective=None))
        if name in NOUN_HYPERNYMS:
            found += [replace(phrase, noun=NOUNS[NOUN_HYPERNYMS[name]])] * 2
    else:
        if not phrase.adjective:
            found.append(replace(phrase, adjective=dice.one(adjectives_of(phrase.noun.sort))))
        below = NOUN_HYPONYMS.get(name, ())
        if below:
            found += [replace(phrase, noun=NOUNS[dice.one(below)])] * 2
    return dice.one(found) if found else None


def _widened_predicate(clause: Clause, dice: Dice, wider: bool) -> Clause | None:
    found: list[Clause] = []
    base = clause.verb.base
    above = [VERB_HYPERNYMS[base]] if base in VERB_HYPERNYMS else []
    others = above if wider else VERB_HYPONYMS.get(base, ())
    fit = [other for other in others if _can(other, clause)]
    if fit:
        found += [replace(clause, verb=VERBS[dice.one(fit)])] * 2
    if wider and clause.adverb:
        found.append(replace(clause, adverb=None, early=False))
    if wider and clause.place:
        found.append(replace(clause, place=None, fronted=False))
    if not wider and not clause.adverb:
        found.append(replace(clause, adverb=dice.one(("quickly", "slowly", "quietly")), early=dice.chance(0.5)))
    if clause.object is not None and clause.object.determiner not in _NOT_UPWARD:
        phrase = _widened_phrase(clause.object, dice, wider)
        if phrase is not None:
            found += [replace(clause, object=phrase)] * 2
    return dice.one(found) if found else None


def _requantified(clause: Clause, determiner: str) -> Clause:
    plural = clause.subject.plural if determiner == "no" else determiner not in _SINGULAR_ONLY
    return replace(clause, subject=replace(clause.subject, determiner=determiner, plural=plural))


def _step(clause: Clause, dice: Dice, site: str, follows: bool) -> Clause | None:
    """A step at a site to a clause that follows, or to one that does not."""
    if site == "quantifier":
        made_true, not_true = _QUANTIFIERS.get(clause.subject.determiner, ((), ()))
        fit = made_true if follows else not_true
        return _requantified(clause, dice.one(fit)) if fit else None
    polarity = _restrictor(clause) if site == "subject" else _predicate(clause)
    if polarity == 0 and follows:
        return None
    wider = dice.chance(0.5) if polarity == 0 else (polarity > 0) == follows
    if site == "predicate":
        return _widened_predicate(clause, dice, wider)
    phrase = _widened_phrase(clause.subject, dice, wider)
    return replace(clause, subject=phrase) if phrase is not None else None


def _sites(dice: Dice, steps: int) -> list[str]:
    """Where the steps go: never twice to one site, nor to both the quantifier and what it binds."""
    assert steps in {1, 2}
    first = dice.weighted({"subject": 4, "quantifier": 3})
    if steps == 1:
        return [first if dice.chance(0.6) else "predicate"]
    return dice.shuffled([first, "predicate"])


def follow(clause: Clause, dice: Dice, steps: int) -> Clause | None:
    """A clause that follows, by one step or two; nothing where the draw leads nowhere."""
    for site in _sites(dice, steps):
        after = _step(clause, dice, site, follows=True)
        if after is None:
            return None
        clause = after
    return clause


def not_follow(clause: Clause, dice: Dice, steps: int) -> Clause | None:
    """A clause that does not follow: a step of it goes the wrong way, or it says something else."""
    if dice.chance(0.3):
        return dice.weighted({_exchange: 2, _other_verb: 2, _other_noun: 2, _deny: 1})(clause, dice)
    wrong = dice.below(steps)
    for at, site in enumerate(_sites(dice, steps)):
        after = _step(clause, dice, site, follows=at != wrong)
        if after is None:
            return None
        clause = after
    return clause
