"""Clauses of the small language: how they are built, drawn and put into words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from tools.nano.dice import Dice
from tools.nano.lexicon import (
    ADVERBS,
    GENDER,
    PREPOSITIONS,
    Noun,
    Verb,
    adjectives_of,
    nouns_of,
    related_nouns,
    verbs_of,
)

Tense = Literal["present", "past", "will", "can", "must", "perfect", "progressive"]

MODALS = ("will", "can", "must")

#: For a determiner, one that cannot stand before the same noun since it asks for the other number.
OTHER_NUMBER = {
    "a": "many",
    "this": "these",
    "that": "those",
    "every": "all",
    "each": "several",
    "these": "this",
    "those": "that",
    "two": "a",
    "three": "each",
    "many": "a",
    "several": "every",
    "most": "each",
    "all": "every",
}

SINGULAR = ("the", "a", "this", "that", "every", "each", "no")
PLURAL = ("the", "some", "these", "those", "all", "two", "three", "many", "several", "most", "no")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: `near the barns`."""

    preposition: str
    determiner: str
    noun: Noun
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Relative:
    """`that chases the cow`, or with `is_object` `that the cow chases`; without `other`, `that sleeps`."""

    verb: Verb
    other: NounPhrase | None
    is_object: bool
    past: bool


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """`every old dog near the barn`."""

    determiner: str
    noun: Noun
    plural: bool
    adjective: str | None = None
    place: Place | None = None
    relative: Relative | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """Who does what to whom, when and where; `passive`, `early` and `fronted` say how it is put."""

    subject: NounPhrase
    verb: Verb
    object: NounPhrase | None = None
    reflexive: bool = False
    tense: Tense = "past"
    negative: bool = False
    adverb: str | None = None
    place: Place | None = None
    passive: bool = False
    early: bool = False
    fronted: bool = False


class Word(NamedTuple):
    """A word and its part of speech, with what would be wrong in its place: in number, or in form."""

    text: str
    kind: str
    other_number: str = ""
    other_form: str = ""


# Putting into words ----------------------------------------------------------------------------------


def _place(place: Place) -> list[Word]:
    noun = place.noun.plural if place.plural else place.noun.singular
    return [
        *(Word(part, "prep") for part in place.preposition.split()),
        Word(place.determiner, "det", OTHER_NUMBER.get(place.determiner, "")),
        Word(noun, "plural" if place.plural else "singular"),
    ]


def _relative(relative: Relative, plural: bool) -> list[Word]:
    verb = relative.verb

    def finite(is_plural: bool) -> Word:
        if relative.past:
            return Word(verb.past, "verb")
        forms = (verb.third, verb.base)
        return Word(forms[is_plural], "verb", forms[not is_plural])

    that = Word("that", "that")
    if relative.other is None:
        return [that, finite(plural)]
    if relative.is_object:
        return [that, *noun_phrase(relative.other), finite(relative.other.plural)]
    return [that, finite(plural), *noun_phrase(relative.other)]


def noun_phrase(phrase: NounPhrase) -> list[Word]:
    """A noun phrase in words."""
    noun = phrase.noun.plural if phrase.plural else phrase.noun.singular
    out = [Word(phrase.determiner, "det", OTHER_NUMBER.get(phrase.determiner, ""))]
    if phrase.adjective:
        out.append(Word(phrase.adjective, "adj"))
    out.append(Word(noun, "plural" if phrase.plural else "singular"))
    if phrase.place:
        out += _place(phrase.place)
    if phrase.relative:
        out += _relative(phrase.relative, phrase.plural)
    return out


