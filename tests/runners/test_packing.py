"""Which trials go together, and in what packs: properties that hold for any study."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Selected, Whole
from bitspec.ir.settings import Settings
from bitspec.ir.study import Model, Task
from bitspec.ir.trials import Planned, Trial
from bitspec.parameters.cache import catalogue
from bitspec.runners.packing import STRETCH, Extent, Group, extent, groups, in_order, split, spread
from bitspec.runners.protocol import Pack

BERT = "bert-base-cased"


def trial(name: str, seed: int = 0, task: str = "rte", model: str = "nano", **settings: Any) -> Planned:
    made = Trial(
        model=Model(name=model, source=model),
        task=Task(name=task),
        strategy=name,
        selection=name,
        seed=seed,
        settings=Settings(**settings),
    )
    key = hashlib.sha256(made.model_dump_json().encode()).hexdigest()
    return Planned(trial=made, key=key, variant=key, title=name, position=0)


DEEP = Extent(1.0, has_parts=False, is_alone=False)
PARTS = Extent(1.0, has_parts=True, is_alone=False)
HEAD = Extent(0.0, has_parts=False, is_alone=False)
ALONE = Extent(1.0, has_parts=False, is_alone=True)


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[Planned], dict[str, Extent]]:
    """Trials of a study that may be half done, in its order, and their extents."""
    extents: dict[str, Extent] = {}
    found: list[Planned] = []
    tasks = draw(st.lists(st.sampled_from(["rte", "cola"]), min_size=1, max_size=2, unique=True))
    seeds = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True))
    names = draw(st.integers(1, 8))
    kinds = draw(
        st.lists(
            st.builds(Extent, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), st.booleans(), st.booleans()),
            min_size=names,
            max_size=names,
        )
    )
    batches = draw(st.lists(st.sampled_from([8, 16]), min_size=names, max_size=names))
    for task in tasks:
        for name, (kind, batch) in enumerate(zip(kinds, batches, strict=True)):
            for seed in seeds:
                if draw(st.integers(0, 4)):
                    planned = trial(f"s{name}", seed, task, batch_size=batch, learning_rate=0.1 / (name + 1))
                    extents[planned.key] = kind
                    found.append(planned)
    return found, extents


@given(studies())
def test_every_trial_is_in_one_group_with_its_like(study: tuple[list[Planned], dict[str, Extent]]) -> None:
    trials, extents = study
    found = groups(trials, extents)
    assert Counter(one.key for group in found for one in group.trials) == Counter(one.key for one in trials)
    for group in found:
        kinds = [extents[one.key] for one in group.trials]
        assert len({(one.trial.task, one.trial.settings.batch_size) for one in group.trials}) == 1
        assert len({kind.has_parts for kind in kinds}) == 1
        assert len(kinds) == 1 or not any(kind.is_alone for kind in kinds)
        assert (1 + max(kind.depth for kind in kinds)) / (1 + min(kind.depth for kind in kinds)) < STRETCH
        assert group.extent == max(kinds, key=lambda kind: kind.depth)
        places = [(one.trial.seed, trials.index(one)) for one in group.trials]
        assert places == sorted(places)
    firsts = [min(map(trials.index, group.trials)) for group in found]
    assert firsts == sorted(firsts)
    assert groups(list(trials), dict(extents)) == found


@given(studies())
def test_trials_that_could_go_together_do(study: tuple[list[Planned], dict[str, Extent]]) -> None:
    trials, extents = study
    of = {one.key: number for number, group in enumerate(groups(trials, extents)) for one in group.trials}
    for one in trials:
        for other in trials:
            kinds = extents[one.key], extents[other.key]
            same = (one.trial.task, one.trial.settings.batch_size) == (
                other.trial.task,
                other.trial.settings.batch_size,
            )
            if same and kinds[0] == kinds[1] and not kinds[0].is_alone:
                assert of[one.key] == of[other.key]


@given(studies(), st.integers(1, 9))
def test_packs_are_balanced_and_of_one_seed_where_they_can_be(
    study: tuple[list[Planned], dict[str, Extent]], most: int
) -> None:
    for group in groups(*study):
        packs = split(group.trials, most)
        assert Counter(one.key for pack in packs for one in pack) == Counter(one.key for one in group.trials)
        by_seed = Counter(one.trial.seed for one in group.trials)
        assert all(1 <= len(pack) <= most for pack in packs)
        pure = {seed for seed, count in by_seed.items() if 2 * count > most}
        for seed in pure:
            own = [pack for pack in packs if any(one.trial.seed == seed for one in pack)]
            assert all(one.trial.seed == seed for pack in own for one in pack)
            _check_balanced([len(pack) for pack in own], by_seed[seed], most)
        rest = [pack for pack in packs if pack[0].trial.seed not in pure]
        _check_balanced([len(pack) for pack in rest], sum(map(len, rest)), most)


def _check_balanced(sizes: list[int], trials: int, most: int) -> None:
    assert len(sizes) == -(-trials // most)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_nearly_equal_rather_than_a_full_pack_and_a_rest() -> None:
    trials = [trial(f"s{number}") for number in range(17)]
    assert [len(pack) for pack in split(trials, 8)] == [6, 6, 5]
    seeds = [trial(f"s{number}", seed) for seed in range(5) for number in range(3)]
    assert [len(pack) for pack in split(seeds, 4)] == [3] * 5  # more than half full: no pack has two seeds
    assert [len(pack) for pack in split(seeds, 8)] == [8, 7]
    assert split(seeds, 1) == tuple((one,) for one in seeds)


@pytest.mark.parametrize(
    "different",
    [
        {"task": "cola"},
        {"model": "other"},
        {"batch_size": 16},
        {"max_length": 64},
        {"epochs": 3},
        {"precision": "bf16"},
        {"dropout": 0.0},
    ],
)
def test_what_trials_of_a_pack_have_in_common(different: dict[str, Any]) -> None:
    trials = [trial("a"), trial("b", **different)]
    assert len(groups(trials, {one.key: DEEP for one in trials})) == 2


@pytest.mark.parametrize(
    "different",
    [
        {"seed": 1},
        {"learning_rate": 0.5},
        {"weight_decay": 0.1, "schedule": "linear", "warmup": 6.0},
        {"clip_norm": "off", "pooler": "trained"},
    ],
)
def test_what_may_differ_in_a_pack(different: dict[str, Any]) -> None:
    trials = [trial("a"), trial("b", **different)]
    assert len(groups(trials, {one.key: DEEP for one in trials})) == 1


@pytest.mark.parametrize("kinds", [(DEEP, HEAD), (DEEP, PARTS), (ALONE, ALONE), (ALONE, DEEP)])
def test_extents_that_do_not_go_together(kinds: tuple[Extent, Extent]) -> None:
    trials = [trial("a"), trial("b")]
    assert len(groups(trials, dict(zip((one.key for one in trials), kinds, strict=True)))) == 2


# Extents ---------------------------------------------------------------------------------------------------


def chosen(**masks: Mask) -> Selected:
    """Masks of tensors of BERT by their names, with `__` for the dots."""
    facts = catalogue(BERT)
    found = {name.replace("__", "."): mask for name, mask in masks.items()}
    return Selected(found, {one.name: one.shape for one in facts.parameters})


SOME = np.array([0, 5])


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ({}, HEAD),
        ({"pooler__dense__bias": Whole()}, HEAD),
        ({"embeddings__LayerNorm__bias": Whole()}, DEEP),
        ({"embeddings__word_embeddings__weight": Rows(SOME)}, PARTS),
        ({"encoder__layer__0__output__dense__bias": Entries(SOME)}, DEEP),
        ({"encoder__layer__11__output__dense__bias": AllBut(SOME)}, Extent(1 / 12, False, False)),
        ({"encoder__layer__6__output__dense__weight": Cols(SOME)}, Extent(0.5, True, False)),
        ({"encoder__layer__6__output__dense__weight": Whole()}, Extent(0.5, False, True)),
        ({"encoder__layer__6__output__dense__weight": AllBut(SOME)}, Extent(0.5, False, True)),
        ({"pooler__dense__weight": Entries(SOME)}, Extent(0.0, True, False)),
        ({"pooler__dense__weight": Whole()}, Extent(0.0, False, True)),
        (
            {"encoder__layer__9__output__dense__bias": Whole(), "encoder__layer__3__output__dense__bias": Whole()},
            Extent(0.75, False, False),
        ),
    ],
)
def test_what_a_trial_asks_of_the_engine(masks: dict[str, Mask], expected: Extent) -> None:
    found = extent(chosen(**masks), catalogue(BERT))
    assert found.depth == pytest.approx(expected.depth)
    assert (found.has_parts, found.is_alone) == (expected.has_parts, expected.is_alone)


def test_a_pooler_that_goes_with_the_head_is_no_matrix_of_its_own() -> None:
    whole = chosen(pooler__dense__weight=Whole())
    assert extent(whole, catalogue(BERT), trains_pooler=True) == HEAD


# Workers ---------------------------------------------------------------------------------------------------


def group(count: int, name: str = "g", seeds: int = 1) -> Group:
    return Group(tuple(trial(f"{name}{number}", seed) for seed in range(seeds) for number in range(count)), DEEP)


@pytest.mark.parametrize(
    ("counts", "sizes", "workers", "expected"),
    [
        ([10], [16], 1, [10]),
        ([10], [16], 2, [5, 5]),
        ([3], [8], 2, [2, 1]),
        ([17], [8], 2, [6, 6, 5]),
        ([14, 14, 14], [8, 8, 8], 2, [7] * 6),
        ([4], [4], 16, [1] * 4),
        ([1, 1], [8, 8], 2, [1, 1]),
        ([], [], 2, []),
    ],
)
def test_there_are_as_many_packs_as_workers(
    counts: list[int], sizes: list[int], workers: int, expected: list[int]
) -> None:
    made = [group(count, str(number)) for number, count in enumerate(counts)]
    assert [len(pack) for pack in spread(made, sizes, workers=workers)] == expected


@pytest.mark.parametrize(
    ("count", "shared", "workers", "expected"),
    [
        (17, 0.5, 1, [6, 6, 5]),
        (17, 0.5, 2, [5, 4, 4, 4]),  # three packs would take as long as four of six
        (12, 0.0, 5, [3, 3, 3, 3]),
        (12, 0.0, 6, [2] * 6),
        (12, 0.9, 12, [1] * 12),
    ],
)
def test_packs_are_as_large_as_is_best_for_all_workers(
    count: int, shared: float, workers: int, expected: list[int]
) -> None:
    # Of a trial's time, a part is shared by those of its pack.
    def seconds(_: Group, pack: Pack) -> float:
        return shared + (1 - shared) * len(pack)

    assert [len(pack) for pack in spread([group(count)], [8], workers=workers, seconds=seconds)] == expected


def test_how_long_trials_take_counts_for_workers() -> None:
    # Twelve of the first group take no time against the two of the second.
    made = [group(12, "a"), group(2, "b")]
    packs = spread(made, [8, 8], workers=2, seconds=lambda of, pack: len(pack) * (10.0 if of is made[1] else 0.001))
    assert [len(pack) for pack in packs][-2:] == [1, 1]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 16)), max_size=4), st.integers(1, 5))
def test_no_pack_is_larger_than_asked_for_and_none_is_lost(wanted: list[tuple[int, int]], workers: int) -> None:
    made = [group(count, f"{number}_") for number, (count, _) in enumerate(wanted)]
    sizes = [size for _, size in wanted]
    packs = spread(made, sizes, workers=workers)
    assert Counter(one.key for pack in packs for one in pack) == Counter(one.key for g in made for one in g.trials)
    of = {one.key: size for g, size in zip(made, sizes, strict=True) for one in g.trials}
    assert all(len(pack) <= of[pack[0].key] for pack in packs)


def test_packs_of_a_task_follow_each_other() -> None:
    trials = [trial(name, seed, task) for task in ("cola", "rte") for name in "abc" for seed in (0, 1)]
    extents = {one.key: PARTS if one.trial.strategy == "b" else DEEP for one in trials}
    packs = [pack for group in reversed(groups(trials, extents)) for pack in split(group.trials, 2)]
    ordered = in_order(packs, trials)
    assert [pack[0].trial.task.name for pack in ordered] == ["cola"] * 3 + ["rte"] * 3
    assert Counter(ordered) == Counter(packs)
    firsts = [min(map(trials.index, pack)) for pack in ordered]
    assert firsts == sorted(firsts)
