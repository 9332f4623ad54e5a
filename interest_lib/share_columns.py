"""What a forecast of shares reads of a move itself: its base, own shares, neighbours, counts and baskets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.history import Floats, Ints, is_goal
from interest_lib.migration import shares
from interest_lib.mining import tfidf
from interest_lib.moves import Move
from interest_lib.neighbours import mean_of_nearest, neighbour_shares

SHARE_COLUMNS: Final = {
    "base": "share that the base forecast gives the interest, 0 to 1",
    "lift": "base over the share of the whole population",
    "own_120": "decayed share (half-life 120 days, 60 purchases of the population added), 0 to 1",
    "recent_7": "share that fades with a half-life of 7 days, 5 purchases of the base added, over the base",
    "recent_14": "the same with 14 days",
    "recent_30": "the same with 30 days, 20 purchases of the base added",
    "recent_60": "the same with 60 days, 20 purchases of the base added",
    "recent_365": "the same with 365 days, 20 purchases of the base added",
    "near_users": "mean share among the users with the most similar shares, over the base",
    "near_items": "mean share among the users who buy the most similar items, over the base",
    "low_rank": "share by the first 20 singular vectors of log purchases, over the base",
    "department": "share of the interest's department over the population's share of it; 1 where unknown",
    "count": "baskets with the interest",
    "weeks": "distinct weeks with the interest, counted back from the moment",
    "since_days": "days since the interest was last met; 200 where it was not",
    "events": "events with the interest",
    "items": "distinct items of the interest",
    "most_repeated": "events of the item of the interest that was met most often",
    "quantity": "mean units of an event of the interest; 0 where the log does not tell",
    "value": "mean value of an event of the interest, in the log's currency; 0 where the log does not tell",
    "other_events": "events of the interest other than purchases, which fade with a half-life of 14 days",
    "basket_size": "mean number of interests in the baskets that have this one",
    "user_purchases": "decayed purchases of the user (half-life 120 days)",
    "user_recent": "part of them with a half-life of 14 days",
    "user_baskets": "baskets of the user",
    "user_basket_size": "mean number of interests in them",
    "user_largest_basket": "largest number of interests in one of them",
    "user_baskets_35": "baskets of the user in the last 35 days",
    "user_basket_size_35": "mean number of interests in those",
    "user_concentration": "sum of the squared base shares of the user, 0 to 1",
}
"""Columns: what they mean, and their unit. Counts reach `HISTORY_DAYS` back, so that moments compare.

