"""Times as files write them: text in several forms, counted seconds, zones."""

import re
from typing import Final

import ibis
import ibis.expr.types as ir

EARLIEST: Final = "1990-01-01"
LATEST: Final = "2100-01-01"
"""Online shops have no earlier or later events: what lies outside is an empty date or a wrong unit."""

PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of epoch times, and how many make a second."""

_FIRST: Final = 631_152_000  # EARLIEST and LATEST in seconds since 1970
_LAST: Final = 4_102_444_800
_DAY = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_ZONE = r"(Z|UTC|[+-](0\d|1[0-5])(:?[0-5]\d)?)"
# DuckDB alone would also take "epoch" and "infinity" for a time.
_TIME = rf"^{_DAY}([ T]{_CLOCK} ?{_ZONE}?)?$"
_TIME_WITH_ZONE = rf"^{_DAY}[ T]{_CLOCK} ?{_ZONE}$"
_EPOCH = r"^-?\d{1,24}(\.\d*)?([eE]\+?\d{1,2})?$"
_DIRECTIVE = re.compile("%-?.?", re.DOTALL)
_KNOWN = {f"%{letter}" for letter in "YymdHIMSfpbBaAjz%"} | {f"%-{letter}" for letter in "ymdHIMSj"}


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp(6)"), "timestamp('UTC', 6)"))
def _at_zone(zone, time):  # type: ignore[no-untyped-def]
    """Read a time without zone on the clock of a zone."""


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC', 6)"), "timestamp(6)"))
def _on_clock(zone, time):  # type: ignore[no-untyped-def]
    """What the clock of a zone shows."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp(6)"))
def _parsed(text, pattern):  # type: ignore[no-untyped-def]
    """A time by its format."""


@ibis.udf.scalar.builtin(name="try_strptime", signature=(("string", "string"), "timestamp('UTC', 6)"))
def _parsed_with_zone(text, pattern):  # type: ignore[no-untyped-def]
    """A time by a format with %z."""


@ibis.udf.scalar.builtin(name="make_timestamp", signature=(("int64",), "timestamp(6)"))
def _from_micros(micros):  # type: ignore[no-untyped-def]
    """A time from microseconds since 1970."""


@ibis.udf.scalar.builtin(name="divide", signature=(("int64", "int64"), "int64"))
def _divided(number, divisor):  # type: ignore[no-untyped-def]
    """A whole quotient. That of Ibis goes by floating-point numbers, which nanoseconds do not fit."""


def problem_of_format(pattern: str) -> str:
    """What is wrong with a strptime format, and what to do; empty if nothing is.

    Examples
    --------
    >>> problem_of_format("%d/%m/%Y %H:%M")
    ''
    >>> problem_of_format("%d.%m.")
    'names no year; write %Y or %y where it stands.'
    """
    found = set(_DIRECTIVE.findall(pattern))
    if unknown := sorted(found - _KNOWN):
        return f"holds {unknown[0]}, which is no known directive; choose among {' '.join(sorted(_KNOWN))}."
    found = {directive.replace("-", "") for directive in found}
    if not found & {"%Y", "%y"}:
        return "names no year; write %Y or %y where it stands."
    if "%j" not in found and not ("%d" in found and found & {"%m", "%b", "%B"}):
        return "names no day; write %m and %d, or %j, where they stand."
    if ("%I" in found) != ("%p" in found):
        return "names only one of %I and %p; write %I:%M %p for times like 6:30 PM."
    return ""


def is_time(text: ir.StringValue, unit: str, pattern: str) -> ir.BooleanValue:
    """Whether a text is a time in the form that the mapping says; by default that of ISO 8601.

    Parameters
    ----------
    text
        Trimmed text.
    unit
        Unit of epoch times; empty for others.
    pattern
        A strptime format; empty for none.
    """
    if unit:
        return text.re_search(_EPOCH) & text.try_cast("decimal(38, 9)").notnull()
    if pattern:
        return _by_format(text, pattern).notnull()
    return text.re_search(_TIME) & _with_zone(text).notnull()


