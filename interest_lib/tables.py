"""A table of the log in the types of the contract, after every value has been checked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from interest_lib.mapping import Column, TablePart
from interest_lib.paths import plain, shown
from interest_lib.rules import LeftOut, Rules, check_rows, counted, notes
from interest_lib.schema import InputError, nearest
from interest_lib.sources import Source, open_source

POSITION: Final = "row position"
"""Column with the number of the row, where a mapping keeps the first or the last of several."""

ORDER: Final = "row order"
"""Column with the text by which a mapping orders these rows."""

_TAKEN: Final = re.compile(r"row (position|order|rank)|key \d+|joined key", re.IGNORECASE)
_NOTES: Final = ("decimals for ids", "words for ids", "summer time")
_REPEATS: Final = "the row repeats another one in every column of the file"


@dataclass(frozen=True)
class FileTable:
    """A table whose every row has been checked.

    Attributes
    ----------
    source
        The files.
    columns
        The column for each of our names, those of joined files among them.
    kinds
        id, time, order, number, event or text for each of our names.
    values
        A column for each of our names: times in UTC, all else as text; `POSITION` where the mapping keeps the
        first or last row, and `ORDER` where it says by which column.
    whole
        For each id column: whether all of its values are whole numbers, written plainly, that int64 can hold.
    decimals
        For each id column: how many values are numbers written with a point or an exponent.
    left_out
        What was left out, rule by rule.
    event
        What every row is, as far as the mapping says.
    """

    source: Source
    columns: dict[str, Column]
    kinds: Mapping[str, str]
    values: ir.Table
    whole: dict[str, bool]
    decimals: dict[str, int]
    left_out: tuple[LeftOut, ...]
    event: str = ""

    def typed(self, whole: Mapping[str, bool]) -> ir.Table:
        """The columns by our names and in our types.

        Parameters
        ----------
        whole
            Id columns that become int64; the others become text.
        """
        typed: dict[str, ir.Value] = {}
        for name in [*(name for name in self.kinds if name in self.columns), *self.columns]:
            value, kind = self.values[name], self.kinds.get(name, "text")
            if kind == "number":
                value = value.try_cast("float64")
            elif kind == "order" or (kind == "id" and whole[name]):
                value = value.try_cast("int64")
            typed[name] = value
        for name in (POSITION, ORDER):
            if name in self.values.columns:
                typed[name] = self.values[name]
        return self.values.select(**typed)


def read_table(
    con: Backend,
    part: TablePart,
    label: str,
    kinds: Mapping[str, str],
    *,
    required: tuple[str, ...],
    zone: str = "UTC",
    more: bool = False,
    once: bool = False,
) -> FileTable:
    """Open a table's files, find our columns in them, check every row, and join what belongs to it.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    part
        The files and their column for each of our names.
    label
        What messages call the mapping that `part` stands in; empty without one.
    kinds
        id, time, order, number, event or text for each of our names that may occur.
    required
        Our names that have to be there and filled in every row; `basket_number` also does for `timestamp`.
    zone
        Zone of times that carry none.
    more
        Take further columns as text, under their own names or those that the mapping gives them.
    once
        Leave out rows that repeat another one in every column.

    Returns
    -------
    FileTable

    Raises
    ------
    InputError
        A file cannot be read, lacks a column, has no rows, or has an unusable value (the first is named).
    """
    table = _read(con, part, label, kinds, required, zone, more, once, key="")
    if part.between and "timestamp" not in table.columns:
        raise InputError(
            f"{label}: between is for times, and {table.source.path} has no timestamp; delete it."
        )
    return table


def _read(
    con: Backend,
    part: TablePart,
    label: str,
    kinds: Mapping[str, str],
    required: tuple[str, ...],
    zone: str,
    more: bool,
    once: bool,
    key: str,
) -> FileTable:
    """As `read_table`; with a key, the table is one to join, and keeps that column as `key`."""
    assert part.data is not None
    source = open_source(con, part.data, part.format)
    columns = _choose(source, part, label, kinds, required=required, more=more)
    keys = tuple(dict.fromkeys([*([key] if key else []), *(join.key for join in part.joins)]))
    for name in (*part.where, *keys, *([part.by] if part.by else [])):
        if not source.has(name):
            hint = nearest(plain(name), map(plain, source.names))
            raise InputError(f"{label}: column {plain(name)} is not in {source.path}; {hint}")
    joined = {name for join in part.joins for name in join.part.columns or {}}
    event = part.event or ("?" if "event" in joined else "")
    if "timestamp" in required and "timestamp" not in {*columns, *joined}:
        required = (*required, "basket_number")
    rules = Rules(part, columns, kinds, required, zone, event, keys, bool(key))
    found = check_rows(source, rules)
    left_out = counted(rules, found)
    kept, duplicates = rules.prepared(source, numbered=bool(part.keep)), 0
    if once and source.may_repeat():
        distinct = source.once()
        left = rules.prepared(distinct).agg(rows=ibis._.kept.sum().fill_null(0))
        duplicates = found["kept"] - source.collect(left)[0]["rows"]
        kept = rules.prepared(distinct) if duplicates else kept
    if once:
        left_out.append(LeftOut("exact duplicates", duplicates, _REPEATS))
    values = kept.filter(kept.kept).select(
        **{name: kept[rules.result(name)] for name in columns},
        **{f"key {i}": kept[f"key {i}"] for i in range(len(keys))},
        **({POSITION: kept.position} if part.keep else {}),
        **({ORDER: kept.by} if part.by else {}),
    )
    table = FileTable(
        source,
        columns,
        kinds,
        values,
        {name: bool(found[f"whole {name}"]) for name in columns if kinds.get(name) == "id"},
        {name: int(found[f"decimal {name}"]) for name in columns if kinds.get(name) == "id"},
        (*left_out, *notes(source, rules, found)),
        part.event,
    )
    return _join_all(con, table, part, label, required, zone, keys) if part.joins else table


def _choose(
    source: Source,
    part: TablePart,
    label: str,
    kinds: Mapping[str, str],
    *,
    required: tuple[str, ...],
    more: bool,
) -> dict[str, Column]:
    """The file's column for each of our names."""
    columns = part.columns
    if columns is None:
        columns = {name: Column(name) for name in source.names if name and (more or name in kinds)}
    for ours, theirs in columns.items():
        if not source.has(theirs.name):
            hint = nearest(theirs.name, map(plain, source.names))
            raise InputError(
                f"{label}: column {plain(theirs.name)} (for {plain(ours)}) is not in {source.path}; {hint}"
            )
    joined = {name for join in part.joins for name in join.part.columns or {}}
    for name in required:
        if (
            name in columns
            or name in joined
            or (name == "timestamp" and "basket_number" in {*columns, *joined})
        ):
            continue
        if part.columns is None:
            there = ", ".join(map(plain, source.names[:8])) + (", ..." if len(source.names) > 8 else "")
            raise InputError(
                f"{source.path}: column {name} is missing among {there}; rename one or give a mapping file."
            )
        raise InputError(f"{label}: columns lacks {name}; name the column of {source.path} that holds it.")
    for name in columns:
        if _TAKEN.fullmatch(name):
            raise InputError(
                f"{label or source.path}: column {name} bears a name that is needed; rename it, or list "
                "under columns what to take."
            )
    if part.columns is None and not part.event:
        _check_folders(source, kinds)
    for one, other in pairwise(sorted(columns, key=str.lower)):
        if one.lower() == other.lower():
            raise InputError(
                f"{label or source.path}: column {plain(one)} differs from another by case only; rename one."
            )
    return columns


