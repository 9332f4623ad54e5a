"""A file's columns in the types of the contract, after every value has been checked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from interest_lib.files import Source, open_source
from interest_lib.mapping import TablePart
from interest_lib.schema import EVENTS, InputError, nearest

_DAY = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_ZONE = r"(Z|UTC|[+-]\d{2}(:?\d{2})?)"
# DuckDB alone would also take "epoch", "infinity", "nan" and "1_000" for a time or a number.
_TIME = rf"^{_DAY}([ T]{_CLOCK} ?{_ZONE}?)?$"
_TIME_WITH_ZONE = rf"^{_DAY}[ T]{_CLOCK} ?{_ZONE}$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^(0|-?[1-9]\d{0,18})$"

_WANTED = {
    "time": "write it like 2017-12-04 18:30:00.",
    "number": "write it like 1234.5, without units or thousands separators.",
}


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp(6)"), "timestamp('UTC', 6)"))
def _at_zone(zone, time):  # type: ignore[no-untyped-def]
    """Read a time without zone on the clock of a zone."""


@dataclass(frozen=True)
class FileTable:
    """A file whose every row has been checked.

    Attributes
    ----------
    source
        The file, without rows that repeat another one in every column.
    columns
        The file's column for each of our names.
    kinds
        id, time, number or text for each of our names.
    whole
        For each id column: whether all of its values are whole numbers, written plainly, that int64 can hold.
    duplicates
        How many rows of the file repeat another one in every column.
    """

    source: Source
    columns: dict[str, str]
    kinds: Mapping[str, str]
    whole: dict[str, bool]
    duplicates: int

    def typed(self, whole: Mapping[str, bool], zone: str = "UTC") -> ir.Table:
        """The columns by our names and in our types.

        Parameters
        ----------
        whole
            Id columns that become int64; the others become text.
        zone
            Zone of times that carry none.
        """
        values: dict[str, ir.Value] = {}
        for name, theirs in self.columns.items():
            text, kind = self.source.text(theirs), self.kinds.get(name, "text")
            if kind == "time":
                local = _at_zone(zone, text.try_cast("timestamp(6)"))
                values[name] = (
                    text.re_search(_TIME_WITH_ZONE).ifelse(_moment(text), local).cast("timestamp(6)")
                )
            elif kind == "number":
                values[name] = text.try_cast("float64")
            elif kind == "id" and whole[name]:
                values[name] = text.try_cast("int64")
            else:
                values[name] = text.lower() if kind == "event" else text
        return self.source.table.select(**values)


def read_table(
    con: Backend,
    part: TablePart,
    label: str,
    kinds: Mapping[str, str],
    *,
    required: tuple[str, ...],
    more: bool = False,
) -> FileTable:
    """Open a file, find our columns in it, and check every row.

    Parameters
    ----------
    con
        Connection from `engine.connect`.
    part
        The file and its column for each of our names.
    label
        What messages call the mapping that `part` stands in; empty without one.
    kinds
        id, time, number, event or text for each of our names that may occur.
    required
        Our names that have to be there and filled in every row.
    more
        Take further columns as text, under their own names or those that the mapping gives them.

    Returns
    -------
    FileTable

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, has no rows, or has an unusable value (the first is named).
    """
    source = open_source(con, part.data)
    columns = _choose(source, part, label, kinds, required=required, more=more)
    bad = {
        name: _bad(source.text(theirs), kinds.get(name, "text"), name in required)
        for name, theirs in columns.items()
    }
    ids = {name: source.text(columns[name]) for name in columns if kinds.get(name) == "id"}
    totals = source.table.agg(
        rows=ibis._.count(),
        **{f"bad_{name}": condition.sum().fill_null(0) for name, condition in bad.items()},
        **{f"whole_{name}": _whole(text).all() for name, text in ids.items()},
    )
    found = source.collect(totals)[0]
    if not found["rows"]:
        raise InputError(f"{source.path}: there are no rows in it; give a file with rows below the header.")
    if any(found[f"bad_{name}"] for name in bad):
        raise _first_problem(source, columns, kinds, bad)
    once = source.table.distinct()
    duplicates = found["rows"] - source.collect(once.agg(rows=ibis._.count()))[0]["rows"]
    source = replace(source, table=once) if duplicates else source
    whole = {name: bool(found[f"whole_{name}"]) for name in ids}
    return FileTable(source, columns, kinds, whole, duplicates)


def _choose(
    source: Source,
    part: TablePart,
    label: str,
    kinds: Mapping[str, str],
    *,
    required: tuple[str, ...],
    more: bool,
) -> dict[str, str]:
    """The file's column for each of our names that it has."""
    columns = part.columns
    if columns is None:
        columns = {name: name for name in source.names if name and (more or name in kinds)}
    for ours, theirs in columns.items():
        if theirs not in source.names:
            hint = nearest(theirs, source.names)
            raise InputError(f"{label}: column {theirs} (for {ours}) is not in {source.path}; {hint}")
    for name in required:
        if name not in columns and part.columns is None:
            there = ", ".join(source.names[:8]) + (", ..." if len(source.names) > 8 else "")
            raise InputError(
                f"{source.path}: column {name} is missing among {there}; rename one or give a mapping file."
            )
        if name not in columns:
            raise InputError(
                f"{label}: columns lacks {name}; name the column of {source.path} that holds it."
            )
    for name in columns:
        if [other.lower() for other in columns].count(name.lower()) > 1:
            raise InputError(
                f"{label or source.path}: column {name} differs from another by case only; rename one."
            )
    return columns


