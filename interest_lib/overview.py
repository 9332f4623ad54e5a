"""The first look at a cleaned log: activity, repetition, oddities."""

import ibis
import pandas as pd

from interest_lib import quality
from interest_lib.datasets import Log
from interest_lib.engine import connect
from interest_lib.history import is_goal
from interest_lib.prepare import CleanLog

MIN_SIGNS_OF_A_STRANGER = 10  # before and after the silence; fewer have hardly any category in common anyway
MAX_SIMILARITY_OF_STRANGERS = 0.1  # of what they turn to; somebody who was only away is far above it
MIN_ERRORS_OF_A_SHIFT = 3.0  # by which a month's rhythm fits better when turned; less is chance
REPORT_COLUMNS = ["check", "count", "of", "meaning"]


def recording_report(
    log: Log, *, max_per_minute: int = 60, max_per_day: int = 1000, sleep_days: int = 180
) -> pd.DataFrame:
    """Signs that something went wrong when the log was recorded; nothing is removed here.

    What reading has left out already, exact duplicates and impossible times, is counted with the rest.

    Parameters
    ----------
    log
        From `datasets.load`, of everyone and before cleaning.
    max_per_minute, max_per_day
        Acts of one user in a minute and on a day that a person may reach.
    sleep_days
        A silence of an id that is longer than this is looked at.

    Returns
    -------
    pandas.DataFrame
        check, count, of (how many were looked at), meaning. Only what the log's columns allow.

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> report = recording_report(datasets.load(engine.connect())).set_index("check")
    >>> int(report.loc["exact duplicates", "count"]), int(report.loc["days without any event", "of"])
    (0, 366)
    """
    events = log.events
    n_users = int(events.user_id.nunique().execute())
    again, twice_read = "rows recorded twice, or bought twice", _left_out(log, "exact duplicates")
    if "timestamp" not in events.columns:
        n_rows, n_distinct = (int(table.count().execute()) for table in (events, events.distinct()))
        missing = "the log has no times: rates, gaps, shifted clocks and reused ids cannot be looked at"
        found = [
            ("exact duplicates", n_rows - n_distinct + twice_read, n_rows + twice_read, again),
            ("checks of times", 0, 0, missing),
        ]
        return pd.DataFrame(found, columns=REPORT_COLUMNS)
    twice = quality.repeats(events).to_pandas().iloc[0]
    robots = quality.inhuman_rates(events, max_per_minute, max_per_day).to_pandas()
    gaps = quality.recording_gaps(events).to_pandas().iloc[0]
    shifts = _clear_shifts(log)
    rates = (
        f"more than {max_per_minute} acts in a minute or {max_per_day} on a day: robots, or shared accounts"
    )
    silence = "closed, or not recorded; if years, a few events at impossible times"
    impossible = _left_out(log, "impossible times")
    found = [
        ("exact duplicates", twice["duplicates"] + twice_read, twice["rows"] + twice_read, again),
        ("impossible times", impossible, twice["rows"] + impossible, "a clock that was never set; left out"),
        ("same user, item and second", twice["same_second"], twice["rows"], "retries and corrections"),
        ("users at inhuman rates", len(robots), n_users, rates),
        ("acts of users at inhuman rates", robots["acts"].sum(), twice["rows"], rates),
        ("days without any event", gaps["days_missing"], gaps["days"], silence),
        ("longest gap in days", gaps["longest_gap_days"], gaps["days"], silence),
        ("hours of the day never seen", gaps["hours_never_seen"], 24, "closed at night, or not recorded"),
        ("months shifted by an hour", (shifts == 1).sum(), len(shifts), "the zone's summer time"),
        ("months shifted by more", (shifts > 1).sum(), len(shifts), "a clock or a zone was set wrong"),
        *_ids_given_again(log, n_users, sleep_days),
    ]
    return pd.DataFrame(found, columns=REPORT_COLUMNS).astype({"count": "int64", "of": "int64"})


