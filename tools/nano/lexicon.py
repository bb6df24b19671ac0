"""The words of the small language: nouns with their kinds, verbs with their forms, synonyms, opposites, hypernyms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

#: Nouns by hypernym. The first word of a line is the hypernym of those after the colon.
_NOUNS = """
person: adult child artist worker athlete student doctor
adult: man woman
child: boy girl
artist: painter singer poet dancer
worker: farmer baker miner builder
athlete: runner swimmer boxer
doctor: surgeon dentist
animal: bird dog horse insect rabbit cow fox pig
bird: sparrow eagle duck owl crow
dog: poodle beagle terrier
horse: pony stallion
insect: ant bee beetle moth
object: vehicle fruit tool instrument flower toy container
vehicle: car truck bus van
fruit: apple pear plum peach
tool: hammer saw drill axe
instrument: guitar piano violin flute
flower: rose tulip lily
toy: doll kite ball
container: box basket bottle jar
place: building river road forest garden bridge
building: barn house church school shop
"""

#: Nouns with the same meaning; the second is drawn only where a paraphrase takes the first.
_NOUN_SYNONYMS = """
child kid
doctor physician
rabbit bunny
car automobile
forest wood
shop store
road street
woman lady
pig hog
"""

_PLURALS = {"person": "people", "child": "children", "man": "men", "woman": "women"}

#: Transitive verbs: who does it > to whom or what (p: persons, a: animals, t: things).
_TRANSITIVE = """
p>pa   help assist greet welcome love adore hate detest teach instruct thank visit hug embrace save rescue praise admire
pa>pa  chase pursue follow watch observe frighten scare hurt injure see spot hear catch capture touch like notice hit
pa>pa  kick punch tickle
p>t    buy purchase sell fix repair build construct make paint draw sketch
pa>t   break damage smash scratch take steal grab drop lift raise
pa>pat find locate push shove pull drag lose hide conceal carry
p>at   wash clean choose select want desire
"""

_INTRANSITIVE = """
p   speak whisper shout yell chat talk laugh giggle chuckle smile weep cry sing work
pa  sleep nap doze run sprint jog walk stroll march move jump leap dance swim rest wait fall
"""

_VERB_SYNONYMS = """
help assist
greet welcome
love adore
hate detest
teach instruct
hug embrace
save rescue
praise admire
chase pursue
watch observe
frighten scare
hurt injure
see spot
catch capture
buy purchase
fix repair
build construct
draw sketch
lift raise
find locate
push shove
pull drag
hide conceal
wash clean
choose select
want desire
shout yell
chat talk
weep cry
jump leap
"""

_VERB_OPPOSITES = """
love hate
help hurt
push pull
find lose
buy sell
lift drop
fix break
save hurt
greet chase
laugh weep
shout whisper
run rest
chase follow
frighten help
"""

#: What one does who does the other: the hypernym comes first.
_VERB_HYPERNYMS = """
like: love adore
touch: hug embrace tickle hit
hit: kick punch
notice: see spot hear
take: steal grab
damage: break scratch
break: smash
make: build construct
run: sprint jog
walk: stroll march
move: run walk swim dance jump leap
speak: whisper shout yell
laugh: giggle chuckle
sleep: nap doze
"""

#: Verbs that never go without an object in English, and some that never take one. (The language itself is strict about
#: every verb, but `the dog hides` and `the girl jumps the river` would not be called wrong.)
_NEVER_ALONE = """
greet welcome adore detest embrace rescue praise admire chase pursue frighten scare injure spot capture touch like
fix construct damage grab raise locate find conceal desire thank purchase make take carry
"""
_ALWAYS_ALONE = "sleep doze smile laugh giggle chuckle chat talk weep wait fall stroll jog"

#: Past and participle where they are not regular, and doubled consonants.
_IRREGULAR = {
    "see": "saw seen seeing",
    "hear": "heard heard hearing",
    "catch": "caught caught catching",
    "teach": "taught taught teaching",
    "buy": "bought bought buying",
    "sell": "sold sold selling",
    "build": "built built building",
    "make": "made made making",
    "draw": "drew drawn drawing",
    "break": "broke broken breaking",
    "take": "took taken taking",
    "steal": "stole stolen stealing",
    "find": "found found finding",
    "lose": "lost lost losing",
    "hide": "hid hidden hiding",
    "choose": "chose chosen choosing",
    "speak": "spoke spoken speaking",
    "weep": "wept wept weeping",
    "sing": "sang sung singing",
    "sleep": "slept slept sleeping",
    "run": "ran run running",
    "leap": "leapt leapt leaping",
    "swim": "swam swum swimming",
    "fall": "fell fallen falling",
    "hit": "hit hit hitting",
    "hurt": "hurt hurt hurting",
    "spot": "spotted spotted spotting",
    "hug": "hugged hugged hugging",
    "grab": "grabbed grabbed grabbing",
    "drag": "dragged dragged dragging",
    "drop": "dropped dropped dropping",
    "nap": "napped napped napping",
    "jog": "jogged jogged jogging",
    "chat": "chatted chatted chatting",
}

#: Adjectives by what they are said of (p: persons, a: animals, t: things).
_ADJECTIVES = """
pat  big large small little old young heavy light strange odd pretty beautiful dirty
pa   happy glad sad unhappy quick fast slow strong weak clever smart brave bold timid calm
p    rich wealthy poor tall
at   black white brown red green blue yellow
"""

_ADJECTIVE_SYNONYMS = """
big large
small little
strange odd
pretty beautiful
happy glad
sad unhappy
quick fast
clever smart
brave bold
rich wealthy
"""

_ADJECTIVE_OPPOSITES = """
big small
large little
old young
heavy light
happy sad
glad unhappy
quick slow
strong weak
brave timid
rich poor
black white
"""

_ADVERBS = "quickly rapidly slowly quietly silently often frequently rarely seldom suddenly"
_ADVERB_SYNONYMS = """
quickly rapidly
quietly silently
often frequently
rarely seldom
"""

PREPOSITIONS = ("near", "behind", "beside", "inside", "outside")


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun: `sort` is p for persons, a for animals, t for things, l for places; `parent` is its hypernym."""

    singular: str
    plural: str
    sort: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb with its forms; `agents` and `patients` are the sorts that can do it and have it done to them."""

    base: str
    third: str
    past: str
    participle: str
    progressive: str
    agents: str
    patients: str

    @property
    def is_transitive(self) -> bool:
        """Whether it takes an object, as it then always does."""
        return bool(self.patients)


def _plural(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    return _third(word)


def _third(word: str) -> str:
    if word.endswith(("s", "x", "sh", "ch")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _verb(base: str, agents: str, patients: str) -> Verb:
    if base in _IRREGULAR:
        past, participle, progressive = _IRREGULAR[base].split()
    else:
        if base.endswith("e"):
            past = base + "d"
        elif base.endswith("y") and base[-2] not in "aeiou":
            past = base[:-1] + "ied"
        else:
            past = base + "ed"
        participle = past
        progressive = (base[:-1] if base.endswith("e") else base) + "ing"
    return Verb(base, _third(base), past, participle, progressive, agents, patients)


def _lines(table: str) -> list[list[str]]:
    return [line.replace(":", " ").split() for line in table.strip().splitlines()]


def _both_ways(table: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for first, second in _lines(table):
        found[first] = (*found.get(first, ()), second)
        found[second] = (*found.get(second, ()), first)
    return found


def _nouns() -> dict[str, Noun]:
    sorts = {"person": "p", "animal": "a", "object": "t", "place": "l"}
    found = {root: Noun(root, _plural(root), sort, None) for root, sort in sorts.items()}
    for parent, *children in _lines(_NOUNS):
        for child in children:
            found[child] = Noun(child, _plural(child), found[parent].sort, parent)
    for first, second in _lines(_NOUN_SYNONYMS):
        found[second] = Noun(second, _plural(second), found[first].sort, found[first].parent)
    return found


def _verbs() -> dict[str, Verb]:
    found: dict[str, Verb] = {}
    for sorts, *bases in _lines(_TRANSITIVE):
        agents, patients = sorts.split(">")
        found |= {base: _verb(base, agents, patients) for base in bases}
    for agents, *bases in _lines(_INTRANSITIVE):
        found |= {base: _verb(base, agents, "") for base in bases}
    return found


def _hypernyms(table: str) -> dict[str, str]:
    return {child: parent for parent, *children in _lines(table) for child in children}


def _hyponyms(parents: dict[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for child, parent in parents.items():
        found[parent] = (*found.get(parent, ()), child)
    return found


NOUNS = _nouns()
VERBS = _verbs()
ADJECTIVES = {word: sorts for sorts, *words in _lines(_ADJECTIVES) for word in words}
ADVERBS = tuple(_ADVERBS.split())

NOUN_SYNONYMS = _both_ways(_NOUN_SYNONYMS)
VERB_SYNONYMS = _both_ways(_VERB_SYNONYMS)
ADJECTIVE_SYNONYMS = _both_ways(_ADJECTIVE_SYNONYMS)
ADVERB_SYNONYMS = _both_ways(_ADVERB_SYNONYMS)
VERB_OPPOSITES = _both_ways(_VERB_OPPOSITES)
ADJECTIVE_OPPOSITES = _both_ways(_ADJECTIVE_OPPOSITES)
NEVER_ALONE = frozenset(_NEVER_ALONE.split())
ALWAYS_ALONE = frozenset(_ALWAYS_ALONE.split())
PREPOSITION_SYNONYMS = {"near": ("close to",), "beside": ("next to",)}

NOUN_HYPERNYMS = {name: noun.parent for name, noun in NOUNS.items() if noun.parent}
NOUN_HYPONYMS = _hyponyms(NOUN_HYPERNYMS)
VERB_HYPERNYMS = _hypernyms(_VERB_HYPERNYMS)
VERB_HYPONYMS = _hyponyms(VERB_HYPERNYMS)

#: Nouns of one gender, for the reflexive pronouns.
GENDER = {"man": "himself", "boy": "himself", "woman": "herself", "lady": "herself", "girl": "herself"}


@cache
def nouns_of(sorts: str) -> tuple[Noun, ...]:
    """The nouns of any of the sorts, in the order of the lexicon."""
    return tuple(noun for noun in NOUNS.values() if noun.sort in sorts)


@cache
def verbs_of(is_transitive: bool) -> tuple[Verb, ...]:
    """The transitive or the intransitive verbs, in the order of the lexicon."""
    return tuple(verb for verb in VERBS.values() if verb.is_transitive == is_transitive)


@cache
def adjectives_of(sort: str) -> tuple[str, ...]:
    """The adjectives that can be said of a sort."""
    return tuple(word for word, sorts in ADJECTIVES.items() if sort in sorts)


@cache
def related_nouns(name: str) -> frozenset[str]:
    """The noun itself, its synonyms, and all that stands above or below it: what may be the same thing."""
    above = [name]
    while (parent := NOUN_HYPERNYMS.get(above[-1])) is not None:
        above.append(parent)
    below = [name]
    for one in below:
        below.extend(NOUN_HYPONYMS.get(one, ()))
    found = {*above, *below}
    return frozenset(found | {other for one in found for other in NOUN_SYNONYMS.get(one, ())})


@cache
def related_verbs(name: str) -> frozenset[str]:
    """The verb itself, its synonyms, and all that stands above or below it: what may be the same deed."""
    above = [name]
    while (parent := VERB_HYPERNYMS.get(above[-1])) is not None:
        above.append(parent)
    below = [name]
    for one in below:
        below.extend(VERB_HYPONYMS.get(one, ()))
    found = {*above, *below}
    return frozenset(found | {other for one in found for other in VERB_SYNONYMS.get(one, ())})
