"""What the strategies of a study select in its models: catalogues and selectors, kept from one trial to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bitspec.ir.canonical import Canonical
from bitspec.ir.masks import Selected
from bitspec.ir.selection import is_random, needs
from bitspec.ir.study import Model, Strategy, Study
from bitspec.ir.trials import Planned, canonical_of
from bitspec.parameters.cache import catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.sampling import Values
from bitspec.parameters.select import Selector, Source
from bitspec.plugins import Need

#: Gives what rankings look at in a trial.
SourceFor: TypeAlias = Callable[[Planned], Source]


class Selections:
    """What trials of one study select. Needs no torch, but for catalogues that are not cached.

    Models in the spec are relative to `base`, unless `catalogue_of` gives their catalogues. `source_for` is asked for
    selections that depend on weights or on data.
    """

    def __init__(
        self,
        study: Study,
        base: Path,
        source_for: SourceFor | None = None,
        *,
        catalogue_of: Callable[[Model], Catalogue] | None = None,
    ) -> None:
        self.study, self.base, self._source_for = study, base, source_for
        self._strategies = {strategy.name: strategy for strategy in study.strategies}
        # One model at a time; trials come in the order of models and tasks.
        self.catalogue = lru_cache(1)(catalogue_of or self._read_catalogue)
        self._canonical = Canonical(study.selections).text
        self._needs = lru_cache(None)(self._find_needs)
        self._selector = lru_cache(64)(self._make_selector)

    def select(self, planned: Planned) -> Selected:
        """What a trial's strategy selects.

        Raises BitspecError where it is wrong for the trial's seed, and NotKnown where it depends on what cannot be
        asked for.
        """
        trial, selection = planned.trial, self.strategy(planned).selection
        if self.needs(planned):
            # What it looks at is this trial's own.
            return self._make_selector(trial.model, trial.seed, planned).select(selection)
        return self._selector(trial.model, trial.seed).select(selection)

    def strategy(self, planned: Planned) -> Strategy:
        """A trial's strategy, as the study has it."""
        return self._strategies[planned.trial.strategy]

    def is_random(self, planned: Planned) -> bool:
        """Whether what a trial selects depends on its seed."""
        return is_random(self.strategy(planned).selection, self.study.selections)

    def needs(self, planned: Planned) -> frozenset[Need]:
        """What a trial's selection depends on beside the model's structure."""
        return self._needs(planned.trial.strategy)

    def _find_needs(self, strategy: str) -> frozenset[Need]:
        return needs(self._strategies[strategy].selection, self.study.selections)

    def _read_catalogue(self, model: Model) -> Catalogue:
        return catalogue(model.source, model.revision, base=self.base)

    def _make_selector(self, model: Model, seed: int, planned: Planned | None = None) -> Selector:
        source = None if planned is None or self._source_for is None else self._source_for(planned)
        return Selector(
            self.catalogue(model),
            seed,
            named=self.study.selections,
            canonical=self._canonical if planned is None else canonical_of(self.study, planned.trial).text,
            source=source,
        )


def suppositions(study: Study, base: Path, *, catalogue_of: Callable[[Model], Catalogue] | None = None) -> Selections:
    """What trials may select, to plan: nothing is read or trained to rank entries, for their number is known."""

    def source_for(planned: Planned) -> Source:
        return _supposed(found.catalogue(planned.trial.model))

    found = Selections(study, base, source_for, catalogue_of=catalogue_of)
    return found


def _supposed(facts: Catalogue) -> Source:
    def values(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.random.default_rng([*name.encode()]).random(facts[name].shape)

    def source(_need: Need, _by: object, _names: tuple[str, ...]) -> Values:
        return values

    return source