def _left_out(log: Log, step: str) -> int:
    return sum(rule.rows for rule in log.removed if rule.step == step)


def _clear_shifts(log: Log) -> pd.Series:
    """Hours by which each month's clock is off, 0 where that may be chance.

    All that a user does within an hour counts once, for it comes together. The gain in similarity then has
    about the error below; it follows from the spread of counts around a rhythm of 24 hours.
    """
    hours = log.events.select("user_id", timestamp=log.events.timestamp.truncate("h")).distinct()
    months = quality.clock_shifts(hours).to_pandas()
    # The rhythm of a month with few events is chance.
    months = months[months["events"] >= 0.1 * months["events"].median()]
    gain = months["similarity"] - months["similarity_unshifted"]
    error = (2 * (1 - months["similarity_unshifted"]) / months["events"]) ** 0.5
    return months["shift_hours"].abs().where(gain > MIN_ERRORS_OF_A_SHIFT * error, 0)


def _ids_given_again(log: Log, n_users: int, sleep_days: int) -> list[tuple[str, int, int, str]]:
    """Users who come back as somebody else; needs categories."""
    if log.items is None or "category" not in log.items.columns:
        return []
    known = log.events.inner_join(log.items.select("item_id", "category"), "item_id")
    # A category counts once a day: one long visit tells little about a user.
    signs = known.select("user_id", "category", timestamp=known.timestamp.truncate("D")).distinct()
    returned = quality.returned_ids(signs, sleep_days=sleep_days).to_pandas()
    telling = returned[returned[["events_before", "events_after"]].min(axis=1) >= MIN_SIGNS_OF_A_STRANGER]
    strangers = int((telling["similarity"] < MAX_SIMILARITY_OF_STRANGERS).sum())
    meaning = (
        f"silent for more than {sleep_days} days, then other categories only: the id may have a new owner"
    )
    return [("users who return as strangers", strangers, n_users, meaning)]


def funnel(log: Log) -> pd.DataFrame:
    """How far users get, from looking to buying, over the steps that the log has.

    Parameters
    ----------
    log
        From `datasets.load`.

    Returns
    -------
    pandas.DataFrame
        event, events, users, items, users_going_on, pairs_going_on (shares, see `quality.funnel`); in the
        order of the steps. Returns come last; no review leads to them, so that reviews have no shares then.

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> funnel(datasets.load(engine.connect()))[["event", "users"]].values.tolist()
    [['purchase', 2467]]
    """
    kinds = set(log.events.select("event").distinct().to_pandas()["event"])
    steps = [kind for kind in ("search", "view", "cart", "purchase", "review", "return") if kind in kinds]
    events = log.events
    if "timestamp" not in events.columns:
        counts = events.group_by("event").agg(
            events=events.count(), users=events.user_id.nunique(), items=events.item_id.nunique()
        )
        return counts.to_pandas().set_index("event").loc[steps].reset_index()
    table = quality.funnel(events, steps).to_pandas().drop(columns="step")
    if "return" in kinds:
        table.loc[table["event"] == "review", ["users_going_on", "pairs_going_on"]] = float("nan")
    return table


