"""Are explanations faithful? What happens to a recommendation when its reason is taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.base import clone

from interest_lib.explain import explain
from interest_lib.explain_changes import told_changes, with_evidence
from interest_lib.history import Floats, History, Ints, codes
from interest_lib.recommend import BATCH_USERS, ScoringRecommender
from interest_lib.schema import InputError

AFTER: Final = ("told", "same_weights", "refit", "control")
"""Ranks after the removal: foretold from the amounts; measured with the weights that were learned; measured
after learning everything anew; and the same after removing other evidence of the same user instead."""


def without_evidence(history: History, rows: Ints, cols: Ints) -> History:
    """A history without the events of some users on some items; users, items and their order stay.

    Parameters
    ----------
    history : History
    rows, cols : ndarray of int, shape (n_cells,)
        Codes of the users and of the items.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-31"])})
    >>> h = history_before(log, pd.Timestamp("2017-02-01"), min_users_per_item=1)
    >>> less = without_evidence(h, np.array([0]), np.array([0]))
    >>> list(less.item_ids.take(less.cols)), less.shape
    (['a'], (1, 2))
    """
    width = len(history.item_ids)
    kept = ~np.isin(history.rows * width + history.cols, rows * width + cols)
    return replace(
        history,
        rows=history.rows[kept],
        cols=history.cols[kept],
        weights=history.weights[kept],
        is_goal=history.is_goal[kept],
        age_days=None if history.age_days is None else history.age_days[kept],
        age_baskets=None if history.age_baskets is None else history.age_baskets[kept],
    )


def removal_trial(
    model: ScoringRecommender,
    lists: pd.DataFrame,
    random_state: int = 0,
    reason: str | None = None,
    n_cases: int = 300,
) -> pd.DataFrame:
    """Take the largest reason of recommendations away, and look where they end up.

    One recommendation is drawn from the list of each user. The evidence of all cases is removed at once, and
    so it is foretold; the model is scored again with the weights that it had, and fitted anew, and fitted
    with something else of the same users removed instead.

    Parameters
    ----------
    model : ScoringRecommender
        A fitted one that `explain_changes.told_changes` knows.
    lists : pandas.DataFrame
        ``user_id``, ``item_id``, ``score`` of the recommendations, from the model's `recommend`.
    random_state : int
        Draws the cases and what is removed instead.
    reason : str or None
        Kind of reason to take away; None for the largest of any kind.
    n_cases : int
        How many users; all who have such a reason, if they are fewer.

    Returns
    -------
    pandas.DataFrame
        One row per case: ``user_id``, ``item_id``, ``reason``, ``amount``, ``score``, ``rank`` (before, among
        all items), ``rank_<after>`` for each of `AFTER`, ``score_same_weights``, ``score_refit`` and
        ``score_control``.

    Raises
    ------
    InputError
        No recommendation has such a reason with events behind it.
    """
    rng = np.random.default_rng(random_state)
    cases = _cases(model, lists, reason, n_cases, rng)
    history = model.history_
    rows, cols = codes(history.user_ids, cases["user_id"]), codes(history.item_ids, cases["item_id"])
    source = (
        codes(history.user_ids, cases["source_user"]),
        codes(history.item_ids, cases["source_item"]),
    )
    less = without_evidence(history, *source)
    other = without_evidence(history, source[0], other_items(history, *source, rng))
    cases["rank"], cases["score"] = _ranks(model, rows, cols)
    cases["rank_told"] = _told_ranks(model, rows, cols, source)
    models = {
        "same_weights": with_evidence(model, less),
        "refit": clone(model).fit(less),
        "control": clone(model).fit(other),
    }
    for name, changed in models.items():
        cases[f"rank_{name}"], cases[f"score_{name}"] = _ranks(changed, rows, cols)
    return cases.drop(columns=["detail", "source_user", "source_item", "weight", "n_parts"])


def _cases(
    model: ScoringRecommender,
    lists: pd.DataFrame,
    reason: str | None,
    n_cases: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One recommendation of every drawn user, with its largest reason."""
    mixed = lists.iloc[rng.permutation(len(lists))].drop_duplicates("user_id")
    reasons = explain(model, mixed, n_reasons=None)
    wanted = reasons["source_user"].notna() & (reasons["amount"] > 0)
    if reason is not None:
        wanted &= reasons["reason"] == reason
    largest = reasons[wanted].drop_duplicates("user_id").head(n_cases).reset_index(drop=True)
    if largest.empty:
        raise InputError(f"No recommendation has a reason '{reason or 'of any kind'}' with events behind it.")
    return largest


