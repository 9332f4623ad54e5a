"""On a real log: lists that are made anew every week against lists left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import pandas as pd
from joblib import delayed
from sklearn.base import clone

from interest_lib.history import history_before
from interest_lib.metrics import gain_or_none, ndcg_at_k, relative_gain
from interest_lib.processes import all_done
from interest_lib.recommend import Recommender
from interest_lib.schema import InputError
from interest_lib.split import fold_at

WAYS: Final = ("left_alone", "refreshed")


def weekly_scores(
    model: Recommender,
    events: pd.DataFrame,
    origins: Sequence[pd.Timestamp],
    n_weeks: int = 4,
    week_days: int = 7,
    k: int = 10,
    n_jobs: int = 2,
    **vocabulary: int,
) -> pd.DataFrame:
    """NDCG in each week of a horizon, of lists from its start and of lists from the week's own start.

    Both are judged by the same targets: what the user had in the week, inside the vocabulary of the horizon's
    start. A fresh list may hold products that came later, which cannot be hits: the comparison leans towards
    the list left alone.

    Parameters
    ----------
    model : Recommender
        Unfitted.
    events : pandas.DataFrame
        As for `history.history_before`.
    origins : sequence of pandas.Timestamp
        Starts of the horizons; models are fitted for each and for each of its weeks.
    n_weeks : int
        Weeks of a horizon.
    week_days : int
        Length of a week.
    k : int
        Length of the lists.
    n_jobs : int
        Horizons worked on at the same time.
    **vocabulary : int
        ``min_users_per_item`` and ``popularity_days`` of `history.history_before`.

    Returns
    -------
    pandas.DataFrame
        One row per horizon, week and user with a target in it: ``origin``, ``week`` (from 0), ``user_id``,
        ``left_alone``, ``refreshed``. In week 0 both are the same.

    Raises
    ------
    InputError
        The log has no times, or nothing happens after an origin.

    Examples
    --------
    >>> from interest_lib.recommend import PersonalFrequency
    >>> log = pd.DataFrame({"user_id": 1, "item_id": ["a", "a", "b", "b", "b", "b"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=6, freq="2D")})
    >>> scores = weekly_scores(PersonalFrequency(4.0), log, [pd.Timestamp("2017-01-06")], n_weeks=3,
    ...                        week_days=2, k=1, n_jobs=1, min_users_per_item=1)
    >>> scores[["week", "left_alone", "refreshed"]].values.tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [2.0, 0.0, 1.0]]
    """
    if "timestamp" not in events:
        raise InputError("The log has no times, so nothing is a week old: give a log with a timestamp.")
    days = (week_days, n_weeks, k)
    tasks = (delayed(_horizon)(model, events, origin, *days, vocabulary) for origin in origins)
    return pd.concat(all_done(tasks, n_jobs), ignore_index=True)


def _horizon(
    model: Recommender,
    events: pd.DataFrame,
    origin: pd.Timestamp,
    week_days: int,
    n_weeks: int,
    k: int,
    vocabulary: dict[str, int],
) -> pd.DataFrame:
    start = fold_at(events, origin, week_days * n_weeks, **vocabulary)
    old = cast(Recommender, clone(model)).fit(start.history).recommend(start.user_ids, k=k)
    weeks = []
    for week in range(n_weeks):
        now = origin + pd.Timedelta(days=week * week_days)
        targets = fold_at(events, now, week_days, **vocabulary).targets
        targets = targets[targets["item_id"].isin(start.history.item_ids)]
        targets = targets[targets["user_id"].isin(start.user_ids)]
        fresh = old
        if week:
            fitted = cast(Recommender, clone(model)).fit(history_before(events, now, **vocabulary))
            fresh = fitted.recommend(start.user_ids, k=k)
        scores = {way: ndcg_at_k(lists, targets, k) for way, lists in zip(WAYS, (old, fresh), strict=True)}
        weeks.append(pd.DataFrame(scores).reset_index().assign(week=week))
    return pd.concat(weeks, ignore_index=True).assign(origin=start.label)


def refresh_gain(scores: pd.DataFrame, seed: int, n_resamples: int = 1000) -> pd.DataFrame:
    """What making lists anew gains, by week.

    Parameters
    ----------
    scores : pandas.DataFrame
        From `weekly_scores`.
    seed, n_resamples
        As in `metrics.relative_gain`; users are drawn anew, each with all horizons.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``week``: ``value``, ``low``, ``high`` (95 %) of ``refreshed / left_alone - 1``, and ``n``
        users. The row ``all`` is over the weeks from 1. Weeks in which nearly nobody has a hit are left out.

    Raises
    ------
    InputError
        No week after the first, or (nearly) nobody has a hit in all of them.

    Examples
    --------
    >>> scores = pd.DataFrame({"week": [0, 1] * 30, "user_id": sorted([*range(30)] * 2),
    ...                        "left_alone": 0.2, "refreshed": [0.2, 0.3] * 30})
    >>> refresh_gain(scores, seed=1)["value"].round(3).to_dict()
    {0: 0.0, 1: 0.5, 'all': 0.5}
    """
    sums = {week: _by_user(part) for week, part in scores.groupby("week")}
    gains = {week: gain_or_none(*users, seed, n_resamples) for week, users in sums.items()}
    gains["all"] = relative_gain(*_by_user(scores[scores["week"] > 0]), seed, n_resamples)
    found = {week: vars(gain) for week, gain in gains.items() if gain is not None}
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("week")


def _by_user(part: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Sums over weeks, so that every week of a user counts once: of fresh lists, and of those left alone."""
    users = part.groupby("user_id")[list(WAYS)].sum()
    return users["refreshed"], users["left_alone"]