def _verb_group(clause: Clause, plural: bool) -> list[Word]:
    """The auxiliaries and the verb; `early` adverbs stand before the verb."""
    verb, tense = clause.verb, clause.tense

    def agreeing(singular: str, of_plural: str) -> Word:
        forms = (singular, of_plural)
        return Word(forms[plural], "aux", forms[not plural])

    def wrong(form: str, *others: str) -> str:
        return next((other for other in others if other != form), "")

    base = Word(verb.base, "verb", "", verb.third)
    participle = Word(verb.participle, "verb", "", wrong(verb.participle, verb.base, verb.progressive))
    be = {"present": ("is", "are"), "past": ("was", "were"), "progressive": ("is", "are")}
    auxiliaries: list[Word] = []
    if clause.passive:
        main = participle
        if tense in be:
            auxiliaries = [agreeing(*be[tense])]
        elif tense == "perfect":
            auxiliaries = [agreeing("has", "have"), Word("been", "aux", "", "be")]
        else:
            auxiliaries = [Word(tense, "aux"), Word("be", "aux", "", "been")]
        if tense == "progressive":
            auxiliaries.append(Word("being", "aux", "", "be"))
    elif tense == "present" and not clause.negative:
        forms = (verb.third, verb.base)
        main = Word(forms[plural], "verb", forms[not plural], verb.progressive)
    elif tense == "present":
        main, auxiliaries = base, [agreeing("does", "do")]
    elif tense == "past" and not clause.negative:
        main = Word(verb.past, "verb", "", verb.progressive)
    elif tense == "past":
        main, auxiliaries = base, [Word("did", "aux")]
    elif tense == "perfect":
        main, auxiliaries = participle, [agreeing("has", "have")]
    elif tense == "progressive":
        main, auxiliaries = Word(verb.progressive, "verb", "", verb.base), [agreeing("is", "are")]
    else:
        main, auxiliaries = base, [Word(tense, "aux")]
    if clause.negative:
        auxiliaries.insert(1, Word("not", "not"))
    early = [Word(clause.adverb, "adv")] if clause.adverb and clause.early else []
    return [*auxiliaries, *early, main]


def _reflexive(subject: NounPhrase) -> Word:
    if subject.plural:
        return Word("themselves", "self", "itself" if subject.noun.sort == "a" else "himself")
    pronoun = GENDER.get(subject.noun.singular, "itself")
    return Word(pronoun, "self", {"himself": "herself", "herself": "himself"}.get(pronoun, "themselves"))


def words(clause: Clause) -> list[Word]:
    """A clause in words, with a full stop."""
    first, second = clause.subject, clause.object
    if clause.passive:
        assert second is not None
        first, second = second, first
    place = _place(clause.place) if clause.place else []
    out: list[Word] = [*place, Word(",", "comma")] if place and clause.fronted else []
    out += noun_phrase(first)
    out += _verb_group(clause, first.plural)
    if clause.reflexive:
        out.append(_reflexive(first))
    elif second is not None:
        out += [*([Word("by", "by")] if clause.passive else []), *noun_phrase(second)]
    if clause.adverb and not clause.early:
        out.append(Word(clause.adverb, "adv"))
    if not clause.fronted:
        out += place
    return [*out, Word(".", "stop")]


def text(spoken: list[Word]) -> str:
    """Words as a written sentence: a or an as its next word asks, a capital letter, no space before a mark."""
    parts = [word.text for word in spoken]
    for at, part in enumerate(parts[:-1]):
        if part == "a" and parts[at + 1][0] in "aeiou":
            parts[at] = "an"
    joined = " ".join(parts).replace(" ,", ",").replace(" .", ".")
    return joined[0].upper() + joined[1:]


# Drawing -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How often what is drawn; shares are per cent, determiners and tenses by weight."""

    singular: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SINGULAR, 1) | {"the": 4, "a": 3})
    plural: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLURAL, 1) | {"the": 4, "some": 2})
    object_singular: dict[str, int] | None = None
    object_plural: dict[str, int] | None = None
    tenses: dict[Tense, int] = field(default_factory=lambda: {"present": 3, "past": 3, "will": 1})
    transitive: int = 60
    plurals: int = 50
    adjective: int = 25
    attractor: int = 0
    relative: int = 0
    adverb: int = 15
    adverbs: tuple[str, ...] = ADVERBS
    place: int = 15
    place_determiners: dict[str, int] = field(default_factory=lambda: {"the": 1})
    negative: int = 0
    passive: int = 0
    fronted: int = 0
    reflexive: int = 0
    both_ways: bool = False


@dataclass(frozen=True, slots=True)
class Cast:
    """What a story is about: its characters and things, its verbs, and its tense."""

    phrases: tuple[NounPhrase, ...]
    verbs: tuple[Verb, ...]
    tense: Tense