def other_items(history: History, rows: Ints, cols: Ints, rng: np.random.Generator) -> Ints:
    """Another item that each user had, drawn from the user's events; the same one where there is no other.

    Parameters
    ----------
    history : History
    rows, cols : ndarray of int, shape (n_cells,)
        Codes of users and of the items that are not to be drawn.
    rng : numpy.random.Generator

    Examples
    --------
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "basket_number": 1})
    >>> h = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> other_items(h, np.array([0]), np.array([0]), np.random.default_rng(0))
    array([1])
    """
    order = np.argsort(history.rows, kind="stable")
    owner, item = history.rows[order], history.cols[order]
    key = owner * len(history.item_ids) + item
    free = ~np.isin(key, rows * len(history.item_ids) + cols)
    owner, item = owner[free], item[free]
    low, high = np.searchsorted(owner, rows), np.searchsorted(owner, rows, side="right")
    drawn = low + np.floor(rng.random(len(rows)) * (high - low)).astype(np.int64)
    found = cols.copy()
    found[high > low] = item[drawn[high > low]]
    return found


def _ranks(model: ScoringRecommender, rows: Ints, cols: Ints) -> tuple[Ints, Floats]:
    """Rank and score of one item each in the full ranking of users."""
    parts = []
    for start in range(0, len(rows), BATCH_USERS):
        batch = slice(start, start + BATCH_USERS)
        scores = model._scores(rows[batch])
        parts.append((_places(scores, cols[batch]), scores[np.arange(len(scores)), cols[batch]]))
    ranks, values = zip(*parts, strict=True)
    return np.concatenate(ranks), np.concatenate(values)


def _told_ranks(model: ScoringRecommender, rows: Ints, cols: Ints, source: tuple[Ints, Ints]) -> Ints:
    """The ranks that follow from taking the amounts off the scores."""
    parts = []
    for start in range(0, len(rows), BATCH_USERS):
        batch = slice(start, start + BATCH_USERS)
        told = told_changes(model, rows[batch], *source)
        parts.append(_places(model._scores(rows[batch]) - told.toarray(), cols[batch]))
    return np.concatenate(parts)


def _places(scores: Floats, cols: Ints) -> Ints:
    """Rank of one column in each row, by the tie rule of `ranking`."""
    # what was taken off a sum does not leave exactly what the others add up to
    compared = np.where(np.abs(scores) < 1e-9, 0.0, scores).astype(np.float32)
    own = compared[np.arange(len(cols)), cols][:, None]
    before = np.arange(scores.shape[1]) < cols[:, None]
    return 1 + ((compared > own) | ((compared == own) & before)).sum(axis=1)


def faithfulness(cases: pd.DataFrame, k: int = 10) -> pd.Series:
    """How far what was told came true.

    Parameters
    ----------
    cases : pandas.DataFrame
        From `removal_trial`.
    k : int
        Length of the list.

    Returns
    -------
    pandas.Series of float
        ``same_weights`` and ``refit``: share of cases whose rank after the removal is the one foretold;
        ``refit_listed``: share that is in the first `k` after fitting anew just where it was foretold to be;
        ``rank_off``: median distance of the rank after fitting anew from the foretold one, relative to that;
        ``rank_correlation``: Spearman's between the two; ``dropped_named`` and
        ``dropped_other``: share of those in the first `k` that leave them when the reason, or something else,
        is removed; ``fall_named`` and ``fall_other``: mean share of the score that goes with it; ``n``.

    Examples
    --------
    >>> cases = pd.DataFrame({"rank": [1, 2], "rank_told": [20, 3], "rank_same_weights": [20, 3],
    ...                       "rank_refit": [21, 3], "rank_control": [1, 2], "score": [2.0, 1.0],
    ...                       "score_refit": [0.0, 0.5], "score_control": [2.0, 1.0]})
    >>> faithfulness(cases)[["same_weights", "refit", "refit_listed", "fall_named"]].tolist()
    [1.0, 0.5, 1.0, 0.75]
    """
    told, refit = cases["rank_told"], cases["rank_refit"]
    listed = cases[cases["rank"] <= k]
    varied = told.nunique() > 1 and refit.nunique() > 1
    return pd.Series(
        {
            "same_weights": (cases["rank_same_weights"] == told).mean(),
            "refit": (refit == told).mean(),
            "refit_listed": ((refit <= k) == (told <= k)).mean(),
            "rank_off": ((refit - told).abs() / told).median(),
            "rank_correlation": float(spearmanr(told, refit).statistic) if varied else np.nan,
            "dropped_named": (listed["rank_refit"] > k).mean(),
            "dropped_other": (listed["rank_control"] > k).mean(),
            "fall_named": (1 - cases["score_refit"] / cases["score"]).mean(),
            "fall_other": (1 - cases["score_control"] / cases["score"]).mean(),
            "n": float(len(cases)),
        }
    )
