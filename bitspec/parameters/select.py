"""Evaluates a selection: from an expression of the language to the masks of the entries that it picks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from itertools import islice
from operator import index
from typing import Any, Final, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from bitspec import plugins, registry
from bitspec.diagnostics import MAX_DIAGNOSTICS, BitspecError, Diagnostic
from bitspec.guard import guarded
from bitspec.ir.masks import Selected, Shape, Whole
from bitspec.ir.selection import (
    Amount,
    Argument,
    Base,
    Count,
    Difference,
    Draw,
    Intersection,
    Percent,
    PercentValue,
    Ranking,
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
    Union,
    Where,
    children,
    deciding,
    sized,
)
from bitspec.parameters.algebra import difference, intersection, union
from bitspec.parameters.catalogue import Catalogue, Parameter
from bitspec.parameters.complaints import Complaints
from bitspec.parameters.conditions import Conditions
from bitspec.parameters.draws import Randomness
from bitspec.parameters.sampling import Values, shortest_line, topk
from bitspec.plugins import Need

#: Indices of the largest selection that is kept for when it is used again (80 MB).
MOST_KEPT = 10_000_000


#: Gives what a ranking looks at, for tensors of these names; None if it cannot be had.
Source: TypeAlias = Callable[[Need, Ranking, tuple[str, ...]], Values | None]

_NEEDS: Final[Mapping[Need, str]] = {
    "weights": "the model's weights",
    "gradient": "gradients of the training data",
    "fisher": "gradients of the training data",
    "change": "what another strategy changed",
}


class NotKnown(Exception):  # noqa: N818 - no mistake: the caller may come back with what is needed
    """Raised for a selection that ranks entries by what was not given, and cannot be told from the structure."""

    def __init__(self, node: Top, need: Need) -> None:
        super().__init__(f"this selection depends on {_NEEDS[need]}")
        self.node, self.need = node, need


class Selector:
    """Evaluates selections over one model for one seed.

    `named` gives the selection that a group's or a strategy's name stands for; names must not run in
    circles. `canonical` gives a selection's canonical text, the same for all selections that say the same.
    What a text picks is computed once, and a draw depends on nothing but its text and its seed. `source`
    gives what rankings look at.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        seed: SupportsIndex,
        *,
        named: Mapping[str, Selection],
        canonical: Callable[[Selection], str],
        source: Source | None = None,
    ) -> None:
        self._warnings: dict[tuple[str, str, str], Diagnostic] = {}
        self._catalogue = catalogue
        self.seed = index(seed)  # NumPy's whole numbers too, but no 0.0 and no "0"
        self._named = named
        self._canonical = canonical
        self._source = source
        self._conditions = Conditions(catalogue)
        self._complaints = Complaints(catalogue, self._conditions)
        parameters = catalogue.parameters
        self._shapes: dict[str, Shape] = {parameter.name: parameter.shape for parameter in parameters}
        self._known: dict[str, Selected] = {}
        # By identity; the selections are kept, so that an id stays its own.
        self._checked: dict[int, Selection] = {}
        self._bounds: dict[int, tuple[Selection, tuple[int, int, Selected]]] = {}

    @property
    def warnings(self) -> list[Diagnostic]:
        """What looks wrong in the selections that were evaluated so far, each once."""
        return list(self._warnings.values())

    def select(self, selection: Selection) -> Selected:
        """The entries that a selection picks.

        Raises BitspecError for what the user got wrong: `matches-nothing`, `amount-too-large`, `amount-zero`,
        `not-lines`, `slow-pattern`, and what is wrong with plugins; and NotKnown for a ranking without its evidence.
        """
        while isinstance(selection, Ref):
            selection = self._named[selection.name]
        text = self._canonical(selection)
        if text in self._known:
            # Another way to write the same may hold a mistake of its own, such as `all | (bias where layer == 99)`.
            if id(selection) not in self._checked:
                self._checked[id(selection)] = selection
                for child in children(selection):
                    self.select(child)
            return self._known[text]
        self._checked[id(selection)] = selection
        selected = self._evaluate(selection)
        if selected.stored <= MOST_KEPT:
            self._known[text] = selected
        return selected

    def amount(self, amount: Amount) -> int:
        """Number of entries that an amount stands for; percentages are exact and rounded half to even."""
        match sized(amount, self._named):
            case Count(count=count):
                return count
            case Percent(percent=percent):
                return round(Fraction(percent) * self._catalogue.size / 100)
            case SizeOf(of=of):
                return self.select(of).count
            case Share(percent=percent, of=of):
                return round(Fraction(percent) * self.select(of).count / 100)

    def size_bounds(self, selection: Selection) -> tuple[int, int]:
        """Least and most entries that a selection can pick, whatever the weights are.

        The two are equal where nothing depends on the weights, and for a `topk` whose amount does not. Raises
        BitspecError as `select` does.
        """
        least, most, _ = self._bounded(selection)
        return least, most

    def _evaluate(self, selection: Selection) -> Selected:
        match selection:
            case Base():
                return self._base(selection)
            case Ref():
                raise AssertionError("names are looked up before")
            case Where():
                return self._where(selection, self.select(selection.of))
            case Union(parts=parts):
                # What says the same is the same object, and counts once.
                return reduce(union, {id(part): part for part in map(self.select, parts)}.values())
            case Intersection():
                return self._intersection(selection)
            case Difference():
                return self._difference(selection)
            case Draw():
                return self._draw(selection)
            case Top():
                return self._top(selection)

    def _base(self, node: Base) -> Selected:
        def holds(parameter: Parameter) -> bool:
            if node.name in ("all", "none"):
                return node.name == "all"
            return parameter.kind != "bias" if node.name == "weight" else parameter.kind == node.name

        found = {
            parameter.name: Whole() for parameter in self._catalogue.parameters if parameter.numel and holds(parameter)
        }
        if not found and node.name != "none":
            raise BitspecError(self._complaints.lacking(node))
        return Selected(found, self._shapes)

    def _where(self, node: Where, of: Selected) -> Selected:
        # A sampled selection keeps the sampled entries of the tensors that meet the condition.
        kept = of.only(self._conditions.meeting(node.condition))
        if self._contains(node.of, Draw):
            # What a draw happens to miss is no mistake; what is nowhere in the model is.
            of = of if kept else Selected({name: Whole() for name in self._shapes}, self._shapes)
            if not kept and of.only(self._conditions.meeting(node.condition)):
                return kept
        if of and not kept:
            raise BitspecError(self._complaints.unmet(node, of))
        if of:
            self._warn(*islice(self._complaints.idle(node, of), MAX_DIAGNOSTICS))  # more help nobody
        return kept

    def _intersection(self, node: Intersection) -> Selected:
        parts = [self.select(part) for part in node.parts]
        common = parts[0]
        for place, part in enumerate(parts[1:], 1):
            smaller = intersection(common, part)
            if common and not smaller and all(parts) and not self._contains(node, Draw):
                raise BitspecError(self._complaints.sharing_nothing(node, place))
            common = smaller
        return common

    def _difference(self, node: Difference) -> Selected:
        left, right = self.select(node.left), self.select(node.right)
        rest = difference(left, right)
        # Two samples may well miss each other.
        if left and right and rest.count == left.count and not self._contains(node, Draw):
            self._warn(self._complaints.removing_nothing(node))
        return rest

    def _draw(self, node: Draw) -> Selected:
        pool, amount = self._pool_and_amount(node)
        rule = registry.need(plugins.Rule, node.rule, node.span)
        one = registry.of_package("rule", node.rule)
        drawing = plugins.Drawing(
            pool=pool,
            amount=amount,
            per=node.per,
            arguments=complete(rule.arguments, node.arguments),
            randomness=Randomness(self.seed if node.seed is None else node.seed, self._canonical(node)),
            catalogue=self._catalogue,
        )
        with guarded(one, "select", span=node.span):
            taken = rule.take(drawing)
        if not one.is_own:
            wrong = self._complaints.misdrawn(node, str(one), taken, pool, amount, is_exact=rule.is_exact)
            if wrong is not None:
                raise BitspecError(wrong)
        if not taken:
            shortest = shortest_line(pool, node.rule, self._catalogue.transposed) if rule.takes_lines else 1
            raise BitspecError(self._complaints.no_line(node, amount, len(pool), shortest))
        return taken

    def _top(self, node: Top) -> Selected:
        pool, amount = self._pool_and_amount(node)
        ranking = registry.need(plugins.Ranking, node.by.name, node.by.span)
        one = registry.of_package("ranking", node.by.name)
        arguments = complete(ranking.arguments, node.by.arguments)
        sources = {need: self._evidence(node, need, tuple(pool)) for need in ranking.needs}

        def scored(name: str) -> npt.NDArray[np.floating]:
            seen = {need: values(name) for need, values in sources.items()}
            evidence = plugins.Evidence(parameter=self._catalogue[name], arguments=arguments, **seen)
            with guarded(one, "rank", span=node.by.span):
                found = ranking.score(evidence)
            if not one.is_own:
                wrong = self._complaints.misranked(node, str(one), found, pool.shapes[name])
                if wrong is not None:
                    raise BitspecError(wrong)
            scores = found.astype(np.float64) if found.dtype.kind != "f" else found
            return -scores if node.lowest else scores

        return topk(pool, amount, node.per, scored)

    def _evidence(self, node: Top, need: Need, names: tuple[str, ...]) -> Values:
        values = self._source(need, node.by, names) if self._source is not None else None
        if values is None:
            raise NotKnown(node, need)
        return values

    def _pool_and_amount(self, node: Draw | Top) -> tuple[Selected, int]:
        pool = self.select(node.of)
        self._check_lines(node, pool)
        amount = self.amount(node.amount)
        if amount < 1:
            raise BitspecError(self._complaints.amount_zero(node, amount))
        if amount > pool.count:
            raise BitspecError(self._complaints.amount_too_large(node, amount, pool.count))
        return pool, amount

    def _check_lines(self, node: Draw | Top, pool: Selected) -> None:
        if isinstance(node, Top) or not registry.need(plugins.Rule, node.rule, node.span).takes_lines:
            return
        if any(len(pool.shapes[name]) != 2 or not isinstance(mask, Whole) for name, mask in pool.items()):
            raise BitspecError(self._complaints.not_lines(node, pool))

    def _bounded(self, selection: Selection) -> tuple[int, int, Selected]:
        # Once for each: what is ranked by changes may reach the same strategy by many ways.
        if id(selection) not in self._bounds:
            self._bounds[id(selection)] = selection, self._find_bounds(selection)
        return self._bounds[id(selection)][1]

    def _find_bounds(self, selection: Selection) -> tuple[int, int, Selected]:
        # Least, most, and a selection that holds every entry that may be picked.
        if not self._contains(selection, Top):
            picked = self.select(selection)
            return picked.count, picked.count, picked
        match selection:
            case Ref(name=name):
                return self._bounded(self._named[name])
            case Where(of=of):
                least, most, reach = self._bounded(of)
                kept = self._where(selection, reach)
                # What was left out may have held as much as it can.
                return max(0, least - (reach.count - kept.count)), min(most, kept.count), kept
            case Union(parts=parts):
                bounds = [self._bounded(part) for part in parts]
                reach = reduce(union, (part for _, _, part in bounds))
                return (
                    max(low for low, _, _ in bounds),
                    min(reach.count, sum(high for _, high, _ in bounds)),
                    reach,
                )
            case Intersection(parts=parts):
                return reduce(_common_bounds, map(self._bounded, parts))
            case Difference(left=left, right=right):
                return _difference_bounds(self._bounded(left), self._bounded(right), self._contains(right, Top))
            case Draw() | Top():
                return self._sample_bounds(selection)
            case _:
                raise TypeError(f"a {selection.type} selection cannot depend on weights")

    def _sample_bounds(self, node: Draw | Top) -> tuple[int, int, Selected]:
        _, most, pool = self._bounded(node.of)
        low, high = self._amount_bounds(node.amount)
        self._check_lines(node, pool)
        if isinstance(node, Draw) and not registry.need(plugins.Rule, node.rule, node.span).is_exact:
            low = 0
        if high < 1:
            raise BitspecError(self._complaints.amount_zero(node, high))
        if low > most:
            raise BitspecError(self._complaints.amount_too_large(node, low, most))
        if isinstance(node, Top) and node.by.strategy is not None:
            self._check_followed(node, node.by.strategy, pool, min(high, most))
        return low, min(high, most), pool

    def _check_followed(self, node: Top, strategy: str, pool: Selected, amount: int) -> None:
        # What it does not train does not change: among those, nothing is ranked. A pooler may be trained beside it.
        _, most, reach = self._bounded(self._named[strategy])
        poolers = [one.name for one in self._catalogue.parameters if one.role == "pooler"]
        rest = difference(pool, reach)
        trained = min(pool.count - rest.count, most) + rest.only(poolers).count
        if trained and self._contains(node.of, Top):
            return  # it is not known yet what of it is in the pool
        if trained < (pool.count if node.lowest else amount):
            self._warn(self._complaints.untrained(node, strategy, trained, pool.count, amount))

    def _amount_bounds(self, amount: Amount) -> tuple[int, int]:
        amount = sized(amount, self._named)
        if isinstance(amount, SizeOf | Share) and self._contains(amount.of, Top):
            part = Fraction(amount.percent) / 100 if isinstance(amount, Share) else Fraction(1)
            low, high = self.size_bounds(amount.of)
            return round(part * low), round(part * high)
        return (self.amount(amount),) * 2

    def _contains(self, selection: Selection, kind: type[Draw] | type[Top]) -> bool:
        return any(isinstance(node, kind) for node in deciding(selection, self._named))

    def _warn(self, *warnings: Diagnostic) -> None:
        for found in warnings:
            self._warnings.setdefault(found.identity, found)