def activity(clean: CleanLog) -> pd.DataFrame:
    """Events and active users of every week, or of every basket number where the log has no times.

    Parameters
    ----------
    clean
        From `prepare.clean`.

    Returns
    -------
    pandas.DataFrame
        week (its first day, counted from the day of the first event) or basket (1 for the user's first);
        events, users; whole (False for a last week that the log does not cover).

    Examples
    --------
    >>> from interest_lib import datasets, engine, prepare
    >>> log = prepare.clean(datasets.load(engine.connect()), max_users=100)
    >>> activity(log)[["events", "users", "whole"]].iloc[[0, -1]].values.tolist()
    [[1162, 54, True], [216, 23, False]]
    """
    events = clean.events
    if "timestamp" not in events:
        counts = events.groupby("basket_number").agg(events=("user_id", "size"), users=("user_id", "nunique"))
        return counts.assign(whole=True).rename_axis("basket").reset_index()
    day = events["timestamp"].dt.floor("D")
    since = (day - day.min()).dt.days
    weeks = events.groupby(since // 7).agg(events=("user_id", "size"), users=("user_id", "nunique"))
    weeks = weeks.reindex(range(since.max() // 7 + 1), fill_value=0)
    first_days = day.min() + pd.to_timedelta(weeks.index * 7, unit="D")
    weeks = weeks.assign(whole=weeks.index * 7 + 7 <= since.max() + 1)
    return weeks.set_axis(first_days.rename("week")).reset_index()


def repeat_share(clean: CleanLog, by: str = "category") -> pd.DataFrame:
    """How often each category comes again: an item that the same user had at an earlier time.

    Only goal events count (see `history.goal`): purchases, where the log has some.

    Parameters
    ----------
    clean
        From `clean`.
    by
        A column of the items, or `item_id` itself where a log has no categories.

    Returns
    -------
    pandas.DataFrame
        `by`, events, users, repeat_share (0 to 1), largest category first. Items without a category are in no
        row.

    Examples
    --------
    >>> from interest_lib import datasets, engine, prepare
    >>> log = prepare.clean(datasets.load(engine.connect()), max_users=100)
    >>> repeat_share(log).head(1).round(3).values.tolist()
    [['SOFT DRINKS', 2711, 91, 0.601]]
    """
    events = clean.events[is_goal(clean.events)]
    time = "timestamp" if "timestamp" in events else "basket_number"
    told = events[["user_id", "item_id", time]].rename(columns={time: "timestamp"})
    if by != "item_id":
        told = told.merge(clean.items[["item_id", by]], on="item_id")
    return connect().to_pandas(quality.repeat_share(ibis.memtable(told), by))


def quality_checks(clean: CleanLog, horizon_days: int = 28) -> pd.DataFrame:
    """Oddities that cleaning leaves in place, counted.

    Parameters
    ----------
    clean
        From `clean`.
    horizon_days
        Events that more than so many days of silence part from the middle of the log are outside its span.

    Returns
    -------
    pandas.DataFrame
        check, count, of (how many were looked at), share (0 to 1).

    Examples
    --------
    >>> from interest_lib import datasets, engine, prepare
    >>> log = prepare.clean(datasets.load(engine.connect()), max_users=100)
    >>> quality_checks(log)[["check", "count"]].values.tolist()[:2]
    [['exact duplicates', 0], ['quantity zero or negative', 429]]
    """
    events, items, users = clean.events, clean.items, clean.users
    timed = "timestamp" in events
    checks = {
        "exact duplicates": events.duplicated(),
        "quantity zero or negative": events["quantity"].dropna() <= 0,
        "value zero": events["value"].dropna() == 0,
        "value negative": events["value"].dropna() < 0,
        **({"events outside the span": _outside(events["timestamp"], horizon_days)} if timed else {}),
        "items without category": items["category"].isna(),
        "events of items without category": events["item_id"].isin(
            items["item_id"][items["category"].isna()]
        ),
        "users without attributes": users.drop(columns="user_id").isna().all(axis=1),
    }
    rows = [(name, int(found.sum()), len(found)) for name, found in checks.items()]
    table = pd.DataFrame(rows, columns=["check", "count", "of"])
    return table.assign(share=table["count"] / table["of"].clip(lower=1))


def _outside(times: pd.Series, horizon_days: int) -> pd.Series:
    """True for events that a gap of more than `horizon_days` parts from the stretch of the median event."""
    stretch = (times.diff() > pd.Timedelta(days=horizon_days)).cumsum()
    return stretch != stretch.iloc[len(stretch) // 2]
