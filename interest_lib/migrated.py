"""Recommending by migrated interest, u' Q h: where a user stands, where that leads, and what lies there."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.forecasts import Forecaster, ShrunkShares
from interest_lib.history import Bools, Floats, History, Ints, ages_in
from interest_lib.markov import MarkovChain
from interest_lib.migration import shares
from interest_lib.moves import Move
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError
from interest_lib.softmax_move import SoftmaxMove

MIGRATIONS: Final = ("none", "markov", "softmax")


class MigratedInterest(ScoringRecommender):
    """``u' Q h`` over interests: next shares of a user's interests times the item's part in its interest.

    `u` are shrunk shares of the interests, `Q` leads from them to the shares of the next period, and `h` has
    the item's part among all that the user, and everybody, bought in its interest lately. With no migration
    `Q` is the identity and all else is the same: the static twin.

    Parameters
    ----------
    interest_of_item : pandas.Series
        Interest of every item, such as its category, indexed by item id; items without one score zero.
    migration : {"none", "markov", "softmax"}
        `Q`: the identity, a Markov chain (`markov.MarkovChain`), or a softmax of low rank that also reads the
        user's own rhythm (`softmax_move.SoftmaxMove`).
    half_life_days : float or None
        Of the purchases behind `u`; None: nothing fades.
    strength : float
        Purchases of the average user added to `u`.
    item_half_life_days : float or None
        Of the user's purchases within an interest.
    popular_purchases : float
        Recent purchases of everybody that are added to the user's own within an interest.
    n_moves, period_days
        Moments before the origin to learn `Q` from, and the days between them.
    stay_strength : float or None
        Of the chain's priors in purchases, see `markov_forecast.MarkovForecast`; None learns them.
    rank : int
        Of the softmax.
    random_state : int
        Of the softmax.

    Raises
    ------
    InputError
        In `fit`: no times, no interest, an unknown migration, or nothing older than a period.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["tea", "cup", "tea", "cup"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-09"] * 2)})
    >>> history = history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1)
    >>> kinds = pd.Series({"tea": "drinks", "cup": "ware"})
    >>> model = MigratedInterest(kinds, "markov", n_moves=1, period_days=7.0).fit(history)
    >>> model.recommend([1], k=1)["item_id"].tolist()
    ['cup']
    """

    def __init__(
        self,
        interest_of_item: pd.Series,
        migration: str = "markov",
        half_life_days: float | None = 120.0,
        strength: float = 40.0,
        item_half_life_days: float | None = 90.0,
        popular_purchases: float = 2.0,
        n_moves: int = 3,
        period_days: float = 28.0,
        stay_strength: float | None = None,
        rank: int = 8,
        random_state: int = 0,
    ) -> None:
        self.interest_of_item = interest_of_item
        self.migration = migration
        self.half_life_days = half_life_days
        self.strength = strength
        self.item_half_life_days = item_half_life_days
        self.popular_purchases = popular_purchases
        self.n_moves = n_moves
        self.period_days = period_days
        self.stay_strength = stay_strength
        self.rank = rank
        self.random_state = random_state

    def _learn(self, history: History) -> None:
        if self.migration not in MIGRATIONS:
            raise InputError(f"migration is '{self.migration}': give one of {', '.join(MIGRATIONS)}.")
        labels = self.interest_of_item.reindex(history.item_ids)
        self.interest_, self.interests_ = pd.factorize(labels, sort=True)
        if not len(self.interests_):
            raise InputError("No item of the history has an interest: give labels indexed by item id.")
        self.next_shares_ = self._migrated(history)
        self.counts_ = decayed_counts(history, self.item_half_life_days)
        n_items = len(self.interest_)
        known = np.flatnonzero(self.interest_ >= 0)
        cells = (np.ones(len(known)), (known, self.interest_[known]))
        self.membership_ = sp.csr_matrix(cells, shape=(n_items, len(self.interests_)))
        popular = history.popularity + 1e-3  # an interest of which nothing was bought lately keeps its items
        within = popular / (self.membership_ @ (self.membership_.T @ popular) + (self.interest_ < 0))
        self.popular_ = self.popular_purchases * within

    def _migrated(self, history: History) -> Floats:
        """``u' Q``: next shares of every user's interests, shape (n_users, n_interests)."""
        base = ShrunkShares(self.half_life_days, strength=self.strength)
        now = self._move(history, 0.0)
        if self.migration == "none":
            return base.predict(now)
        earlier = [self._move(history, n * self.period_days) for n in range(1, self.n_moves + 1)]
        earlier = [move for move in earlier if len(move.signs)]
        if not earlier:
            raise InputError(
                f"Nothing is older than {self.period_days:g} days before {history.label}: there is no move "
                "to learn from, give a longer log or a smaller period_days."
            )
        if self.migration == "softmax":
            forecast: Forecaster = SoftmaxMove(base, rank=self.rank, random_state=self.random_state)
            return forecast.fit(earlier).predict(now)
        before = np.vstack([base.predict(move) for move in earlier])
        after = np.vstack([move.future for move in earlier if move.future is not None])
        stay = None if self.stay_strength is None else 0.9
        self.chain_ = MarkovChain(self.stay_strength, stay, self.stay_strength).fit(before, after)
        return shares(base.predict(now) @ self.chain_.transition_)

    def _move(self, history: History, days_before: float) -> Move:
        """What was known so many days before the origin, and what came in the period after that moment."""
        ages = ages_in(history, "days", "half_life") - days_before
        interest = self.interest_[history.cols]
        known, ahead = (interest >= 0) & (ages > 0), (interest >= 0) & history.is_goal & (ages <= 0)
        ahead &= ages > -self.period_days
        signs = _baskets(history, interest, ages, known)
        came = _baskets(history, interest, ages, ahead)
        here = np.unique(signs["user"]) if days_before else np.arange(len(history.user_ids))
        future = np.zeros((len(history.user_ids), len(self.interests_)))
        np.add.at(future, (came["user"], came["interest"]), 1.0)
        place = np.full(len(history.user_ids), -1)
        place[here] = np.arange(len(here))
        signs = signs.assign(user=place[signs["user"].to_numpy()])
        label, interests = f"{days_before:g} days before {history.label}", pd.Index(self.interests_)
        return Move(label, history.user_ids[here], interests, pd.DataFrame(), signs, future[here])

    def _scores(self, rows: Ints) -> Floats:
        own = self.counts_[rows]
        total = (own @ self.membership_).toarray() + self.popular_purchases
        of_interest = (self.next_shares_[rows] / total) @ self.membership_.T
        return np.asarray(of_interest * (own.toarray() + self.popular_))


def _baskets(history: History, interest: Ints, ages: Floats, chosen: Bools) -> pd.DataFrame:
    """The table `moves.Move.signs` of some events: one row for each user, interest and moment."""
    table = pd.DataFrame(
        {
            "user": history.rows[chosen],
            "interest": interest[chosen],
            "age_days": ages[chosen],
            "weight": history.weights[chosen],
        }
    )
    table = table[table["weight"] > 0]
    baskets = table.groupby(["user", "interest", "age_days"], sort=True)["weight"].max().reset_index()
    return baskets[["user", "interest", "age_days", "weight"]]
