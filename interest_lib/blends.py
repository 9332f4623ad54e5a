"""Several recommenders in one list: by their scores brought to one scale, or by their ranks alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self

import pandas as pd
from sklearn.base import BaseEstimator

from interest_lib.history import History, codes
from interest_lib.recommend import Recommender
from interest_lib.schema import InputError, nearest

WAYS: Final = ("scores", "ranks")
SMOOTHING: Final = 60.0  # of reciprocal ranks, as in the paper


class Blend(BaseEstimator):
    """A weighted sum of the lists of several recommenders.

    By ``scores``, those of each recommender are divided by the user's highest one, so that the best item of
    each counts 1; a score of zero or less counts nothing. By ``ranks`` an item counts
    ``1 / (60 + rank)`` in each list that has it (reciprocal rank fusion).

    Parameters
    ----------
    models : mapping of str to Recommender
        Unfitted.
    weights : mapping of str to float, or None
        Of every model; None weighs all alike.
    by : {"scores", "ranks"}
    depth : int
        How many items of each list are looked at.

    Raises
    ------
    InputError
        When `weights` names other models, or `by` is unknown.

    References
    ----------
    Cormack, Clarke and Buettcher (2009), Reciprocal Rank Fusion outperforms Condorcet and Individual Rank
    Learning Methods.

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> from interest_lib.recommend import PersonalFrequency, RecentPopularity
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 3], "item_id": ["a", "a", "b", "b"], "basket_number": 1})
    >>> models = {"own": PersonalFrequency(), "popular": RecentPopularity()}
    >>> blend = Blend(models, {"own": 1.0, "popular": 0.5})
    >>> fitted = blend.fit(history_but_baskets(log, n_hidden=0, min_users_per_item=1))
    >>> fitted.recommend([1])[["item_id", "score"]].values.tolist()
    [['a', 1.25], ['b', 0.5]]
    """

    def __init__(
        self,
        models: Mapping[str, Recommender],
        weights: Mapping[str, float] | None = None,
        by: str = "scores",
        depth: int = 100,
    ) -> None:
        self.models = models
        self.weights = weights
        self.by = by
        self.depth = depth

    def fit(self, history: History) -> Self:
        if self.by not in WAYS:
            raise InputError(f"a blend by {self.by} is unknown; {nearest(self.by, WAYS)}")
        if self.weights is not None and set(self.weights) != set(self.models):
            raise InputError(
                f"Weights are for {', '.join(self.weights)}, models are {', '.join(self.models)}: "
                "give a weight for every model of the blend."
            )
        self.history_ = history
        self.fitted_ = {name: model.fit(history) for name, model in self.models.items()}
        return self

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        users = pd.Index(list(user_ids), name="user_id")
        depth = max(k, self.depth)
        parts = [
            self._votes(model.recommend(users, depth, exclude_seen), name)
            for name, model in self.fitted_.items()
        ]
        votes = pd.concat(parts).groupby(["user_id", "item_id"], sort=False)["score"].sum().reset_index()
        votes["user"] = codes(users, votes["user_id"])
        votes["tie"] = codes(self.history_.item_ids, votes["item_id"])
        votes["compared"] = -votes["score"].astype("float32")
        votes = votes.sort_values(["user", "compared", "tie"], ignore_index=True)
        votes["rank"] = votes.groupby("user").cumcount() + 1
        listed = votes.loc[votes["rank"] <= k, ["user_id", "item_id", "rank", "score"]]
        return listed.reset_index(drop=True)

    def _votes(self, lists: pd.DataFrame, name: str) -> pd.DataFrame:
        """What one model's lists say, on the common scale."""
        weight = 1.0 if self.weights is None else self.weights[name]
        if self.by == "ranks":
            return lists.assign(score=weight / (SMOOTHING + lists["rank"]))
        positive = lists["score"].clip(lower=0.0)
        highest = positive.groupby(lists["user_id"]).transform("max")
        return lists.assign(score=weight * positive / highest.where(highest > 0, 1.0))
