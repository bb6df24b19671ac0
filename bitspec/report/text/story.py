"""A trial's story as text: facts, then epochs, changes and predictions; or as JSON, with everything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from bitspec.diagnostics import counted
from bitspec.parameters.summary import percent_digits
from bitspec.query.formats import in_json, number_text
from bitspec.report.story import QUANTILES, Companion, Example, Predicted, Served, Story
from bitspec.report.text.tables import aligned, padded
from bitspec.report.words import short

#: Rows of a table, and trials of a pack, that are shown.
_ROWS: Final = 20
_COMPANIONS: Final = 8

#: Tensors that changed most.
_TENSORS: Final = 5

#: Classes up to which errors are shown as a table of labels by predictions.
_CLASSES: Final = 12

#: Columns of what a fact is called.
_NAME: Final = 12


@dataclass(frozen=True)
class Section:
    """A part of a story: its title, and its lines; the first has none."""

    title: str
    lines: tuple[str, ...]


def as_text(story: Story) -> str:
    """The story as plain text."""
    parts = ["\n".join([section.title, *section.lines]) for section in sections(story)]
    return "\n\n".join(parts) + "\n"


def show(console: Console, story: Story) -> None:
    """Print the story to a terminal."""
    for place, section in enumerate(sections(story)):
        if place:
            console.print()
        console.print(Text(section.title, "bold"), soft_wrap=True)
        for line in section.lines:
            console.print(Text(line), soft_wrap=True)


def as_json(story: Story) -> str:
    """Everything, with every digit."""
    return json.dumps(in_json(asdict(story)), indent=2, ensure_ascii=False, allow_nan=False)


def sections(story: Story) -> list[Section]:
    """The parts of a story that there is something to say in."""
    found = [Section(_heading(story), tuple(_facts(story)))]
    if story.epochs:
        found.append(Section("epochs", tuple(_epochs(story))))
    if story.tensors:
        found.append(Section(f"change of {counted(len(story.tensors), 'tensor')}, mean |Δ|", tuple(_changes(story))))
    for predicted in story.predictions:
        title = f"predictions, {predicted.split}: {counted(predicted.examples, 'example')}"
        found.append(Section(title, tuple(_predictions(predicted))))
    return found


def _heading(story: Story) -> str:
    title = story.serves[0].title if story.serves else story.selection
    return f"{title} on {story.task}, seed {story.seed}: {story.status}"


# Facts ----------------------------------------------------------------------------------------------------------------


def _facts(story: Story) -> Iterable[str]:
    yield from _fact("key", story.key)
    if story.message:
        yield from _fact("why", story.message)
    yield from _fact("serves", *map(_served, story.serves))
    named = [story.model, *([story.model_source] if story.model_source != story.model else [])]
    revision = f", revision {story.model_revision}" if story.model_revision else ""
    yield from _fact("model", " = ".join(named) + revision, *_fingerprint(story.model_fingerprint))
    yield from _fact("task", story.task + _examples(story), *_fingerprint(story.data_fingerprint))
    yield from _fact("selection", story.selection)
    yield from _fact("settings", ", ".join(f"{name} {value}" for name, value in story.settings.items()))
    if story.trainable is not None:
        yield from _fact("trained", _trained(story))
    if story.score is not None:
        yield from _fact("score", _score(story))
    if story.metrics:
        yield from _fact("metrics", ", ".join(f"{name} {value:.4f}" for name, value in story.metrics.items()))
    yield from _fact("when", _when(story))
    if story.device is not None:
        threads = f", {counted(story.threads, 'thread')}" if story.threads is not None else ""
        yield from _fact("device", story.device + threads)
        yield from _fact("pack", *_pack(story.pack))
    if story.origin is not None:
        yield from _fact("run", *_origin(story))
    if story.status == "finished":
        yield from _fact("values", _values(story))


def _fact(name: str, *lines: str) -> Iterable[str]:
    for place, line in enumerate(lines):
        yield padded(name if place == 0 else "", _NAME) + line


def _served(cell: Served) -> str:
    named = cell.title if cell.title == cell.strategy else f"{cell.title} ({cell.strategy})"
    replaced = "" if cell.is_current else "; replaced since"
    return f"{cell.study}: {named} on {cell.task} with {cell.model}, seed {cell.seed}{replaced}"


def _fingerprint(fingerprint: str | None) -> list[str]:
    return [] if fingerprint is None else [f"fingerprint {fingerprint}"]


def _examples(story: Story) -> str:
    if story.training_examples is None or story.validation_examples is None:
        return ""
    return f", {story.training_examples:,} examples for training, {story.validation_examples:,} for validation"


def _trained(story: Story) -> str:
    percent = f" ({percent_digits(story.percent)} %)" if story.percent is not None else ""
    counts = f"{story.trainable:,} entries of the base model{percent}"
    head = f"; {story.head:,} of the head, which are not counted" if story.head is not None else ""
    change = f"; mean |Δ| {short(story.change)}" if story.change is not None else ""
    return counts + head + change


def _score(story: Story) -> str:
    assert story.score is not None
    of = f" ({story.metric} × 100)" if story.metric else ""
    best = ""
    if story.best_score is not None and story.best_epoch is not None and story.best_score > story.score:
        best = f"; the best was {number_text(story.best_score, 2)}, after epoch {story.best_epoch}"
    return f"{number_text(story.score, 2)} points{of}, after the last epoch{best}"


def _when(story: Story) -> str:
    took = f", {story.seconds:,.1f} s" if story.seconds is not None else ""
    shared = " as its share of the pack's time" if took and story.pack else ""
    return f"{story.started:%Y-%m-%d %H:%M:%S} to {story.finished:%Y-%m-%d %H:%M:%S} UTC{took}{shared}"


def _pack(others: Sequence[Companion]) -> list[str]:
    if not others:
        return ["alone"]
    lines = [f"with {counted(len(others), 'other')}:"]
    lines += [_companion(one) for one in others[:_COMPANIONS]]
    return [*lines, *([f"and {len(others) - _COMPANIONS:,} more"] if len(others) > _COMPANIONS else [])]


def _companion(one: Companion) -> str:
    if one.strategy is None:
        return f"{one.key[:12]}  not in this store"
    status = "" if one.status == "finished" else f", {one.status}"
    return f"{one.key[:12]}  {one.strategy} on {one.task}, seed {one.seed}{status}"


def _origin(story: Story) -> list[str]:
    origin = story.origin
    assert origin is not None
    ended = "" if origin.ended is not None else "; it did not come to its end"
    commit = f"commit {origin.commit}" if origin.commit else "outside git"
    return [
        f"run {origin.run} of {origin.study}, began {origin.began:%Y-%m-%d %H:%M:%S} UTC{ended}",
        origin.command,
        f"spec {origin.spec}, {commit}",
        ", ".join(f"{name} {version}" for name, version in origin.versions.items()),
    ]


def _values(story: Story) -> str:
    if story.values_file is None:
        spec = story.origin.spec if story.origin is not None else "SPEC"
        return f"not kept; `bitspec run {spec} --keep-values` trains it again to have them"
    return f"{story.values_file}; `bitspec export {story.key[:12]} -o FOLDER` writes the model"


# Tables ---------------------------------------------------------------------------------------------------------------


def _epochs(story: Story) -> Iterable[str]:
    shown = story.epochs
    if len(shown) > _ROWS:  # the first and the last ones
        shown = (*shown[: _ROWS // 2], *shown[-_ROWS // 2 :])
    table = [["epoch", "training loss", "validation loss", "score (points)", "seconds"]]
    table += [
        [
            f"{one.number}",
            *(_number(value, 4) for value in (one.loss, one.validation_loss)),
            _number(one.score, 2),
            _number(one.seconds, 1),
        ]
        for one in shown
    ]
    yield from aligned(table, texts=0)
    if len(shown) < len(story.epochs):
        yield f"{len(story.epochs) - len(shown):,} epochs between them are left out; `--json` has them"


def _changes(story: Story) -> Iterable[str]:
    roles = story.roles[:_ROWS]
    table = [["", "tensors", "entries", "trained", "over all entries", "over the trained"]]
    table += [
        [
            role.label,
            f"{role.tensors:,}",
            f"{role.entries:,}",
            f"{role.trained:,}",
            short(role.change),
            short(role.trained_change),
        ]
        for role in roles
    ]
    yield from aligned(table)
    if len(story.roles) > len(roles):
        yield f"and {len(story.roles) - len(roles):,} more, which changed less; `--json` has them"
    most = sorted(story.tensors, key=lambda one: (-one.change, one.tensor))[:_TENSORS]
    if len(story.tensors) > len(roles):
        yield f"most: {', '.join(f'{one.tensor} {short(one.change)}' for one in most)}"


def _predictions(predicted: Predicted) -> Iterable[str]:
    if predicted.confusion:
        yield from _confusion(predicted)
    elif predicted.errors:
        assert predicted.mean_error is not None
        yield f"prediction less label, quantiles; their mean size is {_number(predicted.mean_error, 3)}"
        percents = [f"{quantile:.0%}" for quantile in QUANTILES]
        yield from aligned([percents, [_number(value, 3) for value in predicted.errors]], texts=0)
    if predicted.worst:
        yield "surest and wrong:" if predicted.confusion else "furthest from the label:"
        yield from aligned([["example", "label", "prediction", "margin"], *map(_example, predicted.worst)], texts=0)


def _confusion(predicted: Predicted) -> Iterable[str]:
    classes = sorted({one for label, prediction, _ in predicted.confusion for one in (label, prediction)})
    yield f"{predicted.right:,} right ({100 * predicted.right / predicted.examples:.1f} %)"
    if len(classes) <= _CLASSES:
        counts = {(label, prediction): count for label, prediction, count in predicted.confusion}
        table = [["label", *(f"says {one:g}" for one in classes)]]
        table += [[f"{label:g}", *(f"{counts.get((label, one), 0):,}" for one in classes)] for label in classes]
        yield from aligned(table)
        return
    wrong = sorted((one for one in predicted.confusion if one[0] != one[1]), key=lambda one: -one[2])
    table = [["label", "says", "examples"]]
    table += [[f"{label:g}", f"{prediction:g}", f"{count:,}"] for label, prediction, count in wrong[:_CLASSES]]
    yield from aligned(table, texts=0)
    if len(wrong) > _CLASSES:
        yield f"and {len(wrong) - _CLASSES:,} more confusions, which are rarer; `--json` has them"


def _example(one: Example) -> list[str]:
    return [f"{one.example:,}", f"{one.label:g}", f"{one.prediction:g}", f"{one.margin:.2f}".replace("-", "−")]


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else number_text(value, decimals).replace("-", "−")
