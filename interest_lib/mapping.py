"""The mapping file: where a shop's log lies, how it is written, and which column plays which part."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from interest_lib.formats import DETECTED, FileFormat, read_format
from interest_lib.paths import mapped_files, shown
from interest_lib.safe_yaml import one_of, read_yaml, section, text, texts
from interest_lib.schema import EVENT_COLUMNS, EVENTS, ITEM_COLUMNS, USER_COLUMNS, InputError, nearest
from interest_lib.times import PER_SECOND, problem_of_format

_OPTIONS: Final = {"time": ("unit", "format"), "event": ("values",), "text": ("separator",)}
_PART: Final = ("data", "format", "columns", "where", "join")
_MOST_JOINS: Final = 20  # of one table; each is a query inside of the next one's


@dataclass(frozen=True)
class Column:
    """A column of a file, and how to read it.

    Attributes
    ----------
    name
        As the file calls it; in JSON Lines, dots go into nested objects.
    unit
        Unit of epoch times: s, ms, us or ns.
    format
        strptime format of times.
    separator
        What separates the parts of a list of which the first one is taken.
    values
        Our event for each of theirs, in small letters; None where the row is to be left out.
    """

    name: str
    unit: str = ""
    format: str = ""
    separator: str = ""
    values: Mapping[str, str | None] | None = None


@dataclass(frozen=True)
class TablePart:
    """A table in one or more files.

    Attributes
    ----------
    data
        File, folder or pattern; None where the caller names it.
    columns
        The files' column for each of our names; None where they use ours.
    format
        How the files are written.
    where
        For each of the files' columns that are named: the texts of the rows to keep.
    joins
        Further tables with a key in common.
    event
        What every row is when no column says so; empty when the mapping does not say either.
    keep
        first or last: which of several rows with one id holds; empty where they are an error.
    by
        The files' column that orders these rows; empty for the order in which they stand.
    between
        From when on and before when events are read, in ISO 8601 on the clock of the mapping's zone; empty
        for all.
    """

    data: Path | None = None
    columns: dict[str, Column] | None = None
    format: FileFormat = DETECTED
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    joins: tuple["Join", ...] = ()
    event: str = ""
    keep: str = ""
    by: str = ""
    between: tuple[str, ...] = ()


@dataclass(frozen=True)
class Join:
    """A table that adds columns to another one, row by row with the same text in column `key`."""

    part: TablePart
    key: str


@dataclass(frozen=True)
class Download:
    """A file to fetch: its address, checksum (``md5:...`` or ``sha256:...``), and what to unpack from it."""

    address: str
    checksum: str
    unpack: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where public data come from, and what binds their users."""

    title: str = ""
    about: str = ""
    licence: str = ""
    restriction: str = ""
    note: str = ""
    fetch: tuple[Download, ...] = ()
    login: str = ""


@dataclass(frozen=True)
class ColumnMapping:
    """A mapping file that has been checked.

    Attributes
    ----------
    label
        What messages call it, empty without a mapping file.
    events
        The events; its `data` is None where the caller names the file.
    also
        Further events, in files of other columns.
    timezone
        Zone of times that carry none.
    weights
        How much each type of event counts, as far as the mapping says.
    items, users
        Further tables.
    source
        Where the data come from; None unless the mapping says.
    """

    label: str = ""
    events: TablePart = TablePart()
    also: tuple[TablePart, ...] = ()
    timezone: str = "UTC"
    weights: Mapping[str, float] = field(default_factory=dict)
    items: TablePart | None = None
    users: TablePart | None = None
    source: Origin | None = None


def read_mapping(path: Path, folder: Path | None = None) -> ColumnMapping:
    """Read and check a mapping file; `docs/own_log.md` explains its keys.

    Parameters
    ----------
    path
        YAML.
    folder
        Where relative names of data files start; the folder of the mapping file if None.

    Returns
    -------
    ColumnMapping

    Raises
    ------
    InputError
        No such file, invalid YAML, an unknown key, or a value of the wrong kind.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "my.yml")
    ...     _ = path.write_text("columns: {user_id: who, item_id: what, timestamp: {column: when, unit: ms}}")
    ...     read_mapping(path).events.columns["timestamp"].unit
    'ms'
    """
    label = str(path)
    known = (*_PART, "event", "also", "timezone", "between", "weights", "items", "users", "source")
    given = section(label, read_yaml(path), known)
    base = path.parent if folder is None else folder
    kinds = EVENT_COLUMNS if given.get("items") is not None else {**EVENT_COLUMNS, **ITEM_COLUMNS}
    between = _between(label, given.get("between"))
    also = _also(f"{label}: also", given.get("also") or [], base, kinds)
    return ColumnMapping(
        label,
        replace(_events(label, given, base, kinds), between=between),
        tuple(replace(part, between=between) for part in also),
        text(label, given, "timezone") or "UTC",
        _weights(label, given),
        _further(label, given, base, "items", ITEM_COLUMNS),
        _further(label, given, base, "users", USER_COLUMNS),
        _origin(label, given),
    )


