"""The first look at a cleaned log: activity, repetition, oddities."""

import numpy as np
import pandas as pd

from interest_lib.prepare import CleanLog


def weekly_activity(clean: CleanLog) -> pd.DataFrame:
    """Events and active users of every week, counted from the day of the first event.

    Parameters
    ----------
    clean
        From `clean`.

    Returns
    -------
    pandas.DataFrame
        week (its first day), events, users, days (of that week in the log: the last week may be short).

    Examples
    --------
    >>> from interest_lib import datasets, engine, prepare
    >>> log = prepare.clean(datasets.load(engine.connect()), max_users=100)
    >>> weekly_activity(log)[["events", "users", "days"]].iloc[[0, -1]].values.tolist()
    [[1162, 54, 7], [216, 23, 2]]
    """
    day = clean.events["timestamp"].dt.floor("D")
    since = (day - day.min()).dt.days
    weeks = clean.events.groupby(since // 7).agg(events=("user_id", "size"), users=("user_id", "nunique"))
    weeks = weeks.reindex(range(since.max() // 7 + 1), fill_value=0)
    first_days = day.min() + pd.to_timedelta(weeks.index * 7, unit="D")
    days = np.minimum(7, since.max() + 1 - weeks.index * 7)
    return weeks.assign(days=days).set_axis(first_days.rename("week")).reset_index()


def repeat_share(clean: CleanLog, by: str = "category") -> pd.DataFrame:
    """How often each category is bought again: an item that the same user bought at an earlier time.

    Parameters
    ----------
    clean
        From `clean`. A log without purchases is read by all of its events.
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
    events = clean.events
    if (events["event"] == "purchase").any():
        events = events[events["event"] == "purchase"]
    first = events.groupby(["user_id", "item_id"])["timestamp"].transform("min")
    events = events.assign(repeat=events["timestamp"] > first)
    rows = events.merge(
        clean.items[["item_id"] if by == "item_id" else ["item_id", by]], on="item_id"
    ).groupby(by, sort=True)
    shares = rows.agg(
        events=("repeat", "size"), users=("user_id", "nunique"), repeat_share=("repeat", "mean")
    )
    return shares.reset_index().sort_values(["events", by], ascending=[False, True], ignore_index=True)


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
    checks = {
        "exact duplicates": events.duplicated(),
        "quantity zero or negative": events["quantity"].dropna() <= 0,
        "value zero": events["value"].dropna() == 0,
        "value negative": events["value"].dropna() < 0,
        "events outside the span": _outside(events["timestamp"], horizon_days),
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
