"""Recommenders behind one small protocol: fit on a history, then a ranked list for every user."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from joblib import delayed
from sklearn.base import BaseEstimator
from sklearn.preprocessing import normalize

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.processes import all_done
from interest_lib.ranking import nearest_others, ranked_lists, rows_or_empty
from interest_lib.schema import InputError
from interest_lib.split import Fold

BATCH_USERS = 256  # dense scores exist for this many users at a time, never for all


class Recommender(Protocol):
    """What the study asks of a recommender; everything else is the model's own business."""

    history_: History  # what it was fitted on

    def fit(self, history: History) -> Self:
        """Learn from the events that the history holds."""

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        """Ranked lists: ``user_id``, ``item_id``, ``rank`` (1 is best), ``score``."""


class ScoringRecommender(BaseEstimator):
    """Ranked lists for any model that can score all items for a few users.

    A user without history scores zero everywhere and gets the most popular items, by the tie rule.
    """

    history_: History

    def fit(self, history: History) -> Self:
        self.history_ = history
        self._learn(history)
        return self

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        users = pd.Index(list(user_ids))
        history = self.history_
        rows = history.user_ids.get_indexer(users)
        own_counts = self._sparse_scores()
        if own_counts is not None and not exclude_seen:
            return ranked_lists(users, rows_or_empty(own_counts, rows), history.item_ids, k)
        seen = _had(history) if exclude_seen else None
        parts = []
        for start in range(0, len(rows), BATCH_USERS):
            batch, owners = rows[start : start + BATCH_USERS], users[start : start + BATCH_USERS]
            if own_counts is not None and seen is not None:
                own, had = rows_or_empty(own_counts, batch), rows_or_empty(seen, batch)
                parts.append(_new_items(owners, own, had, history.item_ids, k))
                continue
            scores = np.zeros((len(batch), len(history.item_ids)))
            known = batch >= 0
            if known.any():
                scores[known] = self._scores(batch[known])
            if seen is not None:
                hidden_rows, hidden_cols = seen[batch[known]].nonzero()
                scores[np.flatnonzero(known)[hidden_rows], hidden_cols] = -np.inf
            parts.append(ranked_lists(owners, scores, history.item_ids, k))
        return pd.concat(parts, ignore_index=True)

    def _learn(self, history: History) -> None:
        raise NotImplementedError

    def _scores(self, rows: Ints) -> Floats:
        raise NotImplementedError

    def _sparse_scores(self) -> sp.csr_matrix | None:
        """Scores of all users, for a model that is positive in a few places and zero everywhere else."""
        return None


def _had(history: History) -> sp.csr_matrix:
    """Ones where the user had the item, by a goal event: a product that was only looked at is still new."""
    cells = (history.rows[history.is_goal], history.cols[history.is_goal])
    had = sp.csr_matrix((np.ones(len(cells[0])), cells), shape=history.shape)
    had.data[:] = 1.0
    return had


def _new_items(
    users: pd.Index, interest: sp.csr_matrix, had: sp.csr_matrix, item_ids: pd.Index, k: int
) -> pd.DataFrame:
    """Lists without what was had: of items without interest only the first can come, so few are ranked."""
    fresh = sp.csr_matrix(interest - interest.multiply(had))
    fresh.eliminate_zeros()
    reach = min(k + int(np.diff(had.indptr).max(initial=0)), len(item_ids))
    columns = np.union1d(np.arange(reach), fresh.indices)
    scores = fresh[:, columns].toarray()
    scores[had[:, columns].nonzero()] = -np.inf
    return ranked_lists(users, scores, item_ids[columns], k)


class RecentPopularity(ScoringRecommender):
    """The items with the most distinct users in the recent window, the same list for everyone."""

    def _learn(self, history: History) -> None:
        pass

    def _scores(self, rows: Ints) -> Floats:
        return np.tile(self.history_.popularity, (len(rows), 1))


