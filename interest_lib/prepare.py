"""Cleaning by counted rules, and what the cleaned log can support."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from interest_lib.datasets import Log, Removed
from interest_lib.schema import EVENT_COLUMNS, ITEM_COLUMNS, InputError, check_log
from interest_lib.split import Ints, quarters, rolling_origins

MIN_USERS = 40  # fewer than that, and intervals over users say nothing
MIN_EVENTS = 50  # of a user with a profile to speak of


class Support(TypedDict):
    """Whether the log supports a part of the study, and why, as a full sentence."""

    supported: bool
    why: str


@dataclass(frozen=True)
class CleanLog:
    """A cleaned log in memory.

    Attributes
    ----------
    name, card
        As in `datasets.Log`.
    events
        One row per event, sorted by timestamp, user_id, basket_id, item_id. Of `schema.EVENT_COLUMNS` always
        those up to `value`, which like `quantity` is NaN where the log has none.
    items
        One row per item of `events`, sorted by item_id, with all `schema.ITEM_COLUMNS`, null where unknown.
    users
        One row per user of `events`, sorted by user_id; attributes are null where unknown.
    quality
        What was done to the rows: step, rows_before, rows_removed, rows_left, why.
    baskets
        How baskets were made up where the log names none, else empty.
    """

    name: str
    card: dict[str, str]
    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    quality: pd.DataFrame
    baskets: str = ""


def clean(log: Log, horizon_days: int = 28, max_users: int = 0, seed: int = 2017) -> CleanLog:
    """Put a log in order, count every row left out, and check that something can be learned from it.

    Parameters
    ----------
    log
        From `datasets.load`.
    horizon_days
        Length of a period in days; the log has to span two.
    max_users
        Keep a random sample of that many users; 0 keeps everyone.
    seed
        Draws the sample. With one seed, a smaller sample is part of a larger one.

    Returns
    -------
    CleanLog

    Raises
    ------
    InputError
        One user, one item, fewer than two periods, or a `max_users` of 1 or less than 0.

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> log = clean(datasets.load(engine.connect()), max_users=100)
    >>> log.events["user_id"].nunique(), log.quality["step"].iloc[-1]
    (100, 'sample of users')
    """
    if max_users < 0 or max_users == 1:
        raise InputError(f"max_users is {max_users}; keep 2 users or more, or everyone by 0.")
    telling, not_counted = _telling_events(log.events)
    loaded = int(telling.count().execute())
    events, baskets = _name_baskets(_sample(telling, max_users, seed) if max_users else telling)
    unknown = {name: ibis.null("float64") for name in ("quantity", "value") if name not in events.columns}
    events = events.mutate(**unknown)
    events = events.select([name for name in EVENT_COLUMNS if name in events.columns])
    keys = ["timestamp", "user_id", "basket_id", "item_id"]
    # Every other column breaks ties: SQL promises no order among equal keys.
    frame = events.order_by([*keys, *(name for name in events.columns if name not in keys)]).to_pandas()
    sampled = Removed("sample of users", loaded - len(frame), f"max_users = {max_users}, seed = {seed}")
    check_log(
        log.card["title"],
        users=frame["user_id"].nunique(),
        items=frame["item_id"].nunique(),
        span_days=_span_days(frame),
        horizon_days=horizon_days,
    )
    items, users = _describe(log, frame)
    rolling_origins(frame, horizon_days, 1)  # refuses a log on which nothing can be judged
    quality = _quality(len(frame), [*log.removed, *not_counted, *([sampled] if max_users else [])])
    return CleanLog(log.name, log.card, frame, items, users, quality, baskets)


def _telling_events(events: ir.Table) -> tuple[ir.Table, list[Removed]]:
    """Purchases where the log has some, otherwise all but returns, with a count of the others.

    A view is weaker evidence of interest than a purchase and a return speaks against it: until events carry
    weights, they must not count the same.
    """
    if "event" not in events.columns:
        return events, []
    kinds = events.event.value_counts(name="rows").to_pandas().set_index("event")["rows"]
    if "purchase" in kinds:
        kept, step, why = (
            ["purchase"],
            "other than purchase",
            "the study counts purchases where there are any",
        )
    else:
        kept, step, why = [kind for kind in kinds.index if kind != "return"], "return", "no sign of interest"
    removed = int(kinds.sum() - kinds[kept].sum())
    return events.filter(events.event.isin(kept)), [Removed(step, removed, why)] if removed else []


def _sample(events: ir.Table, max_users: int, seed: int) -> ir.Table:
    """Events of the users whose hashed id comes first: the same draw on every engine and machine."""
    ids = events.select("user_id").distinct()
    draw = (ibis.literal(f"{seed}:") + ids.user_id.cast("string")).hexdigest("md5")
    kept = ids.mutate(draw=draw).order_by("draw", "user_id").limit(max_users).select("user_id")
    return events.semi_join(kept, "user_id")


def _name_baskets(events: ir.Table) -> tuple[ir.Table, str]:
    """Give events without a basket the basket `user/day`, and say so."""
    given = "basket_id" in events.columns
    if given and not bool(events.basket_id.isnull().any().execute()):
        return events, ""
    made = events.user_id.cast("string") + "/" + events.timestamp.strftime("%Y-%m-%d")
    basket = ibis.coalesce(events.basket_id.cast("string"), made) if given else made
    which = "Some events have no basket_id" if given else "The log has no basket_id"
    return events.mutate(basket_id=basket), f"{which}, so a basket is what a user did on one UTC day."


def _span_days(events: pd.DataFrame) -> float:
    """Days from the first event to the last; events are sorted by time."""
    times = events["timestamp"]
    return float((times.iloc[-1] - times.iloc[0]) / pd.Timedelta(days=1))


def _describe(log: Log, events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row for every item and for every user of the events, with what the log knows about them."""
    items = pd.DataFrame({"item_id": np.sort(events["item_id"].unique())})
    users = pd.DataFrame({"user_id": np.sort(events["user_id"].unique())})
    if log.items is not None:
        items = items.merge(log.items.to_pandas(), on="item_id", how="left", validate="one_to_one")
    if log.users is not None:
        users = users.merge(log.users.to_pandas(), on="user_id", how="left", validate="one_to_one")
    types = {
        name: "float64" if kind == "number" else "str" for name, kind in ITEM_COLUMNS.items() if kind != "id"
    }
    return items.reindex(columns=list(ITEM_COLUMNS)).astype(types), users