def instant(text: ir.StringValue, unit: str, pattern: str, zone: str) -> ir.TimestampValue:
    """The time in UTC; null where it lies before `EARLIEST` or after `LATEST`.

    Parameters
    ----------
    text
        A text for which `is_time` holds.
    unit, pattern
        As for `is_time`.
    zone
        Zone of texts that carry none.
    """
    if unit:
        return _from_epoch(text, unit)
    # DuckDB also reads "infinity" and the year 290000, which no zone can bear.
    text = text if pattern else text.re_search(_TIME).ifelse(text, ibis.null("string"))
    time = _by_format(text, pattern) if pattern else text.try_cast("timestamp(6)")
    if not has_zone(unit, pattern):
        time = _at_zone(zone, time).cast("timestamp(6)")
    if not pattern:
        time = text.re_search(_TIME_WITH_ZONE).ifelse(_with_zone(text).cast("timestamp(6)"), time)
    possible = (time >= ibis.timestamp(EARLIEST)) & (time < ibis.timestamp(LATEST))
    return possible.ifelse(time, ibis.null("timestamp(6)"))


def is_within(time: ir.TimestampValue, between: tuple[str, ...], zone: str) -> ir.BooleanValue:
    """Whether a time is known and lies in a period.

    Parameters
    ----------
    time
        From `instant`.
    between
        From when on and before when, in ISO 8601; empty for always.
    zone
        Whose clock shows these.
    """
    within: ir.BooleanValue = time.notnull()
    if between:
        first, end = (
            _at_zone(zone, ibis.literal(text).cast("timestamp(6)")).cast("timestamp(6)") for text in between
        )
        within = within & (time >= first) & (time < end)
    return within.fill_null(False)


def has_zone(unit: str, pattern: str) -> bool:
    """Whether every time in a form carries its zone."""
    return bool(unit) or "%z" in pattern


def is_unclear(text: ir.StringValue, unit: str, pattern: str, zone: str) -> ir.BooleanValue:
    """Whether the clock of the zone showed that time twice or never, because it was put back or forward.

    Parameters
    ----------
    text
        A text for which `is_time` holds.
    unit, pattern, zone
        As for `instant`.
    """
    if has_zone(unit, pattern) or zone == "UTC":
        return ibis.literal(False)
    text = text if pattern else text.re_search(_TIME).ifelse(text, ibis.null("string"))
    local = _by_format(text, pattern) if pattern else text.try_cast("timestamp(6)")
    time = _at_zone(zone, local)
    step = ibis.interval(minutes=30 if zone in ("Australia/Lord_Howe", "Australia/LHI") else 60)
    never = _on_clock(zone, time) != local
    twice = (_on_clock(zone, time - step) == local) | (_on_clock(zone, time + step) == local)
    carried = ibis.literal(False) if pattern else text.re_search(_TIME_WITH_ZONE)
    return ((never | twice) & ~carried).fill_null(False)


def fitting_unit(number: float) -> str:
    """The unit in which an epoch time would lie between `EARLIEST` and `LATEST`; empty if none fits.

    Examples
    --------
    >>> fitting_unit(1_577_836_800_000)
    'ms'
    """
    fits = [unit for unit, per in PER_SECOND.items() if _FIRST * per <= number < _LAST * per]
    return fits[0] if fits else ""


def _with_zone(text: ir.StringValue) -> ir.TimestampValue:
    """A time by the zone that it carries, or UTC."""
    return text.re_replace(" ?(Z|UTC)$", "Z").re_replace(" ([+-])", r"\1").try_cast("timestamp('UTC', 6)")


def _by_format(text: ir.StringValue, pattern: str) -> ir.TimestampValue:
    if "%z" in pattern:
        return _parsed_with_zone(text, pattern).cast("timestamp(6)")
    return _parsed(text, pattern)


def _from_epoch(text: ir.StringValue, unit: str) -> ir.TimestampValue:
    per = PER_SECOND[unit]
    number = text.try_cast("decimal(38, 9)")
    number = number.between(_FIRST * per, _LAST * per - 1).ifelse(number, ibis.null("decimal(38, 9)"))
    whole = number.floor().cast("int64")
    if per >= 1_000_000:
        return _from_micros(_divided(whole, per // 1_000_000))
    factor = 1_000_000 // per
    part = ((number - whole).cast("float64") * factor).round().cast("int64")
    return _from_micros(whole * factor + part)
