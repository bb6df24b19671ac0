from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from bitspec.diagnostics import BitspecError, Source, Span
from bitspec.ir.selection import (
    Intersection,
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
)
from bitspec.parameters import conditions
from bitspec.parameters.catalogue import Catalogue
from tests.parameters.handmade import (
    ALL,
    BIAS,
    GAMMA,
    GPT,
    LLAMA,
    MATRIX,
    NONE,
    QUERY,
    TINY,
    base,
    catalogue_of,
    compares,
    count,
    draw_of,
    matches,
    message_of,
    parameter,
    percent,
    selector,
    where,
)


@pytest.mark.parametrize(
    ("catalogue", "selection", "expected"),
    [
        (
            GPT,
            QUERY,
            (
                "matches-nothing: no parameter of `bias` has the role `q`"
                "\nhelp: gpt2 makes query, key and value in one projection, whose role is `qkv`"
            ),
        ),
        (
            catalogue_of(*(parameter(f"{role}.bias", (2,), "bias", role, 0) for role in "qkv"), model="bert"),
            where(BIAS, compares("role", "==", "qkv")),
            (
                "matches-nothing: no parameter of `bias` has the role `qkv`"
                "\nhelp: bert has `q`, `k` and `v` apart: write `role in {q, k, v}`"
            ),
        ),
        (LLAMA, BIAS, "matches-nothing: llama has no biases; it has gammas, matrices and embeddings"),
        (GPT, GAMMA, "matches-nothing: gpt2 has no gammas; it has biases and matrices"),
        (
            TINY,
            where(base("embedding"), compares("layer", "==", 0)),
            (
                "matches-nothing: no parameter of `embedding` is in layer 0"
                "\nhelp: no parameter of `embedding` lies in a layer"
            ),
        ),
        (
            TINY,
            where(where(BIAS, compares("layer", "==", 1)), compares("layer", "==", 0)),
            (
                "matches-nothing: no parameter of the selection is in layer 0"
                "\nhelp: the only layer of the selection is 1"
            ),
        ),
        (
            catalogue_of(parameter("a.bias", (2,), "bias"), layers=0, model="odd"),
            where(BIAS, compares("layer", "==", 0)),
            "matches-nothing: no parameter of `bias` is in layer 0\nhelp: odd has no layers",
        ),
        (
            catalogue_of(parameter("a.bias", (2,), "bias"), layers=0, model="odd"),
            QUERY,
            (
                "matches-nothing: no parameter of `bias` has the role `q`"
                "\nhelp: bitspec knows no roles of odd: select by `name` or `module` instead"
            ),
        ),
        (
            TINY,
            where(base("embedding"), compares("role", "==", "q")),
            (
                "matches-nothing: no parameter of `embedding` has the role `q`"
                "\nhelp: `q` exists in tiny, but not in `embedding`, whose role is `emb`"
            ),
        ),
        (
            TINY,
            Intersection(parts=(BIAS, GAMMA)),
            (
                "matches-nothing: `gamma` shares no entries with `bias`"
                "\nhelp: `&` keeps only what is in every part; `|` keeps what is in any of them"
            ),
        ),
        (
            TINY,
            Intersection(parts=(ALL, BIAS, Ref(name="norms"))),
            (
                "matches-nothing: `norms` shares no entries with the parts before it"
                "\nhelp: `&` keeps only what is in every part; `|` keeps what is in any of them"
            ),
        ),
        (
            TINY,
            draw_of(BIAS, count(2000)),
            "amount-too-large: the amount comes to 2,000 entries, but `bias` has only 20\nhelp: draw from more, or ask for less",
        ),
        (
            TINY,
            draw_of(BIAS, percent("50")),
            "amount-too-large: 50% of 92 parameters comes to 46 entries, but `bias` has only 20\nhelp: draw from more, or ask for less",
        ),
        (
            TINY,
            draw_of(GAMMA, SizeOf(of=BIAS)),
            "amount-too-large: the size of `bias` comes to 20 entries, but `gamma` has only 6\nhelp: draw from more, or ask for less",
        ),
        (
            TINY,
            Top(of=GAMMA, amount=Share(percent=Decimal("35.0"), of=BIAS)),
            "amount-too-large: 35% of `bias` comes to 7 entries, but `gamma` has only 6\nhelp: draw from more, or ask for less",
        ),
        (
            TINY,
            draw_of(NONE, count(1)),
            "amount-too-large: the amount comes to 1 entry, but `none` has only 0\nhelp: draw from more, or ask for less",
        ),
        (
            TINY,
            draw_of(BIAS, percent("0.04")),
            (
                "amount-zero: 0.04% of 92 parameters comes to 0 entries, so there is nothing to select"
                "\nhelp: write `none` where nothing is to be selected"
            ),
        ),
        (
            TINY,
            draw_of(BIAS, SizeOf(of=NONE)),
            (
                "amount-zero: the size of `none` comes to 0 entries, so there is nothing to select"
                "\nhelp: write `none` where nothing is to be selected"
            ),
        ),
        (
            TINY,
            draw_of(MATRIX, count(1), "rows"),
            "amount-zero: no row fits into 1 entry: the shortest has 2\nhelp: ask for 2 or more",
        ),
        (
            TINY,
            draw_of(where(MATRIX, compares("layer", "==", 0)), count(4), "rowcol", "tensor"),
            (
                "amount-zero: 4 entries shared over 2 matrices leave no room for one row or column in any "
                "of them: "
                "the shortest has 3\nhelp: ask for more, or leave out `per = tensor`"
            ),
        ),
        (
            TINY,
            draw_of(BIAS, count(4), "rows"),
            (
                "not-lines: `rows` takes lines of matrices, but `bias` has 20 entries of 1-D tensors, such "
                "as "
                "`layer.0.attention.query.bias`\nhelp: take the lines of matrices alone: `rows(matrix where …, …)`"
            ),
        ),
        (
            TINY,
            draw_of(ALL, count(4), "cols"),
            (
                "not-lines: `cols` takes lines of matrices, but `all` has 29 entries of tensors that are "
                "not 2-D, "
                "such as `layer.0.attention.query.bias`\nhelp: take the lines of matrices alone: `cols(matrix where …, …)`"
            ),
        ),
        (
            TINY,
            draw_of(draw_of(where(MATRIX, matches("name", "^out")), count(5)), count(2), "rowcol"),
            (
                "not-lines: `rowcol` takes lines of whole matrices, but the selection has only 5 entries "
                "of 1 matrix, "
                "such as `out.weight`\nhelp: draw lines of the whole matrices, and combine what was drawn "
                "afterwards"
            ),
        ),
        (
            TINY,
            where(BIAS, matches("name", "(")),
            'bad-pattern: "(" is not a regular expression: missing ) at position 1',
        ),
    ],
)
def test_messages(catalogue: Catalogue, selection: Selection, expected: str) -> None:
    groups: dict[str, Selection] = {"norms": GAMMA}
    assert message_of(selection, catalogue, groups) == expected