def complete(declared: Sequence[plugins.Argument], given: Sequence[Argument]) -> dict[str, Any]:
    """The arguments of a call by name: as given, or else their defaults. Percentages are numbers of percent."""
    values = {argument.name: argument.default for argument in declared if argument.takes != "strategy"}
    for argument in given:
        value = argument.value
        values[argument.name] = float(value.percent) if isinstance(value, PercentValue) else value
    return values


def _common_bounds(left: tuple[int, int, Selected], right: tuple[int, int, Selected]) -> tuple[int, int, Selected]:
    # a & b has at least |a| + |b| - |everything| entries.
    whole = union(left[2], right[2]).count
    reach = intersection(left[2], right[2])
    return max(0, left[0] + right[0] - whole), min(left[1], right[1], reach.count), reach


def _difference_bounds(
    left: tuple[int, int, Selected], right: tuple[int, int, Selected], right_varies: bool
) -> tuple[int, int, Selected]:
    # What is taken away lies in both. |a - b| is at most |everything| - |b|.
    common = intersection(left[2], right[2]).count
    whole = union(left[2], right[2]).count
    reach = left[2] if right_varies else difference(left[2], right[2])
    most = min(left[1], whole - right[0], reach.count)
    return max(0, left[0] - min(right[1], common)), most, reach