def _quality(rows: int, removed: Sequence[Removed]) -> pd.DataFrame:
    """The table of removals, in order; `rows` are left after the last of them."""
    table = pd.DataFrame(removed, columns=["step", "rows_removed", "why"])
    left = rows + table["rows_removed"].sum() - table["rows_removed"].cumsum()
    table = table.assign(rows_left=left, rows_before=left + table["rows_removed"])
    return table[["step", "rows_before", "rows_removed", "rows_left", "why"]]


def support(
    clean: CleanLog, horizon_days: int = 28, period_days: int = 91, min_baskets: int = 25
) -> dict[str, Support]:
    """What the log can support, and why, in sentences that a reader can be shown.

    Parameters
    ----------
    clean
        From `clean`.
    horizon_days
        Days that a recommendation looks ahead. `validation` needs three such periods, whole: one of history,
        one to tune on and one to test on. `months` needs four, with users active in each.
    period_days
        Length of a quarter in days. `quarters` needs three and a half: the fourth takes the rest of the log
        (quarter = min(day // period_days, 3)), and with less than half of it there is little to forecast. As
        in `months`, enough users have to be active in each.
    min_baskets
        Baskets of a user who can play a new one and has later baskets to foretell.

    Returns
    -------
    dict
        For categories, baskets, demographics, validation, profiles, months, quarters and new_users:
        `supported` and `why`.

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> log = clean(datasets.load(engine.connect()), max_users=100)
    >>> support(log, min_baskets=200)["new_users"]
    {'supported': False, 'why': '2 users have 200 baskets or more, and 40 are needed.'}
    """
    span_days = _span_days(clean.events)
    origins = len(rolling_origins(clean.events, horizon_days, 2))
    profiles, monthly, quarterly = _regular_users(clean, horizon_days, period_days)
    categories = clean.items["category"].nunique()
    attributes = [
        name for name in clean.users.columns if name != "user_id" and clean.users[name].nunique() > 1
    ]
    baskets, users = clean.events["basket_id"].nunique(), clean.events["user_id"].nunique()
    regulars = int((clean.events.groupby("user_id")["basket_id"].nunique() >= min_baskets).sum())
    spans = f"The log spans {span_days:.1f} days"
    return {
        "categories": _told(
            categories > 1,
            f"The items of the log fall into {categories} categories.",
            "The log names one category only." if categories else "The log names no categories.",
        ),
        "baskets": _told(
            baskets > users,
            clean.baskets or f"The log names {baskets} baskets.",
            "No user of the log comes back for a second basket.",
        ),
        "demographics": _told(
            bool(attributes),
            f"The log tells users apart by {', '.join(attributes)}.",
            "The log has no attributes that tell users apart.",
        ),
        "validation": _told(
            origins == 2,
            f"{spans}, enough to tune on one period of {horizon_days} days and test on the next.",
            f"{spans}, and history, tuning and test need at least {3 * horizon_days} days.",
        ),
        "profiles": _told(
            profiles >= MIN_USERS,
            f"{profiles} users have 50 or more events with a category.",
            f"{profiles} users have 50 or more events with a category, and {MIN_USERS} are needed.",
        ),
        "months": _told(
            span_days >= 4 * horizon_days + 1 and monthly >= MIN_USERS,
            f"{monthly} users are active in each of the last four periods of {horizon_days} days.",
            f"{spans}, and {monthly} users are active in each of four periods of {horizon_days} days; "
            f"{MIN_USERS} are needed.",
        ),
        "quarters": _told(
            span_days >= 3.5 * period_days and quarterly >= MIN_USERS,
            f"{quarterly} users are active in each of four periods of {period_days} days.",
            f"{spans}, and {quarterly} users are active in each of four periods of {period_days} days; "
            f"{3.5 * period_days:g} days and {MIN_USERS} such users are needed.",
        ),
        "new_users": _told(
            regulars >= MIN_USERS,
            f"{regulars} users have {min_baskets} baskets or more, enough to treat some of them as new.",
            f"{regulars} users have {min_baskets} baskets or more, and {MIN_USERS} are needed.",
        ),
    }