class InterestRecommender(ScoringRecommender):
    """Ranked lists by an interest that is worked out once for every user: positive in few places, else zero.

    `_learn` leaves it as ``interest_``, shape (n_users, n_items).
    """

    interest_: sp.csr_matrix

    def _scores(self, rows: Ints) -> Floats:
        return self.interest_[rows].toarray()

    def _sparse_scores(self) -> sp.csr_matrix:
        return self.interest_


class PersonalFrequency(InterestRecommender):
    """What the user bought most often, each purchase fading with a half-life.

    Parameters
    ----------
    half_life_days, half_life_baskets : float or None
        Half-life of a purchase's weight, in one of the two units; None counts every purchase fully.
    curve : str
        Family of the decay curve, see `curves.weight_left`.
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        half_life_baskets: float | None = None,
        curve: str = "exponential",
    ) -> None:
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.curve = curve

    def _learn(self, history: History) -> None:
        self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets, self.curve)


class NearestUsers(ScoringRecommender):
    """Own decayed frequency blended with that of the most similar users (the idea of TIFU-KNN).

    Parameters
    ----------
    half_life_days, half_life_baskets : float or None
        Half-life of a purchase's weight, in one of the two units.
    n_neighbours : int
        How many users to borrow from, by cosine similarity of decayed counts.
    own_weight : float in [0, 1]
        Weight of the user's own interest; the neighbours' similarity-weighted mean gets the rest.

    Attributes
    ----------
    interest_ : scipy.sparse.csr_matrix of float, shape (n_users, n_items)
    neighbours_ : scipy.sparse.csr_matrix of float, shape (n_users, n_users)
        Similarities to the nearest.

    References
    ----------
    Hu et al. (2020), Modeling Personalized Item Frequency Information for Next-basket Recommendation.
    """

    def __init__(
        self,
        half_life_days: float | None = None,
        n_neighbours: int = 100,
        own_weight: float = 0.8,
        half_life_baskets: float | None = None,
    ) -> None:
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.n_neighbours = n_neighbours
        self.own_weight = own_weight

    def _learn(self, history: History) -> None:
        self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets)
        self.neighbours_ = nearest_others(normalize(self.interest_), self.n_neighbours, BATCH_USERS)

    def _scores(self, rows: Ints) -> Floats:
        n = len(rows)
        own = sp.csr_matrix((np.ones(n), (np.arange(n), rows)), shape=(n, self.neighbours_.shape[0]))
        # what each user lends, as in `mining.interest_formula`, the user among them: one product, not two
        lent = (1 - self.own_weight) * normalize(self.neighbours_[rows], norm="l1")
        scores: Floats = ((self.own_weight * own + lent) @ self.interest_).toarray()
        return scores


@dataclass(frozen=True)
class Comparison:
    """Lists of several models, and what each of them consumed and cost.

    Attributes
    ----------
    lists : pandas.DataFrame
        ``model``, ``origin``, ``slice``, ``user_id``, ``item_id``, ``rank``, ``score``.
    costs : pandas.DataFrame
        One row for every model and origin: ``model``, ``origin``, ``last_seen`` (newest event that the model
        consumed), ``n_events``, ``n_items`` (its vocabulary), ``fit_seconds`` and ``recommend_seconds`` of
        all slices, both of the processor: what other programs do meanwhile does not count.
    """

    lists: pd.DataFrame
    costs: pd.DataFrame


def compare_models(
    models: Mapping[str, Recommender],
    folds: Sequence[Fold],
    slices: Sequence[str] = ("all", "novel"),
    k: int = 10,
    n_jobs: int = 2,
) -> Comparison:
    """Fit every model on the history of every fold, and collect the lists and what they took.

    Parameters
    ----------
    models : mapping of str to Recommender
        Name of the model to an unfitted recommender.
    folds : sequence of Fold
        Histories to fit on; users with targets get a list.
    slices, k, n_jobs
        As for `recommend_all`.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        Models did not consume the same history, see `last_seen`.

    Examples
    --------
    >>> from interest_lib.split import fold_at
    >>> log = pd.DataFrame({"user_id": [1, 2, 1, 2], "item_id": ["a", "b", "a", "a"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=4, freq="2D")})
    >>> fold = fold_at(log, pd.Timestamp("2017-01-04"), min_users_per_item=1)
    >>> compare_models({"popular": RecentPopularity()}, [fold], n_jobs=1).costs["last_seen"].tolist()
    ['2017-01-03 00:00:00']
    """
    tasks = (
        delayed(_lists_of)(name, model, fold, slices, k) for fold in folds for name, model in models.items()
    )
    lists, costs = zip(*all_done(tasks, n_jobs), strict=True)
    found = Comparison(pd.concat(lists, ignore_index=True), pd.DataFrame(costs))
    for _, of_origin in found.costs.groupby("origin"):
        _one_history(of_origin)
    return found


def recommend_all(
    models: Mapping[str, Recommender],
    fold: Fold,
    slices: Sequence[str] = ("all", "novel"),
    k: int = 10,
    n_jobs: int = 2,
) -> pd.DataFrame:
    """Fit every model on one history and collect every list that will be scored.

    Parameters
    ----------
    models : mapping of str to Recommender
        Name of the model to an unfitted recommender.
    fold : Fold
        History to fit on; users with targets get a list.
    slices : sequence of {"all", "novel"}
        ``novel`` leaves out what the user already had.
    k : int
        Length of the lists.
    n_jobs : int
        Models fitted at the same time, each on one core.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``origin``, ``slice``, ``user_id``, ``item_id``, ``rank``, ``score``.
    """
    return compare_models(models, [fold], slices, k, n_jobs).lists


def last_seen(models: Mapping[str, Recommender]) -> str:
    """The newest event that the fitted models consumed, the same for all of them.

    Parameters
    ----------
    models : mapping of str to Recommender
        Fitted ones.

    Returns
    -------
    str
        ``last_seen`` of their history.

    Raises
    ------
    InputError
        Their histories differ in the newest event, in the number of events, or in the vocabulary: a
        comparison of the models would not be fair.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1], "item_id": ["a"], "timestamp": pd.to_datetime(["2017-01-01"])})
    >>> history = history_before(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    >>> last_seen({"popular": RecentPopularity().fit(history), "own": PersonalFrequency().fit(history)})
    '2017-01-01 00:00:00'
    """
    return _one_history(pd.DataFrame([_consumed(name, model.history_) for name, model in models.items()]))


def _consumed(name: str, history: History) -> dict[str, str | int | float]:
    return {
        "model": name,
        "origin": history.label,
        "last_seen": history.last_seen,
        "n_events": len(history.rows),
        "n_items": len(history.item_ids),
    }


def _one_history(consumed: pd.DataFrame) -> str:
    seen = ["last_seen", "n_events", "n_items"]
    first = consumed.iloc[0]
    other = consumed[(consumed[seen] != first[seen]).any(axis=1)]
    if len(other):
        of_other = other.iloc[0]
        raise InputError(
            f"{first['model']} has seen {first['n_events']} events of {first['n_items']} items until "
            f"{first['last_seen']}, and {of_other['model']} {of_other['n_events']} of {of_other['n_items']} "
            f"until {of_other['last_seen']}: fit the models to compare on the same history."
        )
    return str(first["last_seen"])


def _lists_of(
    name: str, model: Recommender, fold: Fold, slices: Sequence[str], k: int
) -> tuple[pd.DataFrame, dict[str, str | int | float]]:
    start = time.process_time()
    fitted = model.fit(fold.history)
    ready = time.process_time()
    parts = {which: fitted.recommend(fold.user_ids, k=k, exclude_seen=which == "novel") for which in slices}
    done = time.process_time()
    lists = pd.concat(parts, names=["slice", None]).reset_index("slice").reset_index(drop=True)
    lists.insert(0, "origin", fold.label)
    lists.insert(0, "model", name)
    cost = {"fit_seconds": ready - start, "recommend_seconds": done - ready}
    return lists, _consumed(name, fitted.history_) | cost
