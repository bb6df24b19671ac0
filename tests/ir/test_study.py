"""A study as JSON: there and back, against the published schema, and nothing that the schema does not know."""

from __future__ import annotations

import json
import string
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bitspec.diagnostics import NOWHERE, Source, Span
from bitspec.ir.base import Node
from bitspec.ir.schema import schema_text
from bitspec.ir.selection import PercentValue
from bitspec.ir.study import (
    Comparison,
    Correlation,
    Group,
    Model,
    Name,
    Question,
    Reported,
    ReportedScore,
    Setting,
    Strategy,
    Study,
    Task,
    TaskData,
    Train,
)
from bitspec.language.load import load, loads
from tests.ir.strategies import SELECTIONS
from tests.language.strategies import spec_texts
from tests.tiers import examples

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.bspec"))


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def assert_round_trip(study: Study) -> None:
    text = study.model_dump_json()
    again = Study.model_validate_json(text)
    assert again == study
    assert again.model_dump_json() == text
    content = json.loads(text)
    assert content == study.model_dump(mode="json")
    validator().validate(content)
    assert not _keys(content) & {"span", "source_text"}


def _keys(content: Any) -> set[str]:
    if isinstance(content, dict):
        return set(content).union(*map(_keys, content.values()))
    return set().union(*map(_keys, content)) if isinstance(content, list) else set()


# There and back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_goes_through_json(path: Path) -> None:
    assert_round_trip(load(path))


@settings(deadline=None, max_examples=examples(10))
@given(spec_texts())
def test_studies_that_were_read_go_through_json(text: str) -> None:
    from bitspec.language.load import analyse

    assert_round_trip(analyse(Source("f", text)).study)


WORDS = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = WORDS.map(lambda word: Name(name=word))
NUMBERS = st.floats(-100, 100)


def tuples(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=least, max_size=2).map(tuple)


PERCENTS = st.decimals("0.01", "100", places=2).map(lambda number: PercentValue(percent=number))
SETTINGS = st.builds(Setting, name=WORDS, value=st.one_of(st.integers(0, 9), st.floats(0.5, 9.5), TEXTS, PERCENTS))
STUDIES = st.builds(
    Study,
    name=st.none() | WORDS,
    title=st.none() | TEXTS,
    models=tuples(st.builds(Model, name=WORDS, source=TEXTS, revision=st.none() | TEXTS)),
    tasks=tuples(
        st.builds(
            Task,
            name=WORDS,
            data=st.none()
            | st.builds(TaskData, training=TEXTS, validation=TEXTS, text=tuples(TEXTS, 1), label=TEXTS, metric=WORDS),
        )
    ),
    seeds=tuples(st.integers(0, 99)),
    train=tuples(st.builds(Train, targets=tuples(NAMES), tasks=tuples(NAMES), settings=tuples(SETTINGS))),
    groups=tuples(st.builds(Group, name=WORDS, selection=SELECTIONS)),
    strategies=tuples(st.builds(Strategy, name=WORDS, label=st.none() | TEXTS, selection=SELECTIONS)),
    questions=tuples(
        st.builds(
            Question,
            text=TEXTS,
            expectations=tuples(
                st.builds(
                    Comparison,
                    left=NAMES,
                    operator=st.sampled_from([">", ">=", "<", "<="]),
                    right=NAMES,
                    margin=NUMBERS,
                    tasks=tuples(NAMES),
                )
                | st.builds(Correlation, tasks=tuples(NAMES))
            ),
        )
    ),
    reported=tuples(
        st.builds(
            Reported,
            source=TEXTS,
            scores=tuples(st.builds(ReportedScore, strategy=NAMES, task=NAMES, score=NUMBERS)),
        )
    ),
)


@settings(deadline=None, max_examples=examples(15))
@given(STUDIES)
def test_studies_made_in_python_go_through_json(study: Study) -> None:
    assert_round_trip(study)


def test_values_keep_their_types() -> None:
    study = loads("""
        study s model "m" task rte strategy x = rand(all, 0.040%)
        train { epochs = 3 clip_norm = 3.0 warmup = 6.50% schedule = linear }
        """)
    again = Study.model_validate_json(study.model_dump_json())
    values = [setting.value for setting in again.train[0].settings]
    assert [type(value) for value in values] == [int, float, PercentValue, str]
    assert values[:2] == [3, 3.0]
    content = json.loads(study.model_dump_json())
    assert content["train"][0]["settings"][2]["value"] == {"percent": "6.5"}
    assert content["strategies"][0]["selection"]["amount"] == {"type": "percent", "percent": "0.04"}


