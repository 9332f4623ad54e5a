"""The bytes of one file: how it is compressed and written, and whether all of it can be read as text."""

import codecs
import csv
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa

from interest_lib.formats import FileFormat
from interest_lib.paths import check_file, plain, suffix
from interest_lib.schema import InputError

_CHUNK: Final = 1 << 20
_HEAD: Final = 1 << 16
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN: Final = {
    b"PK\x03\x04": "a zip archive or a workbook; unpack it or export it as CSV.",
    b"BZh": "compressed by bzip2; unpack it.",
    b"\xfd7zXZ": "compressed by xz; unpack it.",
    b"SQLite format 3": "a database; export its tables as CSV.",
}
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Where files were joined with their byte order marks. Blanks do not count, but this quote would become text.
_MARKED: Final = re.compile('[\r\n]\ufeff"')
_LONGEST: Final = 1 << 21  # DuckDB tells lines of more, but passes over a last one beyond its buffers (32 MB)
_NOT_LATIN_1: Final = re.compile("[\x80-\x9f]")  # controls; in real files, letters and signs of Windows-1252
_BASKETS: Final = re.compile(r'\s*(\{\s*"[^"]*"\s*:\s*\[\s*\[|\[\s*\[\s*\[)')


BLANKS: Final = " \t\n\r\v\f\u00a0\u3000\ufeff\u200b"
"""What does not count around a value or the name of a column."""


@dataclass(frozen=True)
class DataFile:
    """A file whose bytes have been checked.

    Attributes
    ----------
    path
        As the user wrote it; messages begin with it.
    readable
        Where DuckDB finds it in an encoding that it knows; a copy if need be.
    kind
        csv, jsonl, parquet or baskets.
    form
        What the mapping says.
    compression
        Of `readable`: none, gzip or zstd.
    delimiter
        What separates fields in CSV.
    names
        Columns of CSV, as the file or the mapping names them.
    """

    path: Path
    readable: Path
    kind: str
    form: FileFormat
    compression: str = "none"
    delimiter: str = ""
    names: tuple[str, ...] = ()


def open_file(path: Path, form: FileFormat) -> DataFile:
    """Find out what a file is, and read it once to see that it is whole.

    Parameters
    ----------
    path
        A plain file.
    form
        What the mapping says about it.

    Returns
    -------
    DataFile

    Raises
    ------
    InputError
        No plain file, empty, cut short, not text in the encoding, a NUL byte, or of another kind.

    Examples
    --------
    >>> open_file(Path("missing.csv"), FileFormat())
    Traceback (most recent call last):
        ...
    interest_lib.schema.InputError: missing.csv: there is no such file; check the path.
    """
    check_file(path)
    compression, head = _beginning(path)
    kind = form.kind or _kind(path, head, form)
    if (kind == "parquet") != head.startswith(b"PAR1"):
        is_it = (
            "a Parquet file; write kind: parquet"
            if kind != "parquet"
            else "no Parquet file; correct the kind"
        )
        raise InputError(f"{path}: the mapping says kind: {kind} and this is {is_it} under format.")
    if kind == "parquet":
        if compression != "none":
            raise InputError(f"{path}: this is Parquet inside {compression}; unpack it.")
        return DataFile(path, path.absolute(), kind, form)
    _check_head(path, head, form)
    checked = _checked(path, form.encoding, inf if kind == "baskets" else _LONGEST)
    if form.encoding == "utf-16":
        copy = Path(_scratch().name, uuid4().hex)
        with copy.open("w", encoding="utf-8", newline="") as target:
            for text in checked:
                target.write(text)
        readable, compression = copy, "none"
    else:
        for _ in checked:
            pass
        readable = path.absolute()
    names, delimiter = _header(path, form) if kind == "csv" else ((), "")
    return DataFile(path, readable, kind, form, compression, delimiter, names)


@contextmanager
def opened_text(path: Path, encoding: str) -> Iterator[io.TextIOBase]:
    """A file's text, unpacked, with its line ends as they are."""
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with path.open("rb") as file:
        stream = io.BufferedReader(_Unpacked(path, file), _HEAD)
        yield io.TextIOWrapper(stream, codec, errors="replace", newline="")


