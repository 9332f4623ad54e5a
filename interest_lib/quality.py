"""What is odd about an event log, counted: repeats, robots, gaps, clocks, ids, the funnel.

Like `queries`, table expressions that DuckDB and Spark run alike. Nothing is removed here; each function says
what its count can mean. The results are small and come in the order that is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import ibis
import ibis.expr.types as ir


def repeats(events: ir.Table) -> ir.Table:
    """Rows that say the same thing twice, or two things about one moment.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp`` and any other columns.

    Returns
    -------
    ibis.expr.types.Table
        One row: rows, duplicates (beyond the first of identical rows), same_second (distinct rows beyond the
        first with equal user, item and second: a retry, a correction, or an item scanned twice).

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1] * 4, "item_id": ["a"] * 4, "quantity": [1, 1, 1, 2],
    ...                      "timestamp": [datetime(2017, 1, 1)] * 4})
    >>> repeats(log).to_pyarrow().to_pylist()
    [{'rows': 4, 'duplicates': 2, 'same_second': 1}]
    """
    copies = events.group_by(events.columns).agg(copies=ibis._.count())
    moments = copies.group_by("user_id", "item_id", second=copies.timestamp.truncate("s")).agg(
        rows=copies.copies.sum(), different=copies.count()
    )
    return moments.agg(
        rows=moments.rows.sum().fill_null(0),
        duplicates=(moments.rows - moments.different).sum().fill_null(0),
        same_second=(moments.different - 1).sum().fill_null(0),
    )


def inhuman_rates(events: ir.Table, max_per_minute: int = 60, max_per_day: int = 1000) -> ir.Table:
    """Users who do more within a minute or a day than a person can: robots, testers, shared accounts.

    What happens to one basket at one moment is one act, however many items are in it; so is all that a user
    buys at one moment, where no basket is named.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp`` and perhaps ``event``, ``basket_id``.
    max_per_minute, max_per_day
        Acts in a minute of the clock and on a day (UTC) that a person may reach.

    Returns
    -------
    ibis.expr.types.Table
        Of every user above one of the limits: user_id, acts, most_per_minute, most_per_day; most acts first,
        ties by user_id.

    Examples
    --------
    >>> times = [datetime(2017, 1, 1, 10, 0, second) for second in range(3)]
    >>> log = ibis.memtable({"user_id": [1, 1, 1], "item_id": ["a", "b", "c"], "timestamp": times})
    >>> inhuman_rates(log, max_per_minute=2).to_pyarrow().to_pylist()
    [{'user_id': 1, 'acts': 3, 'most_per_minute': 3, 'most_per_day': 3}]
    """
    act = [name for name in ("user_id", "timestamp", "event", "basket_id") if name in events.columns]
    alone = events.basket_id.isnull() if "basket_id" in events.columns else ibis.literal(True)
    if "event" in events.columns:
        alone = alone & (events.event != "purchase")
    acts = events.select(*act, item=alone.ifelse(events.item_id, ibis.null(events.item_id.type()))).distinct()
    minutes = acts.group_by("user_id", minute=acts.timestamp.truncate("m")).agg(acts=acts.count())
    days = minutes.group_by("user_id", day=minutes.minute.date()).agg(
        acts=minutes.acts.sum(), most_per_minute=minutes.acts.max()
    )
    users = days.group_by("user_id").agg(
        acts=days.acts.sum(), most_per_minute=days.most_per_minute.max(), most_per_day=days.acts.max()
    )
    over = users.filter((users.most_per_minute > max_per_minute) | (users.most_per_day > max_per_day))
    return over.order_by(over.acts.desc(), over.user_id)


def recording_gaps(events: ir.Table) -> ir.Table:
    """When nothing at all was recorded: the shop was closed, or the log is incomplete.

    Parameters
    ----------
    events
        ``timestamp``; events without one are not looked at.

    Returns
    -------
    ibis.expr.types.Table
        One row: days (from the first to the last, both included), days_missing, longest_gap_days, gap_begins
        (the first missing day of the earliest longest gap, or null), hours_never_seen (of the 24 of the day).

    Examples
    --------
    >>> log = ibis.memtable({"timestamp": [datetime(2017, 1, day) for day in (1, 2, 6)]})
    >>> gaps = recording_gaps(log).to_pyarrow().to_pylist()[0]
    >>> gaps["days"], gaps["days_missing"], gaps["longest_gap_days"], str(gaps["gap_begins"])
    (6, 3, 3, '2017-01-03')
    """
    times = events.filter(events.timestamp.notnull())
    hours = times.agg(hours=times.timestamp.hour().nunique())
    seen = times.select(day=times.timestamp.truncate("D")).distinct()
    seen = seen.mutate(before=seen.day.lag().over(order_by=seen.day))
    gaps = seen.mutate(missing=(seen.day.delta(seen.before, unit="day") - 1).fill_null(0))
    longest = gaps.missing.max()
    totals = gaps.agg(
        days=gaps.count() + gaps.missing.sum(),
        days_missing=gaps.missing.sum(),
        longest_gap_days=longest,
        gap_begins=gaps.before.argmax(gaps.missing * 100_000 - gaps.before.delta(_EPOCH, unit="day")),
    )
    joined = totals.cross_join(hours)
    begins = (joined.longest_gap_days > 0).ifelse(
        joined.gap_begins + ibis.interval(days=1), ibis.null("timestamp(6)")
    )
    return joined.select(
        "days",
        "days_missing",
        "longest_gap_days",
        gap_begins=begins.date(),
        hours_never_seen=24 - joined.hours,
    )


_EPOCH: Final = datetime(1970, 1, 1)


def clock_shifts(events: ir.Table) -> ir.Table:
    """By how many hours each month's daily rhythm is turned against the usual one of all other months.

    A shift of one hour in the months of summer time is that of the shop's zone: its clock changes and the
    log's does not. Any other shift is likely to be a clock that was set wrong, or another zone, from then on.

    Parameters
    ----------
    events
        ``timestamp``.

    Returns
    -------
    ibis.expr.types.Table
        month (its first day), events, shift_hours (-11 to 12; the month's clock is that much ahead),
        similarity (cosine with the others at that shift) and similarity_unshifted; in the order of months. Of
        equal ones the nearest to 0 is taken, then the positive one. No row for a month that has none to
        compare it to.

    Examples
    --------
    >>> hours = [(1, 9), (1, 12), (2, 9), (2, 12), (3, 11), (3, 14)]
    >>> log = ibis.memtable({"timestamp": [datetime(2017, month, 5, hour) for month, hour in hours]})
    >>> clock_shifts(log).shift_hours.to_pyarrow().to_pylist()
    [0, 0, 2]
    """
    times = events.filter(events.timestamp.notnull())
    month, hour = times.timestamp.truncate("M"), times.timestamp.hour().cast("int64")
    own = times.group_by(month=month, hour=hour).agg(own=times.count())
    rest = _usual_rhythm(own)
    pairs = own.inner_join(rest, "month")
    turned = (pairs.hour - pairs.other_hour + 35) % 24 - 11
    table = pairs.group_by("month", shift_hours=turned).agg(likeness=(pairs.own * pairs.rest).sum())
    sizes = own.group_by("month").agg(events=own.own.sum(), own_square=(own.own * own.own).sum())
    rest_sizes = rest.group_by("month").agg(rest_square=(rest.rest * rest.rest).sum())
    table = table.inner_join(sizes, "month").inner_join(rest_sizes, "month").filter(ibis._.rest_square > 0)
    lengths = table.own_square.cast("float64").sqrt() * table.rest_square.sqrt()
    # Rounded, so that the order of a sum does not decide between equals.
    table = table.mutate(similarity=(table.likeness / lengths).round(12))
    order = [table.similarity.desc(), table.shift_hours.abs(), table.shift_hours.desc()]
    unshifted = table.similarity.max(where=table.shift_hours == 0).over(group_by=table.month)
    table = table.mutate(
        place=ibis.row_number().over(group_by=table.month, order_by=order),
        similarity_unshifted=unshifted.fill_null(0.0),
    )
    columns = ["events", "shift_hours", "similarity", "similarity_unshifted"]
    return (
        table.filter(table.place == 0)
        .select(*columns, month=table.month.date())
        .relocate("month")
        .order_by("month")
    )


def _usual_rhythm(own: ir.Table) -> ir.Table:
    """For each month the median share that an hour has in the other months: month, other_hour, rest.

    A median, so that a clock that goes wrong for good leaves the months before it as they are. Months with
    less than a tenth of the events of the largest say too little about the others.
    """
    months = own.group_by("month").agg(events=own.own.sum())
    months = months.mutate(largest=months.events.max().over())
    large = months.filter(months.events >= 0.1 * months.largest)
    grid = large.cross_join(own.select(other_hour="hour").distinct())
    grid = grid.left_join(own.rename(other_hour="hour"), ["month", "other_hour"])
    shares = grid.select(
        other_month="month", other_hour="other_hour", share=grid.own.fill_null(0) / grid.events
    )
    others = months.select("month").cross_join(shares).filter(ibis._.month != ibis._.other_month)
    return others.group_by("month", "other_hour").agg(rest=others.share.median())


def returned_ids(
    events: ir.Table, identity: str = "user_id", by: str = "category", sleep_days: int = 180
) -> ir.Table:
    """Ids that come back after a long silence, and how much they are still the same.

    A similarity near 0 says that what came back shares nothing with what had left: the id may have been given
    to another user or product.

    Parameters
    ----------
    events
        ``timestamp``, `identity` and `by`; rows where one is null are not looked at.
    identity
        Column of ids, ``user_id`` or ``item_id``.
    by
        What an id is known by: ``category`` of a user's events, ``user_id`` of an item's.
    sleep_days
        A silence longer than this is looked at, the longest of each id (of equal ones the first).

    Returns
    -------
    ibis.expr.types.Table
        `identity`, left, returned, days_away, events_before, events_after, similarity (cosine of counts by
        `by`, 0 to 1); in the order of `identity`.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 1], "category": ["tea", "milk"],
    ...                      "timestamp": [datetime(2017, 1, 1), datetime(2017, 12, 1)]})
    >>> returned_ids(log).select("user_id", "days_away", "similarity").to_pyarrow().to_pylist()
    [{'user_id': 1, 'days_away': 334, 'similarity': 0.0}]
    """
    known = events.filter(events.timestamp.notnull(), events[identity].notnull(), events[by].notnull())
    known = known.select(identity=known[identity], by=known[by], time=known.timestamp)
    last = known.mutate(left=known.time.lag().over(group_by=known.identity, order_by=known.time))
    sleeps = last.mutate(seconds_away=last.time.delta(last.left, unit="second"))
    sleeps = sleeps.filter(sleeps.seconds_away > sleep_days * 86_400)
    longest = ibis.row_number().over(
        group_by=sleeps.identity, order_by=[sleeps.seconds_away.desc(), sleeps.time]
    )
    sleeps = sleeps.mutate(place=longest).filter(ibis._.place == 0)
    sleeps = sleeps.select("identity", "left", "seconds_away", returned=sleeps.time)
    both = known.inner_join(sleeps, "identity")
    after = both.time >= both.returned
    counts = both.group_by("identity", "left", "returned", "seconds_away", "by").agg(
        before=(~after).sum(), after=after.sum()
    )
    table = counts.group_by("identity", "left", "returned", "seconds_away").agg(
        events_before=counts.before.sum(),
        events_after=counts.after.sum(),
        product=(counts.before * counts.after).sum().cast("float64"),
        before_square=(counts.before * counts.before).sum().cast("float64"),
        after_square=(counts.after * counts.after).sum().cast("float64"),
    )
    return table.select(
        **{identity: table.identity},
        left=table.left,
        returned=table.returned,
        days_away=table.seconds_away // 86_400,
        events_before=table.events_before,
        events_after=table.events_after,
        similarity=table["product"] / (table.before_square.sqrt() * table.after_square.sqrt()),
    ).order_by(identity)


def funnel(events: ir.Table, steps: Sequence[str] = ("view", "cart", "purchase", "review")) -> ir.Table:
    """How far users get, step by step.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp``, ``event``.
    steps
        Types of event in the order in which a user takes them; name only those that the log has.

    Returns
    -------
    ibis.expr.types.Table
        In the order of `steps`: step (1 is the first), event, events, users, items, users_going_on (share of
        users who take the next step at or after the time when they first took this one) and pairs_going_on
        (the same of users with an item: who put *this* in the cart after looking at it). Both are null at the
        last step, and the second also where no event of the step has an item, as with searches.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                      "event": ["view", "cart", "view"], "timestamp": [datetime(2017, 1, 1)] * 3})
    >>> funnel(log, ["view", "cart"]).select("users_going_on", "pairs_going_on").to_pyarrow().to_pylist()[0]
    {'users_going_on': 0.5, 'pairs_going_on': 0.0}
    """
    known = events.filter(events.event.isin(list(steps)))
    known = known.mutate(step=known.event.cases(*((name, i) for i, name in enumerate(steps, 1)), else_=0))
    table = known.group_by("step", "event").agg(
        events=known.count(), users=known.user_id.nunique(), items=known.item_id.nunique()
    )
    for name, keys in (("users_going_on", ["user_id"]), ("pairs_going_on", ["user_id", "item_id"])):
        table = table.left_join(_going_on(known, keys, name), "step").drop("step_right")
    last = table.step == len(steps)
    shares = {
        name: last.ifelse(ibis.null("float64"), table[name]) for name in ("users_going_on", "pairs_going_on")
    }
    return table.mutate(**shares).order_by("step")


def _going_on(known: ir.Table, keys: list[str], name: str) -> ir.Table:
    """The share of users, or of users with an item, who take the next step: step and that share."""
    known = known.filter(*(known[key].notnull() for key in keys))
    spans = known.group_by(*keys, "step").agg(first=known.timestamp.min(), last=known.timestamp.max())
    ahead = spans.select(*keys, step=spans.step - 1, next_last=spans.last)
    joined = spans.left_join(ahead, [*keys, "step"])
    going = (joined.next_last >= joined.first).fill_null(False)
    return joined.group_by("step").agg(**{name: going.cast("int64").mean()})


def repeat_share(events: ir.Table, by: str = "category") -> ir.Table:
    """How often each category is bought again: an item that the same user had at an earlier time.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp`` and `by`; of one kind, such as purchases.
    by
        Column to count by; rows where it is null are left out.

    Returns
    -------
    ibis.expr.types.Table
        `by`, events, users, repeat_share (0 to 1); most events first, ties by name.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 1], "item_id": ["a", "a"], "category": ["tea", "tea"],
    ...                      "timestamp": [datetime(2017, 1, 1), datetime(2017, 1, 2)]})
    >>> repeat_share(log).repeat_share.to_pyarrow().to_pylist()
    [0.5]
    """
    known = events.filter(events[by].notnull(), events.item_id.notnull())
    first = known.timestamp.min().over(group_by=[known.user_id, known.item_id])
    marked = known.mutate(again=(known.timestamp > first).cast("int64"))
    table = marked.group_by(by).agg(
        events=marked.count(), users=marked.user_id.nunique(), repeat_share=marked.again.mean()
    )
    return table.order_by(table.events.desc(), table[by])