def input_files(mapping: ColumnMapping, data: Path | None = None) -> list[Path]:
    """All files that a mapping reads.

    Parameters
    ----------
    mapping
        From `read_mapping`.
    data
        File, folder or pattern of the events; None for the one that the mapping names.

    Returns
    -------
    list[Path]
        Without repetition: events first, then what is joined to them, further events, items and users.

    Raises
    ------
    InputError
        A file is missing, or the events are named nowhere.

    Examples
    --------
    >>> [path.name for path in input_files(ColumnMapping(), Path(__file__))]
    ['mapping.py']
    """
    files: list[Path] = []
    for table in (mapping.events, *mapping.also, mapping.items, mapping.users):
        for part in _with_joins(table) if table else ():
            place = data if part is mapping.events and data is not None else part.data
            if place is None:
                raise InputError(f"{mapping.label}: data is missing; name the file that holds the events.")
            files += mapped_files(place, part.format.kind)
    return list(dict.fromkeys(files))


def _with_joins(part: TablePart) -> list[TablePart]:
    return [part, *(further for join in part.joins for further in _with_joins(join.part))]


def _part(where: str, given: dict[str, Any], base: Path, kinds: Mapping[str, str] | None) -> TablePart:
    """The keys that describe a table."""
    place = text(where, given, "data")
    if re.match("^[A-Za-z][A-Za-z0-9+.-]+://", place):
        raise InputError(
            f"{where}: data holds {shown(place)}, which is an address; download the file and give its path."
        )
    chosen = section(f"{where}: where", given.get("where") or {}, None)
    joins = given.get("join") or []
    joins = joins if isinstance(joins, list) else [joins]
    part = TablePart(
        base / place if place else None,
        _columns(f"{where}: columns", given, kinds),
        read_format(f"{where}: format", given),
        {
            name: tuple(word.strip() for word in texts(f"{where}: where: {name}", values))
            for name, values in chosen.items()
        },
        tuple(_join(f"{where}: join", join, base, kinds) for join in joins),
    )
    if len(_with_joins(part)) > _MOST_JOINS + 1:
        raise InputError(f"{where}: these are more than {_MOST_JOINS} joins; join some of the files before.")
    own: list[str] = []
    for table in (part, *(join.part for join in part.joins)):
        for name in table.columns or {}:
            if name in own:
                raise InputError(f"{where}: {name} is given by two files; delete one of them.")
            own.append(name)
    return part


def _events(where: str, given: dict[str, Any], base: Path, kinds: Mapping[str, str]) -> TablePart:
    """A table of events."""
    part = _part(where, given, base, kinds)
    event = text(where, given, "event")
    if event and event not in EVENTS:
        raise InputError(f"{where}: event {shown(event)[1:-1]} is unknown; {nearest(event, EVENTS)}")
    if event and any("event" in (table.columns or {}) for table in _with_joins(part)):
        raise InputError(f"{where}: event is given both as a constant and under columns; delete one of them.")
    return replace(part, event=event)


def _also(where: str, given: Any, base: Path, kinds: Mapping[str, str]) -> tuple[TablePart, ...]:
    """Further tables of events."""
    parts = []
    for listed in given if isinstance(given, list) else [given]:
        entry = section(where, listed, (*_PART, "event"))
        if not text(where, entry, "data"):
            raise InputError(f"{where}: data is missing; name the file that holds these events.")
        parts.append(_events(where, entry, base, kinds))
    return tuple(parts)


def _between(where: str, given: Any) -> tuple[str, ...]:
    """The ends of the period that is read."""
    if given is None:
        return ()
    ends = []
    for end in given if isinstance(given, list) else [given]:
        try:
            ends.append(datetime.fromisoformat(str(end)))
        except ValueError:
            raise InputError(
                f"{where}: between holds {shown(end)}, which is no time; write it like 2017-12-04 18:30:00."
            ) from None
        if ends[-1].tzinfo:
            raise InputError(f"{where}: between holds {shown(end)} with a zone; write it as timezone says.")
    if len(ends) != 2 or ends[0] >= ends[1]:
        told = "write the first time and the one that ends the period, such as [2017-11-25, 2017-12-04]."
        raise InputError(f"{where}: between holds no two times in their order; {told}")
    return tuple(end.isoformat(" ") for end in ends)


