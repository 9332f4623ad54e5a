"""How a file is written, as far as the mapping says."""

import re
from dataclasses import dataclass
from typing import Any, Final

from interest_lib.paths import shown
from interest_lib.safe_yaml import one_of, section, text, texts
from interest_lib.schema import InputError

KINDS: Final = ("csv", "jsonl", "parquet", "baskets")
"""Formats of files that can be read."""

_ENCODINGS: Final = ("utf-8", "utf-16", "latin-1")


@dataclass(frozen=True)
class FileFormat:
    """How a file is written; what is left empty is found out.

    Attributes
    ----------
    kind
        One of `KINDS`.
    delimiter
        What separates fields in CSV, one to four characters.
    header
        Whether the first row of CSV names the columns.
    names
        The columns in their order where no row names them.
    encoding
        utf-8, utf-16 or latin-1.
    quote
        What encloses text in CSV; empty if nothing does.
    """

    kind: str = ""
    delimiter: str = ""
    header: bool = True
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    quote: str = '"'


DETECTED: Final = FileFormat()
"""A format of which the mapping says nothing."""


def read_format(where: str, given: dict[str, Any]) -> FileFormat:
    """The section `format` of a table.

    Parameters
    ----------
    where
        What messages call the section.
    given
        The table's section.

    Raises
    ------
    InputError
        An unknown key, or a value that cannot be.

    Examples
    --------
    >>> read_format("my.yml: format", {"format": {"kind": "csv", "delimiter": "::"}}).delimiter
    '::'
    """
    entry = section(
        where, given.get("format") or {}, ("kind", "delimiter", "header", "names", "encoding", "quote")
    )
    kind, delimiter = one_of(where, entry, "kind", KINDS), text(where, entry, "delimiter")
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter
    quote = text(where, entry, "quote") if "quote" in entry else '"'
    encoding = one_of(where, entry, "encoding", _ENCODINGS) or "utf-8"
    header, names = entry.get("header", True), entry.get("names")
    if not isinstance(header, bool):
        raise InputError(f"{where}: header holds {shown(header)}; write true or false.")
    for key, value, longest in (("delimiter", delimiter, 4), ("quote", quote, 1)):
        if len(value.encode("utf-8", "replace")) > longest or re.search("[\r\n\x00]", value):
            raise InputError(
                f"{where}: {key} {shown(value)} cannot be used; write 1 to {longest} characters."
            )
    if quote and quote in delimiter:
        raise InputError(
            f"{where}: delimiter and quote are the same; write quote: '' if there are no quotes."
        )
    if '"' in delimiter or "\\" in delimiter + quote:
        raise InputError(f"{where}: delimiter {shown(delimiter)} cannot be used; write another one.")
    if header == (names is not None):
        told = "delete names or write header: false" if header else "write names: [first, second, ...]"
        raise InputError(f"{where}: names go with header: false, and only with that; {told}.")
    listed = () if names is None else texts(f"{where}: names", names)
    if twice := [name for name in listed if listed.count(name) > 1]:
        raise InputError(f"{where}: names holds {shown(twice[0])} twice; rename one of them.")
    if kind not in ("", "csv") and (set(entry) - {"kind", "encoding"}):
        key = sorted(set(entry) - {"kind", "encoding"})[0]
        raise InputError(f"{where}: {key} means nothing for kind {kind}; delete it.")
    return FileFormat(kind, delimiter, header, listed, encoding, quote)
