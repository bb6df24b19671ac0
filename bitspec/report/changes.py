"""How far training moved each role in each layer: the numbers of the paper's Figures 4–15."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import BitspecError, error
from bitspec.report.choices import Ask, Cells, Choice, Chosen, asking, choose
from bitspec.store.views import VIEWS

#: How the paper writes the kinds: b_q, g_ln1; W for matrices. An embedding is what its role says already.
_PREFIXES: Final = {"bias": "b_", "gamma": "g_", "matrix": "W_", "embedding": "", "other": "other_"}

#: Rows that a panel shows; a model whose roles are unknown has a row for each tensor.
MOST_ROWS: Final = 40

#: Strategies that a message names.
MOST_NAMED: Final = 6

#: Panels of a figure; and how many it has where there are more, as it is not the whole then anyway.
MOST_PANELS: Final = 45
FEW_PANELS: Final = 20

_OF_STUDY: Final = (
    f"FROM ({VIEWS['changes'].of_study()}) WHERE model IN (SELECT unnest($2::VARCHAR[])) "
    "AND task IN (SELECT unnest($3::VARCHAR[])) AND strategy IN (SELECT unnest($4::VARCHAR[])) "
    "GROUP BY ALL ORDER BY ALL"
)
_MOVED: Final = f"SELECT model, task, strategy, tensor, role, layer, kind, max(entries), sum(change) {_OF_STUDY}"

#: Over the trained entries, of which a sample may have other numbers from seed to seed.
_TRAINED: Final = (
    "SELECT model, task, strategy, tensor, role, layer, kind, sum(trained), sum(trained * trained_change) / "
    f"sum(trained) {_OF_STUDY}"
)

#: How many layers each model has, as far as any trial trained them.
_LAYERS: Final = f"SELECT model, coalesce(max(layer) + 1, 0) FROM ({VIEWS['changes'].of_study()}) GROUP BY model"  # noqa: S608


@dataclass(frozen=True)
class Moved:
    """A tensor that was trained, and its mean absolute change.

    Over all its `entries`, summed over seeds; or over the trained entries of all seeds, which `entries` then counts.
    """

    tensor: str
    role: str | None
    layer: int | None
    kind: str
    entries: int
    change: float


@dataclass(frozen=True)
class Row:
    """A role and kind: its mean absolute change in each layer (None where it has no such tensor), and in all.

    A row of what lies outside the layers has no cells.
    """

    label: str
    cells: tuple[float | None, ...]
    average: float

    @property
    def total(self) -> float:
        """What rows are sorted by: the sum over the layers."""
        found = [cell for cell in self.cells if cell is not None]
        return sum(found) if found else self.average


@dataclass(frozen=True)
class Panel:
    """The changes of one strategy on one task and model, as means over its runs; the row that moved most is first."""

    cells: Cells
    layers: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Changes:
    """All panels of a figure, and what has none. `trained_only`: means are over the trained entries alone.

    `unmoved` are titles of strategies that train nothing of the base model, `unfinished` those without a finished
    trial on some task or model. `left_out` panels are too many for a figure.
    """

    chosen: Chosen
    panels: tuple[Panel, ...]
    unmoved: tuple[str, ...]
    unfinished: tuple[str, ...]
    trained_only: bool = False
    left_out: int = 0

    @property
    def title(self) -> str:
        """What the figure is called."""
        return self.chosen.heading

    @property
    def largest(self) -> float:
        """The largest value of all cells."""
        return max(value for panel in self.panels for row in panel.rows for value in (*_there(row.cells), row.average))


def read(store: Path, choice: Choice, *, trained_only: bool = False) -> Changes:
    """The changes of a study's strategies; of more than MOST_PANELS cells, those of the first FEW_PANELS.

    Raises BitspecError if there is nothing to show.
    """
    return asking(store, lambda ask: _first(ask, choose(ask, choice), trained_only))


def _first(ask: Ask, chosen: Chosen, trained_only: bool) -> Changes:
    finished = [cells for cells in chosen.cells if cells.finished]
    if len(finished) <= MOST_PANELS:
        return changes(ask, chosen, trained_only=trained_only)
    some = changes(ask, replace(chosen, cells=tuple(finished[:FEW_PANELS])), trained_only=trained_only)
    return replace(some, left_out=len(finished) - FEW_PANELS)


def changes(ask: Ask, chosen: Chosen, *, trained_only: bool = False) -> Changes:
    """The changes of the cells that were chosen: of all entries of the tensors, or only of those that were trained.

    Raises BitspecError if none of them trains anything of the base model.
    """
    sql = _TRAINED if trained_only else _MOVED
    rows = ask(sql, (chosen.study, chosen.models, chosen.tasks, chosen.strategies))
    layers: dict[str, int] = dict(ask(_LAYERS, (chosen.study,)))  # a strategy may pass over the last ones
    moved: defaultdict[tuple[str, str, str], list[Moved]] = defaultdict(list)
    for model, task, strategy, *rest in rows:
        moved[model, task, strategy].append(Moved(*rest))
    panels: list[Panel] = []
    unmoved: dict[str, None] = {}
    unfinished: dict[str, None] = {}
    for cells in chosen.cells:
        tensors = moved[cells.model, cells.task, cells.strategy]
        if not cells.finished:
            unfinished[cells.title] = None
        elif not tensors:
            unmoved[cells.title] = None
        else:
            runs = 1 if trained_only else cells.finished
            panels.append(Panel(cells, layers[cells.model], _rows(tensors, runs, layers[cells.model])))
    if not panels:
        names = ", ".join(f"`{title}`" for title in list(unmoved)[:MOST_NAMED])
        more = f" and {len(unmoved) - MOST_NAMED:,} others" if len(unmoved) > MOST_NAMED else ""
        message = f"{names}{more} trained nothing of the base model, so nothing changed"
        raise BitspecError(error("nothing-trained", message, help="choose other strategies with `--strategy`"))
    return Changes(chosen, tuple(panels), tuple(unmoved), tuple(unfinished), trained_only)


def _rows(tensors: Sequence[Moved], runs: int, layers: int) -> tuple[Row, ...]:
    by_label: defaultdict[str, list[Moved]] = defaultdict(list)
    for tensor in tensors:
        by_label[label(tensor)].append(tensor)
    rows = [
        Row(
            name,
            tuple(_mean((one for one in group if one.layer == layer), runs) for layer in range(layers))
            if any(one.layer is not None for one in group)
            else (),
            _mean(group, runs) or 0.0,
        )
        for name, group in by_label.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.total, row.label)))


def _mean(tensors: Iterable[Moved], runs: int) -> float | None:
    # Over all entries and all runs: a sample that passed a tensor over in one of them left it as it was, a change of 0.
    group = list(tensors)
    entries = sum(one.entries for one in group)
    return sum(one.entries * one.change for one in group) / entries / runs if entries else None


def label(tensor: Moved) -> str:
    """What the row of a tensor is called: `b_q`, or the tensor's name, `*` for the layer's number, without a role."""
    if tensor.role is not None:
        return _PREFIXES.get(tensor.kind, f"{tensor.kind}_") + tensor.role
    parts = tensor.tensor.split(".")
    return ".".join("*" if part == str(tensor.layer) else part for part in parts)


def _there(values: Iterable[Any]) -> list[float]:
    return [value for value in values if value is not None]