def _join(where: str, given: Any, base: Path, kinds: Mapping[str, str] | None) -> Join:
    entry = section(where, given, (*_PART, "key"))
    key = text(where, entry, "key")
    for name in ("data", "key", "columns"):
        if not entry.get(name):
            raise InputError(f"{where}: {name} is missing; write data, key and columns of the file to join.")
    return Join(_part(where, entry, base, kinds), key)


def _further(
    label: str, given: dict[str, Any], base: Path, key: str, kinds: Mapping[str, str]
) -> TablePart | None:
    """The section of the items or of the users."""
    if given.get(key) is None:
        return None
    where = f"{label}: {key}"
    entry = section(where, given[key], (*_PART, "keep", "by"))
    if not text(where, entry, "data"):
        raise InputError(f"{where}: data is missing; name the file that holds the {key}.")
    part = _part(where, entry, base, None if key == "users" else kinds)
    keep = one_of(where, entry, "keep", ("first", "last"))
    by = text(where, entry, "by")
    if by and not keep:
        raise InputError(f"{where}: by says nothing without keep; write keep: first or keep: last.")
    return replace(part, keep=keep, by=by)


def _columns(where: str, given: dict[str, Any], kinds: Mapping[str, str] | None) -> dict[str, Column] | None:
    """The part `columns` of a section: ours to theirs."""
    if given.get("columns") is None:
        return None
    names = section(where, given["columns"], kinds)
    columns = {}
    for ours, theirs in names.items():
        kind = (USER_COLUMNS if kinds is None else kinds).get(ours, "text")
        column = _column(f"{where}: {ours}", theirs, kind) if isinstance(theirs, dict) else None
        columns[ours] = column or Column(text(where, names, ours))
        if not columns[ours].name:
            raise InputError(f"{where}: {ours} names no column; write the column's name or delete the line.")
    return columns


def _column(where: str, given: dict[str, Any], kind: str) -> Column:
    """A column with options."""
    entry = section(where, given, ("column", *_OPTIONS.get(kind, ())))
    unit = one_of(where, entry, "unit", PER_SECOND)
    pattern = text(where, entry, "format")
    if pattern and (problem := problem_of_format(pattern)):
        raise InputError(f"{where}: format {shown(pattern)} {problem}")
    if unit and pattern:
        raise InputError(f"{where}: unit and format exclude each other; delete one of them.")
    values = entry.get("values")
    translated = None if values is None else _values(f"{where}: values", values)
    return Column(text(where, entry, "column"), unit, pattern, text(where, entry, "separator"), translated)


def _values(where: str, given: Any) -> dict[str, str | None]:
    """Their events to ours."""
    if not isinstance(given, dict):
        return dict.fromkeys(section(where, given, None))
    values: dict[str, str | None] = {}
    for theirs, ours in given.items():
        key = texts(where, theirs)[0].strip().lower()
        if ours is not None and ours not in EVENTS:
            hint = nearest(shown(ours)[1:-1], EVENTS)
            raise InputError(f"{where}: {shown(theirs)} becomes {shown(ours)}, which is no event; {hint}")
        if key in values:
            raise InputError(f"{where}: {shown(key)} stands there twice; delete one of them.")
        values[key] = ours
    return values


def _weights(where: str, given: dict[str, Any]) -> dict[str, float]:
    entry = section(f"{where}: weights", given.get("weights") or {}, EVENTS)
    for name, weight in entry.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not abs(weight) <= 1e6:  # which nan is not, either
            raise InputError(
                f"{where}: weights: {name} holds {shown(weight)}; write a number of at most 1000000."
            )
    return {name: float(weight) for name, weight in entry.items()}


def _origin(where: str, given: dict[str, Any]) -> Origin | None:
    if given.get("source") is None:
        return None
    where = f"{where}: source"
    known = ("title", "about", "licence", "restriction", "note", "login")
    entry = section(where, given["source"], (*known, "fetch"))
    listed = entry.get("fetch") or []
    if not isinstance(listed, list):
        raise InputError(f"{where}: fetch is no list; write [{{address: ..., checksum: ...}}].")
    fetch = []
    for listing in listed:
        download = section(f"{where}: fetch", listing, ("address", "checksum", "unpack"))
        unpack = texts(f"{where}: fetch: unpack", download["unpack"]) if download.get("unpack") else ()
        address, checksum = (text(f"{where}: fetch", download, key) for key in ("address", "checksum"))
        fetch.append(Download(address, checksum, unpack))
    return Origin(**{key: text(where, entry, key) for key in known}, fetch=tuple(fetch))
