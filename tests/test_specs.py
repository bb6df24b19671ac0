"""What the specs that come with bitspec select: the paper's numbers, as it meant them and as its code ran."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bitspec.api import Shown, select, show
from bitspec.diagnostics import Diagnostic
from bitspec.ir.trials import trials
from bitspec.language.formatter import format_text
from bitspec.language.load import analyse_file, load, loads, read
from bitspec.parameters.cache import catalogue
from bitspec.parameters.shipped import SHIPPED

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.bspec"))
BERT = 'study s model "bert-base-cased" task rte seeds 0..4\n'

Counts = dict[str, int | tuple[int, int]]


@pytest.fixture
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # so that messages name files as they are from there


@cache
def shown(name: str) -> Shown:
    return show(f"specs/{name}.bspec")


def counts(of: Shown) -> Counts:
    (model,) = of.models
    return {one.name: one.least if one.least == one.most else (one.least, one.most) for one in model.strategies}


def messages(of: Shown) -> list[str]:
    return [found.render() for found in of.diagnostics]


def codes(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    return [found.code for found in diagnostics]


# Every spec ---------------------------------------------------------------------------------------------


def test_there_are_specs() -> None:
    assert {path.stem for path in SPECS} >= {"paper", "paper_as_run", "leave_one_out", "custom_task"}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_right(path: Path) -> None:
    assert [found.render() for found in analyse_file(path).diagnostics] == []


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_formatted(path: Path) -> None:
    source = read(path)
    assert format_text(source) == source.text


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
@pytest.mark.usefixtures("_at_the_root")
def test_every_spec_selects_something_in_its_model(path: Path) -> None:
    study = load(path)
    is_here = all(model.source in SHIPPED for model in study.models)
    # A model of the hub is not asked for in a test: another BERT has the same roles.
    found = show(path, models=() if is_here else "bert-base-uncased")
    assert found.is_right
    assert len(counts(found)) == len(study.strategies)
    assert sum(1 for _ in trials(study)) > 0


# The paper ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_at_the_root")
def test_the_paper_as_it_was_meant() -> None:
    found = shown("paper")
    assert counts(found) == {
        "full_ft": 108_310_272,
        "bitfit": 102_912,
        "bm2_bq": 46_080,
        "frozen": 0,
        "rand_uniform": 102_912,
        "rand_rowcol": 102_912,
        "gamma_ln1": 9_216,
        "gamma_ln2": 9_216,
        "gammas": 18_432,
        "rand_bias": 46_080,
        "no_bm2_bq": 56_832,
        "gammas_bitfit": 121_344,
        "gammas_bm2_bq": 64_512,
        "bias_ln": 18_432,
    }
    assert messages(found) == []
    assert found.models[0].total == 108_310_272
    assert found.models[0].head_size(2) == 1_538
    assert found.models[0].pooler == 590_592


STRADDLES = """\
warning[straddling-pattern]: the pattern "output.LayerNorm.{slot}" straddles two roles: \
ln1 (9,216 entries) and ln2 (9,216 entries)
  --> specs/paper_as_run.bspec:{place}
   |
{line}
   | {carets}
   = note: ln1: encoder.layer.0.attention.output.LayerNorm.{slot}
   = note: ln2: encoder.layer.0.output.LayerNorm.{slot}
   = help: write `role == …` for one of them; if all are meant, `role in {{ln1, ln2}}` says so"""

SAME = """\
warning[same-selection]: `gammas` and `gamma_ln2` select the same entries: they are one strategy with two names
  --> specs/paper_as_run.bspec:{place}
   |
{line}
   |          ^^^^^^
   = note: `gamma_ln2` is here
  --> specs/paper_as_run.bspec:{other}
   |
{other_line}
   |          ^^^^^^^^^
   = help: written in different ways, they are trained twice; take one away or change it"""


@pytest.mark.usefixtures("_at_the_root")
def test_the_paper_as_its_code_ran() -> None:
    found = shown("paper_as_run")
    assert counts(found) == {
        "bitfit": 102_912,
        "bm2_bq": 46_848,
        "frozen": 0,
        "rand_uniform": 100_000,
        "rand_rowcol": 102_144,
        "gamma_ln1": 9_984,
        "gamma_ln2": 19_200,
        "gammas": 19_200,
        "rand_bias": 43_324,
        "no_bm2_bq": 56_832,
        "gammas_bitfit": 121_344,
        "gammas_bm2_bq": 65_280,
        "bias_ln": 19_200,
    }


@pytest.mark.usefixtures("_at_the_root")
def test_what_is_said_of_the_paper_as_its_code_ran() -> None:
    lines = Path("specs/paper_as_run.bspec").read_text("utf-8").split("\n")

    def at(start: str, part: str) -> tuple[str, str, str]:
        """The place of a part in the line that starts so, the line as messages show it, and its carets."""
        (number,) = (place for place, line in enumerate(lines, 1) if line.startswith(start))
        column = lines[number - 1].index(part)
        return f"{number}:{column + 1}", f"{number} | {lines[number - 1]}", " " * column + "^" * len(part)

    expected = []
    for group, slot in (("group b_ln2", "bias"), ("group g_ln2", "weight")):
        place, line, carets = at(group, f'name ~ "output.LayerNorm.{slot}"')
        expected.append(STRADDLES.format(slot=slot, place=place, line=line, carets=carets))
    place, line, _ = at("strategy gammas ", "gammas")
    other, other_line, _ = at("strategy gamma_ln2 ", "gamma_ln2")
    expected.append(SAME.format(place=place, line=line, other=other, other_line=other_line))
    assert messages(shown("paper_as_run")) == expected


@pytest.mark.usefixtures("_at_the_root")
def test_leaving_out_and_ones_own_task() -> None:
    found = counts(shown("leave_one_out"))
    assert (found["no_q"], found["no_m2"], found["no_ln1"]) == (93_696, 66_048, 93_696)
    assert found["no_layer_0"] == found["no_layer_11"] == 94_464
    assert (found["from_layer_6"], found["from_layer_10"]) == (6 * 8_448, 2 * 8_448)
    own = counts(shown("custom_task"))
    assert own["full_ft"] == catalogue("bert-base-uncased").size
    assert own["upper"] == 6 * 8_448


# Lines of the language that must hold -------------------------------------------------------------------


def test_the_line_that_it_began_with() -> None:
    selection = 'bias where module~"query" | rand(bias, 0.04%)'
    assert select('bias where module~"query"', "bert-base-cased").count == 9_216
    assert select("rand(bias, 0.04%)", "bert-base-cased").count == 43_324
    sizes = [select(selection, "bert-base-cased", seed=seed).count for seed in range(5)]
    found = show(loads(f"{BERT}strategy x = {selection}"))
    (model,) = found.models
    (strategy,) = model.strategies
    assert (strategy.least, strategy.most) == (min(sizes), max(sizes))
    assert len(set(sizes)) > 1
    # Of 9,216 entries 42.1 % are drawn: about 48,660 in all, give or take 36.
    assert 48_300 < strategy.least < strategy.most < 49_000
    assert strategy.count_text == f"{min(sizes):,} to {max(sizes):,}"


@pytest.mark.parametrize(
    "selection",
    [
        "bias where role == k",
        'bias where module ~ "key"',
        "rand(bias where role == k, 50)",
        "(bias - gamma) where role in {k}",
    ],
)
def test_biases_of_keys_alone_learn_nothing(selection: str) -> None:
    found = show(loads(f"{BERT}strategy only_k = {selection}"))
    assert found.is_right
    (said,) = [one for one in found.diagnostics if one.code == "zero-gradient"]
    assert said.message == (
        "`only_k` trains only biases of keys, and their gradient is zero in this architecture (bert)"
    )
    assert said.help == (
        "attention's softmax does not see a constant added to every key's score: "
        "this strategy equals `none` but for rounding"
    )
    assert said.span is not None
    assert said.span.location == "<string>:2:10"


@pytest.mark.parametrize(
    "selection", ["none", "bias where role in {k, q}", "matrix where role == k", "all where role == k", "bias"]
)
def test_what_has_a_gradient_is_not_warned_of(selection: str) -> None:
    found = show(loads(f"{BERT}strategy x = {selection}"))
    assert "zero-gradient" not in codes(found.diagnostics)


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        ("all", 108_310_272),
        ("bias", 102_912),
        ("gamma", 19_200),
        ("weight", 108_310_272 - 102_912),
        ("bias | weight", 108_310_272),
        ("bias & weight", None),
        ("bias where layer in 0..-1", 12 * 8_448),
        ("bias where layer == -1", 8_448),
        ("bias where role in {m2}", 36_864),
        ("rand(all, 0.04%)", 43_324),
        ("rand(bias, 50% of bias)", 51_456),
        ("rand(bias, size(gamma), seed = 7)", 19_200),
    ],
)
def test_sizes_in_bert(selection: str, count: int | None, raised_code: Callable[[str], str]) -> None:
    if count is None:
        assert raised_code(selection) == "matches-nothing"
    else:
        assert select(selection, "bert-base-cased").count == count


@pytest.fixture
def raised_code() -> Callable[[str], str]:
    from bitspec.diagnostics import BitspecError

    def code(selection: str) -> str:
        with pytest.raises(BitspecError) as raised:
            select(selection, "bert-base-cased")
        return raised.value.diagnostics[0].code

    return code
