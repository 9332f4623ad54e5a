"""Files as a table in DuckDB whose columns are text, and sentences for what DuckDB finds wrong with them."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from ibis.formats.pyarrow import PyArrowType
from ibis.util import gen_name

from interest_lib.baskets import BASKET_COLUMNS, unfold_baskets
from interest_lib.files import BLANKS, DataFile, open_file, opened_text
from interest_lib.formats import DETECTED, FileFormat
from interest_lib.mapping import Column
from interest_lib.paths import mapped_files, plain
from interest_lib.schema import InputError

_SPACES: Final = f"'{BLANKS}'"
_COMPLAINTS: Final = {
    "Invalid unicode": "is not UTF-8 text; save the file as CSV in UTF-8.",
    "unterminated quote": "has a quote that does not close; close it, or double the quotes inside it.",
    "Maximum line size": "is longer than 2 MB; close its quotes or shorten its text.",
    "invalid state": "mixes line endings or quotes in a way that CSV does not allow; save it again as CSV.",
}
_MOST_COLUMNS: Final = 1_000  # comparing whole rows of many more takes minutes


@dataclass(frozen=True)
class Source:
    """Files that have the same columns, as one table.

    Attributes
    ----------
    con
        Where the table is.
    path
        What messages call the files: the file, or the folder or pattern.
    files
        At least one.
    names
        Columns as the files name them; for JSON Lines, the keys of the objects.
    view
        SQL name of the rows in the order of the files: columns `c0`, `c1`, ... whatever the files call them,
        or one column `json`.
    types
        Of the columns of Parquet.
    """

    con: Backend
    path: Path
    files: tuple[DataFile, ...]
    names: tuple[str, ...]
    view: str
    types: tuple[pa.DataType, ...] = ()

    @property
    def kind(self) -> str:
        """Format of the files."""
        return self.files[0].kind

    def has(self, name: str) -> bool:
        """Whether there is such a column; one inside nested objects exists if its outermost object does."""
        return name in self.names or (
            self.kind == "jsonl" and "." in name and name.split(".", 1)[0] in self.names
        )

    def is_float(self, column: Column) -> bool:
        """Whether a column of Parquet holds floating-point numbers."""
        return bool(self.types) and pa.types.is_floating(self.types[self.names.index(column.name)])

    def texts(self, columns: Mapping[str, Column], numbered: bool = False) -> ir.Table:
        """Columns as trimmed text, null where nothing is left.

        Parameters
        ----------
        columns
            The file's column for each name that the result shall have.
        numbered
            Give each row its `position` from 0, which takes a slow pass.

        Returns
        -------
        ibis.expr.types.Table
            Beside these, for JSON Lines, `nested <name>`: whether a value is a list or an object. It is a
            view, so that DuckDB does the work once however often a text is used.
        """
        raw = ["row_number() OVER () - 1 AS position" if numbered else "0 AS position"]
        read = ["position"]
        for i, (name, column) in enumerate(columns.items()):
            raw.append(f"{self._text(column)} AS x{i}")
            read.append(f"{_trimmed(f'x{i}', column.separator)} AS {_quoted(name)}")
            if self.kind == "jsonl":
                raw.append(f"{self._nested(column)} AS n{i}")
                read.append(f"n{i} AS {_quoted('nested ' + name)}")
        return self.table(f"SELECT {', '.join(read)} FROM (SELECT {', '.join(raw)} FROM {self.view})")

    def table(self, query: str) -> ir.Table:
        """A view of a query, as a table of Ibis."""
        view = gen_name("view")
        try:
            self.con.raw_sql(f"CREATE TEMP VIEW {view} AS {query}")
        except duckdb.Error as error:
            raise InputError(_translate(self.files[0], self.path, str(error))) from None
        return self.con.table(view)

    def may_repeat(self) -> bool:
        """Whether a row may repeat another one in every column; False is certain.

        Rows of different hashes are different, and hashes take a fraction of the time and room that rows do.
        """
        hashes = f"SELECT hash(r) AS h FROM (FROM {self.view}) AS r"
        found = self.table(f"SELECT count(DISTINCT h) < count(h) AS repeats FROM ({hashes})")
        return bool(self.collect(found)[0]["repeats"])

    def once(self) -> "Source":
        """The same without rows that repeat another one in every column."""
        view = gen_name("once")
        self.con.raw_sql(f"CREATE TEMP VIEW {view} AS SELECT DISTINCT * FROM {self.view}")
        return replace(self, view=view)

    def each(self) -> list["Source"]:
        """The same for every file alone."""
        if len(self.files) == 1:
            return [self]
        return [
            replace(self, path=file.path, files=(file,), view=_view(self.con, (file,), self.names))
            for file in self.files
        ]

    def place(self, position: int) -> str:
        """Where in its only file the row at a position from 0 is.

        DuckDB passes over empty lines of text; people who look for the row count them.
        """
        file = self.files[0]
        if self.kind == "parquet":
            return f"row {position + 1}"
        if self.kind == "baskets":
            query = f"SELECT c0, c2 FROM {self.view} LIMIT 1 OFFSET {position}"
            user, number = self.con.raw_sql(query).fetchall()[0]
            return f"user {plain(user)}, basket {number}"
        header = int(self.kind == "csv" and file.form.header)
        with opened_text(file.path, file.form.encoding) as text:
            if self.kind == "csv" and len(file.delimiter) == 1:
                rows: Any = csv.reader(text, delimiter=file.delimiter)
                filled = (number for number, fields in enumerate(rows, start=1) if fields)
            else:
                filled = (number for number, line in enumerate(text, start=1) if line.strip())
            return f"{'row' if header else 'line'} {next(islice(filled, position + header, None), '?')}"

    def collect(self, expression: ir.Table) -> list[dict[str, Any]]:
        """Rows of an expression over these files; what DuckDB finds wrong becomes an `InputError`."""
        try:
            rows: list[dict[str, Any]] = expression.to_pyarrow().to_pylist()
            return rows
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            for single in self.each() if len(self.files) > 1 else ():
                single.collect(
                    self.table(f"SELECT count(*) AS n FROM (SELECT DISTINCT * FROM {single.view})")
                )
            raise InputError(_translate(self.files[0], self.path, str(error))) from None

    def _text(self, column: Column) -> str:
        """SQL for a column as text."""
        if self.kind == "jsonl":
            pointer = self._pointer(column.name)
            text = f"json_extract_string(json, {_literal(pointer)})"
            if not column.separator:
                return text
            first = f"json_extract_string(json, {_literal(pointer + '/0')})"
            return f"CASE json_type(json, {_literal(pointer)}) WHEN 'ARRAY' THEN {first} ELSE {text} END"
        position = self.names.index(column.name)
        kind, text = (self.types[position] if self.types else pa.string()), f"c{position}"
        if column.separator and isinstance(kind, pa.ListType | pa.LargeListType):
            kind, text = kind.value_type, f"{text}[1]"
        if pa.types.is_nested(kind) or "binary" in str(kind):
            raise InputError(
                f"{self.path}: column {plain(column.name)} holds values of type {_type_name(kind)}; "
                "map a column of text, numbers or times."
            )
        if pa.types.is_floating(kind):
            # Bounds stored in Parquet leave nan out, and DuckDB would conclude from them that there is none.
            return f"CASE WHEN isnan({text}) THEN 'nan' ELSE CAST({text} AS VARCHAR) END"
        return f"CAST({text} AS VARCHAR)"

    def _nested(self, column: Column) -> str:
        """SQL for whether a value in JSON is no single text or number."""
        pointer = self._pointer(column.name)
        nested = f"json_type(json, {_literal(pointer)}) IN ('OBJECT', 'ARRAY')"
        if column.separator:
            first = f"json_type(json, {_literal(pointer + '/0')}) IN ('OBJECT', 'ARRAY')"
            nested = f"json_type(json, {_literal(pointer)}) = 'OBJECT' OR {first}"
        return f"coalesce({nested}, false)"

    def _pointer(self, name: str) -> str:
        parts = [name] if name in self.names else name.split(".")
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def open_source(con: Backend, path: Path, form: FileFormat = DETECTED) -> Source:
    """Find out what files are, and their columns.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    path
        A file, a folder or a pattern, see `paths.mapped_files`.
    form
        What the mapping says about the files.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        No such file, of no known kind, damaged, of other columns than the file before it, or a header that
        names no or equal columns.

    Examples
    --------
    >>> from interest_lib.engine import connect
    >>> open_source(connect(), Path("missing.csv"))
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: missing.csv: there is no such file; check the path.
    """
    files = tuple(open_file(name, form) for name in mapped_files(path, form.kind))
    for file in files[1:]:
        if file.kind != files[0].kind or file.names != files[0].names or file.delimiter != files[0].delimiter:
            raise InputError(
                f"{file.path}: this file has other columns or another format than {files[0].path.name}; "
                "give files that are alike."
            )
    label = files[0].path if len(files) == 1 else path
    names, types = files[0].names, ()
    if files[0].kind == "parquet":
        schema = _parquet_schema(files)
        names, types = tuple(schema.names), tuple(schema.types)
    elif files[0].kind == "baskets":
        names = BASKET_COLUMNS
    if len(names) > _MOST_COLUMNS:
        raise InputError(
            f"{label}: these are {len(names)} columns; keep at most {_MOST_COLUMNS} and delete the others."
        )
    source = Source(con, label, files, names, _view(con, files, names), types)
    return replace(source, names=_json_keys(source)) if source.kind == "jsonl" else source


def _view(con: Backend, files: Sequence[DataFile], names: Sequence[str]) -> str:
    """The rows of files of one kind."""
    # DuckDB reads a list of files at once only if all are compressed in the same way.
    if files[0].kind == "baskets":
        scans = [f"FROM {unfold_baskets(con, file)}" for file in files]
    else:
        groups = groupby(files, key=lambda file: file.compression)
        scans = [_scan(list(group), names, files[0].form.header) for _, group in groups]
    view = gen_name("source")
    try:
        con.raw_sql(f"CREATE TEMP VIEW {view} AS {' UNION ALL '.join(scans)}")
    except duckdb.Error as error:
        raise InputError(_translate(files[0], files[0].path, str(error))) from None
    for file in files if files[0].kind == "csv" and files[0].form.header else ():
        _check_header(con, file, names)
    return view


def _scan(files: Sequence[DataFile], names: Sequence[str], header: bool) -> str:
    """SQL that reads files of one kind and compression."""
    # Absolute names are never addresses; [x] takes away what * and the like mean in them.
    paths = [re.sub(r"([\[*?])", r"[\1]", str(file.readable)).replace("'", "''") for file in files]
    listed = "[" + ", ".join(f"'{path}'" for path in paths) + "]"
    file = files[0]
    if file.kind == "parquet":
        columns = ", ".join(f"c{i}" for i in range(len(names)))
        return f"SELECT * FROM read_parquet({listed}, hive_partitioning = false) AS t({columns})"
    columns = "{" + ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names))) + "}"
    delimiter, quote, kept = file.delimiter, file.form.quote, ""
    if file.kind == "jsonl":
        columns, header, delimiter, quote = "{'json': 'VARCHAR'}", False, "\x01", ""
        kept = f" WHERE trim(json, {_SPACES}) <> ''"
    encoding = "utf-8" if file.form.encoding == "utf-16" else file.form.encoding
    # Nothing is guessed, and nothing repaired: a row that does not fit the header is an error. Lines of JSON
    # are checked one by one, and there mixed line ends do no harm.
    return (
        f"SELECT * FROM read_csv({listed}, columns = {columns}, header = {header}, auto_detect = false, "
        f"delim = {_literal(delimiter)}, quote = {_literal(quote)}, escape = {_literal(quote)}, "
        f"strict_mode = {file.kind == 'csv'}, null_padding = false, hive_partitioning = false, "
        f"compression = '{file.compression}', encoding = '{encoding}'){kept}"
    )


def _type_name(kind: pa.DataType) -> str:
    try:
        return str(PyArrowType.to_ibis(kind))
    except KeyError:  # a type that Ibis does not have
        return str(kind)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _trimmed(name: str, separator: str) -> str:
    """SQL for a text without blanks around it. Looking for them first is faster than trimming."""
    text = f"split_part({name}, {_literal(separator)}, 1)" if separator else name
    blank = r"'^[\s\x{a0}\x{3000}\x{feff}\x{200b}]|[\s\x{a0}\x{3000}\x{feff}\x{200b}]$'"
    return (
        f"nullif(CASE WHEN regexp_matches({text}, {blank}) THEN trim({text}, {_SPACES}) ELSE {text} END, '')"
    )


def _check_header(con: Backend, file: DataFile, names: Sequence[str]) -> None:
    """See that DuckDB takes the same first row for the header as we do."""
    try:
        rows = con.raw_sql(f"{_scan([file], names, header=False)} LIMIT 1").fetchall()
    except duckdb.Error as error:
        raise InputError(_translate(file, file.path, str(error))) from None
    if not rows or tuple((name or "").strip(BLANKS) for name in rows[0]) != tuple(names):
        raise InputError(f"{file.path}: row 1 cannot be read as a header; mend its quotes and line ends.")


def _parquet_schema(files: Sequence[DataFile]) -> pa.Schema:
    """Columns of Parquet files, which DuckDB would rename where two are called the same."""
    first = None
    for file in files:
        try:
            schema = pq.read_schema(file.readable).remove_metadata()
        except (pa.ArrowException, OSError, ValueError):
            raise InputError(f"{file.path}: the file cannot be read; write it again as Parquet.") from None
        with file.readable.open("rb") as raw, mmap(raw.fileno(), 0, access=ACCESS_READ) as content:
            if content.find(b"PAR1PAR1") >= 0:  # an end and a beginning: only the last would be read
                raise InputError(
                    f"{file.path}: several Parquet files stand in it, one behind the other; give them as a "
                    "folder."
                )
        if len(set(schema.names)) < len(schema.names):
            name = next(name for name in schema.names if schema.names.count(name) > 1)
            raise InputError(f"{file.path}: two columns are called {plain(name)}; rename one of them.")
        first = first or schema
        if not schema.equals(first):
            raise InputError(
                f"{file.path}: this file has other columns or types than {files[0].path.name}; "
                "give files that are alike."
            )
    return first


def _json_keys(source: Source) -> tuple[str, ...]:
    """All keys of the objects in JSON Lines, after a look at every line."""
    keys = "CASE WHEN json_valid(json) THEN json_keys(json) ELSE [] END"
    bad = (
        "CASE WHEN NOT json_valid(json) THEN 'is not valid JSON; write one object a line.' "
        f"WHEN NOT starts_with(trim(json, {_SPACES}), '{{') THEN 'holds no object; write one object a line.' "
        "WHEN len(list_distinct(json_keys(json))) < len(json_keys(json)) "
        "THEN 'gives a key twice; rename one of them.' END"
    )
    total = source.table(f"SELECT count({bad}) AS bad FROM {source.view}")
    if source.collect(total)[0]["bad"]:
        for single in source.each():
            rows = f"SELECT row_number() OVER () - 1 AS position, {bad} AS bad FROM {single.view}"
            first = f"SELECT * FROM ({rows}) WHERE bad IS NOT NULL ORDER BY position LIMIT 1"
            for row in single.collect(source.table(first)):
                raise InputError(f"{single.path}: {single.place(row['position'])} {row['bad']}")
    found = source.table(f"SELECT DISTINCT unnest({keys}) AS name FROM {source.view} ORDER BY name")
    return tuple(row["name"] for row in source.collect(found))


def _translate(file: DataFile, path: Path, error: str) -> str:
    """DuckDB's complaint about a file, as a sentence."""
    found = re.search(r"Line: (\d+)", error)
    where = f"{path}: line {found[1]}" if found else f"{path}: the file"
    if ragged := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error):
        other = "the header" if file.form.header else "the mapping"
        return f"{where} has {ragged[2]} fields and {other} {ragged[1]}; mend the row or quote its text."
    for sign, sentence in _COMPLAINTS.items():
        if sign in error:
            return f"{where} {sentence}"
    return f"{where} cannot be read; write it again as CSV (UTF-8) or Parquet."
