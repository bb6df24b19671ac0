"""Carrying out a plan: what the store keeps of a runner's events, with runners that train nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import EpochEnded, Event, Failed, Finished, Started
from bitspec.ir.masks import Whole
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedTensor, TrainedValues
from bitspec.language.load import loads
from bitspec.runners.execute import execute
from bitspec.runners.plan import Plan
from bitspec.runners.protocol import Pack, Packs, Queue, Stop, Trains, Work, handed_out, never
from bitspec.store.provenance import Provenance
from bitspec.store.store import Store
from tests.store.conftest import SPEC, Lab, plan, result

WORK = Work(loads(SPEC), Path("specs"))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("bitspec.store.store.provenance", lambda _: Provenance(commit=None, versions={}))
    return Lab(Store(tmp_path / "store"))


def taken(packs: Packs, count: int) -> list[Pack]:
    """The first so many packs."""
    return [pack for _ in range(count) if (pack := packs.take()) is not None]


def values(count: int) -> TrainedValues:
    return TrainedValues({"classifier.weight": TrainedTensor((count,), Whole(), np.zeros(count, np.float32))})


def outcome(cell: Planned, count: int | None = 3) -> Iterator[Event]:
    """What a runner tells of a trial that goes well; it hands over so many values, or none."""
    found = result(cell)
    yield Started(cell.key, len(found.epochs), 5)
    for epoch in found.epochs:
        yield EpochEnded(cell.key, epoch)
    yield Finished(cell.key, found, None if count is None else values(count))


@dataclass
class Actor:
    """A runner that tells what it is given to tell, by strategy and seed; nothing but good news by default."""

    told: dict[tuple[str, int], list[Event]] = field(default_factory=dict)
    given: list[Planned] = field(default_factory=list)

    def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
        assert work is WORK
        for (cell,) in handed_out(packs, stop):
            self.given.append(cell)
            yield from self.told.get((cell.trial.strategy, cell.trial.seed)) or outcome(cell)


def carried_out(kept: Lab, runner: Trains, spec: str = SPEC, **options: Any) -> tuple[Plan, Any]:
    """A plan of all that the store does not have, and what came of it."""
    cells = kept.begin(spec)
    found = Plan(tuple(cells), kept.store.statuses(), {}, {})
    return found, execute(found, WORK, runner, kept.store, run=kept.runs[-1], **options)


def test_all_trials_are_kept_as_soon_as_they_are_finished(kept: Lab) -> None:
    seen: list[tuple[str, str, str | None]] = []

    def report(cell: Planned, event: Event) -> None:
        assert event.key == cell.key
        seen.append((cell.trial.strategy, type(event).__name__, kept.store.statuses().get(cell.key)))

    actor = Actor()
    found, came = carried_out(kept, actor, report=report)
    assert came.finished == actor.given == list(found.new)
    assert came.failed == []
    assert seen[:4] == [
        ("frozen", "Started", None),
        ("frozen", "EpochEnded", None),
        ("frozen", "EpochEnded", None),
        ("frozen", "Finished", "finished"),
    ]
    assert len(seen) == 4 * 8
    assert kept.rows("select count(*) from base.runs where ended is not null and ended >= began") == [(1,)]
    assert kept.rows("select count(*) from epochs") == [(16,)]
    assert kept.rows(
        "select bool_and(started between began and ended) from base.trials join base.runs using (run)"
    ) == [(True,)]

    again = Actor()
    found, came = carried_out(kept, again)
    assert (again.given, came.finished, found.new) == ([], [], ())
    assert kept.rows("select count(*), count(ended) from base.runs") == [(2, 2)]


def test_failures_are_put_down_and_tried_again(kept: Lab) -> None:
    _, cells = plan(SPEC)
    keys = {(cell.trial.strategy, cell.trial.seed): cell.key for cell in cells if cell.trial.task.name == "cola"}
    told: dict[tuple[str, int], list[Event]] = {
        ("bitfit", 0): [Failed(keys["bitfit", 0], "failed", "it broke", "mend it")],  # before it was started
        ("bitfit", 1): [Started(keys["bitfit", 1], 2, 5), Failed(keys["bitfit", 1], "diverged", "no number")],
    }
    cola = SPEC.replace("cola, builtin/rte", "cola")
    found, came = carried_out(kept, Actor(told), cola)
    assert [cell.trial.strategy for cell in came.finished] == ["frozen", "frozen"]
    assert [(cell.trial.seed, event.status) for cell, event in came.failed] == [(0, "failed"), (1, "diverged")]
    assert all(cell in found.new for cell, _ in came.failed)
    said = "select seed, status, message from base.trials where status <> 'finished' order by seed"
    assert kept.rows(said) == [(0, "failed", "it broke; mend it"), (1, "diverged", "no number")]
    assert kept.rows("select count(*) from base.runs where ended is null") == [(0,)]

    again = Actor()
    found, came = carried_out(kept, again, cola)
    assert [found.reason(cell) for cell in again.given] == ["failed last time", "diverged last time"]
    assert kept.rows(said) == []


@pytest.mark.parametrize("count", [None, 40])
def test_values_are_kept_that_a_runner_hands_over(kept: Lab, count: int | None) -> None:
    spec = SPEC.replace("cola, builtin/rte", "cola").replace("0, 1", "0").partition("strategy bitfit")[0]
    _, (cell,) = plan(spec)
    carried_out(kept, Actor({("frozen", 0): list(outcome(cell, count))}), spec)
    found = kept.store.values(cell.key)
    assert (found.count if found is not None else None) == count
    assert kept.store.trial(cell.key).has_values == (count is not None)


def test_cells_that_say_the_same_are_served_by_one_trial(kept: Lab) -> None:
    actor = Actor()
    carried_out(kept, actor, SPEC + 'strategy again "Again" = bias | none\n')
    assert len(actor.given) == 8
    assert kept.rows("select count(*), count(distinct key) from scores") == [(12, 8)]
    assert kept.rows("select count(*) from scores where strategy = 'again' and task = 'cola'") == [(2,)]


def test_what_was_finished_before_a_runner_breaks_is_kept(kept: Lab) -> None:
    class Broken(Actor):
        def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
            yield from super().run(work, Queue(taken(packs, 2)), stop)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carried_out(kept, Broken())
    assert kept.rows("select count(*) from scores") == [(2,)]
    assert kept.rows("select count(*) from base.runs where ended is null") == [(1,)]
    found, _ = carried_out(kept, actor := Actor())
    assert (len(found.done), len(actor.given)) == (2, 6)


def test_a_store_that_cannot_be_written_to_ends_the_run(kept: Lab) -> None:
    class Vandal(Actor):
        def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
            yield from super().run(work, Queue(taken(packs, 1)), stop)
            kept.store.database.write_bytes(b"no database")
            yield from super().run(work, packs, stop)

    with pytest.raises(BitspecError, match="store-broken"):
        carried_out(kept, Vandal())


def test_trials_may_be_told_of_in_any_order(kept: Lab) -> None:
    class Weaver(Actor):
        """Trains all trials at once, as a runner with packs or many workers does."""

        def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
            events = [list(super(Weaver, self).run(work, Queue([pack]), stop)) for pack in handed_out(packs)]
            for together in zip(*events, strict=True):
                yield from reversed(together)

    found, came = carried_out(kept, Weaver())
    assert came.finished == list(reversed(found.new))
    assert kept.rows("select count(*) from scores") == [(8,)]


def test_packs_are_put_down_before_they_are_trained(kept: Lab) -> None:
    begun: list[int] = []

    class Looking(Actor):
        def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
            begun.append(len(kept.rows("from base.packs")))
            given.extend(handed_out(packs))
            yield from super().run(work, Queue([(cell,) for pack in given for cell in pack]), stop)

    given: list[Pack] = []
    cells = kept.begin()
    packs = [tuple(cells[:3]), tuple(cells[5:2:-1]), *((cell,) for cell in cells[6:])]
    plan = Plan(tuple(cells), {}, {}, {})
    execute(plan, WORK, Looking(), kept.store, run=1, packs=packs, device="cpu")
    assert begun == [4]
    assert given == packs
    assert kept.store.packs("cpu")[cells[4].key] == tuple(cell.key for cell in cells[5:2:-1])
    # Without packs each trial is one.
    _, came = carried_out(kept, Actor(), SPEC.replace("seeds 0, 1", "seeds 2"))
    assert kept.rows("select number, len(keys), device from base.packs where run = 2 order by number") == [
        (number, 1, None) for number in range(1, len(came.finished) + 1)
    ]