# The schema ---------------------------------------------------------------------------------------------


def test_the_schema_says_what_it_is() -> None:
    schema = json.loads(schema_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "bitspec study, version 1"
    assert schema["additionalProperties"] is False
    assert schema_text().endswith("}\n")
    assert not {"span", "Span", "Source"} & _keys(schema)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"version": 2},
        {"seeds": ["a"]},
        {"models": [{"name": "m"}]},
        {"models": [{"name": "m", "source": "m", "span": [0, 1]}]},
        {"groups": [{"name": "g", "selection": {"type": "base", "name": "biases"}}]},
        {"groups": [{"name": "g", "selection": {"type": "sieve"}}]},
        {"groups": [{"name": "g", "selection": {"type": "base", "name": "bias", "colour": "red"}}]},
        {"questions": [{"text": "?", "expectations": [{"type": "hope"}]}]},
    ],
    ids=str,
)
def test_the_schema_and_the_model_refuse_the_same(change: dict[str, Any]) -> None:
    study = loads('study s model "m" task rte strategy x = bias')
    content = json.loads(study.model_dump_json()) | change
    with pytest.raises(ValidationError):
        Study.model_validate(content)
    with pytest.raises(ValidationError):
        Study.model_validate_json(json.dumps(content))
    assert not validator().is_valid(content)


def test_the_defaults_of_a_study() -> None:
    assert Study() == Study.model_validate_json("{}")
    assert Study().seeds == (0,)
    assert Study().version == 1
    validator().validate(json.loads(Study().model_dump_json()))


# Nouns --------------------------------------------------------------------------------------------------


def _nodes(of: type[Node]) -> set[type[Node]]:
    return {of}.union(*(_nodes(kind) for kind in of.__subclasses__()))


def test_every_noun_is_frozen_and_refuses_what_it_does_not_know() -> None:
    kinds = {kind for kind in _nodes(Node) if kind.__module__.startswith("bitspec.")}
    assert len(kinds) > 30
    for kind in kinds:
        assert kind.model_config["frozen"] is True, kind
        assert kind.model_config["extra"] == "forbid", kind


def test_a_study_cannot_be_changed() -> None:
    study = loads('study s model "m" task rte strategy x = bias')
    with pytest.raises(ValidationError, match="frozen"):
        study.name = "t"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        study.strategies[0].selection.name = "gamma"  # type: ignore[misc, union-attr]


def test_where_something_stands_is_no_part_of_what_it_is() -> None:
    text = 'study s model "m" task rte group g = rand(bias where layer in 0..3, 5) strategy x = g | gamma'
    close, wide = loads(text), loads(text.replace(" ", "\n\n  "), "elsewhere")
    assert close == wide
    assert close.model_dump_json() == wide.model_dump_json()
    assert close.strategies[0].span.location == "<string>:1:81"
    assert wide.strategies[0].span.source.name == "elsewhere"
    assert "span" not in close.model_dump()
    assert "span" not in repr(close)
    assert Study.model_validate_json(close.model_dump_json()).strategies[0].span is NOWHERE


def test_equal_nouns_have_equal_hashes() -> None:
    text = 'study s model "m" task rte strategy x = bias where role in {q, k}'
    assert hash(loads(text).strategies[0]) == hash(loads("\n" + text).strategies[0])
    assert loads(text).strategies[0] in {loads("\n" + text).strategies[0]}


def test_a_span_can_be_given_in_python() -> None:
    span = Span(Source("f", "abc"), 0, 3)
    assert Name(name="abc", span=span).span is span
    with pytest.raises(ValidationError):
        Name(name="abc", span=(0, 3))


def test_names_find_selections_and_tasks() -> None:
    study = loads('study s model "m" task builtin/rte, cola group g = bias strategy x = g strategy y = x')
    assert list(study.selections) == ["g", "x", "y"]
    assert study.strategy_names == {"x", "y"}
    assert [study.task_called(name) for name in ("rte", "builtin/rte", "cola", "builtin/cola", "mrpc")] == [
        "builtin/rte",
        "builtin/rte",
        "cola",
        None,
        None,
    ]


def test_what_reports_call_a_strategy() -> None:
    study = loads('study s model "m" task rte strategy x = bias strategy y "Why" = gamma')
    assert [strategy.title for strategy in study.strategies] == ["x", "Why"]
