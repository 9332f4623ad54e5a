"""The user's interest in the kind of an item: its category, its brand, its words, and where that moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints, codes
from interest_lib.neighbours import neighbour_shares, population_shares
from interest_lib.ranker_features import Columns, Rhythm, picked, values_at
from interest_lib.ranker_moments import days_before

KINDS: Final = ("category", "subcategory", "department", "brand")
HALF_LIVES_DAYS: Final = (14.0, 60.0, None)
N_NEAREST: Final = 200
STRENGTH: Final = 80.0  # pseudo-purchases of the prior, as forecasts of the next quarter chose it
RIDGE: Final = 50.0
MONTH_DAYS: Final = 28


@dataclass(frozen=True)
class Kind:
    """One column of the items table, coded.

    Attributes
    ----------
    name : str
    of_item : ndarray of int, shape (n_items,)
        Code of every item's value, the highest one for items without.
    n : int
        How many codes there are.
    """

    name: str
    of_item: Ints
    n: int

    def indicator(self) -> sp.csr_matrix:
        """Ones where an item (row) is of a kind (column)."""
        cells = (np.arange(len(self.of_item)), self.of_item)
        return sp.csr_matrix((np.ones(len(self.of_item)), cells), shape=(len(self.of_item), self.n))

    def share_within(self, popularity: Floats) -> Floats:
        """Share of every item in the popularity of its kind."""
        weight = popularity + 0.1  # an item that nobody bought of late is not out of the question
        return weight / np.bincount(self.of_item, weights=weight, minlength=self.n)[self.of_item]


def kind_of(table: pd.DataFrame, ids: pd.Index, name: str, key: str = "item_id") -> Kind:
    """A column of a table of items (or users), coded in the order of `ids`.

    Examples
    --------
    >>> items = pd.DataFrame({"item_id": [1, 2], "category": ["tea", None]})
    >>> kind_of(items, pd.Index([2, 1, 3]), "category")
    Kind(name='category', of_item=array([1, 0, 1]), n=2)
    """
    values = table.drop_duplicates(key).set_index(key)[name].reindex(ids)
    names = pd.Index(np.sort(values.dropna().astype(str).unique()))
    found = codes(names, values.astype(str))
    return Kind(name, np.where(values.notna(), found, len(names)), len(names) + 1)


def kind_features(history: History, items: pd.DataFrame, rows: Ints, cols: Ints) -> Columns:
    """The state of the users' interest in the items' category, its parts, its department and its brand.

    Parameters
    ----------
    history : History
    items : pandas.DataFrame
        ``item_id`` and any of the columns `KINDS`.
    rows, cols : ndarray of int, shape (n_pairs,)

    Returns
    -------
    dict of str to ndarray of float32, shape (n_pairs,)

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> goods = pd.DataFrame({"item_id": ["a", "b"], "category": ["tea", "milk"]})
    >>> found = kind_features(h, goods, np.array([0]), np.array([0]))
    >>> found["mining: purchases of the category, half-life 14 days"]
    array([0.5], dtype=float32)
    """
    found: Columns = {}
    for name in KINDS:
        if name not in items:
            continue
        kind = kind_of(items, history.item_ids, name)
        found |= _state(history, kind, rows, cols)
        if name != "brand":
            found |= _habit(history, kind, rows, cols)
    return found


def _state(history: History, kind: Kind, rows: Ints, cols: Ints) -> Columns:
    """Decayed purchases of the item's kind: how many, what share, how unusual; and the trend of the share."""
    found: Columns = {}
    theirs, shares = kind.of_item[cols], {}
    for half_life_days in HALF_LIVES_DAYS:
        counts = decayed_counts(history, half_life_days)
        state = sp.csr_matrix(counts @ kind.indicator())
        shares[half_life_days] = sp.csr_matrix(normalize(state, norm="l1"))
        fading = "ever" if half_life_days is None else f"half-life {half_life_days:g} days"
        of_kind, share = (values_at(part, rows, theirs) for part in (state, shares[half_life_days]))
        overall = population_shares(np.asarray(state.sum(axis=0)).reshape(1, -1))
        found[f"mining: purchases of the {kind.name}, {fading}"] = of_kind
        found[f"mining: share of the {kind.name}, {fading}"] = share
        lift = share / np.maximum(overall[theirs], 1e-9)
        found[f"mining: lift of the {kind.name}, {fading}"] = lift.astype(np.float32)
        if half_life_days is not None:
            own = values_at(counts, rows, cols) / np.maximum(of_kind, 1e-6)
            found[f"decay: share of the item in the {kind.name}, {fading}"] = own.astype(np.float32)
    trend = values_at(sp.csr_matrix(shares[14.0] - shares[None]), rows, theirs)
    return found | {f"migration: trend of the {kind.name}": trend}


