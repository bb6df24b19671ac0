"""What the evaluation of selections says to its users when a selection does not fit the model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bitspec.diagnostics import Diagnostic, Span, error, listed, warning
from bitspec.ir.masks import Selected, Shape, Whole
from bitspec.ir.selection import (
    Amount,
    And,
    Base,
    Condition,
    Difference,
    Draw,
    Intersection,
    IsIn,
    Not,
    Or,
    Percent,
    Range,
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
    Where,
)
from bitspec.parameters.algebra import difference
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.conditions import Atom, Conditions, is_negated
from bitspec.parameters.hints import Hints, predicate, value_atom, written, written_item
from bitspec.parameters.rules import LINES
from bitspec.vocabulary import KINDS

#: A selection longer than this is not repeated in a message.
MAX_QUOTE = 50

_PLURALS = {
    "all": "parameters",
    "bias": "biases",
    "gamma": "gammas",
    "matrix": "matrices",
    "embedding": "embeddings",
    "weight": "weights",
}


class Complaints:
    """Makes the diagnostics about selections over one model."""

    def __init__(self, catalogue: Catalogue, conditions: Conditions) -> None:
        self._catalogue = catalogue
        self._conditions = conditions
        self._hints = Hints(catalogue, conditions)

    def lacking(self, node: Base) -> Diagnostic:
        """The model has no parameter of a kind."""
        kinds = {parameter.kind for parameter in self._catalogue.parameters}
        present = [_PLURALS[kind] for kind in KINDS if kind in kinds and kind in _PLURALS]
        has = f"; it has {listed(present, 'and', quote='')}" if present else ""
        message = f"{self._catalogue.model_type} has no {_PLURALS[node.name]}{has}"
        return error("matches-nothing", message, node.span)

    def unmet(self, node: Where, of: Selected) -> Diagnostic:
        """A `where` that keeps nothing of a selection, which is not empty itself."""
        whole = quoted(node.of)
        blamed = self._blamed(node.condition, of, wanted=True)
        if blamed is None:
            message = f"no parameter of {whole} meets all of this at once"
            return error("matches-nothing", message, node.condition.span, help=self._one_by_one(node.condition, of))
        atom, positive = blamed
        message, hint = self._nothing_has(atom, positive, of, whole)
        return error("matches-nothing", message, atom.span, help=hint)

    def idle(self, node: Where, of: Selected) -> Iterator[Diagnostic]:
        """Warnings about the parts of a condition that match nothing, while the whole matches something."""
        whole = quoted(node.of)
        yield from self._idle_branches(node.condition, of, whole, wanted=True)
        for atom, _ in _atoms(node.condition, wanted=True):
            if isinstance(atom, IsIn):
                yield from self._idle_members(atom, of, whole)

    def sharing_nothing(self, node: Intersection, place: int) -> Diagnostic:
        """The part at `place` of an `&` has nothing in common with those before it."""
        part = node.parts[place]
        before = quoted(node.parts[0]) if place == 1 else "the parts before it"
        subject = quoted(part, "this part")
        return error(
            "matches-nothing",
            f"{subject} shares no entries with {before}",
            part.span,
            help="`&` keeps only what is in every part; `|` keeps what is in any of them",
        )

    def removing_nothing(self, node: Difference) -> Diagnostic:
        """The right side of a `-` has nothing in common with the left."""
        left, right = quoted(node.left, "what stands before it"), quoted(node.right, "this part")
        message = f"{right} shares no entries with {left}, so `-` takes nothing away"
        return warning("removes-nothing", message, node.right.span, help="take it away, or mend what is meant")

    def amount_too_large(self, node: Draw | Top, amount: int, available: int) -> Diagnostic:
        """More entries are asked for than there are."""
        asked = f"{self._amount(node.amount)} comes to {_entries(amount)}"
        message = f"{asked}, but {quoted(node.of)} has only {available:,}"
        return error("amount-too-large", message, node.amount.span, help="draw from more, or ask for less")

    def amount_zero(self, node: Draw | Top, amount: int) -> Diagnostic:
        """An amount that comes to nothing."""
        return error(
            "amount-zero",
            f"{self._amount(node.amount)} comes to {_entries(amount)}, so there is nothing to select",
            node.amount.span,
            help="write `none` where nothing is to be selected",
        )

    def no_line(self, node: Draw, amount: int, tensors: int, shortest: int) -> Diagnostic:
        """Not even the shortest line fits into an amount, or into any tensor's share of it."""
        line = LINES.get(node.rule)
        if line is None:
            message = f"`{node.rule}` finds nothing to select for {_entries(amount)}"
            return error("amount-zero", message, node.span, help="ask for more")
        if node.per == "pool":
            message = f"no {line} fits into {_entries(amount)}: the shortest has {shortest:,}"
            return error("amount-zero", message, node.amount.span, help=f"ask for {shortest:,} or more")
        message = (
            f"{_entries(amount)} shared over {tensors:,} matrices leave no room for one {line} in any of "
            f"them: the shortest has {shortest:,}"
        )
        hint = "ask for more, or leave out `per = tensor`"
        return error("amount-zero", message, node.amount.span, help=hint)

    def not_lines(self, node: Draw, pool: Selected) -> Diagnostic:
        """Rows or columns of something that is not whole matrices."""
        whole = quoted(node.of)
        others = [name for name in pool if len(pool.shapes[name]) != 2]
        if others:
            dimensions = {len(pool.shapes[name]) for name in others}
            kind = f"{dimensions.pop()}-D tensors" if len(dimensions) == 1 else "tensors that are not 2-D"
            count = sum(pool.counts[name] for name in others)
            has = f"{whole} has {_entries(count)} of {kind}, such as `{others[0]}`"
            message = f"`{node.rule}` takes lines of matrices, but {has}"
            return error(
                "not-lines",
                message,
                node.of.span,
                help=f"take the lines of matrices alone: `{node.rule}(matrix where …, …)`",
            )
        parts = [name for name in pool if not isinstance(pool[name], Whole)]
        count = sum(pool.counts[name] for name in parts)
        tensors = "matrix" if len(parts) == 1 else "matrices"
        has = f"{whole} has only {_entries(count)} of {len(parts):,} {tensors}, such as `{parts[0]}`"
        message = f"`{node.rule}` takes lines of whole matrices, but {has}"
        hint = "draw lines of the whole matrices, and combine what was drawn afterwards"
        return error("not-lines", message, node.of.span, help=hint)

    def untrained(self, node: Top, strategy: str, trained: int, available: int, amount: int) -> Diagnostic:
        """A ranking by what a strategy changed, of entries that it does not train."""
        whole = quoted(node.of)
        if not trained:
            message = f"`{strategy}` trains nothing of {whole}: without a change to rank, the first by name are taken"
        else:
            message = f"`{strategy}` trains only {trained:,} of the {_entries(available)} of {whole}"
            message += (
                ": those that it does not train count as changed least"
                if node.lowest
                else f", and {amount:,} are to be taken: the others are the first by name"
            )
        hint = f"rank entries that `{strategy}` trains; `&` keeps what is in both"
        return warning("nothing-to-rank", message, node.by.span, help=hint)

    def misdrawn(
        self, node: Draw, who: str, taken: object, pool: Selected, amount: int, *, is_exact: bool
    ) -> Diagnostic | None:
        """What is wrong with what the rule of a plugin returned, if anything."""
        if not isinstance(taken, Selected):
            why = f"returned a `{type(taken).__name__}`, and no `Selected`"
        elif difference(taken, pool):
            why = "returned entries that the selection does not have"
        elif taken.count > amount or (is_exact and taken.count != amount):
            why = f"returned {_entries(taken.count)}, and was asked for {amount:,}"
        else:
            return None
        return error("broken-plugin", f"{who} {why}", node.span, help="tell its authors")

    def misranked(self, node: Top, who: str, found: object, shape: Shape) -> Diagnostic | None:
        """What is wrong with the scores that the ranking of a plugin returned, if anything."""
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
            why = f"returned a `{type(found).__name__}`, and no array of numbers"
        elif found.shape != shape:
            why = f"returned scores of shape {found.shape} for a tensor of shape {shape}"
        else:
            return None
        return error("broken-plugin", f"{who} {why}", node.by.span, help="tell its authors")

    def _amount(self, amount: Amount) -> str:
        match amount:
            case Percent(percent=percent):
                return f"{percent.normalize():f}% of {self._catalogue.size:,} parameters"
            case SizeOf(of=of):
                return f"the size of {quoted(of)}"
            case Share(percent=percent, of=of):
                return f"{percent.normalize():f}% of {quoted(of)}"
            case _:
                return "the amount"

    def _remaining(self, condition: Condition, of: Selected, wanted: bool) -> frozenset[str]:
        # Tensors of a selection for which a condition is as wanted.
        met = self._conditions.meeting(condition)
        return frozenset(name for name in of if (name in met) == wanted)

    def _blamed(self, condition: Condition, of: Selected, wanted: bool) -> tuple[Atom, bool] | None:
        # The first test that leaves nothing by itself, and whether it is to be met.
        for atom, positive in _atoms(condition, wanted):
            if not self._remaining(atom, of, positive):
                return atom, positive
        return None

    def _nothing_has(self, atom: Atom, wanted: bool, of: Selected, whole: str) -> tuple[str, str | None]:
        # A test leaves nothing: no parameter has what is asked for, or every one has what is not.
        if wanted == is_negated(atom):
            return f"every parameter of {whole} {predicate(atom)}", None
        return f"no parameter of {whole} {predicate(atom)}", self._hints.hint(atom, of, whole)

    def _one_by_one(self, condition: Condition, of: Selected) -> str:
        counts = [
            f"`{written(atom, positive)}` leaves {len(self._remaining(atom, of, positive)):,}"
            for atom, positive in _atoms(condition, wanted=True)
        ]
        return f"by itself, {listed(counts, 'and', quote='')}"

    def _idle_branches(self, condition: Condition, of: Selected, whole: str, wanted: bool) -> Iterator[Diagnostic]:
        match condition:
            case Not(condition=inner):
                yield from self._idle_branches(inner, of, whole, not wanted)
            case And(conditions=parts) | Or(conditions=parts):
                for part in parts:
                    # An `and` that is not to be met is an `or`.
                    if isinstance(condition, Or) != wanted or self._remaining(part, of, wanted):
                        yield from self._idle_branches(part, of, whole, wanted)
                    else:
                        yield self._idle_branch(part, of, whole, wanted)
            case _:
                pass

    def _idle_branch(self, branch: Condition, of: Selected, whole: str, wanted: bool) -> Diagnostic:
        blamed = self._blamed(branch, of, wanted)
        if blamed is None:
            message, hint, span = f"no parameter of {whole} meets all of this at once", None, branch.span
        else:
            message, hint = self._nothing_has(*blamed, of, whole)
            span = blamed[0].span
        return _idle(f"{message}, so this part of the condition adds nothing", span, hint)

    def _idle_members(self, atom: IsIn, of: Selected, whole: str) -> Iterator[Diagnostic]:
        does = "takes nothing away" if atom.negated else "adds nothing"
        found = [self._conditions.having_item(atom.attribute, item) & of.keys() for item in atom.items]
        if not any(found) and not atom.negated:
            return  # the whole test leaves nothing, which is spoken of elsewhere
        for item, names in zip(atom.items, found, strict=True):
            if not names:
                member = value_atom(atom.attribute, item)
                message, hint = self._nothing_has(member, True, of, whole)
                yield _idle(f"{message}, so this member of the set {does}", item.span, hint)
            elif isinstance(item, Range) and atom.attribute == "layer":
                yield from self._beyond(item)

    def _beyond(self, item: Range) -> Iterator[Diagnostic]:
        first, last = self._conditions.bounds("layer", item)
        layers = self._catalogue.layers
        if first < 0 or last >= layers:
            known = f"the layers of {self._catalogue.model_type}, which are 0..{layers - 1}"
            yield _idle(f"{written_item(item)} goes beyond {known}", item.span, "write `..-1` for up to the last")


def quoted(selection: Selection, otherwise: str = "the selection") -> str:
    """A selection as its user wrote it, in backticks, if that is short; or else a word for it."""
    if isinstance(selection, Base | Ref):
        return f"`{selection.name}`"
    span = selection.span
    text = span.source.text[span.start : span.end]
    # What stands in a template is not what was meant.
    if not text or len(text) > MAX_QUOTE or set(text) & set("\n$#"):
        return otherwise
    return f"`{text}`"


def _atoms(condition: Condition, wanted: bool) -> Iterator[tuple[Atom, bool]]:
    # The single tests, and for each whether it is to be met (not so behind an odd number of `not`).
    match condition:
        case Not(condition=inner):
            yield from _atoms(inner, not wanted)
        case And(conditions=parts) | Or(conditions=parts):
            for part in parts:
                yield from _atoms(part, wanted)
        case _:
            yield condition, wanted


def _idle(message: str, span: Span, hint: str | None) -> Diagnostic:
    return warning("part-matches-nothing", message, span, help=hint)


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"