def read_baskets(path: Path, encoding: str, largest: int = 1 << 30) -> str:
    """The whole text of a file of baskets.

    Raises
    ------
    InputError
        Longer than `largest` bytes, or no JSON.
    """
    parts, size = [], 0
    for text in _checked(path, encoding):
        size += len(text)
        if size > largest:
            raise InputError(
                f"{path}: the file holds more than 1 GB of JSON; write it as CSV with a column basket_number."
            )
        parts.append(text)
    return "".join(parts).lstrip("\ufeff")


def problem_of_json(path: Path, text: str) -> InputError:
    """Where a text stops to be JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return InputError(
            f"{path}: line {error.lineno} is not valid JSON; mend it at character {error.colno}."
        )
    except (ValueError, RecursionError):
        pass
    return InputError(f"{path}: this cannot be read as JSON; write it again.")


class _Unpacked(io.RawIOBase):
    """The bytes of a compressed or plain file."""

    def __init__(self, path: Path, file: io.BufferedReader) -> None:
        self._chunks = _chunks(path, file)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._chunks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _chunks(path: Path, file: io.BufferedReader) -> Iterator[bytes]:
    """Unpacked pieces of a file, none of them empty."""
    magic = file.peek(4)[:4]
    compression = next((name for sign, name in _MAGIC.items() if magic.startswith(sign)), "none")
    try:
        if compression == "gzip":
            yield from _gunzipped(path, file)
        else:
            stream = pa.CompressedInputStream(file, "zstd") if compression == "zstd" else file
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (zlib.error, OSError, pa.ArrowException):
        raise InputError(
            f"{path}: the {compression if compression != 'none' else 'content'} of the file is damaged or "
            "cut short; copy or compress it again."
        ) from None


def _gunzipped(path: Path, file: io.BufferedReader) -> Iterator[bytes]:
    """Unpacked pieces of all members of a gzip file. The module gzip would pass over zeros at the end."""
    member = zlib.decompressobj(31)
    while packed := file.read(_CHUNK):
        while packed:
            if member.eof:
                if not b"\x1f\x8b".startswith(packed[:2]):
                    raise InputError(
                        f"{path}: something that is not gzip follows the compressed text; compress it again."
                    )
                member = zlib.decompressobj(31)
            if chunk := member.decompress(packed, _CHUNK):
                yield chunk
            packed = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise zlib.error


def _beginning(path: Path) -> tuple[str, bytes]:
    """How a file is compressed, and its first bytes, unpacked."""
    try:
        with path.open("rb") as file:
            magic = file.peek(4)[:4]
            head = b""
            for chunk in _chunks(path, file):
                head += chunk
                if len(head) >= _HEAD:
                    break
    except OSError:
        raise InputError(f"{path}: the file cannot be opened; check its name and permissions.") from None
    compression = next((name for sign, name in _MAGIC.items() if magic.startswith(sign)), "none")
    head = head[:_HEAD]
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise InputError(f"{path}: the file is empty; give a file with a header and rows.")
    return compression, head


def _kind(path: Path, head: bytes, form: FileFormat) -> str:
    """Kind of a file of which the mapping does not tell it."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if suffix(path) in (".parquet", ".pq"):
        raise InputError(
            f"{path}: this is not a Parquet file in spite of its name; write it again or rename it."
        )
    text = head.decode(form.encoding, "replace").lstrip("\ufeff")
    if form.delimiter or not form.header or suffix(path) in (".csv", ".tsv", ".tab", ".dat"):
        return "csv"
    if suffix(path) == ".json" and _BASKETS.match(text):
        return "baskets"
    if suffix(path) in (".jsonl", ".ndjson"):
        return "jsonl"
    first = text.lstrip().splitlines()[0] if text.strip() else ""
    try:
        whole = isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        whole = len(first) == len(text.lstrip()) and first.startswith("{")
    if suffix(path) == ".json" and not whole:
        raise InputError(
            f"{path}: this is neither JSON Lines nor a file of baskets; write one object a line, "
            "or name the kind under format."
        )
    return "jsonl" if whole else "csv"


