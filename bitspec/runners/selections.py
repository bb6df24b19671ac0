"""What the strategies of a study select in its models: catalogues and selectors, kept from one trial to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from bitspec.ir.canonical import Canonical
from bitspec.ir.masks import Selected
from bitspec.ir.selection import is_random, is_ranked
from bitspec.ir.study import Model, Strategy, Study
from bitspec.ir.trials import Planned
from bitspec.parameters.cache import catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.sampling import Values
from bitspec.parameters.select import Selector
from bitspec.runners.protocol import Known

#: Gives the values of a model's tensors, by their names in its catalogue.
ValuesOf: TypeAlias = Callable[[Model], Values]


class Selections:
    """What trials of one study select. Needs no torch, but for catalogues that are not cached.

    Models in the spec are relative to `base`. `values_of` is asked for selections that depend on the weights.
    """

    def __init__(self, study: Study, base: Path, values_of: ValuesOf | None = None) -> None:
        self.study, self.base, self._values_of = study, base, values_of
        self._canonical = Canonical(study.selections).text
        # One model at a time; trials come in the order of models and tasks.
        self.catalogue = lru_cache(1)(self._read_catalogue)
        self._selector = lru_cache(64)(self._make_selector)

    def learn(self, known: Known) -> None:
        """Take what was found out for trials: see `Packs.known`."""

    def select(self, planned: Planned) -> Selected:
        """What a trial's strategy selects.

        Raises BitspecError where it is wrong for the trial's seed, and NeedsWeights where it depends on the weights
        and these cannot be asked for.
        """
        return self._selector(planned.trial.model, planned.trial.seed).select(self.strategy(planned).selection)

    def strategy(self, planned: Planned) -> Strategy:
        """A trial's strategy, as the study has it."""
        return next(one for one in self.study.strategies if one.name == planned.trial.strategy)

    def is_random(self, planned: Planned) -> bool:
        """Whether what a trial selects depends on its seed."""
        return is_random(self.strategy(planned).selection, self.study.selections)

    def needs_weights(self, planned: Planned) -> bool:
        """Whether what a trial selects depends on the model's weights."""
        return is_ranked(self.strategy(planned).selection, self.study.selections)

    def _read_catalogue(self, model: Model) -> Catalogue:
        return catalogue(model.source, model.revision, base=self.base)

    def _make_selector(self, model: Model, seed: int) -> Selector:
        values = None if self._values_of is None else self._values_of(model)
        facts = self.catalogue(model)
        return Selector(facts, seed, named=self.study.selections, canonical=self._canonical, values=values)