def _bad(text: ir.StringValue, kind: str, required: bool) -> ir.BooleanValue:
    """Whether a value cannot be used."""
    required = required or kind == "event"
    usable: ir.BooleanValue = ibis.literal(True)
    if kind == "time":
        usable = text.re_search(_TIME) & _moment(text).notnull()
    elif kind == "number":
        usable = text.re_search(_NUMBER) & ~text.try_cast("float64").isinf()
    elif kind == "event":
        usable = text.lower().isin(list(EVENTS))
    return text.isnull().ifelse(required, ~usable.fill_null(False))


def _moment(text: ir.StringValue) -> ir.TimestampValue:
    """A time by the zone that it carries, or UTC."""
    return text.re_replace(" ?(Z|UTC)$", "Z").re_replace(" ([+-])", r"\1").try_cast("timestamp('UTC', 6)")


def _whole(text: ir.StringValue) -> ir.BooleanValue:
    return text.isnull() | (text.re_search(_WHOLE) & text.try_cast("int64").notnull())


def _first_problem(
    source: Source, columns: Mapping[str, str], kinds: Mapping[str, str], bad: Mapping[str, ir.BooleanValue]
) -> InputError:
    """The first bad row. Numbering rows takes a slow pass, so only a file that has one pays for it."""
    rows = source.table.select(
        position=ibis.row_number(),
        **{f"bad_{name}": condition for name, condition in bad.items()},
        **{f"text_{name}": source.text(columns[name]) for name in bad},
    )
    first = source.collect(
        rows.filter(ibis.or_(*(rows[f"bad_{name}"] for name in bad))).order_by("position").limit(1)
    )[0]
    name = next(name for name in bad if first[f"bad_{name}"])
    kind, text = kinds.get(name, "text"), first[f"text_{name}"]
    where = f"{source.path}: row {source.row_number(first['position'])}: column {columns[name]}"
    if text is None:
        return InputError(f"{where} is empty; fill it in or delete the row.")
    hint = nearest(text, EVENTS) if kind == "event" else _WANTED[kind]
    shown = text if len(text) <= 40 else text[:37] + "..."
    return InputError(f"{where} holds {shown!r}, which is no {kind}; {hint}")