def _check_folders(source: Source, kinds: Mapping[str, str]) -> None:
    """Refuse folders like event=view, as Spark writes them, if what they say stands in no file."""
    for file in source.files:
        for folder in file.path.parent.parts:
            name, sign, _ = folder.partition("=")
            if sign and name in kinds and name not in source.names:
                raise InputError(
                    f"{file.path}: folder {plain(folder)} tells a column {name} that its files lack; write "
                    "it into the files, or list under columns what to take."
                )


def _join_all(
    con: Backend,
    table: FileTable,
    part: TablePart,
    label: str,
    required: tuple[str, ...],
    zone: str,
    keys: tuple[str, ...],
) -> FileTable:
    """Add the columns of further files."""
    values, columns, left_out = table.values, dict(table.columns), list(table.left_out)
    whole, decimals = dict(table.whole), dict(table.decimals)
    rows = int(values.count().execute())
    for join in part.joins:
        names = tuple(name for name in required if name in (join.part.columns or {}))
        joined = replace(join.part, between=part.between)
        other = _read(con, joined, label, table.kinds, names, zone, True, False, join.key)
        _check_unique(other, join.key)
        both = {name.lower() for name in columns} & {name.lower() for name in other.columns}
        if both:
            told = f"{plain(min(both))} is in {table.source.path} and in {other.source.path}"
            raise InputError(f"{label}: {told}; list under columns what to take from each.")
        added = other.values.select(*other.columns, **{"joined key": other.values["key 0"]})
        here = values[f"key {keys.index(join.key)}"]
        values = values.inner_join(added, here == added["joined key"]).drop("joined key")
        left = int(values.count().execute())
        file = other.source.path
        if not left:
            told = f"shares no value with {table.source.path}; correct the key of the join."
            raise InputError(f"{file}: column {plain(join.key)} {told}")
        why = f"{plain(join.key)} is not among the rows of {file.name}"
        left_out.append(LeftOut(f"join {file.name}", rows - left, why))
        rows = left
        columns |= other.columns
        whole |= other.whole
        decimals |= other.decimals
        left_out += as_notes(other)
        if "event" in other.columns and "item_id" in required:
            _check_items(values, columns["item_id"], table.source)
    return replace(
        table, columns=columns, values=values, whole=whole, decimals=decimals, left_out=tuple(left_out)
    )


