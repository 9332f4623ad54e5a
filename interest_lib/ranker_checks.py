"""Are the ranker's reasons faithful? What happens when the purchases behind a recommendation are gone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final

import numpy as np
import pandas as pd
from joblib import delayed

from interest_lib.explain_checks import other_items, without_evidence
from interest_lib.history import History, codes
from interest_lib.processes import all_done
from interest_lib.ranker import Ranker
from interest_lib.ranker_reasons import REASONS, ranker_reasons
from interest_lib.ranker_tables import table_of
from interest_lib.schema import InputError

OWN: Final = REASONS["decay"]


def own_purchases_trial(
    ranker: Ranker, lists: pd.DataFrame, random_state: int = 0, n_cases: int = 300
) -> pd.DataFrame:
    """Take away a user's purchases of a product that is listed because it was bought before.

    One such recommendation is drawn for each user. The purchases of all cases are removed at once, all
    features are made anew, and the same trees score them. Then the same with another product that the user
    had, instead.

    Parameters
    ----------
    ranker : Ranker
        Fitted.
    lists : pandas.DataFrame
        ``user_id``, ``item_id``, ``score``, from `Ranker.recommend` with what was seen.
    random_state : int
        Draws the cases and the other products.
    n_cases : int
        How many users; all who have such a reason, if they are fewer.

    Returns
    -------
    pandas.DataFrame
        One row per case: ``user_id``, ``item_id``, ``amount`` (what the reason adds to the score), ``score``,
        and for ``named`` and ``other`` purchases removed: ``score_<removed>`` (missing where the product is
        not even a candidate any more) and ``listed_<removed>``, whether it is still in the list.

    Raises
    ------
    InputError
        Nothing is recommended because it was bought before.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user_id": np.repeat(np.arange(20), 30), "item_id": rng.integers(0, 30, 600),
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> log["timestamp"] += pd.to_timedelta(rng.random(600) * 90, "D")
    >>> h = history_before(log.sort_values("timestamp", ignore_index=True), pd.Timestamp("2017-04-01"))
    >>> ranker = Ranker(n_moments=1).fit(h)
    >>> own_purchases_trial(ranker, ranker.recommend(range(20), k=3))["listed_named"].dtype
    dtype('bool')
    """
    rng = np.random.default_rng(random_state)
    reasons = ranker_reasons(ranker, lists)
    own = reasons[(reasons["reason"] == OWN) & (reasons["amount"] > 0)]
    drawn = own.iloc[rng.permutation(len(own))].drop_duplicates("user_id").head(n_cases)
    if drawn.empty:
        raise InputError("Nothing is recommended because it was bought before: explain another log.")
    now = ranker.now_
    cases = drawn[["user_id", "item_id", "amount"]].merge(lists[["user_id", "item_id", "score"]])
    rows, cols = codes(now.user_ids, cases["user_id"]), codes(now.item_ids, cases["item_id"])
    n_listed = int(lists.groupby("user_id").size().max())
    gone = {"named": cols, "other": other_items(now, rows, cols, rng)}
    pasts = [without_evidence(now, rows, removed) for removed in gone.values()]
    for name, after in zip(gone, _with_histories(ranker, pasts), strict=True):
        found = after.recommend(cases["user_id"], k=n_listed)[["user_id", "item_id"]]
        cases[f"score_{name}"] = _scores(after, rows, cols)
        listed = cases[["user_id", "item_id"]].merge(found.assign(there=True), how="left")["there"]
        cases[f"listed_{name}"] = listed.notna().to_numpy()
    return cases


def _with_histories(ranker: Ranker, histories: Sequence[History]) -> list[Ranker]:
    """The same trees over other pasts."""
    known = (ranker.items, ranker.users, ranker.promotions, ranker.random_state)
    others = []
    tables = all_done((delayed(table_of)(history, *known) for history in histories), ranker.n_jobs)
    for history, table in zip(histories, tables, strict=True):
        other = copy(ranker)
        other.now_, other.table_ = history, table
        others.append(other)
    return others


def _scores(ranker: Ranker, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Scores of some pairs among the candidates; missing where they are none."""
    table, width = ranker.table_, ranker.now_.shape[1]
    keys, wanted = table.rows * width + table.cols, rows * width + cols
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = (keys[place] == wanted) & table.listed(novel=False)[place]
    found = np.full(len(rows), np.nan)
    found[there] = ranker.scores(place[there], novel=False)
    return found
