"""What a forecast of shares reads of the feature table: how regularly, when, at which prices, and by whom."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from interest_lib.features import FEATURES, feature_table
from interest_lib.history import Floats, codes
from interest_lib.moves import Move
from interest_lib.share_columns import NEVER_DAYS, Columns, recent_part

WHERE_MISSING: Final = {
    "trend": 0.0,
    "gap_mean_days": NEVER_DAYS,
    "gap_variation": 1.0,
    "overdue": 0.0,
    "hour_cos": 0.0,
    "hour_sin": 0.0,
    "weekday_cos": 0.0,
    "weekday_sin": 0.0,
    "price_level": 1.0,
    "discount_share": 0.0,
}
"""Columns of user and interest, and what stands where there was no purchase, or too few of them, or where the
log does not tell: no trend; a gap as long as there is none; gaps that vary as those of chance do; not due; no
hour and no weekday before others; the usual price; nothing at a discount."""

_OF_USER: Final = {"user_interests": 0.0, "user_recency_days": NEVER_DAYS}

TABLE_COLUMNS: Final = {name: FEATURES[name] for name in (*WHERE_MISSING, *_OF_USER)}
"""Columns that are taken over from `features.FEATURES`: what they mean, and their unit.

The others are there under another name, see `share_columns.SHARE_COLUMNS`: ``frequency`` is ``count``, which
weighs views too; ``recency_days`` is ``since_days``; ``other_events`` and ``user_purchases`` have the same
name, and fade; ``share`` and ``decayed_14``, ``_45``, ``_180`` are ``own_120`` and ``recent_*``, which few
purchases do not mislead. ``known_days`` and ``season_share`` are left out: they change with the length of the
log alone."""

LINEAR: Final = frozenset({"trend", "hour_cos", "hour_sin", "weekday_cos", "weekday_sin"})
"""Columns that can be negative; all others are amounts or ratios, which models read as logarithms."""

_COMMON: Final = 0.02  # part of the users an attribute's value needs: a column of every row costs memory


def table_columns(move: Move) -> Columns:
    """The columns of `TABLE_COLUMNS`, as far back as `share_columns.HISTORY_DAYS`.

    Parameters
    ----------
    move : Move
        Its events have ``item_id``, ``basket_id`` and ``timestamp``, and what the log has of ``event``,
        ``quantity`` and ``value``.

    Yields
    ------
    name : str
    values : ndarray of float, shape (n_users, n_interests), or (n_users,) for what is the user's
    """
    events = recent_part(move).events
    table = _table(events) if len(events) else pd.DataFrame(index=pd.MultiIndex.from_arrays([[], []]))
    user, interest = (table.index.get_level_values(n).to_numpy(np.int64) for n in (0, 1))
    for name, missing in WHERE_MISSING.items():
        cells = np.full(move.shape, missing)
        if name in table:
            cells[user, interest] = table[name].fillna(missing).to_numpy(np.float64)
        yield name, cells
    for name, missing in _OF_USER.items():
        of_user = np.full(move.shape[0], missing)
        if name in table:
            of_user[user] = table[name].fillna(missing).to_numpy(np.float64)
        yield name, of_user


def _table(events: pd.DataFrame) -> pd.DataFrame:
    """Feature table of the places of users and interests; the moment is what the first event's age says."""
    read = ["item_id", "timestamp", "event", "basket_id", "quantity", "value", "user", "interest"]
    known = events[[name for name in read if name in events]].rename(columns={"user": "user_id"})
    first = events.iloc[0]
    moment = first["timestamp"] + pd.Timedelta(days=first["age_days"])
    return feature_table(known, moment.round("us"), by="interest")


def attribute_columns(move: Move, users: pd.DataFrame) -> Columns:
    """Demographics: 1 where the users table says so, 0 elsewhere.

    Parameters
    ----------
    move : Move
    users : pandas.DataFrame
        ``user_id`` and attributes. A value that fewer than 2 % of the users have makes no column.

    Yields
    ------
    name : str
        In the form `features.DEMOGRAPHIC`; the same for all moves.
    values : ndarray of float, shape (n_users,)

    Examples
    --------
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": [1, 2], "basket_id": [1, 2], "category": "tea", "weight": 1.0,
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08"])})
    >>> move = move_at(log, pd.Timestamp("2017-01-11"), 0, pd.Index([1, 2]))
    >>> [(name, values.tolist()) for name, values in
    ...  attribute_columns(move, pd.DataFrame({"user_id": [2, 3], "age": ["young", "old"]}))]
    [('age=old', [0.0, 0.0]), ('age=young', [0.0, 1.0])]
    """
    place = codes(pd.Index(users["user_id"]), pd.Series(move.user_ids))
    for attribute in users.columns.drop("user_id"):
        told = users[attribute]
        often = told.value_counts()
        for value in sorted(often.index[often >= _COMMON * len(users)], key=str):
            is_so: Floats = (told == value).to_numpy(np.float64)
            yield f"{attribute}={value}", np.where(place >= 0, is_so[place], 0.0)
