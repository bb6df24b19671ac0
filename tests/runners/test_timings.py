"""Which size of packs is chosen, by a stopwatch that tells what a test wants, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bitspec.ir.trials import Planned
from bitspec.runners import timings
from bitspec.runners.packing import Extent, Group
from bitspec.runners.protocol import Pack
from bitspec.runners.timings import Cache, Timing, best_size, group_key, measure, speeds, timed
from tests.runners.test_packing import DEEP, PARTS, trial


@dataclass
class Watch:
    """A stopwatch whose steps take as long as a function of the trials in a pack says."""

    of: Callable[[int], float | None]
    device: str = "cpu"
    threads: int = 1
    a_trial: int = 100_000
    asked: list[tuple[int, int]] = field(default_factory=list)
    ran: float = 0.0

    def steps(self, planned: Planned) -> int:
        assert planned.trial
        return self.a_trial

    def seconds(self, pack: Pack, steps: int, repeats: int) -> float | None:
        self.asked.append((len(pack), len({planned.trial.seed for planned in pack})))
        took = self.of(len(pack))
        self.ran += (1 + steps * repeats) * (took or 0.0)
        return took


def group(count: int, seeds: int = 1, extent: Extent = DEEP, **settings: Any) -> Group:
    return Group(tuple(trial(f"s{n}", seed, **settings) for seed in range(seeds) for n in range(count)), extent)


def chosen(group: Group, watch: Watch) -> int:
    return best_size(speeds(group, measure(group, watch)))


@pytest.mark.parametrize(
    ("of", "size", "largest"),
    [
        (lambda trials: 0.001 * trials, 1, 16),  # packs change nothing
        (lambda trials: 0.001 * trials**1.2, 1, 2),  # packs are slower
        (lambda trials: 0.001 * trials * (1.0 if trials == 1 else 0.97), 1, 16),  # faster, by less than it must be
        (lambda trials: 0.001 * trials * (1.0 if trials == 1 else 0.9), 2, 16),
        (lambda _: 0.001, 16, 16),  # packs cost nothing
        (lambda trials: 0.001 + 0.001 * max(0, trials - 4) ** 2, 4, 8),
        (lambda trials: None if trials > 4 else 0.001, 4, 8),  # memory runs out
        (lambda _: None, 1, 1),
    ],
)
def test_the_size_that_takes_least_time(of: Callable[[int], float | None], size: int, largest: int) -> None:
    watch = Watch(of)
    assert chosen(group(16), watch) == size
    assert max(count for count, _ in watch.asked) == largest


def test_what_is_timed_are_the_packs_that_there_will_be() -> None:
    watch = Watch(lambda _: 0.001)
    assert chosen(group(3, seeds=5), watch) == 16
    # Up to 4 at once each pack has a seed of its own; then fuller ones mix them, the fullest first.
    assert list(dict.fromkeys(watch.asked)) == [(1, 1), (2, 1), (3, 1), (8, 3), (15, 5)]


@pytest.mark.parametrize("step", [0.001, 0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("shared", [0.0, 0.8, 1.0])
def test_a_measurement_is_bounded(step: float, shared: float) -> None:
    watch = Watch(lambda trials: step * (shared + (1 - shared) * trials))
    size = chosen(group(64), watch)
    assert watch.ran < timings.MOST_SECONDS * 1.5
    assert (size > 1) == (shared > 0)


def test_a_model_that_is_very_slow_is_left_alone() -> None:
    watch = Watch(lambda _: 5.0)
    assert chosen(group(16), watch) == 1
    assert watch.asked == [(1, 1)]


def test_a_measurement_takes_a_small_part_of_the_time_that_the_group_takes() -> None:
    watch = Watch(lambda trials: 0.1 * trials**0.9, a_trial=100)
    assert chosen(group(16), watch) > 1
    assert watch.ran <= timings.SHARE * 16 * 100 * 0.1


def test_a_short_group_is_not_measured() -> None:
    watch = Watch(lambda _: 0.001, a_trial=10)
    assert measure(group(16), watch) is None
    assert watch.asked == []
    assert best_size(speeds(group(16), None)) == 1
    # But what is known of it is used.
    known = measure(group(16), Watch(lambda _: 0.001))
    again = Watch(lambda _: 1.0, a_trial=10)
    assert best_size(speeds(group(16), measure(group(16), again, known))) == 16
    assert again.asked == []


def test_what_is_known_is_not_timed_again() -> None:
    few = measure(group(4), Watch(lambda _: 0.001))
    assert few is not None
    watch = Watch(lambda _: 0.001)
    more = measure(group(16), watch, few)
    assert more is not None
    assert [count for count, _ in watch.asked] == [8, 16, 1]
    assert few.seconds.items() < more.seconds.items()
    same = Watch(lambda _: 0.001)
    assert measure(group(16), same, more) == more
    assert same.asked == []


def test_timings_are_kept_by_device_and_threads(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    one = Timing(device="cpu", threads=1, steps=2, repeats=3, seconds={"1/1": 0.1})
    assert cache.recall("k") == ()
    cache.keep("k", one)
    other = one.model_copy(update={"threads": 2})
    cache.keep("k", other)
    cache.keep("other", one)
    assert cache.recall("k") == (one, other)
    newer = one.model_copy(update={"seconds": {"1/1": 0.2}})
    cache.keep("k", newer)
    assert cache.recall("k") == (other, newer)
    assert (one.place, other.place) == ("cpu, 1 thread", "cpu, 2 threads")
    (tmp_path / "packs" / "k.json").write_text("{", "utf-8")
    assert cache.recall("k") == ()
    Cache(None).keep("k", one)
    assert Cache(None).recall("k") == ()


def test_that_memory_was_short_is_not_kept(tmp_path: Path) -> None:
    one = Timing(device="cpu", threads=1, steps=2, repeats=3, seconds={"1/1": 0.1, "2/1": None})
    Cache(tmp_path).keep("k", one)
    assert [dict(kept.seconds) for kept in Cache(tmp_path).recall("k")] == [{"1/1": 0.1}]
    Cache(tmp_path).keep("none", one.model_copy(update={"seconds": {"1/1": None}}))
    assert Cache(tmp_path).recall("none") == ()


def test_a_key_depends_on_all_that_the_speed_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [
        group(3),
        group(3, extent=PARTS),
        group(3, extent=Extent(0.5, has_parts=False, is_alone=False)),
        group(3, extent=Extent(1.0, has_parts=True, is_alone=False, entries=1000)),
        group(3, extent=Extent(1.0, has_parts=True, is_alone=False, entries=5000)),
        group(3, batch_size=16),
        group(3, max_length=64),
        group(3, dropout=0.0),
    ]
    keys = [group_key(one, "model", "data") for one in groups]
    keys += [group_key(groups[0], "other", "data"), group_key(groups[0], "model", "other")]
    monkeypatch.setattr(timings, "version", lambda package: f"9 of {package}")
    keys.append(group_key(groups[0], "model", "data"))
    assert len(set(keys)) == len(keys)
    same = [group(5), group(3, seeds=2), group(3, learning_rate=0.5, epochs=3)]
    assert {group_key(one, "model", "data") for one in same} == {keys[-1]}


def test_the_quickest_of_some_repeats_counts_once_it_is_warm() -> None:
    took = iter([9.0, 0.3, 0.1, 0.2])
    asked: list[int] = []

    def step(steps: int) -> float:
        asked.append(steps)
        return next(took)

    assert timed(step, 5, 3) == 0.1
    assert asked == [1, 5, 5, 5]
    took, asked[:] = iter([9.0, 0.3]), []
    assert timed(step, 1, 1) == 0.3
    assert asked == [1, 1]


def test_a_kept_timing_is_plain_json(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    found = measure(group(2), Watch(lambda trials: 0.001 * trials))
    assert found is not None
    cache.keep("k", found)
    assert cache.recall("k") == (found,)
    (content,) = json.loads((tmp_path / "packs" / "k.json").read_text("utf-8"))
    assert content == {
        "device": "cpu",
        "threads": 1,
        "steps": 10,
        "repeats": 3,
        "seconds": {"1/1": 0.001, "2/1": 0.002},
    }


def test_a_slow_start_does_not_speak_for_packs() -> None:
    started: list[int] = []

    def of(trials: int) -> float:
        started.append(trials)
        return 0.002 if len(started) <= 2 else 0.001 * trials  # at first, one trial takes as long as two

    assert chosen(group(2), Watch(of)) == 1
    assert started == [1, 1, 2, 1]
