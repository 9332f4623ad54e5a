"""The rules that every row has to pass: what is left out and counted, and what is an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import ibis
import ibis.expr.types as ir

from interest_lib.mapping import Column, TablePart
from interest_lib.paths import plain, shown
from interest_lib.schema import EVENTS, InputError, nearest
from interest_lib.sources import Source
from interest_lib.times import EARLIEST, LATEST, fitting_unit, instant, is_time, is_unclear, is_within

# DuckDB alone would also take "nan" and "1_000" for a number.
_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE: Final = r"^(0|-?[1-9]\d{0,18})$"
_POSITIVE: Final = r"^[1-9]\d{0,17}$"
_DECIMAL: Final = r"^[+-]?(\d+\.\d*|\.\d+|\d+\.?\d*[eE][+-]?\d+)$"
_ABSENT: Final = ("nan", "null", "none", "n/a", "<na>", "nat", r"\n", "undefined")
_MOST_IMPOSSIBLE: Final = 0.01
_LEFT_OUT: Final = " "  # stands for an event that the mapping turns into null; trimmed text is never blank

_WANTED: Final = {
    "time": "write it like 2017-12-04 18:30:00, or name its unit or format in a mapping.",
    "number": "write it like 1234.5, without units or thousands separators.",
    "order": "count the baskets of a user by whole numbers from 1.",
    "id": "write it without NUL bytes, and leave out rows without an id.",
    "text": "write it without NUL bytes.",
}


class LeftOut(NamedTuple):
    """Rows that a rule left out: its name, their number, and why; 0 rows for mere notes."""

    step: str
    rows: int
    why: str


@dataclass(frozen=True)
class Rules:
    """Which rows of a source are left out, and which values cannot be used.

    Attributes
    ----------
    part
        What the mapping says.
    columns
        The source's column for each of our names.
    kinds
        id, time, order, number, event or text for each of our names; text for others.
    required
        Our names that have to be filled in every row.
    zone
        Zone of times that carry none.
    event
        What all events are; empty if a column says so, and ? if one of a joined file does.
    keys
        Columns by which files are joined.
    key_required
        Whether the first of them has to be filled in every row.
    """

    part: TablePart
    columns: dict[str, Column]
    kinds: Mapping[str, str]
    required: tuple[str, ...]
    zone: str
    event: str
    keys: tuple[str, ...]
    key_required: bool

    def kind(self, name: str) -> str:
        """What a column holds."""
        return self.kinds.get(name, "text")

    def result(self, name: str) -> str:
        """Column of `prepared` that holds what becomes of one of ours."""
        return {"event": "value", "time": "time"}.get(self.kind(name), "text") + f" {name}"

    @property
    def steps(self) -> list[str]:
        """Rules that leave rows out, in their order."""
        translated = any(None in (column.values or {}).values() for column in self.columns.values())
        timed = any(self.kind(name) == "time" for name in self.columns)
        return [
            *(f"where {name}" for name in self.part.where),
            *(["event values"] if translated else []),
            *(["outside of the period" if self.part.between else "impossible times"] if timed else []),
        ]

    def prepared(self, source: Source, numbered: bool = False) -> ir.Table:
        """A source's texts, what they mean, and which rules leave the row out.

        Each step is a view of its own: DuckDB computes it once, and Ibis cannot write it out again and again.
        """
        read = {f"text {name}": column for name, column in self.columns.items()}
        read |= {f"where {i}": Column(name) for i, name in enumerate(self.part.where)}
        read |= {f"key {i}": Column(name) for i, name in enumerate(self.keys)}
        read |= {"by": Column(self.part.by)} if self.part.by else {}
        table = source.texts(read, numbered)
        for step in (self._meanings, self._left_out):
            table = source.table(source.con.compile(step(table)))
        return table

    def _meanings(self, table: ir.Table) -> ir.Table:
        meanings: dict[str, ir.Value] = {}
        for name, column in self.columns.items():
            text = table[f"text {name}"]
            if self.kind(name) == "event":
                meanings[f"value {name}"] = _translated(text.lower(), column)
            elif self.kind(name) == "time":
                form = (text, column.unit, column.format)
                meanings[f"good {name}"] = is_time(*form).fill_null(False)
                meanings[f"time {name}"] = instant(*form, self.zone)
                meanings[f"unclear {name}"] = is_unclear(*form, self.zone)
        return table.mutate(**meanings)

    def _left_out(self, table: ir.Table) -> ir.Table:
        out: list[ir.BooleanValue] = []
        for i, texts in enumerate(self.part.where.values()):
            out.append(~table[f"where {i}"].fill_null("").isin(list(texts)))
        if "event values" in self.steps:
            out.append((table["value event"] == _LEFT_OUT).fill_null(False))
        wanted = ~ibis.or_(ibis.literal(False), *out)
        for name in self.columns:
            if self.kind(name) == "time":
                within = is_within(table[f"time {name}"], self.part.between, self.zone)
                out.append(table[f"good {name}"] & ~within)
        kept = ~ibis.or_(ibis.literal(False), *out)
        # A row counts for the first rule that leaves it out.
        first = {
            f"out {i}": condition & ~ibis.or_(ibis.literal(False), *out[:i])
            for i, condition in enumerate(out)
        }
        return table.mutate(wanted=wanted, kept=kept, **first)

    def bad(self, source: Source, table: ir.Table) -> dict[str, ir.BooleanValue]:
        """Whether a value of `prepared` cannot be used, for each of our columns.

        An impossible time is left out; a bad value beside it is still an error.
        """
        bad = {name: table.wanted & self._bad(source, table, name) for name in self.columns}
        return bad | ({"": table.wanted & table["key 0"].isnull()} if self.key_required else {})

    def _bad(self, source: Source, table: ir.Table, name: str) -> ir.BooleanValue:
        kind, text = self.kind(name), table[f"text {name}"]
        usable: ir.BooleanValue = ibis.literal(True)
        if kind == "time":
            usable = table[f"good {name}"]
        elif kind == "number":
            usable = text.re_search(_NUMBER) & ~text.try_cast("float64").isinf()
        elif kind == "order":
            usable = text.re_search(_POSITIVE)
        elif kind == "event":
            text = table[f"value {name}"]
            usable = text.isin([*EVENTS, _LEFT_OUT])
        elif source.kind != "csv":  # which has been searched for NUL bytes already
            usable = ~text.re_search(r"\x00")
            if kind == "id" and source.is_float(self.columns[name]):
                usable = usable & ~text.lower().isin(["nan", "inf", "-inf"])
        required: ir.BooleanValue = ibis.literal(name in self.required or kind == "event")
        if name == "item_id" and name in self.required:
            required = ibis.literal(self.event not in ("search", "?"))
            if "event" in self.columns:
                required = (table["value event"] != "search").fill_null(True)
        bad = text.isnull().ifelse(required, ~usable.fill_null(False))
        nested = f"nested text {name}"
        return bad | table[nested] if nested in table.columns else bad


def _translated(text: ir.StringValue, column: Column) -> ir.StringValue:
    """Their events as ours."""
    if not column.values:
        return text
    filled = text.fill_null("")
    cases = [
        (filled == theirs, _LEFT_OUT if ours is None else ours) for theirs, ours in column.values.items()
    ]
    return ibis.cases(*cases, else_=text)


def check_rows(source: Source, rules: Rules) -> dict[str, Any]:
    """Count the rows of a source, those that each rule leaves out, and what is to be noted."""
    table = rules.prepared(source)
    bad = rules.bad(source, table)
    sums: dict[str, ir.Value] = {"kept": table.kept.sum().fill_null(0)}
    for i, step in enumerate(rules.steps):
        sums[f"out {step}"] = table[f"out {i}"].sum().fill_null(0)
    for name, condition in bad.items():
        sums[f"bad {name}"] = condition.sum().fill_null(0)
    for name in rules.columns:
        text = table[f"text {name}"]
        if rules.kind(name) == "id":
            absent = text.lower().isin(list(_ABSENT)).fill_null(False)
            sums[f"whole {name}"] = (text.isnull() | _is_whole(text) | ~table.kept).all()
            sums[f"decimal {name}"] = (
                (table.kept & text.re_search(_DECIMAL).fill_null(False)).sum().fill_null(0)
            )
            sums[f"absent {name}"] = (table.kept & absent).sum().fill_null(0)
        elif rules.kind(name) == "time":
            sums[f"unclear {name}"] = (table.kept & table[f"unclear {name}"]).sum().fill_null(0)
    found = source.collect(table.agg(rows=ibis._.count(), **sums))[0]
    if not found["rows"]:
        raise InputError(f"{source.path}: there are no rows in it; give a file with rows below the header.")
    if any(found[f"bad {name}"] for name in bad):
        raise _first_problem(source, rules)
    if found.get("out impossible times", 0) > _MOST_IMPOSSIBLE * found["rows"]:
        raise _impossible(source, rules, found["out impossible times"])
    if not found["kept"]:
        steps = ", ".join(map(plain, rules.steps))
        raise InputError(f"{source.path}: no row is left by these rules: {steps}; correct the mapping.")
    return found


def _is_whole(text: ir.StringValue) -> ir.BooleanValue:
    return (text.re_search(_WHOLE) & text.try_cast("int64").notnull()).fill_null(False)


def _impossible(source: Source, rules: Rules, number: int) -> InputError:
    """A sentence about a log of which many times lie before or after all shops."""
    name = next(name for name in rules.columns if rules.kind(name) == "time")
    column = rules.columns[name]
    step = f"out {rules.steps.index('impossible times')}"
    for single in source.each():
        table = rules.prepared(single, numbered=True)
        for row in single.collect(table.filter(table[step]).order_by("position").limit(1)):
            text = row[f"text {name}"]
            hint = f"correct the {'unit' if column.unit else 'format'} of the column in the mapping."
            if column.unit and (unit := fitting_unit(float(text))):
                hint = f"unit: {unit} would make sense."
            others = f" like {number - 1} more" if number > 1 else ""
            return InputError(
                f"{single.path}: {single.place(row['position'])}: column {plain(column.name)} holds "
                f"{shown(text)}, which lies before {EARLIEST} or after {LATEST}{others}; {hint}"
            )
    return _changed(source)


def _changed(source: Source) -> InputError:
    return InputError(f"{source.path}: the files changed while they were read; start again.")


def counted(rules: Rules, found: Mapping[str, Any]) -> list[LeftOut]:
    """What the rules left out of a source."""
    counted = []
    for name, texts in rules.part.where.items():
        some = ", ".join(texts[:5]) + (", ..." if len(texts) > 5 else "")
        step = f"where {name}"
        counted.append(LeftOut(step, found[f"out {step}"], f"the mapping keeps only rows where it is {some}"))
    if (step := "event values") and f"out {step}" in found:
        counted.append(LeftOut(step, found[f"out {step}"], "the mapping translates the event to null"))
    if found.get(f"out {(step := 'impossible times')}"):
        why = f"the time lies before {EARLIEST} or after {LATEST}"
        counted.append(LeftOut(step, found[f"out {step}"], why))
    if f"out {(step := 'outside of the period')}" in found:
        first, end = rules.part.between
        why = f"the mapping keeps only times from {first} on and before {end}, on the clock of {rules.zone}"
        counted.append(LeftOut(step, found[f"out {step}"], why))
    return counted


def notes(source: Source, rules: Rules, found: Mapping[str, Any]) -> list[LeftOut]:
    """What was read, but may have been meant otherwise."""
    notes = []
    file = source.path.name
    for name, column in rules.columns.items():
        theirs = f"{plain(column.name)} of {file}"
        if rows := found.get(f"decimal {name}"):
            why = f"{rows} values of {theirs} are decimals like 7.0, and stay text as they are written"
            notes.append(LeftOut("decimals for ids", 0, why))
        if rows := found.get(f"absent {name}"):
            why = f"{rows} values of {theirs} are words like null or nan, and count as ids like any other"
            notes.append(LeftOut("words for ids", 0, why))
        if rows := found.get(f"unclear {name}"):
            why = (
                f"{rows} values of {theirs} fall into an hour that the clock of {rules.zone} shows twice or "
                "skips, and are read by the rule of that zone"
            )
            notes.append(LeftOut("summer time", 0, why))
    return notes


def _first_problem(source: Source, rules: Rules) -> InputError:
    """The first bad row. Numbering rows takes a slow pass, so only a file that has one pays for it."""
    for single in source.each():
        table = rules.prepared(single, numbered=True)
        bad = rules.bad(single, table)
        table = table.mutate(**{f"bad {name}": condition for name, condition in bad.items()})
        worst = table.filter(ibis.or_(*(table[f"bad {name}"] for name in bad)))
        for first in single.collect(worst.order_by("position").limit(1)):
            return _problem(single, rules, first, next(name for name in bad if first[f"bad {name}"]))
    return _changed(source)


def _problem(source: Source, rules: Rules, first: Mapping[str, Any], name: str) -> InputError:
    """A sentence about an unusable value."""
    kind, text = rules.kind(name), first[f"text {name}" if name else "key 0"]
    theirs = rules.columns[name].name if name else rules.keys[0]
    where = f"{source.path}: {source.place(first['position'])}: column {plain(theirs)}"
    if first.get(f"nested text {name}"):
        told = "name what stands inside it by dots, or a separator to take the first of a list."
        return InputError(f"{where} holds a list or an object; {told}")
    if text is None:
        return InputError(f"{where} is empty; fill it in or delete the row.")
    hint = _WANTED.get(kind, "")
    if kind == "time" and (rules.columns[name].unit or rules.columns[name].format):
        column = rules.columns[name]
        told = f"unit: {column.unit}" if column.unit else f"format: {column.format}"
        hint = f"correct it, or {plain(told)} in the mapping."
    if kind == "event":
        known = [*EVENTS, *(rules.columns[name].values or {})]
        hint = nearest(plain(text), known)
        if hint.startswith("choose"):
            hint = f"translate it by values in a mapping, or {hint}"
    article = "number of a basket" if kind == "order" else kind
    return InputError(f"{where} holds {shown(text)}, which is no {article}; {hint}")
