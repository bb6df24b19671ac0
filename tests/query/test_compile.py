"""Each query with the SQL that it comes to and the rows that come of it. Written anew with `pytest --update-golden`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bitspec.query.answer import ask, explain
from bitspec.query.formats import as_csv
from bitspec.query.functions import AGGREGATES, BARE, SCALARS, Kind, kind_of
from bitspec.query.relation import Relation, identifier
from bitspec.query.syntax import KEYWORDS
from bitspec.store.views import VIEWS
from tests.golden import Case, read_cases, write_cases
from tests.query.relations import compiled, relations

pytestmark = pytest.mark.usefixtures("quick")

FOLDER = Path(__file__).parent / "compiled"
CASES = read_cases(FOLDER)


def answered(case: Case, store: Path) -> str:
    return f"{explain(case.text, store)}\n{as_csv(ask(case.text, store))}".strip("\n")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_query(case: Case, store: Path, update_golden: bool) -> None:
    if not update_golden:
        assert answered(case, store) == case.expected


def test_golden_queries_are_up_to_date(store: Path, update_golden: bool) -> None:
    if update_golden:
        write_cases(CASES, {case: answered(case, store) for case in CASES})


def test_every_function_is_shown() -> None:
    text = " ".join(case.text for case in CASES)
    unseen = {name for name in {**AGGREGATES, **SCALARS} if f"{name}(" not in text}
    assert unseen == {"std", "stddev", "abs", "floor", "ceil", "exp", "log10", "lower"}
    assert AGGREGATES["std"] is AGGREGATES["stddev"] is AGGREGATES["sd"]
    for name in unseen:
        call = f"{name}({'task' if name == 'lower' else 'score'})"
        assert f"{name}(" in compiled(f"select {call}").sql or name.startswith("std")


def test_every_view_and_column_can_be_asked_for(store: Path) -> None:
    for view, relation in relations().items():
        assert list(relation.types) == list(VIEWS[view].columns)
        names = ", ".join(relation.types)
        text = f"select {names} from {view} limit 1"  # noqa: S608 - it is a query
        assert [column.heading for column in compiled(text).columns] == list(relation.types)
        every = ask(text, store)
        assert len(every.columns) == len(relation.types)


def test_without_from_it_is_the_scores() -> None:
    assert compiled("select score").sql == compiled("select score from scores").sql
    assert compiled("select score").sql.splitlines()[1] == "FROM scores"


def test_names_of_columns_functions_and_views_are_found_in_either_case() -> None:
    assert (
        compiled("select AVG(Score) from SCORES by Strategy").sql
        == compiled('select avg(score) as "avg(Score)" by strategy').sql
    )


def test_what_a_query_says_never_becomes_sql() -> None:
    text = "x'); drop table scores; --"
    found = compiled(f'select n where strategy = "{text}" and task in {{"{text}"}} and model ~ "{text}" by task')
    assert text not in found.sql
    assert found.parameters == (text,)
    assert found.sql.count("$1") == 3
    heading = compiled('select n as "a"" from x" by task').sql
    assert 'count(*) AS "a"" from x"' in heading


def test_columns_of_a_store_from_elsewhere_are_quoted() -> None:
    assert identifier("score") == "score"
    assert identifier('a"; drop table x') == '"a""; drop table x"'
    assert identifier("Ä b") == '"Ä b"'


def test_headings_are_told_apart() -> None:
    found = compiled("select score, score, score as score_2, Score")
    assert [column.heading for column in found.columns] == ["score", "score_2", "score_2_2", "score_3"]


@pytest.mark.parametrize(
    ("text", "in_points"),
    [
        ("select score", True),
        ("select mean(score) as m", True),
        ("select max(best_score) - min(score)", True),
        ("select sd(score) + 1", True),
        ("select ci95(score)", True),
        ("select -mean(score)", True),
        ("select mean(score) * 2", False),
        ("select var(score)", False),
        ("select n", False),
        ("select count(score)", False),
        ("select loss", False),
        ("select score > 3", False),
        ("select accuracy", False),
    ],
)
def test_what_is_in_points(text: str, in_points: bool) -> None:
    assert compiled(text).columns[0].in_points is in_points


@pytest.mark.parametrize(
    ("sql_type", "kind"),
    [
        ("DOUBLE", Kind.NUMBER),
        ("BIGINT", Kind.NUMBER),
        ("DECIMAL(18,3)", Kind.NUMBER),
        ("NUMBER", Kind.NUMBER),
        ("VARCHAR", Kind.TEXT),
        ("STRING", Kind.TEXT),
        ("ENUM('a', 'b')", Kind.TEXT),
        ("UUID", Kind.TEXT),
        ("BOOLEAN", Kind.TRUTH),
        ("bool", Kind.TRUTH),
        ("TIMESTAMP", Kind.TIME),
        ("DATETIME", Kind.TIME),
        ("Date", Kind.TIME),
        ("INTERVAL", Kind.TIME),
        ("MAP(VARCHAR, DOUBLE)", Kind.OTHER),
        ("VARCHAR[]", Kind.OTHER),
        ("STRUCT(a INTEGER)", Kind.OTHER),
        ("JSON", Kind.OTHER),
        ("dict", Kind.OTHER),
        ("BLOB", Kind.OTHER),
    ],
)
def test_kinds_of_types(sql_type: str, kind: Kind) -> None:
    assert kind_of(sql_type) is kind


def test_the_order_of_the_spec_stands_where_there_is_one() -> None:
    assert relations()["scores"].natural_order == ["position", "model", "task", "seed"]
    assert relations()["studies"].natural_order == ["run"]
    assert Relation("x", {"y": "BIGINT"}).natural_order == []
    assert "ORDER BY" not in compiled("select mean(score)").sql
    assert set(BARE) <= AGGREGATES.keys()


def test_the_reference_has_every_function_keyword_and_view(root: Path) -> None:
    page = (root / "docs" / "query.md").read_text("utf-8")
    for name in (*AGGREGATES, *SCALARS):
        assert f"`{name}(x" in page, name
    for word in set(KEYWORDS) - {"asc", "desc", "true", "false", "is", "null", "group"}:
        assert re.search(rf"`[^`\n]*\b{word}\b", page), word
    assert all(f"\n{view} " in page for view in VIEWS)
