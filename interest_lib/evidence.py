"""What each kind of event says about interest: weights of views, carts and returns against a purchase."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.decay import decayed_counts
from interest_lib.history import goal
from interest_lib.metrics import ndcg_at_k
from interest_lib.ranking import ranked_lists, rows_or_empty
from interest_lib.schema import EVENT_WEIGHTS
from interest_lib.split import Fold, folds, sample_users

GRID = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class EventWeights:
    """What an event of each kind weighs, in events of the kind that is predicted.

    Attributes
    ----------
    weights : dict of str to float
        One for every kind of event in the log; the predicted kind has 1.
    trials : pandas.DataFrame
        ``kind``, ``weight``, ``ndcg``: every value that was tried, in order; empty where nothing was learned.
    why : str
        How the weights came about, as a sentence.
    """

    weights: dict[str, float]
    trials: pd.DataFrame
    why: str

    def of(self, events: pd.DataFrame) -> pd.Series:
        """Weight of each event: that of its kind, times its own where the log has weights of its own.

        Examples
        --------
        >>> views = pd.DataFrame({"event": ["view", "purchase"]})
        >>> EventWeights({"view": 0.1, "purchase": 1.0}, pd.DataFrame(), "").of(views).tolist()
        [0.1, 1.0]
        """
        of_kind = events["event"].map(self.weights).astype(float)
        return of_kind * events["weight"].fillna(1.0) if "weight" in events else of_kind


def set_weights(events: pd.DataFrame, given: Mapping[str, float] | None = None) -> EventWeights:
    """Weights as the mapping sets them, those of `schema.EVENT_WEIGHTS` for the other kinds.

    Parameters
    ----------
    events : pandas.DataFrame
        ``event``.
    given : mapping of str to float, optional
        Weights by kind, in any unit.

    Returns
    -------
    EventWeights
        In events of the predicted kind.

    Examples
    --------
    >>> log = pd.DataFrame({"event": ["view", "cart", "purchase"]})
    >>> set_weights(log, {"view": 0.2, "purchase": 2.0}).weights
    {'cart': 0.15, 'purchase': 1.0, 'view': 0.1}
    """
    kinds = sorted(events["event"].unique())
    raw = {kind: float({**EVENT_WEIGHTS, **(given or {})}[kind]) for kind in kinds}
    unit = raw[goal(events)]
    if len(kinds) == 1:
        why = f"All events are of one kind ({kinds[0]}): each weighs 1."
    else:
        why = "The weights are as set, not learned."
    scaled = {kind: value / unit if unit > 0 else value for kind, value in raw.items()}
    return EventWeights({**scaled, goal(events): 1.0}, pd.DataFrame(columns=["kind", "weight", "ndcg"]), why)


def learn_weights(
    events: pd.DataFrame,
    start: EventWeights,
    given: Collection[str] = (),
    horizon_days: int = 28,
    half_life_days: float = 90.0,
    half_life_baskets: float = 10.0,
    k: int = 10,
    max_users: int = 1000,
    seed: int = 0,
    grid: Sequence[float] = GRID,
) -> EventWeights:
    """Weights with which the own faded history foretells best what comes next, one kind after the other.

    Parameters
    ----------
    events : pandas.DataFrame
        As for `split.folds`, with ``event``.
    start : EventWeights
        Where the search begins, and what holds where nothing can be learned.
    given : collection of str
        Kinds whose weight was set by hand and stays.
    horizon_days : int
        Length of the period that is foretold.
    half_life_days, half_life_baskets : float
        How the history fades: in days if the log has times, in baskets otherwise.
    k : int
        Length of the lists that are judged, by NDCG.
    max_users : int
        Judge on a random sample of that many users.
    seed : int
        Draws the sample.
    grid : sequence of float
        Weights to try for each kind; for returns their negatives.

    Returns
    -------
    EventWeights

    Notes
    -----
    Judged on the fold before the test, which is never looked at here. One sweep of coordinate search over
    the kinds, strongest first; of equal scores the smallest weight holds, so that what does not help counts
    for nothing.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [1], "event": ["purchase"]})
    >>> learn_weights(log, set_weights(log)).why
    'All events are of one kind (purchase): each weighs 1.'
    """
    others = sorted(set(start.weights) - {goal(events), *given}, key=lambda kind: -abs(EVENT_WEIGHTS[kind]))
    # the place of each event in the log instead of its weight: so a coded event tells its kind as well
    found = folds(events.assign(weight=np.arange(len(events))), horizon_days, 2) if others else []
    if len(found) < 2:
        reason = f"{start.why} There is no period before the test to learn them on." if others else start.why
        return replace(start, why=reason)
    user_ids = sample_users(found[1].user_ids, max_users, seed)
    half_life = (
        {"half_life_days": half_life_days}
        if "timestamp" in events
        else {"half_life_baskets": half_life_baskets}
    )
    parts = _counts_by_kind(events, found[1], list(start.weights), user_ids, half_life)
    weights, trials = dict(start.weights), []
    for kind in others:
        tried = [0.0 - weight if kind == "return" else weight for weight in grid]  # 0, not -0
        scores = [_score({**weights, kind: w}, parts, found[1], user_ids, k) for w in tried]
        weights[kind] = tried[int(np.argmax(np.round(scores, 6)))]
        trials += [(kind, w, score) for w, score in zip(tried, scores, strict=True)]
    why = f"Learned on what {len(user_ids)} users did next at {found[1].label}."
    return EventWeights(weights, pd.DataFrame(trials, columns=["kind", "weight", "ndcg"]), why)


def _counts_by_kind(
    events: pd.DataFrame,
    fold: Fold,
    kinds: list[str],
    user_ids: pd.Index,
    half_life: dict[str, Any],
) -> dict[str, sp.csr_matrix]:
    """Decayed counts of the judged users, for the events of each kind alone.

    The weights of the fold's history are the places of its events in `events`.
    """
    place = fold.history.weights.astype(np.int64)
    kind_of_event = events["event"].to_numpy()[place]
    weight = events["weight"].to_numpy(np.float64)[place] if "weight" in events else np.ones(len(place))
    rows = fold.history.user_ids.get_indexer(user_ids)
    parts = {}
    for kind in kinds:
        of_kind = weight * (kind_of_event == kind)
        counts = decayed_counts(replace(fold.history, weights=of_kind), **half_life)
        parts[kind] = rows_or_empty(counts, rows)
    return parts


def _score(
    weights: Mapping[str, float], parts: Mapping[str, sp.csr_matrix], fold: Fold, user_ids: pd.Index, k: int
) -> float:
    """Mean NDCG of the personal lists when the kinds weigh so much."""
    interest = sp.csr_matrix(sum(weights[kind] * counts for kind, counts in parts.items()))
    interest.data = np.maximum(interest.data, 0.0)
    lists = ranked_lists(user_ids, interest, fold.history.item_ids, k)
    targets = fold.targets[fold.targets["user_id"].isin(user_ids)]
    return float(ndcg_at_k(lists, targets, k).mean())
