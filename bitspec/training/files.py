"""Data files: CSV, tab separated, JSON and Parquet, each read into a table of the columns that are asked for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from bitspec.diagnostics import BitspecError, Span, closest, listed
from bitspec.training.arrow import read_parquet
from bitspec.training.tables import Cell, Origin, Table, Unit, no_examples, place, positions, repeated

#: The endings of files that can be read.
ENDINGS: Final = (".csv", ".tsv", ".json", ".jsonl", ".parquet")

#: What is done with a row that has more or fewer fields than the header: refuse both; ignore what is more than the
#: header has; or also leave out rows that end before a column that is asked for.
Ragged: TypeAlias = Literal["refuse", "longer", "skip"]

#: Characters of a field: as many as the csv module takes on every system.
_LONGEST_FIELD: Final = 2**31 - 1

#: Characters of a value that a message shows.
_SHOWN: Final = 40

#: Bytes by which it is told what a file is that has a NUL in it.
_LOOKED_AT: Final = 1000


def read_table(path: Path, columns: Sequence[str], span: Span | None = None) -> Table:
    """Columns of a data file, whose ending says how it is to be read.

    `.csv` has commas and quotes; `.tsv` has tabs, and quotes mean nothing in it; `.json` and `.jsonl` are an array of
    objects, or one object a line. `span` is where the spec asks for the file.

    Raises BitspecError if the file cannot be read so, or lacks one of the columns.
    """
    origin = Origin(str(path), span)
    match path.suffix.lower():
        case ".csv":
            return _read_csv(_text(path, origin), columns, origin)
        case ".tsv":
            return read_tsv(path, columns, span)
        case ".json" | ".jsonl":
            return _read_json(_text(path, origin), columns, origin)
        case ".parquet":
            with _opening(path, origin):
                return read_parquet(path, columns, origin)
    hint = f"name a file whose name ends in {listed(ENDINGS)}"
    raise origin.refuse("unknown-file-type", f"`{path}` is of no kind that bitspec reads", hint)


# Separated fields -----------------------------------------------------------------------------------------


def _read_csv(text: str, columns: Sequence[str], origin: Origin) -> Table:
    rows = _csv_rows(text, origin)
    _, header = next(rows, (1, []))
    return _separated(origin, rows, header, columns, "refuse", "a field with a comma in it stands in double quotes")


def _csv_rows(text: str, origin: Origin) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line on which it starts."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as problem:
        hint = "a field in double quotes ends with one, and has two for each that is in it"
        message = f"{place(origin, 'line', line)}: this row is not CSV: {problem}"
        raise origin.refuse("bad-data-file", message, hint) from None
    finally:
        csv.field_size_limit(before)


def read_tsv(
    path: Path,
    columns: Sequence[str],
    span: Span | None = None,
    *,
    header: Sequence[str] | None = None,
    ragged: Ragged = "refuse",
) -> Table:
    """Columns of a tab separated file, in which quotes mean nothing.

    `header` names the columns of a file that has no line for them. Raises BitspecError as `read_table` does.
    """
    origin = Origin(str(path), span)
    # Not splitlines(), which also takes characters inside a sentence for line ends.
    lines = _text(path, origin).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line)
    names = list(header) if header is not None else next(rows, (1, []))[1]
    return _separated(origin, rows, names, columns, ragged, "tabs separate the fields, and quotes mean nothing here")


def _separated(
    origin: Origin,
    rows: Iterator[tuple[int, list[str]]],
    header: list[str],
    columns: Sequence[str],
    ragged: Ragged,
    hint: str,
) -> Table:
    if not header:
        raise no_examples(origin)
    wanted = positions(origin, header, columns)
    numbers: list[int] = []
    found: tuple[list[Cell], ...] = tuple([] for _ in wanted)
    for number, fields in rows:
        is_short = len(fields) <= max(wanted)
        if (is_short and ragged != "skip") or (len(fields) != len(header) and ragged == "refuse"):
            what = f"this row has {_fields(len(fields))}, and the header has {len(header)}"
            raise origin.refuse("ragged-row", f"{place(origin, 'line', number)}: {what}", hint)
        if not is_short:
            numbers.append(number)
            for column, position in zip(found, wanted, strict=True):
                column.append(fields[position])
    return Table(origin, found, numbers, "line")


def _fields(count: int) -> str:
    return f"{count} field{'s' * (count != 1)}"


# JSON -----------------------------------------------------------------------------------------------------


def _read_json(text: str, columns: Sequence[str], origin: Origin) -> Table:
    if text.lstrip().startswith("["):
        with _json_problems(origin, 1):
            entries = json.loads(text, object_pairs_hook=_object)
        return _objects(origin, entries, range(1, len(entries) + 1), "entry", columns)
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    entries = []
    for number, line in lines:
        with _json_problems(origin, number):
            entries.append(json.loads(line, object_pairs_hook=_object))
    return _objects(origin, entries, [number for number, _ in lines], "line", columns)


@contextmanager
def _json_problems(origin: Origin, line: int) -> Iterator[None]:
    """What is wrong with JSON that starts on a line, as an error at its place."""
    hint = "write one array of objects, `[{…}, {…}]`, or one object on each line"
    try:
        yield
    except json.JSONDecodeError as problem:
        where = f"{origin.name}:{line + problem.lineno - 1}:{problem.colno}"
        raise origin.refuse("bad-data-file", f"{where}: this is not JSON: {problem.msg}", hint) from None
    except KeyError as problem:
        name = str(problem.args[0])
        raise repeated(origin, name, f"an object in `{origin.name}` has `{name}` twice") from None
    except (ValueError, RecursionError) as problem:
        message = f"{place(origin, 'line', line)}: this JSON cannot be read: {problem}"
        raise origin.refuse("bad-data-file", message, hint) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises KeyError with a name that it has twice, of which json would keep the second."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise KeyError(next(name for name in names if names.count(name) > 1))
    return made


def _objects(
    origin: Origin, entries: Sequence[Any], numbers: Sequence[int], unit: Unit, columns: Sequence[str]
) -> Table:
    for number, entry in zip(numbers, entries, strict=True):
        if not isinstance(entry, dict):
            example = json.dumps(dict.fromkeys(columns, "…"), ensure_ascii=False)
            message = f"{place(origin, unit, number)}: this is no object: {_shown(entry)}"
            hint = f"each example is an object with the columns as names, such as `{example}`"
            raise origin.refuse("bad-data-file", message, hint)
    if entries:
        positions(origin, list(dict.fromkeys(chain.from_iterable(entries))), columns)
    found = tuple(
        [_cell(entry.get(name), name, origin, unit, number) for number, entry in zip(numbers, entries, strict=True)]
        for name in columns
    )
    return Table(origin, found, numbers, unit)


def _cell(value: Any, name: str, origin: Origin, unit: Unit, number: int) -> Cell:
    if isinstance(value, dict | list):
        what = "an object" if isinstance(value, dict) else "an array"
        message = f"{place(origin, unit, number)}: `{name}` is {what}: {_shown(value)}"
        raise origin.refuse("bad-cell", message, "write a text or a number")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            message = f"{place(origin, unit, number)}: `{name}` has half of a character in it: {_shown(value)}"
            raise origin.refuse("bad-cell", message, "write both halves of its `\\u` pair") from None
    assert value is None or isinstance(value, str | int | float)
    return value


def _shown(value: object) -> str:
    text = json.dumps(value)
    return f"`{text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'}`"


# What files have in common --------------------------------------------------------------------------------


def _text(path: Path, origin: Origin) -> str:
    """A file's text, without a byte order mark."""
    with _opening(path, origin):
        data = path.read_bytes()
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in data and not is_utf16:
        raise _not_a_text(data, origin)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        encoding = "UTF-16" if is_utf16 else "another encoding"
        line = data.count(b"\n", 0, problem.start) + 1
        message = f"{path}:{line}: this is not UTF-8: it looks like {encoding} (byte {problem.start + 1:,})"
        raise origin.refuse("not-utf8", message, "save it as UTF-8") from None


