"""Tables of Arrow, as Parquet files and the hub's datasets hold them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bitspec.diagnostics import first_line
from bitspec.training.tables import Cell, Origin, Table, positions

if TYPE_CHECKING:
    import pyarrow


def read_parquet(path: Path, columns: Sequence[str], origin: Origin) -> Table:
    """Columns of a Parquet file.

    Raises BitspecError if it is none, and as `of_arrow` does; OSError if it cannot be opened.
    """
    import pyarrow
    from pyarrow import parquet

    with path.open("rb") as stream:
        try:
            # Not read_table(), which takes folders such as `split=train/` for columns.
            file = parquet.ParquetFile(stream)
            positions(origin, file.schema_arrow.names, columns)
            table = file.read(columns=list(columns))
        except (pyarrow.ArrowException, OSError) as problem:
            message = f"`{origin.name}` is not a Parquet file: {first_line(problem)}"
            raise origin.refuse(
                "bad-data-file", message, "write it anew; a file of another kind needs another ending"
            ) from None
    return of_arrow(table, columns, origin)


def of_arrow(table: pyarrow.Table, columns: Sequence[str], origin: Origin) -> Table:
    """Columns of a table of Arrow. Raises BitspecError if it lacks one, or one holds neither texts nor numbers."""
    positions(origin, table.schema.names, columns)
    found = tuple(_cells(table.column(name), name, origin) for name in columns)
    return Table(origin, found, range(1, len(table) + 1), "row")


def _cells(column: pyarrow.ChunkedArray, name: str, origin: Origin) -> list[Cell]:
    from pyarrow import types

    if types.is_dictionary(column.type):  # pandas' categories
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_float16(kind) or types.is_float32(kind):
        # As a person would write it, so that 3.8 is the same number here and in a text.
        return [float(str(value)) for value in column.to_numpy()]
    if types.is_decimal(kind):
        return [None if value is None else float(value) for value in column.to_pylist()]
    if not any(
        is_kind(kind)
        for is_kind in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_boolean,
            types.is_integer,
            types.is_float64,
            types.is_null,
        )
    ):
        message = f"`{origin.name}` has neither texts nor numbers in `{name}`, but `{kind}`"
        raise origin.refuse("bad-cell", message, "write the column as text or as numbers")
    try:
        cells: list[Cell] = column.to_pylist()
    except UnicodeDecodeError:
        message = f"`{origin.name}` has texts in `{name}` that are not UTF-8"
        raise origin.refuse("not-utf8", message, "write them as UTF-8") from None
    return cells