What changes with the length of the log alone has no place here: a column that compares the last 91 days with
those before cost more than all the learning gained, because at the first moment there was no before."""

HISTORY_DAYS: Final = 182.0
NEVER_DAYS: Final = 200.0  # stands for the age of what is not within them
N_NEIGHBOURS: Final = 200
_BASE_DAYS: Final = 120.0
_RECENT: Final = {7: 5.0, 14: 5.0, 30: 20.0, 60: 20.0, 365: 20.0}
_N_AXES: Final = 20
_SMALLEST: Final = 1e-5  # a share below says nothing, and is not divided by

Columns = Iterator[tuple[str, Floats]]


def recent_part(move: Move) -> Move:
    """The move with what is at most `HISTORY_DAYS` old."""
    late = move.events[move.events["age_days"] <= HISTORY_DAYS]
    return replace(move, events=late, signs=move.signs[move.signs["age_days"] <= HISTORY_DAYS])


def share_columns(move: Move, base: Floats) -> Columns:
    """The columns of `SHARE_COLUMNS`, one after the other, not in their order.

    Parameters
    ----------
    move : Move
        Its events have ``item_id`` and ``basket_id``, and what the log has of ``department``, ``quantity``,
        ``value`` and ``event``.
    base : ndarray of float, shape (n_users, n_interests)
        A simple forecast of this move.

    Yields
    ------
    name : str
    values : ndarray of float, shape (n_users, n_interests), or (n_users,) for what is the user's
    """
    recent, own = recent_part(move), move.decayed(_BASE_DAYS)
    yield from _shares(move, base, own)
    yield from _near(recent, base, own)
    yield from _met(recent)
    yield from _amounts(recent)
    yield from _baskets(recent)
    yield from _user(move, base, own)


def _floor(base: Floats) -> Floats:
    return np.maximum(base, _SMALLEST)


def _shares(move: Move, base: Floats, own: Floats) -> Columns:
    population = shares(own.sum(axis=0) + 0.01)
    yield "base", base
    yield "lift", base / np.maximum(population, _SMALLEST)
    yield "own_120", shares(own + 60 * population)
    for days, strength in _RECENT.items():
        yield f"recent_{days}", shares(move.decayed(days) + strength * base) / _floor(base)
    yield "department", _department(move, own, population)


def _department(move: Move, own: Floats, population: Floats) -> Floats:
    if "department" not in move.events:
        return np.ones_like(own)
    named = move.events[["interest", "department"]].drop_duplicates("interest")
    code, _ = pd.factorize(named["department"], sort=True)
    of_interest = np.full(move.shape[1], code.max() + 1)
    of_interest[named["interest"]] = np.where(code < 0, code.max() + 1, code)
    member = (of_interest[:, None] == np.arange(code.max() + 2)).astype(np.float64)
    usual = np.maximum(population @ member, _SMALLEST)
    return (shares(own @ member + 60 * usual) / usual)[:, of_interest]


def _near(recent: Move, base: Floats, own: Floats) -> Columns:
    yield "near_users", neighbour_shares(own, N_NEIGHBOURS) / _floor(base)
    smooth = shares(own + 60 * shares(own.sum(axis=0) + 0.01))
    yield "near_items", mean_of_nearest(_item_profiles(recent), smooth, N_NEIGHBOURS) / _floor(base)
    logs = np.log1p(own)
    _, axes = np.linalg.eigh(logs.T @ logs)  # the last ones are the right singular vectors, largest last
    low = np.expm1(np.maximum(logs @ axes[:, -_N_AXES:] @ axes[:, -_N_AXES:].T, 0))
    yield "low_rank", shares(low + 1e-3 * base * (low.sum(axis=1, keepdims=True) + 1e-9)) / _floor(base)


def _item_profiles(recent: Move) -> sp.csr_matrix:
    item, items = pd.factorize(recent.events["item_id"], sort=True)
    cells = (recent.events["user"].to_numpy(), item)
    counts = sp.csr_matrix((np.ones(len(item)), cells), shape=(recent.shape[0], max(len(items), 1)))
    return tfidf(counts)


def _met(recent: Move) -> Columns:
    cell, age = _cells(recent, recent.signs), recent.signs["age_days"].to_numpy()
    yield "count", recent.decayed()
    weeks = np.unique(cell * 100 + np.floor(age / 7).astype(np.int64)) // 100
    yield "weeks", _per_cell(recent, weeks)
    since = np.full(int(np.prod(recent.shape)), NEVER_DAYS)
    np.minimum.at(since, cell, age)
    yield "since_days", since.reshape(recent.shape)


def _amounts(recent: Move) -> Columns:
    events = recent.events
    cell = _cells(recent, events)
    count = _per_cell(recent, cell)
    yield "events", count
    of_item = pd.Series(1, index=pd.MultiIndex.from_arrays([cell, pd.factorize(events["item_id"])[0]]))
    repeats = of_item.groupby(level=[0, 1], sort=False).sum()
    place = repeats.index.get_level_values(0).to_numpy(np.int64)
    yield "items", _per_cell(recent, place)
    most = np.zeros(count.size)
    np.maximum.at(most, place, repeats.to_numpy(np.float64))
    yield "most_repeated", most.reshape(recent.shape)
    for name, low, high in (("quantity", 0.0, 20.0), ("value", -5.0, 100.0)):
        told = events[name].fillna(0).clip(low, high).to_numpy(np.float64) if name in events else None
        yield (
            name,
            np.zeros_like(count) if told is None else _per_cell(recent, cell, told) / np.maximum(count, 1),
        )
    other = np.where(is_goal(events), 0.0, np.exp2(-events["age_days"].to_numpy() / 14))
    yield "other_events", _per_cell(recent, cell, other)


def _baskets(recent: Move) -> Columns:
    events = recent.events[["user", "interest", "basket_id", "age_days"]].drop_duplicates(
        ["user", "interest", "basket_id"]
    )
    keys = [events["user"], events["basket_id"]]
    size = events.groupby(keys)["interest"].transform("size").to_numpy(np.float64)
    cell = _cells(recent, events)
    yield "basket_size", _per_cell(recent, cell, size) / np.maximum(_per_cell(recent, cell), 1)
    baskets = events.assign(size=size).drop_duplicates(["user", "basket_id"])
    n_users = recent.shape[0]
    for suffix, some in (("", baskets), ("_35", baskets[baskets["age_days"] <= 35])):
        user = some["user"].to_numpy()
        count = np.bincount(user, minlength=n_users).astype(np.float64)
        yield f"user_baskets{suffix}", count
        total = np.bincount(user, weights=some["size"], minlength=n_users)
        yield f"user_basket_size{suffix}", total / np.maximum(count, 1)
    largest = np.zeros(n_users)
    np.maximum.at(largest, baskets["user"].to_numpy(), baskets["size"].to_numpy())
    yield "user_largest_basket", largest


def _user(move: Move, base: Floats, own: Floats) -> Columns:
    total = own.sum(axis=1)
    yield "user_purchases", total
    yield "user_recent", move.decayed(14).sum(axis=1) / np.maximum(total, 1)
    yield "user_concentration", (base**2).sum(axis=1)


def _cells(move: Move, table: pd.DataFrame) -> Ints:
    return (table["user"].to_numpy() * move.shape[1] + table["interest"].to_numpy()).astype(np.int64)


def _per_cell(move: Move, cell: Ints, weights: Floats | None = None) -> Floats:
    sums = np.bincount(cell, weights=weights, minlength=int(np.prod(move.shape)))
    return sums.reshape(move.shape).astype(np.float64)
