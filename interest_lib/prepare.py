"""Cleaning by counted rules."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from interest_lib import quality
from interest_lib.datasets import Log, Removed
from interest_lib.engine import stored
from interest_lib.history import strongest
from interest_lib.queries import baskets, lacks_baskets, sample_users, searched_items
from interest_lib.schema import EVENT_COLUMNS, ITEM_COLUMNS, InputError, check_log
from interest_lib.split import rolling_origins

SEARCH_MINUTES = 30  # a search stands for the item that the user turns to within them


@dataclass(frozen=True)
class CleanLog:
    """A cleaned log in memory.

    Attributes
    ----------
    name, card
        As in `datasets.Log`.
    events
        One row per event, sorted by timestamp, user_id, basket_id, item_id; without times basket_number
        takes the place of timestamp. Of `schema.EVENT_COLUMNS` always those up to `value`, which like
        `quantity` is NaN where the log has none.
    items
        One row per item of `events`, sorted by item_id, with all `schema.ITEM_COLUMNS`, null where unknown.
    users
        One row per user of `events`, sorted by user_id; attributes are null where unknown.
    quality
        What was done to the rows: step, rows_before, rows_removed, rows_left, why.
    baskets
        How baskets were made up where the log names none, else empty.
    weights
        As in `datasets.Log`: weights of kinds of events that were set by hand.
    """

    name: str
    card: dict[str, str]
    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    quality: pd.DataFrame
    baskets: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)


def clean(
    log: Log, horizon_days: int = 28, max_users: int = 0, seed: int = 2017, max_events: int = 0
) -> CleanLog:
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
    max_events
        A log with more events is cut to a sample of its users with about that many; 0 for no limit.

    Returns
    -------
    CleanLog

    Raises
    ------
    InputError
        One user, one item, fewer than two periods or baskets, or a `max_users` of 1 or less than 0.

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> log = clean(datasets.load(engine.connect()), max_users=100)
    >>> log.events["user_id"].nunique(), log.quality["step"].iloc[-1]
    (100, 'sample of users')
    """
    if max_users < 0 or max_users == 1:
        raise InputError(f"max_users is {max_users}; keep 2 users or more, or everyone by 0.")
    about_items, no_item = _about_items(log.events)
    loaded = int(about_items.count().execute())
    kept_users, why = _users_to_keep(about_items, loaded, max_users, max_events)
    chosen = sample_users(about_items, kept_users, seed) if kept_users else about_items
    frame = _in_memory(chosen)
    sampled = Removed("sample of users", loaded - len(frame), f"{why}, seed = {seed}")
    check_log(
        log.card["title"],
        users=frame["user_id"].nunique(),
        items=frame["item_id"].nunique(),
        span_days=span_days(frame),
        horizon_days=horizon_days,
    )
    if "timestamp" in frame:
        rolling_origins(frame, horizon_days, 1)  # refuses a log on which nothing can be judged
    elif frame["basket_number"].max() < 2:
        raise InputError(
            f"{log.card['title']}: no user has a second basket; give a log in which users come back."
        )
    items, users = _describe(log, frame)
    quality = _quality(len(frame), [*log.removed, *no_item, *([sampled] if kept_users else [])])
    return CleanLog(log.name, log.card, frame, items, users, quality, _baskets_made_up(chosen), log.weights)


def without_robots(log: Log, max_per_minute: int = 60, max_per_day: int = 1000) -> Log:
    """Leave out, and count, all events of users who act faster than a person can.

    Parameters
    ----------
    log
        From `datasets.load`.
    max_per_minute, max_per_day
        Acts in a minute and on a day that a person may reach, see `quality.inhuman_rates`.

    Returns
    -------
    Log

    Examples
    --------
    >>> from interest_lib import datasets, engine
    >>> without_robots(datasets.load(engine.connect()), max_per_day=8).removed[-1][:2]
    ('users at inhuman rates', 10944)
    """
    robots = quality.inhuman_rates(log.events, max_per_minute, max_per_day).select("user_id")
    kept = log.events.anti_join(robots, "user_id")
    rows = int(log.events.count().execute()) - int(kept.count().execute())
    why = f"more than {max_per_minute} acts in a minute or {max_per_day} on a day"
    return replace(log, events=kept, removed=(*log.removed, Removed("users at inhuman rates", rows, why)))


def _users_to_keep(events: ir.Table, loaded: int, max_users: int, max_events: int) -> tuple[int, str]:
    """How many users to draw, 0 for everyone, and why."""
    if not max_events or loaded <= max_events:
        return max_users, f"max_users = {max_users}"
    n_users = int(events.user_id.nunique().execute())
    affordable = max(2, n_users * max_events // loaded)
    if max_users and max_users <= affordable:
        return max_users, f"max_users = {max_users}"
    return affordable, f"{loaded:,} events are more than max_events = {max_events:,}"


def _about_items(events: ir.Table) -> tuple[ir.Table, list[Removed]]:
    """Events that have an item; a search stands for what it led to, or for nothing."""
    nameless = int(events.item_id.isnull().sum().fill_null(0).execute())
    if not nameless:
        return events, []
    if "timestamp" not in events.columns:
        why = "a search, and no times tell what it led to"
        return events.filter(events.item_id.notnull()), [Removed("no item", nameless, why)]
    # Stored, because every query that follows would look for the items again.
    found = stored(searched_items(events, SEARCH_MINUTES))
    removed = int(found.item_id.isnull().sum().fill_null(0).execute())
    why = f"a search that led to no item within {SEARCH_MINUTES} minutes; {nameless - removed:,} did"
    return found.filter(found.item_id.notnull()), [Removed("no item", removed, why)]


def _in_memory(chosen: ir.Table) -> pd.DataFrame:
    """The events in the columns and the order of `CleanLog`."""
    unknown = {name: ibis.null("float64") for name in ("quantity", "value") if name not in chosen.columns}
    if "event" not in chosen.columns:
        unknown["event"] = ibis.literal("purchase")
    events = baskets(chosen.mutate(**unknown), _goal(chosen) if "event" in chosen.columns else "")
    events = events.select([name for name in EVENT_COLUMNS if name in events.columns])
    time = "timestamp" if "timestamp" in events.columns else "basket_number"
    keys = [time, "user_id", "basket_id", "item_id"]
    # Every other column breaks ties: SQL promises no order among equal keys.
    frame = events.order_by([*keys, *(name for name in events.columns if name not in keys)]).to_pandas()
    if time == "timestamp":
        frame[time] = frame[time].astype("datetime64[us]")  # engines differ in the unit that they hand over
    return frame


def _baskets_made_up(events: ir.Table) -> str:
    """How `queries.baskets` names baskets where the log does not; empty where it does."""
    if not lacks_baskets(events):
        return ""
    if "timestamp" not in events.columns:
        return "The log numbers the baskets of each user; it knows no times."
    which = "Some events have no basket_id" if "basket_id" in events.columns else "The log has no basket_id"
    return f"{which}, so a basket is what a user did on one UTC day."


def _goal(events: ir.Table) -> str:
    """As `history.goal`, and empty where all events are of one kind."""
    kinds = set(events.event.value_counts().event.to_pyarrow().to_pylist())
    return strongest(kinds) if len(kinds) > 1 else ""


def span_days(events: pd.DataFrame) -> float | None:
    """Days from the first event to the last, in events sorted by time; None where the log has no times.

    Examples
    --------
    >>> span_days(pd.DataFrame({"timestamp": pd.to_datetime(["2017-01-01 00:00", "2017-01-02 12:00"])}))
    1.5
    """
    if "timestamp" not in events:
        return None
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