def as_notes(table: FileTable) -> list[LeftOut]:
    """What was left out of a further table: worth knowing, but no events.

    Examples
    --------
    >>> as_notes.__name__
    'as_notes'
    """
    return [
        LeftOut(
            rule.step, 0, f"{table.source.path.name}: {rule.rows} rows, {rule.why}" if rule.rows else rule.why
        )
        for rule in table.left_out
        if rule.rows or rule.step in _NOTES
    ]


def first_or_last(table: ir.Table, key: str, keep: str) -> ir.Table:
    """Of several rows with one id the first or the last.

    Parameters
    ----------
    table
        From `FileTable.typed`, with the column `POSITION`. If it has the column `ORDER`, that goes first:
        numbers by size, then other texts by letters; a row without it holds only where no other does.
    key
        The column with the id.
    keep
        first or last.

    Returns
    -------
    ibis.expr.types.Table
        Without `POSITION` and `ORDER`.

    Examples
    --------
    >>> table = ibis.memtable({"id": [1, 1], "x": ["a", "b"], POSITION: [0, 1], ORDER: ["10", "9"]})
    >>> first_or_last(table, "id", "last").x.to_list()
    ['a']
    """
    order = [table[POSITION]]
    if ORDER in table.columns:
        number = table[ORDER].try_cast("decimal(38, 9)")
        order = [number, number.isnull().ifelse(table[ORDER], ibis.null("string")), *order]
    by = [ibis.asc(part) if keep == "first" else ibis.desc(part) for part in order]
    ranked = table.mutate(**{"row rank": ibis.row_number().over(group_by=key, order_by=by)})
    return ranked.filter(ranked["row rank"] == 0).drop("row rank", *{POSITION, ORDER} & {*table.columns})


def append(tables: Sequence[FileTable], whole: Mapping[str, bool]) -> ir.Table:
    """All events of several files, null where a file lacks a column that another has.

    Parameters
    ----------
    tables
        At least one, each with times or each without.
    whole
        As for `FileTable.typed`.

    Returns
    -------
    ibis.expr.types.Table
        Without a column `event` in the files, that of the mapping, or purchase.

    Raises
    ------
    InputError
        Only some of the files have times.

    Examples
    --------
    >>> append.__name__
    'append'
    """
    typed = []
    for table in tables:
        if ("timestamp" in table.columns) != ("timestamp" in tables[0].columns):
            told = "only one of them has times; give timestamp for both."
            raise InputError(f"{tables[0].source.path} and {table.source.path}: {told}")
        events = table.typed(whole)
        if "event" not in events.columns:
            events = events.mutate(event=ibis.literal(table.event or "purchase"))
        typed.append(events)
    if len(typed) == 1:
        return typed[0]
    types = {name: kind for events in typed for name, kind in events.schema().items()}
    return ibis.union(
        *(
            events.select(
                **{
                    name: events[name] if name in events.columns else ibis.null(kind)
                    for name, kind in types.items()
                }
            )
            for events in typed
        )
    )


def by_step(rules: Iterable[LeftOut]) -> list[LeftOut]:
    """What was left out, each step once: rows of the same one are added up, and their reasons listed.

    Examples
    --------
    >>> by_step([LeftOut("join a.csv", 1, "no key"), LeftOut("join a.csv", 2, "no other key")])
    [LeftOut(step='join a.csv', rows=3, why='no key; no other key')]
    """
    found: dict[str, LeftOut] = {}
    for step, rows, why in rules:
        before = found.get(step, LeftOut(step, 0, ""))
        reasons = dict.fromkeys(filter(None, (*before.why.split("; "), why)))
        found[step] = LeftOut(step, before.rows + rows, "; ".join(reasons))
    return list(found.values())


def _check_items(values: ir.Table, item: Column, source: Source) -> None:
    """Refuse an event without an item, unless it is a search."""
    without = values.filter(values.item_id.isnull() & (values.event != "search")).limit(1)
    for row in without.select("event").to_pyarrow().to_pylist():
        raise InputError(
            f"{source.path}: column {plain(item.name)} is empty for an event {row['event']}; "
            "fill it in or delete the row."
        )


def _check_unique(table: FileTable, key: str) -> None:
    """Refuse to join a file in which a key stands twice."""
    keys = table.values.select(key=table.values["key 0"])
    twice = keys.group_by("key").agg(rows=ibis._.count()).filter(ibis._.rows > 1).order_by("key").limit(1)
    for row in twice.to_pyarrow().to_pylist():
        raise InputError(
            f"{table.source.path}: column {plain(key)} holds {shown(row['key'])} in {row['rows']} rows; "
            "keep one of them, or choose rows by where."
        )