def _not_a_text(data: bytes, origin: Origin) -> BitspecError:
    """That there is a NUL in a file, which no text has."""
    first = data.index(b"\0")
    where = place(origin, "line", data.count(b"\n", 0, first) + 1)
    start = data[:_LOOKED_AT]
    if start.count(b"\0") * 3 > len(start):  # as in UTF-16 and UTF-32 without a mark
        return origin.refuse("not-utf8", f"{where}: this is not UTF-8: it looks like UTF-16", "save it as UTF-8")
    hint = "a name's ending says what is in a file; if it is a text, write it anew without the NUL"
    return origin.refuse("not-a-text", f"{where}: this is no text: it has a NUL (byte {first + 1:,})", hint)


@contextmanager
def _opening(path: Path, origin: Origin) -> Iterator[None]:
    """What keeps a file from being read, as an error."""
    try:
        # To open a pipe would wait for its other end, and what is read from it is gone the next time.
        if path.exists() and not path.is_file() and not path.is_dir():
            hint = "write what it gives to a file, and name that"
            raise origin.refuse("not-a-file", f"`{path}` is a pipe or a device, and no file", hint)
        yield
    except FileNotFoundError:
        raise origin.refuse("no-such-file", f"there is no file `{path}`", _near_file(path)) from None
    except IsADirectoryError:
        raise origin.refuse("not-a-file", f"`{path}` is a folder", "name a file in it") from None
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        hint = "check the path and its permissions"
        raise origin.refuse("unreadable-file", f"`{path}` cannot be read: {reason}", hint) from None


def _near_file(path: Path) -> str:
    if path.is_symlink():
        return f"it is a link to `{path.readlink()}`, and there is nothing"
    try:
        # Without the ending, which would make any two names alike.
        names = {found.stem: found for found in path.parent.iterdir()}
    except OSError:
        return f"there is not even a folder `{path.parent}`; paths in a spec start from the folder of the spec"
    near = closest(path.stem, names, 1)
    return f"did you mean `{names[near[0]]}`?" if near else f"there is nothing like it in `{path.parent}`"
