"""The study's own ranker: gradient-boosted trees over everything that the other models and notebooks know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import lightgbm
import numpy as np
import pandas as pd
import scipy.sparse as sp
from joblib import delayed
from sklearn.base import BaseEstimator

from interest_lib.history import Floats, History, Ints
from interest_lib.processes import all_done
from interest_lib.ranker_candidates import owned
from interest_lib.ranker_models import BATCH_USERS
from interest_lib.ranker_moments import Moment, days_before, earlier, fingerprint
from interest_lib.ranker_tables import GROUPS, MADE_OF, Table, table_of
from interest_lib.ranking import ranked_lists, rows_or_empty
from interest_lib.schema import InputError

START: Final[Mapping[str, Any]] = {
    "n_trees": 200,
    "learning_rate": 0.06,
    "num_leaves": 31,
    "feature_fraction": 0.5,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "negative_share": 0.3,
}
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {"all": START, "novel": START}
FIXED: Final = {
    "objective": "rank_xendcg",
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


class Ranker(BaseEstimator):
    """Candidates of simple models, ranked by trees that learned at earlier moments what came true.

    Two models: one ranks everything, one what the user never had. Each learns with the loss `rank_xendcg`
    from moments 28, 56, ... days before the origin: features are what was known then, the label is whether
    the user took the item in the 28 days that followed.

    Parameters
    ----------
    items : pandas.DataFrame or None
        ``item_id`` and any of ``category``, ``subcategory``, ``department``, ``brand``, ``title``.
    users : pandas.DataFrame or None
        ``user_id`` and attributes, such as age and income.
    promotions : pandas.DataFrame or None
        What the shop plans, see `ranker_promotions.promotion_features`.
    n_moments : int
        Earlier moments that are learned from, as far as the history has them.
    step_days : int
        Days between them.
    horizon_days : int
        Days after a moment in which an item came true or not.
    without : sequence of str
        Groups of features that are left out, see `GROUPS`; what is worked out from them goes with them.
    settings : mapping or None
        For ``all`` and ``novel``: ``n_trees``, the share of candidates that did not come true from which they
        learn (``negative_share``), and parameters of LightGBM; `SETTINGS` where None.
    n_seeds : int
        Models whose scores are averaged, each with a draw of its own.
    n_jobs : int
        Processes that make tables, and threads in which the trees learn and are asked.
    random_state : int
    min_users_per_item : int
        An item with fewer users at a moment is no candidate then: as in the history.
    tables : mutable mapping or None
        Keeps the features of every moment, so that origins share them: a dict, or `ranker_tables.KeptTables`
        for a folder. Keys are fingerprints of histories; all else has to be the same.

    References
    ----------
    Bruch (2021), An Alternative Cross Entropy Loss for Learning-to-Rank.
    Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user_id": np.repeat(np.arange(20), 30), "item_id": rng.integers(0, 9, 600),
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> log["timestamp"] += pd.to_timedelta(rng.random(600) * 90, "D")
    >>> h = history_before(log.sort_values("timestamp", ignore_index=True), pd.Timestamp("2017-04-01"))
    >>> Ranker(n_moments=1).fit(h).recommend([3], k=2)["rank"].tolist()
    [1, 2]
    """

    def __init__(
        self,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        promotions: pd.DataFrame | None = None,
        n_moments: int = 3,
        step_days: int = 28,
        horizon_days: int = 28,
        without: tuple[str, ...] = (),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        n_seeds: int = 3,
        n_jobs: int = 1,
        random_state: int = 0,
        min_users_per_item: int = 5,
        tables: MutableMapping[str, Table] | None = None,
    ) -> None:
        self.items = items
        self.users = users
        self.promotions = promotions
        self.n_moments = n_moments
        self.step_days = step_days
        self.horizon_days = horizon_days
        self.without = without
        self.settings = settings
        self.n_seeds = n_seeds
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.min_users_per_item = min_users_per_item
        self.tables = tables

    def fit(self, history: History) -> Self:
        """Learn from the events that the history holds.

        Raises
        ------
        InputError
            The log has no times, or is too short for an earlier moment with as much history before it.
        """
        unknown = set(self.without) - set(GROUPS)
        if unknown:
            raise InputError(
                f"There is no group of features {sorted(unknown)[0]!r}: leave out one of {', '.join(GROUPS)}."
            )
        moments = self._moments(history)
        tables = self._tables(moments)
        self.history_ = history
        self.now_, self.table_ = moments[0].history, tables[0]
        out = {*self.without, *(name for name, of in MADE_OF.items() if set(of) & set(self.without))}
        self.columns_ = [n for n, name in enumerate(self.table_.names) if name.partition(":")[0] not in out]
        learned = list(zip(moments[1:], tables[1:], strict=True))
        settings = SETTINGS if self.settings is None else self.settings
        seeds = range(self.random_state, self.random_state + self.n_seeds)
        # threads, as trees grow outside of Python, and tables of half a gigabyte are not sent to processes
        with ThreadPoolExecutor(self.n_jobs) as threads:
            waiting = {
                kind: [
                    threads.submit(_learned, learned, kind == "novel", self.columns_, settings[kind], seed)
                    for seed in seeds
                ]
                for kind in ("all", "novel")
            }
        self.boosters_ = {kind: [one.result() for one in of_kind] for kind, of_kind in waiting.items()}
        return self

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        """Ranked lists: ``user_id``, ``item_id``, ``rank`` (1 is best), ``score``.

        What no model named follows after the candidates, by the tie rule.
        """
        users = pd.Index(list(user_ids))
        places = self.now_.user_ids.get_indexer(users)
        chosen = np.flatnonzero(self.table_.listed(exclude_seen) & np.isin(self.table_.rows, places))
        scores = self.scores(chosen, exclude_seen)
        floor = float(scores.min(initial=0.0)) - 1.0
        cells = (self.table_.rows[chosen], self.table_.cols[chosen])
        above = sp.csr_matrix((scores - floor, cells), shape=self.now_.shape)
        seen = owned(self.now_)
        parts = []
        for start in range(0, len(places), BATCH_USERS):
            batch = places[start : start + BATCH_USERS]
            dense = rows_or_empty(above, batch).toarray()
            if exclude_seen:
                dense[rows_or_empty(seen, batch).nonzero()] = -np.inf
            parts.append(ranked_lists(users[start : start + BATCH_USERS], dense, self.now_.item_ids, k))
        lists = pd.concat(parts, ignore_index=True)
        return lists.assign(score=lists["score"] + floor)

    def scores(self, pairs: Ints, novel: bool) -> Floats:
        """Mean raw score of the trees for some places of ``table_``."""
        features = self.table_.features[pairs][:, self.columns_]
        boosters = self.boosters_["novel" if novel else "all"]
        told = [np.asarray(each.predict(features, num_threads=self.n_jobs)) for each in boosters]
        return np.mean(told, axis=0)

    def _moments(self, history: History) -> list[Moment]:
        """Now and the earlier moments, each with at least as much history before it as it foretells."""
        longest = days_before(history).max() - self.horizon_days
        first = max(self.step_days, self.horizon_days)
        shifts = [first + n * self.step_days for n in range(self.n_moments)]
        shifts = [days for days in shifts if days <= longest]
        if not shifts:
            raise InputError(
                f"The ranker learns from {first} days ago with {self.horizon_days} days before that: "
                f"give a history longer than {longest + self.horizon_days:.0f} days, or another recommender."
            )
        return [earlier(history, days, self.horizon_days, self.min_users_per_item) for days in (0, *shifts)]

    def _tables(self, moments: Sequence[Moment]) -> list[Table]:
        """Features of every moment, made now or kept from before."""
        kept = {} if self.tables is None else self.tables
        keys = [fingerprint(moment.history) for moment in moments]
        missing = [n for n, key in enumerate(keys) if key not in kept]
        tasks = (
            delayed(table_of)(moments[n].history, self.items, self.users, self.promotions, self.random_state)
            for n in missing
        )
        kept.update(zip((keys[n] for n in missing), all_done(tasks, self.n_jobs), strict=True))
        return [kept[key] for key in keys]


def _examples(
    moments: Sequence[tuple[Moment, Table]],
    novel: bool,
    columns: Sequence[int],
    negative_share: float,
    seed: int,
) -> lightgbm.Dataset:
    """Candidates of the users who took one of them, and whether they did; a part of the others is drawn."""
    random = np.random.default_rng(seed)
    features, came_true, sizes = [], [], []
    for moment, table in moments:
        chosen = table.listed(novel)
        true = moment.is_target(table.rows, table.cols) & chosen
        chosen &= np.bincount(table.rows[true], minlength=moment.history.shape[0])[table.rows] > 0
        chosen &= true | (random.random(len(chosen)) < negative_share)
        features.append(table.features[chosen][:, columns])
        came_true.append(true[chosen])
        sizes.append(np.unique(table.rows[chosen], return_counts=True)[1])
    if not sum(map(len, features)):
        raise InputError(
            "Nothing that the ranker could learn came true at earlier moments: give a longer log."
        )
    return lightgbm.Dataset(
        np.concatenate(features),
        np.concatenate(came_true).astype(np.int8),
        group=np.concatenate(sizes),
        params={"max_bin": FIXED["max_bin"], "verbose": -1},
    )


def _learned(
    moments: Sequence[tuple[Moment, Table]],
    novel: bool,
    columns: Sequence[int],
    settings: Mapping[str, Any],
    seed: int,
) -> lightgbm.Booster:
    given = {**FIXED, **START, **settings}
    n_trees, share = given.pop("n_trees"), given.pop("negative_share")
    return lightgbm.train({**given, "seed": seed}, _examples(moments, novel, columns, share, seed), n_trees)
