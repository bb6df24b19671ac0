"""Tables: some columns of a data file, and where each row of it stands, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bitspec.diagnostics import BitspecError, Span, did_you_mean, error, listed

#: What a field may hold. CSV and tab separated files have texts alone.
Cell: TypeAlias = str | int | float | bool | None

#: What a row is counted by.
Unit: TypeAlias = Literal["line", "entry", "row"]

#: Columns that a message lists.
_LISTED: Final = 12


@dataclass(frozen=True)
class Origin:
    """Where rows come from: what messages call it, and where the spec asks for it."""

    name: str
    span: Span | None = None

    def refuse(self, code: str, message: str, hint: str) -> BitspecError:
        """An error that points at the spec."""
        return BitspecError(error(code, message, self.span, help=hint))


@dataclass(frozen=True)
class Table:
    """Columns of a data file, in the order in which they were asked for.

    `numbers` says for each row the line on which it starts, or which entry or row of the file it is, from 1.
    """

    origin: Origin
    columns: tuple[Sequence[Cell], ...]
    numbers: Sequence[int]
    unit: Unit

    def __post_init__(self) -> None:
        if not self.numbers:
            raise no_examples(self.origin)

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int) -> str:
        """Where a row (counted from 0) stands: `train.csv:12`, or `train.parquet, row 12`."""
        return place(self.origin, self.unit, self.numbers[row])

    def refuse(self, code: str, rows: Sequence[int], message: str, hint: str) -> BitspecError:
        """An error about rows: it names the first, and says how many more there are."""
        more = f" (and so in {len(rows) - 1:,} more {'rows' if len(rows) > 2 else 'row'})" if len(rows) > 1 else ""
        return self.origin.refuse(code, f"{self.place(rows[0])}: {message}{more}", hint)


def place(origin: Origin, unit: Unit, number: int) -> str:
    """Where something stands, as editors understand it if it is a line."""
    return f"{origin.name}:{number}" if unit == "line" else f"{origin.name}, {unit} {number}"


def positions(origin: Origin, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where in a header the columns are. Raises BitspecError if one is missing, or there are two of it."""
    for name in columns:
        if name not in header:
            raise origin.refuse("missing-column", f"`{origin.name}` has no column `{name}`", _near(name, header))
        if header.count(name) > 1:
            raise repeated(origin, name, f"`{origin.name}` has {header.count(name)} columns called `{name}`")
    return [header.index(name) for name in columns]


def _near(name: str, header: Sequence[str]) -> str:
    if len(header) > 1:
        shown = [*header[:_LISTED], *["…"] * (len(header) > _LISTED)]
        return did_you_mean(name, header) or f"its columns are {listed(shown, 'and')}"
    (only,) = header or ("",)
    for separator, what in ((";", "semicolons"), ("\t", "tabs"), (",", "commas"), ("|", "bars")):
        if separator in only:
            return f"{what} seem to separate its columns: `.csv` files have commas, `.tsv` files have tabs"
    return did_you_mean(name, header) or (f"its only column is `{only}`" if header else "it has no columns")


def repeated(origin: Origin, name: str, message: str) -> BitspecError:
    """A column that there is more than once."""
    return origin.refuse("repeated-column", message, f"give all but one `{name}` another name")


def no_examples(origin: Origin) -> BitspecError:
    """A file without a single example."""
    return origin.refuse("no-examples", f"`{origin.name}` has no examples", "is it the right file?")
