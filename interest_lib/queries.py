"""The event log as table expressions, written once and run by DuckDB or Spark alike.

Every function takes Ibis tables with the columns of `schema.EVENT_COLUMNS` and returns Ibis tables that have
not been executed. Ids may be whole numbers or text. Rows of a result come in no order; where a choice has to
be made among equals, the rule that makes it is stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import log
from typing import Final

import ibis
import ibis.expr.types as ir

from interest_lib.schema import InputError

FIRST_YEAR: Final = datetime(1990, 1, 1)
"""Shops had no event logs before: an earlier time is a clock that was never set."""

_MICROSECONDS_PER_DAY: Final = 86_400_000_000


def clean(
    events: ir.Table, until: datetime | None = None, since: datetime = FIRST_YEAR
) -> tuple[ir.Table, ir.Table]:
    """Leave out events at impossible times and all but one of identical rows, and count both.

    Parameters
    ----------
    events
        Any columns; times are checked where there is a ``timestamp``.
    until, since
        A time from `until` on (the moment at which the log was taken) or before `since` is impossible, and so
        is none at all.

    Returns
    -------
    kept : ibis.expr.types.Table
        The columns of `events`.
    counts : ibis.expr.types.Table
        One row: rows, too_early, too_late, timeless, duplicates (beyond the first, among the rows that the
        rules before leave), kept.

    Examples
    --------
    >>> times = [datetime(1970, 1, 1), datetime(2017, 1, 1), datetime(2017, 1, 1)]
    >>> kept, counts = clean(ibis.memtable({"user_id": [1, 1, 1], "timestamp": times}))
    >>> counts.to_pyarrow().to_pylist()
    [{'rows': 3, 'too_early': 1, 'too_late': 0, 'timeless': 0, 'duplicates': 1, 'kept': 1}]
    """
    early, late, timeless = _impossible(events, since, until)
    kept = events.filter(~(early | late | timeless)).distinct()
    copies = events.group_by(events.columns).agg(copies=ibis._.count())
    early, late, timeless = _impossible(copies, since, until)
    marked = copies.mutate(early=early, late=late, timeless=timeless, possible=~(early | late | timeless))
    counts = marked.agg(
        rows=marked.copies.sum(),
        too_early=marked.copies.sum(where=marked.early),
        too_late=marked.copies.sum(where=marked.late),
        timeless=marked.copies.sum(where=marked.timeless),
        duplicates=(marked.copies - 1).sum(where=marked.possible),
        kept=marked.possible.sum(),
    )
    return kept, counts.select(**{name: counts[name].fill_null(0) for name in counts.columns})


def _impossible(
    events: ir.Table, since: datetime, until: datetime | None
) -> tuple[ir.BooleanValue, ir.BooleanValue, ir.BooleanValue]:
    """Whether an event is too early, too late, without a time."""
    never = ibis.literal(False)
    if "timestamp" not in events.columns:
        return never, never, never
    early = (events.timestamp < ibis.literal(since)).fill_null(False)
    late = (events.timestamp >= ibis.literal(until)).fill_null(False) if until else never
    return early, late, events.timestamp.isnull()


def sample_users(events: ir.Table, max_users: int, seed: int) -> ir.Table:
    """Events of the users whose hashed id comes first: the same draw on every engine and machine.

    Parameters
    ----------
    events
        ``user_id`` and any other columns.
    max_users
        Number of users to keep.
    seed
        Draws the sample. With one seed, a smaller sample is part of a larger one.

    Returns
    -------
    ibis.expr.types.Table
        The columns of `events`.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 2, 3, 1]})
    >>> sample_users(log, max_users=2, seed=2017).user_id.nunique().execute()
    2
    """
    ids = events.select("user_id").distinct()
    draw = (ibis.literal(f"{seed}:") + ids.user_id.cast("string")).hexdigest("md5")
    kept = ids.mutate(draw=draw).order_by("draw", "user_id").limit(max_users).select("user_id")
    return events.semi_join(kept, "user_id")


def baskets(events: ir.Table, goal: str = "") -> ir.Table:
    """Give every event a basket, and number the baskets of every user.

    An event without a basket gets ``user/day`` (UTC), or ``user/number`` in a log that brings numbers, which
    are kept. Else the baskets are numbered from 1 by their first event, ties by id. Where baskets are made of
    events of one kind, an event of another, such as a view, gets the number of the basket that comes next,
    because that is the one that it may foretell.

    Parameters
    ----------
    events
        ``user_id``, ``timestamp`` or ``basket_number``, and perhaps ``basket_id`` and ``event``.
    goal
        The kind of ``event`` that baskets are made of, see `history.goal`; empty: of all events.

    Returns
    -------
    ibis.expr.types.Table
        The columns of `events` with ``basket_id``, which is text if any was missing, and ``basket_number``.

    Notes
    -----
    Asks the engine at once whether a basket is missing, as the type of the column depends on it.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [7, 7], "timestamp": [datetime(2017, 1, 2), datetime(2017, 1, 1)]})
    >>> baskets(log).order_by("timestamp").to_pyarrow().select(["basket_id", "basket_number"]).to_pylist()
    [{'basket_id': '7/2017-01-01', 'basket_number': 1}, {'basket_id': '7/2017-01-02', 'basket_number': 2}]
    """
    ordered = "basket_number" in events.columns
    if lacks_baskets(events):
        part = events.basket_number if ordered else events.timestamp.date()
        made = events.user_id.cast("string") + "/" + part.cast("string")
        given = "basket_id" in events.columns
        events = events.mutate(
            basket_id=ibis.coalesce(events.basket_id.cast("string"), made) if given else made
        )
    return events if ordered else _number_baskets(events, goal)


def lacks_baskets(events: ir.Table) -> bool:
    """Whether some event has no ``basket_id``, asked of the engine at once.

    Examples
    --------
    >>> lacks_baskets(ibis.memtable({"basket_id": ["a", None]}))
    True
    """
    return "basket_id" not in events.columns or bool(events.basket_id.isnull().any().execute())


def _number_baskets(events: ir.Table, goal: str) -> ir.Table:
    keys = ["user_id", "basket_id"]
    made_of = events.filter(events.event == goal) if goal else events
    first = made_of.group_by(keys).agg(first_time=made_of.timestamp.min())
    place = ibis.row_number().over(group_by=first.user_id, order_by=[first.first_time, first.basket_id]) + 1
    own = first.mutate(basket_number=place).drop("first_time")
    numbered = events.join(own, keys, how="left")[[*events.columns, "basket_number"]]
    if not goal:
        return numbered
    begun = first.group_by("user_id", timestamp=first.first_time).agg(begun=first.count())
    moments = events.select("user_id", "timestamp").distinct().left_join(begun, ["user_id", "timestamp"])
    so_far = (
        moments.begun.fill_null(0)
        .sum()
        .over(ibis.cumulative_window(group_by="user_id", order_by="timestamp"))
    )
    moments = moments.select("user_id", "timestamp", coming=so_far + 1)
    placed = numbered.left_join(moments, ["user_id", "timestamp"])
    number = ibis.ifelse(placed.event == goal, placed.basket_number, placed.coming)
    return placed.mutate(basket_number=number)[numbered.columns]


def searched_items(events: ir.Table, max_minutes: float = 30) -> ir.Table:
    """Give a search that names no item the one that the user turns to next.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp``, ``event`` and any other columns; only a search may be without
        an item.
    max_minutes
        The longest pause between the search and what it led to, in minutes.

    Returns
    -------
    ibis.expr.types.Table
        The columns of `events`. A search that led to nothing in time stays without an item; of several items
        at one moment the first by id is taken.

    Examples
    --------
    >>> times = [datetime(2017, 1, 1, 10, minute) for minute in (0, 5, 6)]
    >>> log = ibis.memtable({"user_id": [1] * 3, "timestamp": times, "item_id": [None, "tea", None],
    ...                      "event": ["search", "view", "search"]})
    >>> searched_items(log).order_by("timestamp").item_id.to_pyarrow().to_pylist()
    ['tea', 'tea', None]
    """
    turned_to = events.filter(events.item_id.notnull(), events.event != "search")
    turned_to = turned_to.group_by("user_id", "timestamp").agg(found=turned_to.item_id.min())
    # Numbered from the end, a moment without an item has the number of the next one with an item.
    moments = events.select("user_id", "timestamp").distinct().left_join(turned_to, ["user_id", "timestamp"])
    backwards = ibis.cumulative_window(group_by="user_id", order_by=ibis.desc("timestamp"))
    moments = moments.select(
        "user_id", "timestamp", "found", number=moments.found.notnull().cast("int64").sum().over(backwards)
    )
    ahead = moments.filter(moments.found.notnull()).select("user_id", "number", "found", met="timestamp")
    led = moments.drop("found").inner_join(ahead, ["user_id", "number"])
    led = led.filter(_microseconds(led.timestamp, led.met) <= max_minutes * 60e6)
    joined = events.left_join(led.select("user_id", "timestamp", "found"), ["user_id", "timestamp"])
    item = ibis.ifelse(joined.event == "search", ibis.coalesce(joined.item_id, joined.found), joined.item_id)
    return joined.mutate(item_id=item)[events.columns]


def sessions(events: ir.Table, session_gap_minutes: float = 30) -> ir.Table:
    """Number the sessions of every user: a longer pause than the gap begins a new one.

    Parameters
    ----------
    events
        ``user_id``, ``timestamp`` and any other columns.
    session_gap_minutes
        The longest pause within a session, in minutes.

    Returns
    -------
    ibis.expr.types.Table
        The columns of `events` and ``session_number``, 1 for the first session of the user.

    Examples
    --------
    >>> times = [datetime(2017, 1, 1, 10, minute) for minute in (0, 30, 59)] + [datetime(2017, 1, 1, 11, 30)]
    >>> log = sessions(ibis.memtable({"user_id": [1] * 4, "timestamp": times}))
    >>> log.order_by("timestamp").session_number.to_pyarrow().to_pylist()
    [1, 1, 1, 2]
    """
    # Many events share a moment, and a moment is in one session: fewer rows to sort, and no ties among them.
    moments = events.select("user_id", "timestamp").distinct()
    last = moments.timestamp.lag().over(group_by=moments.user_id, order_by=moments.timestamp)
    begins = (_microseconds(last, moments.timestamp) > session_gap_minutes * 60e6).fill_null(True)
    window = ibis.cumulative_window(group_by="user_id", order_by="timestamp")
    numbered = moments.mutate(begins=begins.cast("int64")).mutate(
        session_number=lambda t: t.begins.sum().over(window)
    )
    return events.left_join(numbered.drop("begins"), ["user_id", "timestamp"])[
        [*events.columns, "session_number"]
    ]


def split(events: ir.Table, origin: datetime, horizon_days: int) -> tuple[ir.Table, ir.Table]:
    """What is known before a moment, and what each user turns to within the days after it.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp`` and any other columns.
    origin
        The moment; an event at the very moment comes after it.
    horizon_days
        Days from the origin that count as after it.

    Returns
    -------
    history : ibis.expr.types.Table
        The columns of `events`.
    targets : ibis.expr.types.Table
        Distinct ``user_id``, ``item_id`` of the horizon, and ``novel``: the user never had the item before.
        Events without an item are no targets.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 1, 1], "item_id": ["a", "a", "b"],
    ...                      "timestamp": [datetime(2017, 1, day) for day in (1, 2, 3)]})
    >>> history, targets = split(log, datetime(2017, 1, 2), horizon_days=28)
    >>> targets.order_by("item_id").to_pyarrow().to_pylist()
    [{'user_id': 1, 'item_id': 'a', 'novel': False}, {'user_id': 1, 'item_id': 'b', 'novel': True}]
    """
    history = events.filter(events.timestamp < ibis.literal(origin))
    end = origin + timedelta(days=horizon_days)
    ahead = events.filter(
        events.timestamp >= ibis.literal(origin),
        events.timestamp < ibis.literal(end),
        events.item_id.notnull(),
    )
    keys = ["user_id", "item_id"]
    met = history.semi_join(ahead, keys).select(keys).distinct().mutate(met=ibis.literal(True))
    pairs = ahead.select(keys).distinct().left_join(met, keys)
    return history, pairs.select(*keys, novel=pairs.met.isnull())


def interests(
    events: ir.Table,
    by: str = "item_id",
    at: datetime | None = None,
    half_life_days: float | None = None,
    weights: Mapping[str, float] | None = None,
) -> ir.Table:
    """The interest profile of every user: weight and share of each item or category, decayed or not.

    An event counts what is left of its weight at the moment: ``weight * 0.5 ** (age_days / half_life_days)``.
    Its weight is that in the column ``weight`` where the log has one, else that of its type, else 1. A sum
    below zero is zero, as in `decay`: what was returned leaves no interest behind.

    Parameters
    ----------
    events
        ``user_id`` and `by`; ``timestamp`` if `at` is given; ``event``, ``weight`` if there are any. Events
        whose `by` is null are in no profile.
    by
        Column that names the interest: an item, a category, a department.
    at
        The moment; only events before it count. None counts all.
    half_life_days
        Days after which half of a weight is left; None: nothing fades.
    weights
        Weight of each type of ``event``; a type that is not named has 1.

    Returns
    -------
    ibis.expr.types.Table
        One row for each user and interest: ``user_id``, `by`, ``events``, ``weight`` and ``share`` of the
        user's weight, which is null where the user has none.

    Raises
    ------
    InputError
        The half-life is not positive, or given without a moment.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 1, 1], "category": ["tea", "tea", "milk"],
    ...                      "timestamp": [datetime(2017, 1, day) for day in (1, 11, 11)]})
    >>> tea = interests(log, "category", at=datetime(2017, 1, 11, 1), half_life_days=10).order_by("share")
    >>> [(row["category"], row["events"], round(row["share"], 2)) for row in tea.to_pyarrow().to_pylist()]
    [('milk', 1, 0.4), ('tea', 2, 0.6)]
    """
    if half_life_days is not None and (at is None or not half_life_days > 0):
        raise InputError(
            f"half_life_days is {half_life_days}: give a positive number of days and a moment at, or None."
        )
    known = events.filter(events[by].notnull())
    known = known.filter(known.timestamp < ibis.literal(at)) if at else known
    weight = _weight(known, weights or {})
    if half_life_days is not None:
        age_days = _microseconds(known.timestamp, ibis.literal(at)) / _MICROSECONDS_PER_DAY
        weight = weight * (age_days * (-log(2) / half_life_days)).exp()
    known = known.select("user_id", by, left=weight)
    profile = known.group_by("user_id", by).agg(events=known.count(), weight=known.left.sum().clip(lower=0))
    totals = profile.group_by("user_id").agg(total=profile.weight.sum())
    joined = profile.inner_join(totals, "user_id")
    return joined.select("user_id", by, "events", "weight", share=joined.weight / joined.total.nullif(0))


def _weight(events: ir.Table, weights: Mapping[str, float]) -> ir.FloatingValue:
    own = events.weight if "weight" in events.columns else ibis.null("float64")
    named = ibis.literal(1.0)
    if weights and "event" in events.columns:
        named = events.event.cases(*((name, float(weight)) for name, weight in weights.items()), else_=1.0)
    return ibis.coalesce(own, named).cast("float64")


def _microseconds(earlier: ir.TimestampValue, later: ir.TimestampValue) -> ir.IntegerValue:
    return later.delta(earlier, unit="microsecond")


def transitions(events: ir.Table, by: str, start: datetime, period_days: int = 28) -> ir.Table:
    """How many times each leading interest is followed by each in the next period of the same user.

    A user's leading interest of a period has most events; ties go to the interest with most events of all
    users and periods, then to the first by name.

    Parameters
    ----------
    events
        ``user_id``, ``timestamp`` and `by`; events before `start` or without an interest do not count.
    by
        Column that names the interest.
    start
        Beginning of the first period.
    period_days
        Length of a period in days.

    Returns
    -------
    ibis.expr.types.Table
        ``interest``, ``next_interest``, ``transitions``. A user who was away in one of the two periods
        makes none.

    Examples
    --------
    >>> log = ibis.memtable({"user_id": [1, 1, 1], "category": ["tea", "tea", "milk"],
    ...                      "timestamp": [datetime(2017, 1, day) for day in (1, 11, 21)]})
    >>> moves = transitions(log, "category", datetime(2017, 1, 1), period_days=10)
    >>> sorted(tuple(move.values()) for move in moves.to_pyarrow().to_pylist())
    [('tea', 'milk', 1), ('tea', 'tea', 1)]
    """
    known = events.filter(events[by].notnull(), events.timestamp >= ibis.literal(start))
    period = _microseconds(ibis.literal(start), known.timestamp) // (period_days * _MICROSECONDS_PER_DAY)
    counts = known.group_by("user_id", period=period, interest=known[by]).agg(events=known.count())
    overall = counts.events.sum().over(group_by=counts.interest)
    counts = counts.mutate(overall=overall)
    best = ibis.row_number().over(
        group_by=[counts.user_id, counts.period],
        order_by=[counts.events.desc(), counts.overall.desc(), counts.interest],
    )
    leading = counts.mutate(place=best).filter(ibis._.place == 0).select("user_id", "period", "interest")
    ahead = leading.select("user_id", period=leading.period - 1, next_interest=leading.interest)
    pairs = leading.inner_join(ahead, ["user_id", "period"])
    return pairs.group_by("interest", "next_interest").agg(transitions=ibis._.count())


def popularity(events: ir.Table, origin: datetime, popularity_days: int = 28) -> ir.Table:
    """How many users had each item in the days before a moment: what breaks ties between equal scores.

    Parameters
    ----------
    events
        ``user_id``, ``item_id``, ``timestamp``.
    origin
        The moment.
    popularity_days
        Length of the window before it in days.

    Returns
    -------
    ibis.expr.types.Table
        ``item_id``, ``popularity`` (distinct users); items that nobody had in the window are in no row.

    Examples
    --------
    >>> times = [datetime(2017, 1, 1)] * 2
    >>> log = ibis.memtable({"user_id": [1, 1], "item_id": ["a", "a"], "timestamp": times})
    >>> popularity(log, datetime(2017, 1, 2)).to_pyarrow().to_pylist()
    [{'item_id': 'a', 'popularity': 1}]
    """
    begin = origin - timedelta(days=popularity_days)
    recent = events.filter(
        events.timestamp >= ibis.literal(begin),
        events.timestamp < ibis.literal(origin),
        events.item_id.notnull(),
    )
    pairs = recent.select("user_id", "item_id").distinct()
    return pairs.group_by("item_id").agg(popularity=pairs.count())


def top_k(
    scores: ir.Table, popular: ir.Table, k: int = 10, score: str = "weight", users: ir.Table | None = None
) -> ir.Table:
    """The `k` best items of every user by the tie rule of `ranking`: score, then popularity, then id.

    As there, scores are compared in single precision. A user with fewer than `k` positive scores gets what is
    most popular of the rest, with a score of 0.

    Parameters
    ----------
    scores
        ``user_id``, ``item_id`` and the column `score`, such as from `interests`.
    popular
        ``item_id``, ``popularity``, such as from `popularity`; lists are filled up as far as it goes.
    k
        Length of the lists.
    score
        Column to rank by.
    users
        ``user_id`` of everyone who shall have a list; None: of everyone in `scores`.

    Returns
    -------
    ibis.expr.types.Table
        ``user_id``, ``item_id``, ``rank`` (1 is best), ``score``.

    Examples
    --------
    >>> scores = ibis.memtable({"user_id": [1, 1, 1], "item_id": ["a", "b", "c"], "weight": [2.0, 2.0, 1.0]})
    >>> popular = ibis.memtable({"item_id": ["b"], "popularity": [5]})
    >>> lists = top_k(scores, popular, k=2, users=ibis.memtable({"user_id": [1, 2]}))
    >>> lists.order_by("user_id", "rank").item_id.to_pyarrow().to_pylist()
    ['b', 'a', 'b']
    """
    shown = scores.filter(scores[score] > 0).left_join(popular, "item_id")
    shown = shown.select("user_id", "item_id", score=shown[score], popularity=shown.popularity.fill_null(0))
    order = [shown.score.cast("float32").desc(), shown.popularity.desc(), shown.item_id]
    ranked = shown.mutate(rank=ibis.row_number().over(group_by=shown.user_id, order_by=order) + 1)
    own = ranked.filter(ranked["rank"] <= k).select("user_id", "item_id", "rank", "score")
    return own.union(_filling(own, popular, k, scores if users is None else users))


def _filling(own: ir.Table, popular: ir.Table, k: int, users: ir.Table) -> ir.Table:
    """What is popular, in the places that the users' own lists leave free."""
    lengths = own.group_by("user_id").agg(listed=own.count())
    short = users.select("user_id").distinct().left_join(lengths, "user_id")
    short = short.select("user_id", listed=short.listed.fill_null(0)).filter(ibis._.listed < k)
    # A list of n items holds at most n of the k most popular ones, so these are enough for the free places.
    first = popular.order_by(popular.popularity.desc(), popular.item_id).limit(k)
    free = short.cross_join(first.select("item_id", "popularity")).anti_join(own, ["user_id", "item_id"])
    place = ibis.row_number().over(group_by=free.user_id, order_by=[free.popularity.desc(), free.item_id])
    filling = free.mutate(rank=free.listed + place + 1).filter(ibis._["rank"] <= k)
    return filling.select("user_id", "item_id", "rank", score=ibis.literal(0.0))
