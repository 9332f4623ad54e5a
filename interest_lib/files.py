"""One CSV or Parquet file: what it is, what its columns are, and sentences for what is wrong with it."""

import csv
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from interest_lib.schema import InputError

# Nothing is guessed, and nothing repaired: a row that does not fit the header is an error.
_STRICT = {"auto_detect": False, "quote": '"', "escape": '"', "strict_mode": True, "null_padding": False}

_COMPLAINTS = {
    "Invalid unicode": "is not UTF-8 text; save the file as CSV in UTF-8.",
    "unterminated quote": "has a quote that does not close; close it, or double the quotes inside it.",
    "Maximum line size": "is longer than 2 MB; close its quotes or shorten its text.",
    "invalid state": "mixes line endings or quotes in a way that CSV does not allow; save it again as CSV.",
}


@dataclass(frozen=True)
class Source:
    """A file that can be read; its columns are `c0`, `c1`, ... in `table`, whatever the file calls them.

    Attributes
    ----------
    path
        As the user wrote it; messages begin with it.
    names
        Columns as the file names them.
    table
        The rows: text from CSV, native types from Parquet.
    delimiter
        What separates fields in CSV; empty for Parquet.
    """

    path: Path
    names: tuple[str, ...]
    table: ir.Table
    delimiter: str

    def text(self, name: str) -> ir.StringValue:
        """A column as trimmed text, null where nothing is left."""
        column = self.table[f"c{self.names.index(name)}"]
        if column.type().is_nested() or column.type().is_binary():
            raise InputError(
                f"{self.path}: column {name} holds values of type {column.type()}; "
                "map a column of text, numbers or times."
            )
        return column.cast("string").strip().nullif("")

    def row_number(self, position: int) -> int:
        """Number in the file of the row at a position from 0: Parquet counts from 1, CSV from its header.

        DuckDB passes over empty lines of CSV; people who look for the row count them.
        """
        if not self.delimiter:
            return position + 1
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            rows = enumerate(csv.reader(file, delimiter=self.delimiter), start=1)
            return next(islice((number for number, fields in rows if fields), position + 1, None))

    def collect(self, expression: ir.Table) -> list[dict[str, Any]]:
        """Rows of an expression over this file; what DuckDB finds wrong with it becomes an `InputError`."""
        try:
            rows: list[dict[str, Any]] = expression.to_pyarrow().to_pylist()
            return rows
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise InputError(_translate(self.path, str(error))) from None


def open_source(con: Backend, path: Path) -> Source:
    """Find out what a file is, and its columns.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    path
        A CSV file (comma, semicolon, tab or bar; UTF-8; names in the first row) or a Parquet file.

    Returns
    -------
    Source

    Raises
    ------
    InputError
        No such file, a folder, empty, neither CSV nor Parquet, or a header that names no or equal columns.

    Examples
    --------
    >>> from interest_lib.engine import connect
    >>> open_source(connect(), Path("missing.csv"))
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: missing.csv: there is no such file; check the path.
    """
    head = _head(path)
    pattern = re.sub(r"([\[*?])", r"[\1]", str(path))  # DuckDB would take these in a file name for wildcards
    try:
        if head.startswith(b"PAR1"):
            table, delimiter = con.read_parquet(pattern), ""
            names = tuple(table.columns)
        else:
            names, delimiter = _header(path, head)
            columns = {f"c{i}": "VARCHAR" for i in range(len(names))}
            table = con.read_csv(pattern, columns=columns, header=True, delim=delimiter, **_STRICT)
    except duckdb.Error as error:
        raise InputError(_translate(path, str(error))) from None
    table = table.rename({f"c{i}": name for i, name in enumerate(table.columns)})
    return Source(path, names, table, delimiter)


def _head(path: Path) -> bytes:
    """The file's first bytes, if it is a file of a kind that can be read."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; give one CSV or Parquet file.") from None
    except (OSError, ValueError):
        raise InputError(f"{path}: the file cannot be opened; check its name and permissions.") from None
    if not head.strip():
        raise InputError(f"{path}: the file is empty; give a file with a header and rows.")
    parquet = head.startswith(b"PAR1")
    if not parquet and path.suffix.lower() in (".parquet", ".pq"):
        raise InputError(
            f"{path}: this is not a Parquet file in spite of its name; write it again or rename it."
        )
    if not parquet and re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        raise InputError(
            f"{path}: this is neither CSV nor Parquet; export the log as CSV (UTF-8) or Parquet."
        )
    return head


def _header(path: Path, head: bytes) -> tuple[tuple[str, ...], str]:
    """Names in the first row of a CSV file, and the delimiter: the one that the row holds most of."""
    line = head.splitlines()[0]
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: row 1 is not UTF-8 text; save the file as CSV in UTF-8.") from None
    delimiter = max(",;\t|", key=text.count)
    names = tuple(name.strip() for name in next(csv.reader([text], delimiter=delimiter), []))
    if not any(names):
        raise InputError(f"{path}: row 1 names no columns; write the column names there.")
    for name in names:
        if name and names.count(name) > 1:
            raise InputError(f"{path}: row 1 names the column {name} twice; rename or delete one of them.")
    return names, delimiter


def _translate(path: Path, error: str) -> str:
    """DuckDB's complaint about a file, as a sentence."""
    found = re.search(r"Line: (\d+)", error)
    where = f"{path}: line {found[1]}" if found else f"{path}: the file"
    if ragged := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error):
        return f"{where} has {ragged[2]} fields and the header {ragged[1]}; mend the row or quote its text."
    for sign, sentence in _COMPLAINTS.items():
        if sign in error:
            return f"{where} {sentence}"
    return f"{where} cannot be read; write it again as CSV (UTF-8) or Parquet."