def _habit(history: History, kind: Kind, rows: Ints, cols: Ints) -> Columns:
    """How recently and how regularly the user buys of the item's kind, and the item's place in it."""
    theirs = kind.of_item[cols]
    rhythm = Rhythm(history.rows, kind.of_item[history.cols], days_before(history))
    place = rhythm.at(rows, theirs)
    mean_gap = np.where(rhythm.n > 1, rhythm.mean_gap, np.nan)
    had = decayed_counts(history)
    had.data[:] = 1.0
    place_within = pd.Series(-history.popularity).groupby(kind.of_item).rank(method="first").to_numpy()
    return {
        f"mining: days since the {kind.name}": picked(rhythm.newest, place),
        f"mining: mean gap of the {kind.name}": picked(mean_gap, place),
        f"mining: days since the {kind.name} / mean gap": picked(
            rhythm.newest / np.maximum(mean_gap, 0.5), place
        ),
        f"mining: distinct items of the {kind.name}": values_at(
            sp.csr_matrix(had @ kind.indicator()), rows, theirs
        ),
        f"facts: share of the {kind.name}'s users": kind.share_within(history.popularity)[cols].astype(
            np.float32
        ),
        f"facts: place in the {kind.name}": place_within[cols].astype(np.float32),
    }


def migration_features(history: History, items: pd.DataFrame, rows: Ints, cols: Ints) -> Columns:
    """Where the users' interest in categories moves: drawn to people alike, and moved on by a month.

    The move is a ridge regression of the change of a month's purchases by category on the state before it,
    learned on the last two months that are known.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> goods = pd.DataFrame({"item_id": ["a", "b"], "category": ["tea", "milk"]})
    >>> found = migration_features(h, goods, np.array([0, 0]), np.array([0, 1]))
    >>> found["migration: shrunk share of the category"].round(2)
    array([0.51, 0.49], dtype=float32)
    """
    name = next((name for name in ("category", "department") if name in items), None)
    if name is None:
        return {}
    kind = kind_of(items, history.item_ids, name)
    now = _faded(history, kind, 0.0)
    change = np.log1p(now) @ _monthly_move(history, kind)
    forecast = (np.log1p(now) + change)[rows, kind.of_item[cols]]
    population, near = population_shares(now), neighbour_shares(now, N_NEAREST)
    prior = 0.9 * near + 0.1 * population
    shrunk = (now + STRENGTH * prior) / (now.sum(axis=1, keepdims=True) + STRENGTH)
    theirs, within = kind.of_item[cols], kind.share_within(history.popularity)[cols]
    told = {
        f"forecast of the {name}": forecast,
        f"change of the {name}": change[rows, theirs],
        f"shrunk share of the {name}": shrunk[rows, theirs],
        f"shrunk lift of the {name}": shrunk[rows, theirs] / np.maximum(population[theirs], 1e-9),
        f"share of the {name} among the nearest": near[rows, theirs],
        f"forecast of the {name} x the item's share in it": forecast * within,
        f"shrunk share of the {name} x the item's share in it": shrunk[rows, theirs] * within,
    }
    return {f"migration: {what}": values.astype(np.float32) for what, values in told.items()}


def _monthly_move(history: History, kind: Kind) -> Floats:
    age = days_before(history)
    gram, cross = RIDGE * np.eye(kind.n), np.zeros((kind.n, kind.n))
    for start in (MONTH_DAYS, 2 * MONTH_DAYS):
        after = (age < start) & (age >= start - MONTH_DAYS)
        bought = np.zeros((history.shape[0], kind.n))
        np.add.at(bought, (history.rows[after], kind.of_item[history.cols[after]]), 1.0)
        before = np.log1p(_faded(history, kind, float(start)))
        gram += before.T @ before
        cross += before.T @ (np.log1p(bought) - before)
    return np.asarray(np.linalg.solve(gram, cross))


def _faded(history: History, kind: Kind, at_age: float, half_life_days: float = 60.0) -> Floats:
    """Decayed purchases of every kind as they were some days ago, shape (n_users, n_kinds)."""
    age = days_before(history) - at_age
    known = age > 0
    state = np.zeros((history.shape[0], kind.n))
    left = 0.5 ** (age[known] / half_life_days)
    np.add.at(state, (history.rows[known], kind.of_item[history.cols[known]]), left)
    return state


def word_vectors(history: History, items: pd.DataFrame) -> sp.csr_matrix | None:
    """TF-IDF of the words of the items' titles and kinds, rows of length one; None where there is no title.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> h = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> goods = pd.DataFrame({"item_id": ["a", "b"], "title": ["green tea", "black tea"]})
    >>> words = word_vectors(h, goods)
    >>> (words @ words.T).toarray().round(2)[0]
    array([1.  , 0.34], dtype=float32)
    """
    if "title" not in items or items["title"].isna().all():
        return None
    columns = [name for name in ("title", "subcategory", "category") if name in items]
    table = items.drop_duplicates("item_id").set_index("item_id")[columns].reindex(history.item_ids)
    texts = table.fillna("").astype(str).agg(" ".join, axis=1)
    return sp.csr_matrix(TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(texts))