def _regular_users(clean: CleanLog, month_days: int, quarter_days: int) -> tuple[int, int, int]:
    """Users with 50 categorised events; active in each of the last four months; active in all quarters.

    Active means 5 categories in baskets in every period, and 20 in the last quarter, which is forecast.
    """
    named = clean.items.loc[clean.items["category"].notna(), ["item_id", "category"]]
    events = clean.events.merge(named, on="item_id")
    if events.empty:
        return 0, 0, 0
    end = clean.events["timestamp"].max().normalize()
    start = end - pd.Timedelta(days=4 * month_days)
    recent = events[events["timestamp"].between(start, end, inclusive="left")]
    return (
        int((events.groupby("user_id").size() >= MIN_EVENTS).sum()),
        _active_in_all(recent, quarters(recent["timestamp"], month_days, start=start), [5, 5, 5, 5]),
        _active_in_all(events, quarters(events["timestamp"], quarter_days), [5, 5, 5, 20]),
    )


def _active_in_all(events: pd.DataFrame, period: Ints, minimum: Sequence[int]) -> int:
    """Users with that many different (basket, category) pairs in every period."""
    pairs = events[["user_id", "basket_id", "category"]].assign(period=period).drop_duplicates()
    activity = pairs.groupby(["user_id", "period"]).size().unstack(fill_value=0)
    return int((activity.reindex(columns=range(len(minimum)), fill_value=0) >= minimum).all(axis=1).sum())


def _told(supported: bool, yes: str, no: str) -> Support:
    return {"supported": bool(supported), "why": yes if supported else no}


def data_sha256(clean: CleanLog) -> str:
    """SHA-256 of names, order and values of events, items and users: equal on every machine.

    Parameters
    ----------
    clean
        From `clean`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> logs = [clean(datasets.load(engine.connect(threads)), max_users=20) for threads in (1, 2)]
    >>> data_sha256(logs[0]) == data_sha256(logs[1])
    True
    """
    digest = hashlib.sha256()
    for frame in (clean.events, clean.items, clean.users):
        for name, column in frame.items():
            for part in (str(name).encode(), *_content(column)):
                # The length in front keeps ("ab", "c") apart from ("a", "bc").
                digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _content(column: pd.Series) -> tuple[bytes, ...]:
    """A column's values as bytes that do not depend on how pandas stores them."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return b"time", column.to_numpy("datetime64[us]").astype("<i8").tobytes()
    if pd.api.types.is_integer_dtype(column):
        return b"whole", column.to_numpy("<i8").tobytes()
    if pd.api.types.is_float_dtype(column):
        values = column.to_numpy("<f8") + 0.0  # turns -0.0 into 0.0
        return b"number", np.where(np.isnan(values), np.nan, values).tobytes()
    texts = [
        None if missing else str(text).encode()
        for text, missing in zip(column.astype(object), column.isna(), strict=True)
    ]
    lengths = np.array([-1 if text is None else len(text) for text in texts], dtype="<i8")
    return b"text", lengths.tobytes(), b"".join(text for text in texts if text)