def test_patterns_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "PATTERN_TIMEOUT", 0.05)
    long = catalogue_of(parameter("a" * 40 + ".bias", (2,), "bias"))
    assert message_of(where(BIAS, matches("name", r"^((a|a)+)+c$")), long) == (
        'slow-pattern: the pattern "^((a|a)+)+c$" takes too long: over 0.05 second for one model'
        "\nhelp: a repetition inside a repetition, such as `(a+)+`, is the usual cause: one of them will do"
    )


def test_selections_are_quoted_as_they_were_written() -> None:
    text = "group a = (bias where layer == 1) where role == v"
    source = Source("a.bspec", text)

    def span(part: str) -> Span:
        return Span(source, text.index(part), text.index(part) + len(part))

    inner = where(BIAS, compares("layer", "==", 1)).model_copy(update={"span": span("bias where layer == 1")})
    atom = compares("role", "==", "v").model_copy(update={"span": span("role == v")})
    with pytest.raises(BitspecError) as raised:
        selector().select(where(inner, atom))
    assert str(raised.value) == (
        "error[matches-nothing]: no parameter of `bias where layer == 1` has the role `v`\n"
        " --> a.bspec:1:41\n"
        "  |\n"
        "1 | group a = (bias where layer == 1) where role == v\n"
        "  |                                         ^^^^^^^^^\n"
        "  = help: the roles of tiny are `q`, `m2`, `ln1` and `emb`"
    )


@pytest.mark.parametrize("text", ["bias where role == $r", "bias where\nlayer == 1", "b" * 60])
def test_what_reads_badly_is_not_quoted(text: str) -> None:
    inner = where(BIAS, compares("layer", "==", 1))
    inner = inner.model_copy(update={"span": Span(Source("a.bspec", text), 0, len(text))})
    assert "of the selection" in message_of(where(inner, compares("role", "==", "v")))


Built = Callable[[str], Catalogue]


def test_bert_messages(catalogue_of: Built) -> None:
    bert = catalogue_of("bert-base-cased")
    assert message_of(where(BIAS, compares("layer", "==", 12)), bert) == (
        "matches-nothing: no parameter of `bias` is in layer 12\nhelp: layers are 0..11"
    )
    assert message_of(draw_of(BIAS, count(83_712), "rowcol"), bert) == (
        "not-lines: `rowcol` takes lines of matrices, but `bias` has 102,912 entries of 1-D tensors, such as "
        "`embeddings.LayerNorm.bias`\nhelp: take the lines of matrices alone: `rowcol(matrix where …, …)`"
    )
    assert message_of(where(BIAS, matches("module", "intermediat\\.dens")), bert) == (
        r'matches-nothing: no parameter of `bias` has a module that matches "intermediat\.dens"'
        "\nhelp: did you mean `intermediate.dense`?"
    )
