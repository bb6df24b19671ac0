"""The text of a first spec: which of a model's vectors matter? Leave out one role, or one layer, at a time."""

from __future__ import annotations

from collections.abc import Sequence

from bitspec.diagnostics import Source
from bitspec.language.formatter import format_text

#: How the words of the language are put to a reader.
_NOUNS = {"bias": "biases", "gamma": "scales of the norms"}


def leave_one_out(
    *,
    name: str,
    model: str,
    task: str,
    kind: str,
    roles: Sequence[str],
    layers: int,
    revision: str | None = None,
) -> str:
    """A leave-one-out study of the parameters of a kind (`bias` or `gamma`) that have `roles`, in `layers` layers.

    Raises ValueError where a name cannot stand in a spec: the model's or the task's has a double quote or a line break.
    """
    for text in (model, task, revision or ""):
        if '"' in text or "\n" in text:
            raise ValueError(f"{text!r} cannot stand in a spec")
    noun = _NOUNS[kind]
    whole = f"all_{kind}"
    lines = [
        f"# Which {noun} does {model} need to learn {task}? Each strategy trains all but one part.",
        "# `bitspec show` prints what that comes to.",
        "",
        f'study {name} "{model} on {task}: leave one part out"',
        "",
        f'model "{model}"' + (f' revision "{revision}"' if revision else ""),
        f"task {task}",
        "# Six seeds are the fewest with which a difference can be told from noise.",
        "seeds 0..5",
        "",
        "train { epochs = 16  learning_rate = 1e-3 }",
        "",
        f'strategy {whole} "all {noun}" = {kind}',
        'strategy frozen "only the head" = none',
        f'strategy as_many "as many, anywhere" = rand(all, size({kind}))',
    ]
    if len(roles) > 1:
        lines += [
            "",
            f"for r in {{{', '.join(roles)}}} {{",
            f'  strategy no_$r "without $r" = {kind} - ({kind} where role == $r)',
            f'  question "Do they need $r?" {{ expect {whole} > no_$r }}',
            "}",
        ]
    if layers > 1:
        lines += [
            "",
            f"for l in 0..{layers - 1} {{",
            f'  strategy no_layer_$l "without layer $l" = {kind} - ({kind} where layer == $l)',
            "}",
        ]
    lines += [
        "",
        f'question "Is it the {noun}, or only their number?" {{ expect {whole} > as_many }}',
        'question "Does a larger change mean a better score?" { expect change correlates with score }',
    ]
    return format_text(Source("<new spec>", "\n".join(lines)))
