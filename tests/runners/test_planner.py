"""The planner: packs that were begun before, and what is measured for all other trials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from bitspec.ir.trials import Planned
from bitspec.language.load import loads
from bitspec.runners import planner
from bitspec.runners.plan import VALUES_NOT_KEPT, Plan
from bitspec.runners.planner import Division, Extents, Outlook, Packing, choose, divide, outlook
from bitspec.runners.protocol import Pack
from bitspec.runners.selections import Selections, suppositions
from bitspec.runners.timings import Cache
from tests.runners.runs import HEAD, planned
from tests.runners.test_timings import Watch

SPEC = (
    HEAD.replace("seeds 0", "seeds 0..1")
    + """
strategy full = all
strategy a = bias
strategy b = gamma
strategy c = bias where role == q
strategy head = none
strategy some = rand(all, 5%)
strategy rows_ = rows(matrix, 10% of matrix)
strategy last = bias where layer == -1
"""
)


@pytest.fixture
def plan(lab: Path) -> Plan:
    return planned(SPEC, lab)


def divided(plan: Plan, lab: Path, packing: Packing | None = None) -> Division:
    return divide(plan, packing or Packing(), Extents(Selections(loads(SPEC), lab)))


def names(packs: tuple[Pack, ...]) -> list[list[str]]:
    return [[f"{one.trial.strategy}{one.trial.seed}" for one in pack] for pack in packs]


def test_what_can_be_trained_together(plan: Plan, lab: Path) -> None:
    groups = names(tuple(group.trials for group in divided(plan, lab).groups))
    assert groups == [
        ["full0"],
        ["full1"],
        ["a0", "b0", "c0", "a1", "b1", "c1"],
        ["head0", "head1"],
        ["some0", "rows_0", "some1", "rows_1"],
        ["last0", "last1"],
    ]


def test_other_architectures_are_alone(plan: Plan, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "is_unpadded", lambda _: False)
    assert [len(group.trials) for group in divided(plan, lab).groups] == [1] * 16


def test_selections_that_cannot_be_made_or_need_weights(lab: Path) -> None:
    spec = HEAD + (
        "strategy a = rand(bias, size(rand(all, 2) where role == ln1))\nstrategy b = bias\nstrategy c = gamma\n"
        "strategy d = topk(matrix, 9, by = magnitude)\nstrategy e = rand(all, 9)\n"
    )
    found = divide(planned(spec, lab), Packing(), Extents(suppositions(loads(spec), lab)))
    assert names(tuple(group.trials for group in found.groups)) == [["a0"], ["b0", "c0"], ["d0", "e0"]]


def test_what_is_drawn_may_lie_elsewhere_for_another_seed(lab: Path) -> None:
    spec = HEAD.replace("seeds 0", "seeds 0..9") + "strategy a = rand(bias where layer in 0..1, 1)\n"
    extents = Extents(Selections(loads(spec), lab))
    assert len({extents(one).depth for one in planned(spec, lab).trials}) == 2


def test_nothing_is_asked_of_a_model_where_each_trial_is_alone(plan: Plan) -> None:
    def asked(_: Planned) -> NoReturn:
        raise AssertionError

    division = divide(plan, Packing(most=1), asked)
    assert not division.is_open
    watch = Watch(lambda _: 0.001)
    assert choose(division, Packing(most=1), workers=1, stopwatch=watch) == plan.packs()
    assert watch.asked == []


@pytest.mark.parametrize(("workers", "largest"), [(1, 3), (8, 3), (16, 1)])
def test_as_many_as_are_asked_for(plan: Plan, lab: Path, workers: int, largest: int) -> None:
    packing = Packing(most=3)
    watch = Watch(lambda _: 0.001)
    packs = choose(divided(plan, lab, packing), packing, workers=workers, stopwatch=watch)
    assert watch.asked == []
    assert max(map(len, packs)) == largest
    assert sorted(one.key for pack in packs for one in pack) == sorted(one.key for one in plan.new)
    if workers < 16:
        assert names(packs) == [
            ["full0"],
            ["full1"],
            ["a0", "b0", "c0"],
            ["a1", "b1", "c1"],
            ["head0", "head1"],
            ["some0", "rows_0"],
            ["some1", "rows_1"],
            ["last0", "last1"],
        ]


def test_as_many_as_measure_best_and_not_twice(plan: Plan, lab: Path, tmp_path: Path) -> None:
    cache, division = Cache(tmp_path), divided(plan, lab)
    assert outlook(division, Packing(), cache) == Outlook(None)
    watch = Watch(lambda trials: 0.001 if trials < 3 else 0.1)
    packs = choose(division, Packing(), workers=1, stopwatch=watch, cache=cache)
    assert names(packs) == [
        ["full0"],
        ["full1"],
        ["a0", "b0"],
        ["a1", "b1"],
        ["c0"],
        ["c1"],
        ["head0", "head1"],
        ["some0", "rows_0"],
        ["some1", "rows_1"],
        ["last0", "last1"],
    ]
    assert {count for count, _ in watch.asked} == {1, 2, 3, 4}
    again = Watch(lambda _: 1.0)
    assert choose(division, Packing(), workers=1, stopwatch=again, cache=cache) == packs
    assert again.asked == []
    assert outlook(division, Packing(), cache) == Outlook(2, "cpu, 1 thread")
    # On another device, or with other threads, it is another matter.
    other = Watch(lambda trials: 0.001 * trials, threads=2)
    assert [len(pack) for pack in choose(division, Packing(), workers=1, stopwatch=other, cache=cache)] == [1] * 16
    assert outlook(division, Packing(), cache) == Outlook(1, "cpu, 2 threads")
    assert choose(division, Packing(), workers=1, stopwatch=again, cache=cache) == packs


def test_packs_that_are_slower_are_not_made(plan: Plan, lab: Path, tmp_path: Path) -> None:
    watch = Watch(lambda trials: 0.001 * trials * 1.01)
    packs = choose(divided(plan, lab), Packing(), workers=1, stopwatch=watch, cache=Cache(tmp_path))
    assert packs == plan.packs()


def test_other_processes_do_not_wait_for_a_measurement_of_a_short_study(plan: Plan, lab: Path, tmp_path: Path) -> None:
    short = Watch(lambda _: 0.001, a_trial=planner.LONG // 100)
    cache = Cache(tmp_path)
    assert choose(divided(plan, lab), Packing(), workers=2, stopwatch=short, cache=cache) == plan.packs()
    assert short.asked == []
    assert max(map(len, choose(divided(plan, lab), Packing(), workers=1, stopwatch=short, cache=cache))) > 2
    assert short.asked != []
    short.asked.clear()
    assert max(map(len, choose(divided(plan, lab), Packing(), workers=2, stopwatch=short, cache=cache))) > 2
    assert short.asked == []  # it is known now


def test_a_measurement_that_fails_leaves_trials_alone(plan: Plan, lab: Path, tmp_path: Path) -> None:
    def broken(_: int) -> NoReturn:
        raise RuntimeError("a kernel failed")

    ended: list[str] = []

    @contextmanager
    def measuring() -> Iterator[None]:
        try:
            yield
        finally:
            ended.append("so")

    watch = Watch(broken)
    cache = Cache(tmp_path)
    packs = choose(divided(plan, lab), Packing(), workers=1, stopwatch=watch, cache=cache, on_measure=measuring)
    assert packs == plan.packs()
    assert ended == ["so"]
    assert not list(tmp_path.iterdir())


def test_a_measurement_that_fails_says_nothing_of_other_groups(plan: Plan, lab: Path, tmp_path: Path) -> None:
    class Picky(Watch):
        def seconds(self, pack: Pack, steps: int, repeats: int) -> float | None:
            if pack[0].trial.strategy == "a":
                raise RuntimeError("a kernel failed")
            return super().seconds(pack, steps, repeats)

    watch = Picky(lambda _: 0.001)
    packs = choose(divided(plan, lab), Packing(), workers=1, stopwatch=watch, cache=Cache(tmp_path))
    assert [pack for pack in names(packs) if len(pack) > 1] == [
        ["head0", "head1"],
        ["some0", "rows_0", "some1", "rows_1"],
        ["last0", "last1"],
    ]
    assert len(packs) == 2 + 6 + 3


def test_workers_share_what_was_measured(plan: Plan, lab: Path, tmp_path: Path) -> None:
    # Little is shared: sixteen trials alone fill the time of four workers better than six packs of unlike size.
    watch = Watch(lambda trials: 0.001 * (0.2 + 0.8 * trials), a_trial=10**6)
    packs = choose(divided(plan, lab), Packing(), workers=4, stopwatch=watch, cache=Cache(tmp_path))
    alone = choose(divided(plan, lab), Packing(), workers=1, stopwatch=watch, cache=Cache(tmp_path))
    assert (len(alone), len(packs)) == (6, 16)


# Packs that were begun before ------------------------------------------------------------------------------


def recorded(*packs: list[Planned]) -> dict[str, tuple[str, ...]]:
    return {one.key: tuple(other.key for other in pack) for pack in packs for one in pack}


def test_packs_that_were_begun_go_on(plan: Plan, lab: Path) -> None:
    # Whatever would be planned now: in their own order, though of two seeds and of another kind.
    full, _, a0, a1, b0, b1, *_ = plan.new
    division = divided(plan, lab, Packing(earlier=recorded([b1, a0], [full, b0])))
    assert names(division.packs) == [["full0", "b0"], ["b1", "a0"]]
    assert a1 in division.groups[1].trials
    packs = division.into_packs([8] * len(division.groups))
    assert names(packs)[:3] == [["full0", "b0"], ["full1"], ["b1", "a0"]]
    assert sorted(one.key for pack in packs for one in pack) == sorted(one.key for one in plan.new)


@pytest.mark.parametrize(("status", "is_kept"), [("finished", False), ("failed", False), ("diverged", True)])
def test_a_pack_that_is_not_all_to_be_trained_is_planned_afresh(
    plan: Plan, lab: Path, status: str, is_kept: bool
) -> None:
    a0, a1 = plan.new[2:4]
    half = planned(SPEC, lab, {a0.key: status})
    packing = Packing(earlier=recorded([a0, a1]))
    division = divided(half, lab, packing)
    assert names(division.packs) == ([["a0", "a1"]] if is_kept else [])
    assert len(division.into_packs([1] * len(division.groups))) == len(half.new) - is_kept


def test_trials_whose_values_are_wanted_go_as_they_went(plan: Plan, lab: Path) -> None:
    a0, a1 = plan.new[2:4]
    again = planned(SPEC, lab, {a0.key: VALUES_NOT_KEPT, a1.key: VALUES_NOT_KEPT})
    assert names(divided(again, lab, Packing(earlier=recorded([a0, a1]))).packs) == [["a0", "a1"]]


@pytest.mark.parametrize(("most", "is_forced", "is_kept"), [(1, False, False), (2, False, True), (1, True, True)])
def test_what_is_asked_for_comes_before_packs_that_were_begun(
    plan: Plan, lab: Path, most: int, is_forced: bool, is_kept: bool
) -> None:
    a0, a1 = plan.new[2:4]
    packing = Packing(most, recorded([a0, a1]), is_forced)
    assert bool(divided(plan, lab, packing).packs) == is_kept


def test_packs_of_another_study_are_passed_over(plan: Plan, lab: Path) -> None:
    a0, a1 = plan.new[2:4]
    strange = {a0.key: (a0.key, "another"), a1.key: (a1.key, a1.key)}
    division = divided(plan, lab, Packing(earlier=strange, is_forced=True))
    assert len([one for pack in division.into_packs([1] * len(division.groups)) for one in pack]) == len(plan.new)


def test_what_is_known_before_a_run(plan: Plan, lab: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    a0, a1 = plan.new[2:4]
    assert outlook(divided(plan, lab, Packing(most=4)), Packing(most=4), cache) == Outlook(4)
    assert outlook(divided(plan, lab, Packing(most=99)), Packing(most=99), cache) == Outlook(6)
    assert outlook(divided(plan, lab, Packing(most=1)), Packing(most=1), cache) == Outlook(1)
    packing = Packing(earlier=recorded([a0, a1]))
    assert outlook(divided(plan, lab, packing), packing, cache) == Outlook(None)
    assert divided(plan, lab, packing).kept == 2
    every = Packing(earlier=recorded(list(plan.new)))
    assert outlook(divided(plan, lab, every), every, cache) == Outlook(0)


@pytest.mark.parametrize(("most", "kept"), [(None, [["a0"]]), (4, []), (1, [])])
def test_who_asks_for_packs_is_not_held_to_trials_that_were_alone(
    plan: Plan, lab: Path, most: int | None, kept: list[list[str]]
) -> None:
    a0 = next(one for one in plan.new if (one.trial.strategy, one.trial.seed) == ("a", 0))
    packing = Packing(most=most, earlier=recorded([a0]))
    assert names(divided(plan, lab, packing).packs) == kept


def test_a_choice_by_weights_is_planned_like_a_draw_of_as_many(lab: Path) -> None:
    spec = HEAD + "strategy most = topk(all, 40%) strategy any = rand(all, 40%)"
    extents = Extents(suppositions(loads(spec), lab))
    most, any_ = map(extents, planned(spec, lab).new)
    assert most.has_parts
    assert any_.has_parts
    assert abs(most.entries - any_.entries) < most.entries / 10


def keys_of(plan: Plan, *chosen: str) -> tuple[str, ...]:
    by_name = {f"{one.trial.strategy}{one.trial.seed}": one.key for one in plan.trials}
    return tuple(by_name[name] for name in chosen)


def test_what_was_saved_goes_on_together(plan: Plan, lab: Path) -> None:
    saved = (keys_of(plan, "b0", "c1"), keys_of(plan, "full1"), keys_of(plan, "c1", "a1"), ("elsewhere",))
    earlier = dict.fromkeys(keys_of(plan, "a0", "b0"), keys_of(plan, "a0", "b0"))
    found = divided(plan, lab, Packing(earlier=earlier, saved=saved))
    # What is furthest comes first; a pack of the run before of which a part goes on is none any more.
    assert names(found.packs) == [["b0", "c1"], ["full1"]]
    assert (found.stopped, found.going_on, found.kept) == (2, 3, 0)
    assert names(tuple(group.trials for group in found.groups))[1] == ["a0", "c0", "a1", "b1"]


def test_finished_trials_go_along_with_what_was_saved(plan: Plan, lab: Path) -> None:
    (a0,) = keys_of(plan, "a0")
    done = Plan(plan.cells, {a0: "finished"}, plan.models, plan.data)
    found = divided(done, lab, Packing(saved=(keys_of(plan, "a0", "b0"),)))
    assert names(found.packs) == [["a0", "b0"]]
    assert found.going_on == 1
    assert [len(pack) for pack in found.into_packs([1] * len(found.groups))] == [1, 1, 2, *[1] * 12]
    both = Plan(plan.cells, dict.fromkeys(keys_of(plan, "a0", "b0"), "finished"), plan.models, plan.data)
    assert divided(both, lab, Packing(saved=(keys_of(plan, "a0", "b0"),))).packs == ()


def test_what_is_asked_for_comes_before_what_was_saved(plan: Plan, lab: Path) -> None:
    three = keys_of(plan, "a0", "b0", "c0")
    assert divided(plan, lab, Packing(most=2, saved=(three,))).packs == ()
    assert names(divided(plan, lab, Packing(most=3, saved=(three,))).packs) == [["a0", "b0", "c0"]]
    assert names(divided(plan, lab, Packing(most=1, saved=(three[:1],))).packs) == [["a0"]]
    repeated = dict.fromkeys(three[:2], three[:2])
    found = divided(plan, lab, Packing(earlier=repeated, is_forced=True, saved=(three, three[:2])))
    assert (names(found.packs), found.stopped) == ([["a0", "b0"]], 1)


def test_what_failed_together_does_not_go_on_together(plan: Plan, lab: Path) -> None:
    saved = (keys_of(plan, "a0", "b0"), keys_of(plan, "full0"))
    failed = Plan(plan.cells, dict.fromkeys(keys_of(plan, "b0", "full0"), "failed"), plan.models, plan.data)
    assert names(divided(failed, lab, Packing(saved=saved)).packs) == [["full0"]]
