from __future__ import annotations

import pytest

from bitspec.ir.selection import (
    Condition,
    Not,
)
from tests.parameters.handmade import (
    BIAS,
    compares,
    either,
    every,
    matches,
    message_of,
    selector,
    where,
    within,
)

HELP = "\nhelp: "


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            matches("module", "qurey"),
            'no parameter of `bias` has a module that matches "qurey"' + HELP + "did you mean `query`?",
        ),
        (
            matches("name", r"atention\.query"),
            r'no parameter of `bias` has a name that matches "atention\.query"'
            + HELP
            + "did you mean `attention.query`?",
        ),
        (
            matches("module", "token"),
            'no parameter of `bias` has a module that matches "token"'
            + HELP
            + "the modules of `bias` are `layer.0.attention.query`, `layer.0.norm`, `layer.0.up`, "
            "`layer.1.attention.query`, `layer.1.norm` and `layer.1.up`",
        ),
        (
            matches("name", "word"),
            'no parameter of `bias` has a name that matches "word"'
            + HELP
            + "tiny has 1 parameter like this, such as `embeddings.word.weight`, but `bias` has none",
        ),
        (
            matches("class", "Conv2d"),
            'no parameter of `bias` has a module class that matches "Conv2d"'
            + HELP
            + "the classes of `bias` are `Linear` and `LayerNorm`",
        ),
        (
            matches("module", "layer", negated=True),
            'every parameter of `bias` has a module that matches "layer"',
        ),
        (
            compares("class", "==", "layernorm"),
            "no parameter of `bias` belongs to a module of the class `layernorm`" + HELP + "did you mean `LayerNorm`?",
        ),
        (
            compares("name", "==", "layer.0.up.biass"),
            "no parameter of `bias` is called `layer.0.up.biass`"
            + HELP
            + "did you mean `layer.0.up.bias`, `layer.1.up.bias` or `layer.0.norm.bias`?",
        ),
        (
            compares("module", "==", "embeddings.word"),
            "no parameter of `bias` belongs to the module `embeddings.word`"
            + HELP
            + "tiny has 1 parameter like this, such as `embeddings.word.weight`, but `bias` has none",
        ),
        (
            compares("role", "==", "emb"),
            "no parameter of `bias` has the role `emb`"
            + HELP
            + "`emb` exists in tiny, but not in `bias`, whose roles are `q`, `m2` and `ln1`",
        ),
        (
            compares("role", "==", "pooler"),
            "no parameter of `bias` has the role `pooler`" + HELP + "the roles of tiny are `q`, `m2`, `ln1` and `emb`",
        ),
        (compares("layer", "==", 2), "no parameter of `bias` is in layer 2" + HELP + "layers are 0..1"),
        (compares("layer", "==", -3), "no parameter of `bias` is in layer -3" + HELP + "layers are 0..1"),
        (compares("layer", ">", 1), "no parameter of `bias` is in a layer > 1" + HELP + "layers are 0..1"),
        (compares("layer", ">=", 0), "not raised"),
        (
            within("layer", (2, 5), 7),
            "no parameter of `bias` is in one of the layers 2..5, 7" + HELP + "layers are 0..1",
        ),
        (
            compares("kind", "==", "gamma"),
            "no parameter of `bias` is of the kind `gamma`" + HELP + "the kind of `bias` is `bias`",
        ),
        (
            compares("kind", "!=", "bias"),
            "every parameter of `bias` is of the kind `bias`",
        ),
        (
            Not(condition=compares("kind", "==", "bias")),
            "every parameter of `bias` is of the kind `bias`",
        ),
        (
            Not(condition=compares("role", "!=", "v")),
            "no parameter of `bias` has the role `v`" + HELP + "the roles of tiny are `q`, `m2`, `ln1` and `emb`",
        ),
        (compares("ndim", "==", 2), "no parameter of `bias` is 2-D" + HELP + "the tensors of `bias` are 1-D"),
        (
            compares("numel", ">", 4000),
            "no parameter of `bias` has numel > 4,000" + HELP + "the tensors of `bias` have 3 to 4 entries",
        ),
        (
            compares("numel", "==", 4000),
            "no parameter of `bias` has 4,000 entries" + HELP + "the tensors of `bias` have 3 to 4 entries",
        ),
        (
            within("numel", (10, 20)),
            "no parameter of `bias` has numel in 10..20" + HELP + "the tensors of `bias` have 3 to 4 entries",
        ),
        (
            within("role", "k", "v"),
            "no parameter of `bias` has a role in {k, v}" + HELP + "the roles of tiny are `q`, `m2`, `ln1` and `emb`",
        ),
        (
            every(compares("layer", "==", 0), compares("role", "==", "v"), compares("layer", "==", 9)),
            "no parameter of `bias` has the role `v`" + HELP + "the roles of tiny are `q`, `m2`, `ln1` and `emb`",
        ),
        (
            either(compares("layer", "==", 9), compares("role", "==", "v")),
            "no parameter of `bias` is in layer 9" + HELP + "layers are 0..1",
        ),
        (
            every(compares("role", "==", "q"), Not(condition=matches("module", "query"))),
            "no parameter of `bias` meets all of this at once"
            + HELP
            + 'by itself, `role == q` leaves 2 and `not module ~ "query"` leaves 4',
        ),
    ],
)
def test_a_where_that_keeps_nothing(condition: Condition, expected: str) -> None:
    if expected == "not raised":
        assert len(selector().select(where(BIAS, condition))) == 6
    else:
        assert message_of(where(BIAS, condition)) == f"matches-nothing: {expected}"