class Draw:
    """Draws clauses in a style."""

    def __init__(self, dice: Dice, style: Style) -> None:
        self.dice = dice
        self.style = style

    def _percent(self, share: int) -> bool:
        return self.dice.below(100) < share

    def place(self) -> Place:
        """A place, of one thing or of several."""
        dice = self.dice
        determiner = dice.weighted(self.style.place_determiners)
        plural = determiner == "the" and dice.chance(0.3)
        return Place(dice.one(PREPOSITIONS), determiner, dice.one(nouns_of("l")), plural)

    def noun(self, sorts: str, but: frozenset[str] = frozenset()) -> Noun:
        """A noun of one of the sorts, and none of those in `but` if that can be."""
        noun = self.dice.one(nouns_of(sorts))
        for _ in range(8):  # `but` may hold every noun of the sorts
            if noun.singular not in but:
                break
            noun = self.dice.one(nouns_of(sorts))
        return noun

    def _someone(self, sorts: str, cast: Cast | None, but: frozenset[str], is_object: bool) -> NounPhrase:
        """A phrase of one of the sorts: of the cast, if it has one that fits."""
        fit = [one for one in cast.phrases if one.noun.sort in sorts and one.noun.singular not in but] if cast else []
        if fit:
            phrase = self.dice.one(fit)
            if not is_object:
                return phrase
            determiners = self.style.object_plural if phrase.plural else self.style.object_singular
            determiner = self.dice.weighted(determiners) if determiners else phrase.determiner
            return replace(phrase, determiner=determiner, place=None, relative=None)
        return self.noun_phrase(self.noun(sorts, but), is_object)

    def _relative(self, noun: Noun) -> Relative:
        dice = self.dice
        past = dice.chance(0.3)
        is_transitive = dice.chance(0.65)
        is_object = is_transitive and dice.chance(0.5)
        while True:
            verb = dice.one(verbs_of(is_transitive))
            if noun.sort in (verb.patients if is_object else verb.agents):
                break
        if not is_transitive:
            return Relative(verb, None, False, past)
        sorts = verb.agents if is_object else verb.patients
        plural = dice.chance(0.5)
        other = NounPhrase("the", self.noun(sorts, related_nouns(noun.singular)), plural)
        return Relative(verb, other, is_object, past)

    def noun_phrase(self, noun: Noun, is_object: bool = False) -> NounPhrase:
        """A phrase around a noun."""
        style, dice = self.style, self.dice
        plural = self._percent(style.plurals)
        singulars, plurals = style.singular, style.plural
        if is_object:
            singulars, plurals = style.object_singular or singulars, style.object_plural or plurals
        determiner = dice.weighted(plurals if plural else singulars)
        adjective = dice.one(adjectives_of(noun.sort)) if self._percent(style.adjective) else None
        place = relative = None
        if not is_object:
            if self._percent(style.attractor):
                place = self.place()
            elif self._percent(style.relative):
                relative = self._relative(noun)
        return NounPhrase(determiner, noun, plural, adjective, place, relative)

    def verb(self, cast: Cast | None) -> Verb:
        """A verb of the cast, or any."""
        if cast:
            return self.dice.one(cast.verbs)
        while True:
            verb = self.dice.one(verbs_of(self._percent(self.style.transitive)))
            if not self.style.both_ways or (set(verb.agents) & set(verb.patients)):
                return verb

    def clause(self, cast: Cast | None = None) -> Clause:
        """A clause, of a cast's nouns and verbs where one is given."""
        style, dice = self.style, self.dice
        verb = self.verb(cast)
        common = "".join(sorted(set(verb.agents) & set(verb.patients)))
        both = style.both_ways and bool(common)
        subject = self._someone(common if both else verb.agents, cast, frozenset(), is_object=False)
        patient = None
        reflexive = False
        if verb.is_transitive:
            but = related_nouns(subject.noun.singular)
            if self._percent(style.reflexive) and subject.noun.sort in verb.patients and subject.determiner != "no":
                reflexive = subject.plural or subject.noun.sort == "a" or subject.noun.singular in GENDER
            if not reflexive:
                patient = self._someone(common if both else verb.patients, cast, but, is_object=True)
        adverb = dice.one(style.adverbs) if self._percent(style.adverb) else None
        place = self.place() if self._percent(style.place) and not subject.place else None
        negates = self._percent(style.negative) and subject.determiner in {"the", "this", "that", "these", "those"}
        return Clause(
            subject,
            verb,
            patient,
            reflexive,
            cast.tense if cast else dice.weighted(style.tenses),
            negates,
            adverb,
            place,
            passive=patient is not None and self._percent(style.passive),
            early=adverb is not None and dice.chance(0.5),
            fronted=place is not None and self._percent(style.fronted),
        )


def flip(clause: Clause) -> Clause:
    """The same clause in the other voice."""
    return replace(clause, passive=not clause.passive)
