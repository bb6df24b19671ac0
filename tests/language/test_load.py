"""Reading files, those that they use, and texts of any size and shape: a study or a message, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError, Source
from bitspec.ir.canonical import Canonical
from bitspec.ir.selection import Base, Ref, walk
from bitspec.language.load import MAX_BYTES, Analysis, analyse, analyse_file, load, loads
from bitspec.vocabulary import KEYWORDS
from tests.language.strategies import spec_texts
from tests.tiers import examples


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wrote(**files: str) -> None:
    for name, text in files.items():
        Path(f"{name}.bspec").write_text(text, "utf-8")


def refused(path: str) -> str:
    """Code, message and help of the one diagnostic with which a file is refused."""
    with pytest.raises(BitspecError) as raised:
        load(path)
    (found,) = raised.value.diagnostics
    return f"{found.code}: {found.message} | {found.help}"


def said(analysis: Analysis) -> list[str]:
    """Code, place and message of everything that is said."""
    return [
        f"{found.code} {found.span.location if found.span else '-'}: {found.message}" for found in analysis.diagnostics
    ]


# Files --------------------------------------------------------------------------------------------------


def test_a_file_is_read() -> None:
    wrote(s='\ufeffstudy s\r\nmodel "m" task rte # ü\r\nstrategy x = bias\r\n')
    study = load("s.bspec")
    assert (study.name, study.strategies[0].span.location) == ("s", "s.bspec:3:10")
    assert load(Path("s.bspec")) == study


def test_a_missing_file() -> None:
    expected = "no-such-file: there is no file `papr.bspec` | "
    assert refused("papr.bspec") == expected + "check the path; `bitspec new` writes a first spec"
    wrote(paper="")
    assert refused("papr.bspec") == expected + "did you mean `paper.bspec`?"
    Path("specs").mkdir()
    Path("paper.bspec").rename("specs/paper.bspec")
    assert refused("papr.bspec") == expected + "did you mean `specs/paper.bspec`?"


def test_an_ending_alone_does_not_make_a_name_near() -> None:
    wrote(paper="")
    assert refused("gone.bspec").endswith(" | check the path; `bitspec new` writes a first spec")


def test_a_folder() -> None:
    Path("specs").mkdir()
    assert refused("specs") == "not-a-file: `specs` is a folder | name a `.bspec` file"
    Path("specs/b.bspec").touch()
    Path("specs/a.bspec").touch()
    assert refused("specs") == "not-a-file: `specs` is a folder | name one of its files, such as `specs/a.bspec`"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"\x7fELF\x02\x01\x00\x00",
            "not-a-text: `f` is not a text file | a spec is plain text; see `bitspec new --help`",
        ),
        (
            "study s".encode("utf-16"),
            "not-utf8: `f` is not UTF-8: it looks like UTF-16 (byte 1, line 1) | save it as UTF-8",
        ),
        (
            "study s\nstrategy x \"größe\" = bias".encode("latin-1"),
            "not-utf8: `f` is not UTF-8: it looks like another encoding (byte 23, line 2) | save it as UTF-8",
        ),
        (
            b"a" * 5 + b"\xed\xa0\x80",
            "not-utf8: `f` is not UTF-8: it looks like another encoding (byte 6, line 1) | save it as UTF-8",
        ),
    ],
)  # fmt: skip
def test_what_is_no_text(data: bytes, expected: str) -> None:
    Path("f").write_bytes(data)
    assert refused("f") == expected


def test_a_file_that_is_too_long() -> None:
    Path("f").write_bytes(b"#" * (MAX_BYTES + 1))
    assert refused("f") == "too-long: `f` is longer than 8,000,000 bytes | is it a spec? split it with `use`"
    Path("f").write_bytes(b"group g = bias #" + b"#" * (MAX_BYTES - 16))
    assert load("f").groups[0].name == "g"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission() -> None:
    wrote(s="group g = bias")
    Path("s.bspec").chmod(0)
    assert refused("s.bspec") == (
        "unreadable-file: `s.bspec` cannot be read: Permission denied | check the path and its permissions"
    )


def test_links_that_lead_nowhere() -> None:
    Path("broken.bspec").symlink_to("nothing.bspec")
    assert refused("broken.bspec").startswith("no-such-file: there is no file `broken.bspec` | ")
    Path("loop.bspec").symlink_to("loop.bspec")
    assert refused("loop.bspec").startswith("unreadable-file: `loop.bspec` cannot be read: ")


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "s.bspec/x"])
def test_paths_that_no_system_takes(path: str) -> None:
    wrote(s="")
    assert refused(path).startswith(("unreadable-file: ", "no-such-file: "))


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "\ufeff", " \t\r\n\f"])
def test_an_empty_file(text: str) -> None:
    wrote(s=text)
    assert said(analyse_file("s.bspec")) == ["incomplete s.bspec:1:1: there is nothing in this file"]


def test_a_text_is_read_as_a_file_is() -> None:
    with pytest.raises(BitspecError) as raised:
        loads("group g = gmma", "<mine>")
    assert str(raised.value).startswith(
        "error[unknown-name]: there is no group or strategy called `gmma`\n --> <mine>:1:11\n"
    )


def test_warnings_alone_do_not_stop_a_study() -> None:
    assert loads('study s model "m" task rte group g = bias strategy x = gamma').name == "s"


# Files that use others ----------------------------------------------------------------------------------

USER = 'study s model "m" task rte use "{}" strategy x = g'


def test_groups_and_strategies_of_another_file() -> None:
    wrote(s=USER.format("lib.bspec"), lib="group g = bias strategy y = gamma")
    study = load("s.bspec")
    assert [group.name for group in study.groups] == ["g"]
    assert [strategy.name for strategy in study.strategies] == ["y", "x"]


def test_paths_are_relative_to_the_file_that_uses_them() -> None:
    for folder in ("a/b", "c"):
        Path(folder).mkdir(parents=True)
    wrote(**{"a/s": USER.format("b/lib.bspec"), "a/b/lib": 'use "../../c/low.bspec"', "c/low": "group g = bias"})
    assert load("a/s.bspec").groups[0].span.source.name == "a/b/../../c/low.bspec"
    text = Path("a/s.bspec").read_text("utf-8")
    assert loads(text, folder="a").groups[0].name == "g"
    assert not analyse(Source("s", text)).is_right


def test_a_file_that_two_others_use_is_read_once() -> None:
    wrote(
        s='study s model "m" task rte use "l.bspec" use "r.bspec" use "./l.bspec" strategy x = l | r',
        l='use "low.bspec" group l = g',
        r='use "low.bspec" group r = g',
        low="group g = bias",
    )
    assert [group.name for group in load("s.bspec").groups] == ["g", "l", "r"]


@pytest.mark.parametrize("files", [{"s": "s"}, {"s": "a", "a": "s"}, {"s": "a", "a": "b", "b": "a"}])
def test_files_that_use_each_other(files: dict[str, str]) -> None:
    wrote(**{name: f'use "{used}.bspec" group {name} = bias' for name, used in files.items()})
    last = list(files)[-1]
    assert said(analyse_file("s.bspec")) == [f"circular-use {last}.bspec:1:5: `{files[last]}.bspec` is used by itself"]


def test_what_is_wrong_in_a_used_file_is_reported_there() -> None:
    wrote(
        s=USER.format("lib.bspec") + "\nstrategy z = gmma where layer == 1",
        lib="# first\n\ngroup g = bais\ngroup h = = bias\n",
    )
    found = said(analyse_file("s.bspec"))
    assert sorted(found) == [
        "missing-selection lib.bspec:4:11: a selection is missing here",
        "unknown-name lib.bspec:3:11: there is no group or strategy called `bais`",
        "unknown-name s.bspec:2:14: there is no group or strategy called `gmma`",
    ]
    assert found[-1].startswith("unknown-name s.bspec")  # what stands in other files comes first


def test_a_name_that_two_files_declare() -> None:
    wrote(s=USER.format("lib.bspec") + " group g = gamma", lib="group g = bias")
    (found,) = analyse_file("s.bspec").diagnostics
    assert found.code == "repeated"
    places = {found.span.location if found.span else "", *(note.span.location for note in found.notes if note.span)}
    assert places == {"s.bspec:1:65", "lib.bspec:1:7"}


@pytest.mark.parametrize("name", ["gone.bspec", ".", "x" * 5000, "loop.bspec", "s.bspec/x"])
def test_a_used_file_that_cannot_be_read(name: str) -> None:
    Path("loop.bspec").symlink_to("loop.bspec")
    wrote(s=USER.format(name))
    (one,) = said(analyse_file("s.bspec"))  # and not that there is no `g`
    assert one.startswith(
        ("no-such-file s.bspec:1:32: ", "not-a-file s.bspec:1:32: ", "unreadable-file s.bspec:1:32: ")
    )
    (found,) = analyse_file("s.bspec").diagnostics
    assert found.help


def test_only_groups_and_strategies_come_from_a_used_file() -> None:
    wrote(s=USER.format("lib.bspec"), lib='study l model "n" task cola seeds 7 group g = bias strategy y = gamma')
    study = load("s.bspec")
    assert (study.name, [model.name for model in study.models], [task.name for task in study.tasks], study.seeds) == (
        "s", ["m"], ["rte"], (0,),
    )  # fmt: skip


def test_an_unused_group_of_a_used_file_is_no_warning() -> None:
    wrote(s=USER.format("lib.bspec"), lib="group g = bias group spare = gamma")
    assert said(analyse_file("s.bspec")) == []


# Large ones ---------------------------------------------------------------------------------------------

HEAD = 'study s model "m" task rte\n'


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_strategies(count: int) -> None:
    lines = [f'strategy s{n} "label {n}" = bias where layer == {n % 12} and numel > {n}' for n in range(count)]
    analysis = analyse(Source("f", HEAD + "\n".join(lines)))
    assert said(analysis) == []
    assert len(analysis.study.strategies) == count
    assert analysis.study.strategies[-1].span.location == f"f:{count + 1}:10"


@pytest.mark.slow
def test_ten_thousand_strategies_by_a_loop() -> None:
    study = loads(HEAD + "for n in 1..10000 { strategy s_$n = rand(all, $n) }")
    assert [strategy.name for strategy in study.strategies] == [f"s_{n}" for n in range(1, 10_001)]


LOOP = HEAD + "for n in 1..{} {{ strategy s_$n = rand(all, $n) }}"


@pytest.mark.slow
def test_loops_make_twenty_thousand_statements() -> None:
    assert len(loads(LOOP.format(20_000)).strategies) == 20_000


def test_loops_make_no_more_than_twenty_thousand_statements() -> None:
    assert said(analyse(Source("f", LOOP.format(10**12)))) == [
        "too-many f:2:5: the loops of this file make more than 20,000 statements"
    ]


@pytest.mark.slow
def test_not_one_more_and_not_in_loops_in_loops() -> None:
    assert [one.partition(" ")[0] for one in said(analyse(Source("f", LOOP.format(20_001))))] == ["too-many"]
    nested = HEAD + "for a in 1..150 { for b in 1..150 { strategy s_${a}_$b = rand(all, $b, seed = $a) } }"
    assert [one.partition(" ")[0] for one in said(analyse(Source("f", nested)))] == ["too-many"]


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_union_of_thousands_of_parts(count: int) -> None:
    parts = [f"(bias where numel == {n})" for n in range(count)]
    study = loads("group g = " + " | ".join(parts))
    assert len(list(walk(study.groups[0].selection))) == 2 * count + 1
    assert Canonical(study.selections).text(Ref(name="g")).startswith("sha256:")
    assert len(loads("group g = " + " & ".join(parts)).groups) == 1


def test_a_difference_of_ten_thousand_parts_is_refused_or_read() -> None:
    analysis = analyse(Source("f", "group g = all" + " - bias" * 10_000))
    assert [one.partition(" ")[0] for one in said(analysis)] in ([], ["too-deep"])


STEPS: dict[str, Callable[[int], str]] = {
    "a name": lambda n: f"g{n - 1}",
    "a union": lambda n: f"g{n - 1} | (bias where numel == {n})",
    "a difference": lambda n: f"g{n - 1} - (bias where numel == {n})",
    "an intersection": lambda n: f"g{n - 1} & (all where numel == {n})",
    "a where": lambda n: f"g{n - 1} where numel != {n}",
    "a draw": lambda n: f"rand(g{n - 1}, {n})",
    "a size": lambda n: f"rand(all, size(g{n - 1}))",
    "a share": lambda n: f"rand(all, 5% of g{n - 1})",
    "backwards": lambda n: f"g{n + 1} | bias" if n < 9_999 else "bias",
}


#: One that is read, and one that leads to names that come later.
QUICK_STEPS = {"a union", "backwards"}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, id=name, marks=() if name in QUICK_STEPS else pytest.mark.slow)
        for name, step in STEPS.items()
    ],
)
def test_a_chain_of_ten_thousand_groups_is_read_or_refused_with_a_message(step: Callable[[int], str]) -> None:
    lines = ["group g0 = bias", *(f"group g{n} = {step(n)}" for n in range(1, 10_000)), "strategy x = g9999"]
    analysis = analyse(Source("f", HEAD + "\n".join(lines)))
    assert {found.code for found in analysis.diagnostics} <= {"too-deep"}
    for found in analysis.diagnostics[:3]:
        assert found.render()
    if analysis.is_right:
        selections = analysis.study.selections
        nodes = list(walk(Ref(name="g9999"), selections))
        assert Base(name="bias") in nodes
        one = Canonical(selections)
        assert one.text(Ref(name="x"))


def test_a_chain_of_ten_thousand_groups_that_is_a_circle() -> None:
    lines = [f"group g{n} = g{(n + 1) % 10_000} | bias" for n in range(10_000)]
    (found,) = analyse(Source("f", "\n".join(lines))).diagnostics
    assert found.code == "circular-name"
    assert len(found.render()) < 10_000


# Strange ones -------------------------------------------------------------------------------------------

MEGABYTE = 1_000_000


NONSENSE = [
    "(" * MEGABYTE,
    "{" * MEGABYTE,
    ")" * (MEGABYTE // 10),
    '"' * MEGABYTE,
    '"\n' * (MEGABYTE // 2),
    "$" * MEGABYTE,
    "${" * (MEGABYTE // 2),
    "a" * MEGABYTE,
    "9" * MEGABYTE,
    "#" * MEGABYTE,
    "-" * (MEGABYTE // 10),
    "/" * MEGABYTE,
    "\x1b" * MEGABYTE,
    "漢" * MEGABYTE,
    "group g = " + "a | " * 25_000,
    "group g = " + "a | " * 25_000 + "a",
    "group g = bias where " + "not " * 20_000 + "layer == 1",
    "group g = bias where " + "layer == 1 and " * 10_000 + "layer == 1",
    "group g = bias where layer in {" + "1," * 20_000 + "}",
    "group g = bias " + "where layer == 1 " * 1000,
    "group " * 100_000,
    "for r in {q} { " * 50_000,
    "group g" + "$r" * 200_000 + " = bias",
    "group g = " + "rand(" * 90 + "bias" + ", 3)" * 90,
    "for a in 0..9 { " * 20 + "group g = bias" + " }" * 20,
    "train { " + "epochs = 3 " * 20_000 + "}",
]

#: What is tried of it by `make test`.
QUICK_NONSENSE = ("(", ")", '"\n', "${", "\x1b", "group g = a | ", "group g = bias where not", "group group", "for r")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            text,
            id=text[:20].replace("\x1b", "ESC"),
            marks=() if text.startswith(QUICK_NONSENSE) else pytest.mark.slow,
        )
        for text in NONSENSE
    ],
)
def test_a_megabyte_of_nonsense_gets_a_message(text: str) -> None:
    analysis = analyse(Source("f", text))
    assert len(analysis.diagnostics) <= 1000
    assert analysis.diagnostics or analysis.study.groups
    for found in analysis.diagnostics:
        assert len(found.render()) < 20_000


WORDS = """
    .. == != <= >= !~ 0 3 -1 0.5 1e9 1e999 "a" 'b' $r ${r} r x g q ln1 rte builtin/rte bias gamma all none rand rows
    topk size role layer per seed tensor pool by magnitude epochs text metric training change correlates with score
