"""The built-in model and its generated tasks: remade, sound, and learnt."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.tools.grammar import Reader
from tests.tools.worlds import refuted
from tools.nano import tokenizer
from tools.nano.corpus import Corpus
from tools.nano.dice import Dice
from tools.nano.lexicon import ADJECTIVE_SYNONYMS, ADVERB_SYNONYMS, NOUN_SYNONYMS, NOUNS, VERB_SYNONYMS, VERBS
from tools.nano.relations import change, follow, not_follow, plain, reword
from tools.nano.sentences import Clause, Draw, NounPhrase, text, words
from tools.nano.tasks import ACCEPTABILITY, ENTAILMENT, PARAPHRASE, TASKS, Task, build, sentences, write

BUILTIN = Path(__file__).parents[2] / "bitspec" / "builtin"
NANO = BUILTIN / "nano"


@pytest.fixture(scope="module")
def splits() -> dict[str, dict[str, list[tuple[str, ...]]]]:
    return {task.name: build(task) for task in TASKS}


# Draws -------------------------------------------------------------------------------------------------------


def test_draws_are_the_same_everywhere() -> None:
    dice = Dice(7)
    assert [dice.below(1000) for _ in range(6)] == [323, 150, 650, 72, 535, 365]
    assert dice.shuffled("abcdefgh") == list("begfchda")
    assert [dice.weighted({"a": 1, "b": 5, "c": 2}) for _ in range(8)] == list("cabbcbbc")


def test_weights_are_kept() -> None:
    dice = Dice(1)
    drawn = Counter(dice.weighted({"a": 1, "b": 0, "c": 3}) for _ in range(4000))
    assert drawn["b"] == 0
    assert 850 < drawn["a"] < 1150


# Tasks -------------------------------------------------------------------------------------------------------


def test_the_tasks_are_remade_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.tsv")}
    kept = {path.relative_to(BUILTIN / "tasks"): path.read_bytes() for path in (BUILTIN / "tasks").rglob("*.tsv")}
    assert len(made) == 6
    assert made == kept


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_file_is_plain_tab_separated_text(task: Task) -> None:
    for split, size in (("train", task.train), ("validation", task.validation)):
        raw = (BUILTIN / "tasks" / task.name / f"{split}.tsv").read_bytes()
        assert b"\r" not in raw
        assert b'"' not in raw
        header, *lines = raw.decode().removesuffix("\n").split("\n")
        assert tuple(header.split("\t")) == task.columns
        assert len(lines) == size
        assert Counter(line.split("\t")[-1] for line in lines) == {"0": size // 2, "1": size // 2}
        assert {len(line.split("\t")) for line in lines} == {len(task.columns)}


def test_no_sentence_is_there_twice(splits: dict[str, dict[str, list[tuple[str, ...]]]]) -> None:
    for rows in splits.values():
        train = [sentence for row in rows["train"] for sentence in row[:-1]]
        validation = [sentence for row in rows["validation"] for sentence in row[:-1]]
        assert len({*train, *validation}) == len(train) + len(validation)


def test_the_tokenizer_knows_every_word(splits: dict[str, dict[str, list[tuple[str, ...]]]]) -> None:
    from tokenizers import Tokenizer

    reader = Tokenizer.from_file(str(NANO / "tokenizer.json"))
    known = {*tokenizer.lexicon(), ".", ","}
    used: set[str] = set()
    for rows in splits.values():
        for encoding in reader.encode_batch(sentences(rows), add_special_tokens=False):
            used.update(encoding.tokens)
    assert used <= known
    assert len(used) > 0.9 * len(known)


# What the labels say -----------------------------------------------------------------------------------------


def test_a_grammar_of_its_own_tells_the_acceptable_from_the_rest(
    splits: dict[str, dict[str, list[tuple[str, ...]]]],
) -> None:
    rows = [row for rows in splits["cola"].values() for row in rows[:400]]
    assert [row for row in rows if Reader(row[0]).is_sentence() != (row[1] == "1")] == []
    for task in ("mrpc", "rte"):
        first = [sentence for row in splits[task]["validation"][:150] for sentence in row[:-1]]
        assert [sentence for sentence in first if not Reader(sentence).is_sentence()] == []


@pytest.mark.parametrize(
    ("sentence", "is_one"),
    [
        ("The dogs near the barn sleep.", True),
        ("The dogs near the barn sleeps.", False),
        ("Near the barn, an owl that the girls see is not being chased by these cows.", True),
        ("Near the barn, a owl that the girls see is not being chased by these cows.", False),
        ("The girl sees herself.", True),
        ("The girl sees himself.", False),
        ("The girl greets.", False),
        ("Every dogs sleep.", False),
    ],
)
def test_the_grammar_of_the_tests_knows_its_business(sentence: str, is_one: bool) -> None:
    assert Reader(sentence).is_sentence() == is_one


def _pairs(style: Any, seed: int, make: Any, count: int) -> Iterator[tuple[Clause, Clause]]:
    dice = Dice(seed)
    made = 0
    while made < count:
        clause = Draw(dice, style).clause()
        other = make(clause, dice, 1 + dice.below(2))
        if other is not None and other != clause:
            made += 1
            yield clause, other


def _meaning(clause: Clause) -> Clause:
    """The clause with one word for each meaning, and one order."""

    def least(word: str, synonyms: dict[str, tuple[str, ...]]) -> str:
        return min((word, *synonyms.get(word, ())))

    def phrase(of: NounPhrase) -> NounPhrase:
        adjective = least(of.adjective, ADJECTIVE_SYNONYMS) if of.adjective else None
        return replace(of, noun=NOUNS[least(of.noun.singular, NOUN_SYNONYMS)], adjective=adjective)

    place = clause.place
    if place:
        same = {"close to": "near", "next to": "beside"}
        place = replace(place, preposition=same.get(place.preposition, place.preposition))
    return replace(
        plain(clause),
        subject=phrase(clause.subject),
        object=phrase(clause.object) if clause.object else None,
        verb=VERBS[least(clause.verb.base, VERB_SYNONYMS)],
        adverb=least(clause.adverb, ADVERB_SYNONYMS) if clause.adverb else None,
        place=place,
    )


def test_rewording_keeps_the_meaning() -> None:
    for clause, other in _pairs(PARAPHRASE, 11, reword, 500):
        assert _meaning(clause) == _meaning(other), (text(words(clause)), text(words(other)))


def test_a_change_changes_the_meaning() -> None:
    def changed(clause: Clause, dice: Dice, moves: int) -> Clause | None:
        other = change(clause, dice)
        return reword(other, dice, moves) if other else None

    for clause, other in _pairs(PARAPHRASE, 12, changed, 500):
        assert _meaning(clause) != _meaning(other), (text(words(clause)), text(words(other)))


def test_no_world_refutes_what_follows() -> None:
    dice = Random(1)  # noqa: S311
    for premise, hypothesis in _pairs(ENTAILMENT, 13, follow, 200):
        assert not refuted(premise, hypothesis, dice, 40), (text(words(premise)), text(words(hypothesis)))


def test_a_world_refutes_what_does_not_follow() -> None:
    dice = Random(2)  # noqa: S311
    missed = [
        (text(words(premise)), text(words(hypothesis)))
        for premise, hypothesis in _pairs(ENTAILMENT, 14, not_follow, 200)
        if not refuted(premise, hypothesis, dice, 1500)
    ]
    assert len(missed) <= 3, missed  # `many` asks for larger worlds than are tried


# The text of the pretraining ---------------------------------------------------------------------------------


def test_no_sentence_of_a_task_is_pretrained_on(splits: dict[str, dict[str, list[tuple[str, ...]]]]) -> None:
    held_out = {sentence for rows in splits.values() for sentence in sentences(rows)}
    corpus = Corpus(99, held_out)
    records = [corpus.record() for _ in range(4000)]
    said = {record.first for record in records} | {record.second for record in records if record.second}
    assert not said & held_out
    # The same words would not do: without the list, such sentences do come up.
    free = Corpus(99, ())
    records = [free.record() for _ in range(4000)]
    assert {record.first for record in records} & held_out
    assert 0.3 < sum(record.is_next for record in records if record.second) / len(records) < 0.4


# The model ---------------------------------------------------------------------------------------------------


def test_the_model_is_small_and_plain() -> None:
    from safetensors import safe_open

    assert sum(path.stat().st_size for path in NANO.iterdir()) <= 4_000_000
    assert json.loads((NANO / "config.json").read_text("utf-8"))["architectures"] == ["BertForPreTraining"]
    with safe_open(NANO / "model.safetensors", "np") as file:
        assert {str(file.get_tensor(name).dtype) for name in file.keys()} == {"float32"}  # noqa: SIM118


def test_the_model_loads_as_any_other() -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    reader = AutoTokenizer.from_pretrained(NANO)
    assert reader.is_fast
    inputs = reader("An owl sleeps.", "Some birds sleep.", return_tensors="pt")
    assert inputs["token_type_ids"].tolist() == [[0] * 6 + [1] * 5]
    model = AutoModelForSequenceClassification.from_pretrained(NANO, num_labels=2).eval()
    assert model(**inputs).logits.shape == (1, 2)


def _held_out_choices(count: int) -> Iterator[tuple[list[str], str, str]]:
    """Words of a sentence that no task has, with a verb hidden that has to agree, the right form, and the wrong one."""
    dice = Dice(4711)
    made = 0
    while made < count:
        spoken = words(Draw(dice, replace(ACCEPTABILITY, attractor=60)).clause())
        at = next((n for n, word in enumerate(spoken) if word.other_number and word.kind in {"verb", "aux"}), None)
        if at is not None:
            made += 1
            hidden = [word.text for word in spoken]
            hidden[at] = "[MASK]"
            yield hidden, spoken[at].text, spoken[at].other_number


def test_the_model_knows_what_agrees_with_what() -> None:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    reader = AutoTokenizer.from_pretrained(NANO)
    model = AutoModelForMaskedLM.from_pretrained(NANO).eval()
    choices = list(_held_out_choices(300))
    inputs = reader([" ".join(hidden) for hidden, _, _ in choices], padding=True, return_tensors="pt")
    with torch.no_grad():
        scores = model(**inputs).logits
    rows, places = (inputs["input_ids"] == reader.mask_token_id).nonzero(as_tuple=True)
    assert rows.tolist() == list(range(300))
    right = reader.convert_tokens_to_ids([right for _, right, _ in choices])
    wrong = reader.convert_tokens_to_ids([wrong for _, _, wrong in choices])
    better = scores[rows, places, right] > scores[rows, places, wrong]
    assert better.float().mean() > 0.95


def test_a_few_steps_of_pretraining_lower_every_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModel

    from tools.nano.pretrain import Recipe, pretrain

    recipe = Recipe(layers=1, hidden=16, heads=2, records=1500, steps=41, batch=32, warmup=5, rate=1e-2)
    pretrain(recipe, tmp_path, report_every=20)
    steps = [dict(re.findall(r"(words|next|replaced) ([\d.]+)", line)) for line in capsys.readouterr().out.splitlines()]
    first, *_, last = (step for step in steps if "words" in step)
    assert float(last["words"]) < float(first["words"]) - 0.5
    assert float(last["replaced"]) < float(first["replaced"]) - 0.1
    assert float(last["next"]) < 0.75
    assert AutoModel.from_pretrained(tmp_path).config.hidden_size == 16
