"""Data files of every kind: what is read from them, against what other programs write and read, and every refusal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError, Diagnostic, Source, Span
from bitspec.training.files import ENDINGS, read_table, read_tsv
from bitspec.training.tables import Cell, Table

#: Anything that a text may hold, and often what separates and quotes.
TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), st.sampled_from('",\n\r\t; \u2028'))
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _rows(table: Table) -> list[tuple[Cell, ...]]:
    return list(zip(*table.columns, strict=True))


def _refusal(path: Path, columns: Sequence[str] = ("text", "label")) -> Diagnostic:
    span = Span(Source("a.bspec", "task a { }"), 5, 6)
    with pytest.raises(BitspecError) as raised:
        read_table(path, columns, span)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    assert diagnostic.span is span
    return diagnostic


# What is read ---------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_is_what_was_written_and_what_arrow_reads(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], end: str, with_mark: bool
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "other", "label"), *((text, "x", label) for text, label in rows)])
    data = written.getvalue().encode("utf-8-sig" if with_mark else "utf-8")
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(data)
    assert _rows(read_table(path, ("text", "label"))) == rows
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    converting = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(("text", "other", "label"), pyarrow.string()), strings_can_be_null=False
    )
    oracle = pyarrow.csv.read_csv(io.BytesIO(data), parse_options=parsing, convert_options=converting)
    assert [tuple(row.values()) for row in oracle.select(["text", "label"]).to_pylist()] == rows


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(*[TEXTS.map(lambda text: "".join(text.split())) for _ in range(2)]), min_size=1, max_size=6))
def test_quotes_mean_nothing_between_tabs(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    _write(path, "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]))
    assert _rows(read_table(path, ("label", "text"))) == [(label, text) for text, label in rows]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(TEXTS, st.one_of(st.integers(), st.booleans(), st.none(), TEXTS, st.floats(allow_nan=False))),
        min_size=1,
    ),
    st.booleans(),
    st.sampled_from(["array", "lines", "indented"]),
)
def test_json_keeps_its_types(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, Cell]], ascii_only: bool, form: str
) -> None:
    objects: list[dict[str, Any]] = [{"label": label, "other": [{}], "text": text} for text, label in rows]
    if form == "lines":
        content = "\n\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in objects)
    else:
        content = json.dumps(objects, ensure_ascii=ascii_only, indent=2 if form == "indented" else None)
    for ending in ("json", "jsonl"):
        path = _write(tmp_path_factory.mktemp("json") / f"a.{ending}", content)
        table = read_table(path, ("text", "label"))
        found = _rows(table)
        assert found == rows
        assert [type(row[1]) for row in found] == [type(label) for _, label in rows]
        assert table.unit == ("line" if form == "lines" else "entry")


@settings(deadline=None, max_examples=30)
@given(
    st.lists(TEXTS, min_size=1),
    st.sampled_from(
        [
            pyarrow.string(),
            pyarrow.large_string(),
            pyarrow.string_view(),
            pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
        ]
    ),
)
def test_parquet_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], kind: pyarrow.DataType
) -> None:
    # A folder that reads like a column of its own must not become one.
    path = tmp_path_factory.mktemp("parquet") / "label=7" / "a.parquet"
    path.parent.mkdir()
    columns = {"label": list(range(len(texts))), "other": [[1]] * len(texts), "text": pyarrow.array(texts).cast(kind)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert _rows(read_table(path, ("text", "label"))) == [(text, number) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pyarrow.int8(), [0, -1, None]),
        (pyarrow.uint64(), [0, 2**64 - 1, None]),
        (pyarrow.bool_(), [True, False, None]),
        (pyarrow.float64(), [0.1, 3.8, None]),
        (pyarrow.decimal128(5, 2), [0.1, 3.8, None]),
        (pyarrow.null(), [None, None]),
    ],
    ids=str,
)
def test_parquet_has_labels_of_many_kinds(kind: pyarrow.DataType, values: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    column = pyarrow.array(values, None if pyarrow.types.is_decimal(kind) else kind).cast(kind)
    pyarrow.parquet.write_table(pyarrow.table({"label": column}), path)
    (found,) = read_table(path, ["label"]).columns
    assert list(found) == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("kind", [pyarrow.float16(), pyarrow.float32()], ids=str)
def test_short_floats_are_read_as_a_person_writes_them(kind: pyarrow.DataType, tmp_path: Path) -> None:
    values = [0.0, 3.8, 4.6, 1.25, 5.0]
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"label": pyarrow.array(values).cast(kind, safe=False)}), path)
    assert list(read_table(path, ["label"]).columns[0]) == values


def test_places_are_lines_where_there_are_lines(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", 'text,label\n\n"two\nlines",0\nb,1\r\nc,2\n\n\nd,3')
    assert [read_table(path, ["label"]).place(row) for row in range(4)] == [f"{path}:{line}" for line in (3, 5, 6, 9)]
    path = _write(tmp_path / "a.tsv", "text\tlabel\na\u2028b\t0\n\nb\t1\r\nc\t2")
    assert [read_table(path, ["label"]).place(row) for row in range(3)] == [f"{path}:{line}" for line in (2, 4, 5)]
    path = _write(tmp_path / "a.jsonl", '\n{"label": 0}\n\n{"label": 1}\n')
    assert [read_table(path, ["label"]).place(row) for row in range(2)] == [f"{path}:2", f"{path}:4"]
    path = _write(tmp_path / "a.json", '\n[{"label": 0},\n{"label": 1}]')
    assert [read_table(path, ["label"]).place(row) for row in range(2)] == [f"{path}, entry 1", f"{path}, entry 2"]


def test_a_field_may_be_long(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = "a," * 200_000
    assert read_table(_write(tmp_path / "a.csv", f'text\n"{text}"\n'), ["text"]).columns[0] == [text]
    assert csv.field_size_limit() == before


def test_endings_may_be_in_capitals(tmp_path: Path) -> None:
    assert len(read_table(_write(tmp_path / "A.CSV", "text\na\n"), ["text"])) == 1


def test_files_without_a_header_and_with_ragged_rows(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tsv", "a\t0\tx\nb\nc\t1\n\td\t\n")
    names = ("text", "label")
    found = read_tsv(path, ("label", "text"), header=names, ragged="skip")
    assert _rows(found) == [("0", "a"), ("1", "c"), ("d", "")]
    assert list(found.numbers) == [1, 3, 4]
    for ragged, line in (("longer", 2), ("refuse", 1)):
        with pytest.raises(BitspecError) as raised:
            read_tsv(path, ("label", "text"), header=names, ragged=ragged)  # type: ignore[arg-type]
        assert f"a.tsv:{line}: this row has" in str(raised.value)
    assert len(read_tsv(path, ["text"], header=names, ragged="longer")) == 4


# What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code", "message", "hint"),
    [
        # Of every kind of file.
        (
            "a.txt",
            "text,label",
            "unknown-file-type",
            "`{}` is of no kind that bitspec reads",
            "`.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet`",
        ),
        ("a", "text,label", "unknown-file-type", "`{}` is of no kind that bitspec reads", "whose name ends in"),
        ("a.csv.gz", "text,label", "unknown-file-type", "`{}` is of no kind that bitspec reads", "whose name ends in"),
        ("a.csv", "", "no-examples", "`{}` has no examples", "the right file?"),
        ("a.tsv", "", "no-examples", "`{}` has no examples", "the right file?"),
        ("a.json", "", "no-examples", "`{}` has no examples", "the right file?"),
        ("a.json", "[]", "no-examples", "`{}` has no examples", "the right file?"),
        ("a.jsonl", "\n \n", "no-examples", "`{}` has no examples", "the right file?"),
        ("a.csv", "text,label\n\n", "no-examples", "`{}` has no examples", "the right file?"),
        (
            "a.csv",
            b"text,label\nna\xefve,0\n",
            "not-utf8",
            "{}:2: this is not UTF-8: it looks like another encoding (byte 14)",
            "save it as UTF-8",
        ),
        (
            "a.tsv",
            "text\tlabel".encode("utf-16"),
            "not-utf8",
            "{}:1: this is not UTF-8: it looks like UTF-16 (byte 1)",
            "save it as UTF-8",
        ),
        (
            "a.json",
            b"PAR1\0",
            "not-a-text",
            "{}:1: this is no text: it has a NUL (byte 5)",
            "ending says what is in a file",
        ),
        (
            "a.csv",
            "text,label".encode("utf-16-le"),
            "not-utf8",
            "{}:1: this is not UTF-8: it looks like UTF-16",
            "as UTF-8",
        ),
        # Columns.
        ("a.csv", "txt,label,c\n1,2,3", "missing-column", "`{}` has no column `text`", "did you mean `txt`?"),
        ("a.csv", "Text,Label\n1,2", "missing-column", "`{}` has no column `text`", "did you mean `Text`?"),
        (
            "a.csv",
            "text,b,c\n1,2,3",
            "missing-column",
            "`{}` has no column `label`",
            "its columns are `text`, `b` and `c`",
        ),
        ("a.csv", "text,b\n1,2", "missing-column", "`{}` has no column `label`", "its columns are `text` and `b`"),
        ("a.tsv", "text\n1", "missing-column", "`{}` has no column `label`", "its only column is `text`"),
        (
            "a.csv",
            "text;label\na;0",
            "missing-column",
            "`{}` has no column `text`",
            "semicolons seem to separate its columns",
        ),
        (
            "a.csv",
            "text\tlabel\na\t0",
            "missing-column",
            "`{}` has no column `text`",
            "tabs seem to separate its columns",
        ),
        (
            "a.tsv",
            "text,label\na,0",
            "missing-column",
            "`{}` has no column `text`",
            "commas seem to separate its columns",
        ),
        ("a.json", '[{"text": "a"}]', "missing-column", "`{}` has no column `label`", "its only column is `text`"),
        ("a.csv", ",".join(f"c{i}" for i in range(99)), "missing-column", "`{}` has no column `text`", "`c11` and `…`"),
        ("a.csv", "text,label,text\n1,2,3", "repeated-column", "`{}` has 2 columns called `text`", "another name"),
        (
            "a.json",
            '[{"text": "a", "label": 1, "label": 2}]',
            "repeated-column",
            "an object in `{}` has `label` twice",
            "another name",
        ),
        ("a.json", "[{}]", "missing-column", "`{}` has no column `text`", "it has no columns"),
        ("a.csv", "txt\na", "missing-column", "`{}` has no column `text`", "did you mean `txt`?"),
        # Rows.
        (
            "a.csv",
            "text,label\na,0\nb,1,2\n",
            "ragged-row",
            "{}:3: this row has 3 fields, and the header has 2",
            "double quotes",
        ),
        (
            "a.csv",
            'text,label\n"a\nb",0\nc\n',
            "ragged-row",
            "{}:4: this row has 1 field, and the header has 2",
            "double quotes",
        ),
        (
            "a.tsv",
            "text\tlabel\na\n",
            "ragged-row",
            "{}:2: this row has 1 field, and the header has 2",
            "quotes mean nothing",
        ),
        (
            "a.csv",
            'text,label\na,0\n"b,1\nc,0\n',
            "bad-data-file",
            "{}:3: this row is not CSV: unexpected end of data",
            "ends with one",
        ),
        (
            "a.csv",
            'text,label\n"a"b,0\n',
            "bad-data-file",
            "{}:2: this row is not CSV: ',' expected after '\"'",
            "ends with one",
        ),
        # JSON.
        (
            "a.json",
            '[{"text": "a",\n "label" 1}]',
            "bad-data-file",
            "{}:2:10: this is not JSON: Expecting ':' delimiter",
            "one array",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": \n',
            "bad-data-file",
            "{}:2:10: this is not JSON: Expecting value",
            "one object on each line",
        ),
        (
            "a.json",
            '{\n"text": ["a"]}',
            "bad-data-file",
            "{}:1:2: this is not JSON: Expecting property name",
            "one array of objects",
        ),
        ("a.json", "[" * 100_000, "bad-data-file", "{}:1: this JSON cannot be read: maximum recursion", "one array"),
        (
            "a.jsonl",
            '{"label": ' + "9" * 5_000 + "}",
            "bad-data-file",
            "{}:1: this JSON cannot be read: Exceeds the limit",
            "one array",
        ),
        (
            "a.json",
            '[{"text": "a", "label": 1}, "b"]',
            "bad-data-file",
            '{}, entry 2: this is no object: `"b"`',
            'such as `{{"text": "…", "label": "…"}}`',
        ),
        ("a.jsonl", '\n["text", "label"]', "bad-data-file", '{}, entry 1: this is no object: `"text"`', "such as"),
        (
            "a.jsonl",
            '{"text": "a", "label": [1]}',
            "bad-cell",
            "{}:1: `label` is an array: `[1]`",
            "a text or a number",
        ),
        (
            "a.json",
            '[{"label": 1, "text": {"a": "' + "b" * 99 + '"}}]',
            "bad-cell",
            '{}, entry 1: `text` is an object: `{{"a": "bb',
            "a text or a number",
        ),
        (
            "a.json",
            '[{"label": 1, "text": "\\ud83d"}]',
            "bad-cell",
            "{}, entry 1: `text` has half of a character in it",
            "both halves",
        ),
        # Parquet.
        (
            "a.parquet",
            "text,label",
            "bad-data-file",
            "`{}` is not a Parquet file: Parquet magic bytes not found",
            "another ending",
        ),
        (
            "a.parquet",
            "",
            "bad-data-file",
            "`{}` is not a Parquet file: Parquet file size is 0 bytes",
            "another ending",
        ),
    ],
)
def test_files_that_cannot_be_read(
    name: str, content: str | bytes, code: str, message: str, hint: str, tmp_path: Path
) -> None:
    path = _write(tmp_path / name, content)
    diagnostic = _refusal(path)
    assert diagnostic.code == code
    assert diagnostic.message.startswith(message.format(path))
    assert hint.replace("{{", "{").replace("}}", "}") in (diagnostic.help or "")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    _write(tmp_path / "train.csv", "text,label")
    diagnostic = _refusal(tmp_path / "trian.csv")
    assert (diagnostic.code, diagnostic.help) == ("no-such-file", f"did you mean `{tmp_path / 'train.csv'}`?")
    lost = f"there is not even a folder `{tmp_path / 'no'}`; paths in a spec start from the folder of the spec"
    for ending in ENDINGS:
        assert _refusal(tmp_path / f"another{ending}").help == f"there is nothing like it in `{tmp_path}`"
        assert _refusal(tmp_path / "no" / f"a{ending}").help == lost
        (tmp_path / f"folder{ending}").mkdir()
        assert _refusal(tmp_path / f"folder{ending}").code == "not-a-file"
    assert _refusal(tmp_path / "a\0b.csv").code == "unreadable-file"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    diagnostic = _refusal(tmp_path / "a.csv")
    assert diagnostic.code == "unreadable-file"
    assert diagnostic.message == f"`{tmp_path / 'a.csv'}` cannot be read: Permission denied"


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([b"a"]),
        pyarrow.array([["a"]]),
        pyarrow.array([{"a": 1}]),
        pyarrow.array([0], pyarrow.timestamp("s")),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_parquet_that_hold_something_else(column: pyarrow.Array, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": column}), path)
    diagnostic = _refusal(path)
    assert diagnostic.code == "bad-cell"
    assert diagnostic.message.startswith(f"`{path}` has neither texts nor numbers in `label`, but `")


def test_parquet_that_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{number:x}" * 40 for number in range(2_000)]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": texts}), path)
    data = bytearray(path.read_bytes())
    data[200:2_000] = bytes(1_800)
    path.write_bytes(data)
    assert _refusal(path).code == "bad-data-file"
    bad = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")]
    )
    pyarrow.parquet.write_table(pyarrow.table({"text": bad, "label": [1]}), path)
    assert _refusal(path).code == "not-utf8"


def test_parquet_without_the_column_or_with_two_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "lable": [1]}), path)
    diagnostic = _refusal(path)
    assert (diagnostic.code, diagnostic.help) == ("missing-column", "did you mean `lable`?")
    pyarrow.parquet.write_table(pyarrow.table([pyarrow.array(["a"])] * 2, ["text", "text"]), path)
    assert _refusal(path).code == "repeated-column"
    pyarrow.parquet.write_table(
        pyarrow.table({"text": pyarrow.array([], pyarrow.string()), "label": pyarrow.array([], pyarrow.string())}), path
    )
    assert _refusal(path).code == "no-examples"