def _check_head(path: Path, head: bytes, form: FileFormat) -> None:
    """Refuse what is no text before reading all of it."""
    for sign, told in _FOREIGN.items():
        if head.startswith(sign):
            raise InputError(f"{path}: this is {told}")
    if form.encoding == "utf-16":
        if not head.startswith(_UTF16):
            raise InputError(
                f"{path}: the file does not begin like UTF-16; correct the encoding under format."
            )
        return
    if head.startswith(_UTF16):
        raise InputError(
            f"{path}: this is UTF-16 text; write format: {{encoding: utf-16}} into a mapping, or save it "
            "as UTF-8."
        )
    allowed = form.delimiter.encode() + b"\x00"  # NUL bytes are told with their line, by `_checked`
    if set(re.findall(rb"[\x00-\x08\x0e-\x1f]", head)) - {allowed[i : i + 1] for i in range(len(allowed))}:
        raise InputError(
            f"{path}: this is neither CSV, JSON Lines nor Parquet; export the log as one of them, in UTF-8."
        )


def _checked(path: Path, encoding: str, longest: float = inf) -> Iterator[str]:
    """A file's text piece by piece, while it can be read and no line is longer than `longest` characters."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line, begun, before = 1, 0, ""  # number of the last line, how much of it was read, its last characters
    with path.open("rb") as file:
        chunks = _chunks(path, file)
        while True:
            chunk = next(chunks, b"")
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding, "replace").count("\n")
                raise _not_in(path, line, encoding) from None
            if encoding == "latin-1" and (found := _NOT_LATIN_1.search(text)):
                raise _not_in(path, line + text.count("\n", 0, found.start()), encoding)
            text = before + text
            if (at := text.find("\0")) >= 0:
                line += text.count("\n", len(before), at)
                raise InputError(
                    f"{path}: line {line} holds a NUL byte; take it out or export the file again."
                )
            if "\ufeff" in text and (found := _MARKED.search(text)):
                line += text.count("\n", len(before), found.end())
                raise InputError(
                    f"{path}: line {line} begins with a byte order mark; take it out, or give the joined "
                    "files as a folder."
                )
            line += text.count("\n", len(before))
            last = text.rfind("\n")
            last = text.rfind("\r") if last < 0 else last
            begun = len(text) - last - 1 if last >= 0 else begun + len(text) - len(before)
            if begun > longest:
                raise InputError(
                    f"{path}: line {line} is longer than 2 MB; close its quotes or shorten its text."
                )
            yield text[len(before) :]
            before = text[-2:]
            if not chunk:
                return


def _not_in(path: Path, line: int, encoding: str) -> InputError:
    return InputError(
        f"{path}: {'row' if line == 1 else 'line'} {line} is not {encoding.upper()} text; save the file in "
        "UTF-8, or name its encoding under format."
    )


def _header(path: Path, form: FileFormat) -> tuple[tuple[str, ...], str]:
    """Names of the columns of a CSV file, and the delimiter: the one that the first row holds most of."""
    with opened_text(path, form.encoding) as text:
        beginning = text.read(_CHUNK)
    line = re.split("[\r\n]", beginning, maxsplit=1)[0]
    unquoted = re.sub(f"{re.escape(form.quote)}.*?{re.escape(form.quote)}", "", line) if form.quote else line
    delimiter = form.delimiter or max(",;\t|", key=unquoted.count)
    if not form.header:
        return form.names, delimiter
    if len(delimiter) == 1:
        options: Any = {"quotechar": form.quote} if form.quote else {"quoting": csv.QUOTE_NONE}
        try:
            fields = next(csv.reader(io.StringIO(beginning, newline=""), delimiter=delimiter, **options), [])
        except csv.Error:
            raise InputError(f"{path}: row 1 cannot be read as CSV; mend its quotes.") from None
    else:
        fields = [field.strip().strip(form.quote or None) for field in line.split(delimiter)]
    names = tuple(name.strip(BLANKS) for name in fields)
    if not any(names):
        raise InputError(f"{path}: row 1 names no columns; write the column names there.")
    counted: set[str] = set()
    for name in names:
        if name and name in counted:
            raise InputError(
                f"{path}: row 1 names the column {plain(name)} twice; rename or delete one of them."
            )
        counted.add(name)
    return names, delimiter


@cache
def _scratch() -> TemporaryDirectory[str]:
    """Where copies in UTF-8 lie until the process ends."""
    return TemporaryDirectory(prefix="interest_")
