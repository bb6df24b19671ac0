"""What to try instead of a test that no parameter of a selection passes: the nearest things that do exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import regex

from bitspec.diagnostics import closest, listed
from bitspec.ir.masks import Selected
from bitspec.ir.selection import Attribute, Compares, IsIn, Item, Matches, Range, Value
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.conditions import Atom, Conditions, attribute_of, is_negated
from bitspec.vocabulary import KINDS, ROLES

#: Most values that a hint lists.
MAX_LISTED = 6


def written(atom: Atom, positive: bool = True) -> str:
    """A test as the language writes it; with positive=False, the opposite test."""
    text = _expression(atom)
    return text if positive else f"not {text}"


def predicate(atom: Atom) -> str:
    """What a test says of a parameter, taken the positive way: `has the role q`, `is in layer 3`."""
    match atom:
        case Matches(attribute=attribute, pattern=pattern):
            called = "module class" if attribute == "class" else attribute
            return f'has a {called} that matches "{pattern}"'
        case Compares(attribute=attribute, operator="==" | "!=", value=value):
            return _equality(attribute, value)
        case Compares(attribute=attribute, operator=operator, value=value):
            shown = f"{value:,}" if attribute == "numel" and isinstance(value, int) else value
            return f"{'is in a' if attribute == 'layer' else 'has'} {attribute} {operator} {shown}"
        case IsIn(attribute=attribute, items=items):
            if len(items) == 1 and isinstance(items[0], Value):
                return _equality(attribute, items[0].value)
            if attribute == "layer":
                return f"is in one of the layers {', '.join(map(written_item, items))}"
            called = "module class" if attribute == "class" else attribute
            return f"has {'' if attribute in ('numel', 'ndim') else 'a '}{called} in {_members(items)}"


def value_atom(attribute: Attribute, item: Item) -> Atom:
    """The test that asks for one member of a set alone."""
    return IsIn.model_construct(type="in", attribute=attribute, items=(item,), negated=False, span=item.span)


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as the language writes them: `0..3, 5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}..{last}" if last > first else f"{first}" for first, last in runs)


class Hints:
    """Looks for what was meant by a test that matches nothing."""

    def __init__(self, catalogue: Catalogue, conditions: Conditions) -> None:
        self._catalogue = catalogue
        self._conditions = conditions
        self._model = catalogue.model_type

    def hint(self, atom: Atom, of: Selected, whole: str) -> str | None:
        """A help line for a positive test that leaves nothing of a selection, which messages call `whole`."""
        present = self._present(atom.attribute, of)
        wanted = _wanted(atom)
        match atom.attribute:
            case "layer":
                return self._layers(atom, present, whole)
            case "role":
                return self._roles(wanted, present, whole)
            case "kind":
                return "the " + _are("kind", f" of {whole}", _ordered(present, KINDS))
            case "ndim":
                dimensions = [f"{value}-D" for value in present]
                return f"the tensors of {whole} are {listed(dimensions, 'and', quote='')}"
            case "numel":
                first, last = f"{int(min(present)):,}", f"{int(max(present)):,}"
                span = f"{first} entries each" if first == last else f"{first} to {last} entries"
                return f"the tensors of {whole} have {span}"
            case _:
                return self._texts(atom, wanted, [str(value) for value in present], whole)

    def _present(self, attribute: Attribute, of: Selected) -> list[str | int]:
        # What an attribute is in a selection, each value once, in the model's order.
        parameters = (parameter for parameter in self._catalogue.parameters if parameter.name in of)
        values = (attribute_of(parameter, attribute) for parameter in parameters)
        return [value for value in dict.fromkeys(values) if value is not None]

    def _layers(self, atom: Atom, present: Sequence[str | int], whole: str) -> str:
        layers = self._catalogue.layers
        if not layers:
            return f"{self._model} has no layers"
        if not present:
            return f"no parameter of {whole} lies in a layer"
        here = {int(layer) for layer in present}
        if self._conditions.having(atom) or here != set(range(layers)):
            which = "layers" if len(here) > 1 else "only layer"
            return f"the {which} of {whole} {'are' if len(here) > 1 else 'is'} {ranges(here)}"
        return f"layers are 0..{layers - 1}" if layers > 1 else "the only layer is 0"

    def _roles(self, wanted: Sequence[str], present: Sequence[str | int], whole: str) -> str | None:
        roles = {parameter.role for parameter in self._catalogue.parameters if parameter.role}
        if not roles:
            return f"bitspec knows no roles of {self._model}: select by `name` or `module` instead"
        here = _ordered(present, ROLES)
        has = f"whose {_are('role', '', here)}" if here else "which has no roles"
        for role in wanted:
            if role in roles:
                return f"`{role}` exists in {self._model}, but not in {whole}, {has}"
            if role in ("q", "k", "v") and "qkv" in roles:
                return f"{self._model} makes query, key and value in one projection, whose role is `qkv`"
            if role == "qkv" and {"q", "k", "v"} <= roles:
                return f"{self._model} has `q`, `k` and `v` apart: write `role in {{q, k, v}}`"
        return f"the {_are('role', f' of {self._model}', _ordered(roles, ROLES))}"

    def _texts(self, atom: Atom, wanted: Sequence[str], present: Sequence[str], whole: str) -> str:
        elsewhere = [
            parameter.name
            for parameter in self._catalogue.parameters
            if parameter.name in self._conditions.having(atom)
        ]
        if elsewhere:
            many = "1 parameter" if len(elsewhere) == 1 else f"{len(elsewhere):,} parameters"
            return f"{self._model} has {many} like this, such as `{elsewhere[0]}`, but {whole} has none"
        if isinstance(atom, Matches):
            near = closest(*_searchable(atom.pattern, present))
        else:
            near = [match for text in wanted for match in closest(text, present)][:3]
        if near:
            return f"did you mean {listed(near)}?"
        noun = atom.attribute
        if len(present) <= MAX_LISTED:
            return f"the {_are(noun, f' of {whole}', present)}"
        return f"a {noun} of {whole} looks like `{present[0]}`"


def _searchable(pattern: str, texts: Iterable[str]) -> tuple[str, list[str]]:
    # A pattern without its operators, and as many neighbouring parts of the names as it has itself; without
    # those that hold a layer's number, which differ in nothing else.
    plain: str = regex.sub(r"\\\w|[\\^$()?*+\[\]{}|]", "", pattern.replace(r"\.", ".")).strip(".")
    width = plain.count(".") + 1
    windows: dict[str, None] = {}
    for text in texts:
        parts = text.split(".")
        for start in range(len(parts) - width + 1):
            window = parts[start : start + width]
            if not any(map(str.isdigit, window)):
                windows[".".join(window)] = None
    return plain, list(windows)


def _ordered(present: Collection[str | int], vocabulary: Iterable[str]) -> list[str]:
    return [word for word in vocabulary if word in present]


def _are(noun: str, of: str, words: Sequence[str]) -> str:
    if len(words) == 1:
        return f"{noun}{of} is `{words[0]}`"
    plural = "classes" if noun == "class" else f"{noun}s"
    return f"{plural}{of} are {listed(words, 'and')}"


def _wanted(atom: Atom) -> list[str]:
    match atom:
        case Compares(value=value):
            return [str(value)]
        case IsIn(items=items):
            return [str(item.value) for item in items if isinstance(item, Value)]
        case _:
            return []


def _equality(attribute: Attribute, value: int | str) -> str:
    match attribute:
        case "layer":
            return f"is in layer {value}"
        case "role":
            return f"has the role `{value}`"
        case "kind":
            return f"is of the kind `{value}`"
        case "class":
            return f"belongs to a module of the class `{value}`"
        case "module":
            return f"belongs to the module `{value}`"
        case "name":
            return f"is called `{value}`"
        case "numel":
            return f"has {value:,} entries" if isinstance(value, int) else f"has {value} entries"
        case "ndim":
            return f"is {value}-D"


def _expression(atom: Atom) -> str:
    match atom:
        case Matches(attribute=attribute, pattern=pattern):
            return f'{attribute} {"!~" if atom.negated else "~"} "{pattern}"'
        case Compares(attribute=attribute, operator=operator, value=value):
            return f"{attribute} {operator} {_literal(value)}"
        case IsIn(attribute=attribute, items=items):
            return f"{attribute} {'not in' if is_negated(atom) else 'in'} {_members(items)}"


def _members(items: Sequence[Item]) -> str:
    if len(items) == 1 and isinstance(items[0], Range):
        return written_item(items[0])
    return f"{{{', '.join(map(written_item, items))}}}"


def written_item(item: Item) -> str:
    """A member of a set as the language writes it."""
    return f"{item.first}..{item.last}" if isinstance(item, Range) else _literal(item.value)


def _literal(value: int | str) -> str:
    # Words need no quotes in the language; anything else does.
    return str(value) if isinstance(value, int) or value.isidentifier() else f'"{value}"'