"""
ALPHABET = [*KEYWORDS, *WORDS.split(), *"{}()=,|&-+%:~$\"'#.!/\\\n\t é漢\0\x1b\ufeff\u2028", "9" * 40]


def assert_comes_back(text: str) -> None:
    analysis = analyse(Source("f", text))
    for found in analysis.diagnostics:
        assert found.render()
        assert found.message
        assert found.span is None or 0 <= found.span.start <= len(text)
    if analysis.is_right:
        one = Canonical(analysis.study.selections)
        assert all(one.text(selection) for selection in analysis.study.selections.values())
    else:
        assert analysis.diagnostics


@settings(deadline=None, max_examples=examples(100))
@given(st.lists(st.sampled_from(ALPHABET), max_size=40), st.sampled_from([" ", "", "\n"]))
def test_any_words_in_any_order_get_a_study_or_a_message(words: list[str], by: str) -> None:
    assert_comes_back(by.join(words))


@settings(deadline=None, max_examples=examples(50))
@given(st.text(max_size=60))
def test_any_text_gets_a_study_or_a_message(text: str) -> None:
    assert_comes_back(text)


@settings(deadline=None, max_examples=examples(12))
@given(spec_texts(), st.data())
def test_a_spec_with_a_few_words_changed_gets_a_study_or_a_message(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(ALPHABET)) + text[end:]
    assert_comes_back(text)


def test_what_is_nested_too_deep_or_called_too_long() -> None:
    deep = "group g = bias where " + "not " * 300 + "role == q"
    said_of = [str(found) for found in analyse(Source("f", deep)).diagnostics]
    assert any("this condition is nested more than" in one for one in said_of)
    long = "group " + "g" * 1000 + " = bias"
    (found,) = (one for one in analyse(Source("f", long)).diagnostics if one.code == "bad-name")
    assert found.message.startswith("this name has more than ")
    assert found.help == "write a shorter one"
