"""Changes of regime: which of the planted ones are found, and when the transitions of everybody changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import gammaln

from interest_lib.history import Floats, codes
from interest_lib.marketplace import Truth
from interest_lib.migration import shares

SURE: Final = 3.0
"""Log Bayes factor from which a row has changed, 20 to 1: strong evidence for Kass and Raftery (1995)."""


def change_recovery(
    truth: Truth, regimes: pd.DataFrame, within_days: Sequence[float] = (3, 7, 14)
) -> pd.DataFrame:
    """How many of the planted changes of regime are found, and how many found ones are planted.

    A planted and a found change belong together where each is the other's nearest of the same user.

    Parameters
    ----------
    truth : Truth
        With its table ``episodes``.
    regimes : pandas.DataFrame
        From `RegimeModel.regimes`.
    within_days : sequence of float
        How far apart the two may be.

    Returns
    -------
    pandas.DataFrame
        One row per number of days (the index): ``recall``, ``precision``, ``recall_by_chance`` (found changes
        given to another user), ``right_interest`` (share of the matches with the right next interest), and
        ``median_days`` between the two.

    Notes
    -----
    Only changes to another interest count, and only those with a visit of the user before and after.
    """
    planted, found = _planted_changes(truth, regimes), regimes.dropna(subset=["before"])
    user_ids = pd.Index(regimes["user_id"].unique())
    turned = found.assign(user_id=user_ids[(codes(user_ids, found["user_id"]) + 1) % len(user_ids)])
    pairs, by_chance = _nearest(planted, found), _nearest(planted, turned)
    table = {}
    for days in within_days:
        near = pairs[pairs["days"] <= days]
        table[days] = {
            "recall": len(near) / len(planted),
            "precision": len(near) / len(found),
            "recall_by_chance": (by_chance["days"] <= days).sum() / len(planted),
            "right_interest": (near["interest_planted"] == near["interest_found"]).mean(),
            "median_days": near["days"].median(),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("within_days")


def _planted_changes(truth: Truth, regimes: pd.DataFrame) -> pd.DataFrame:
    """Changes to another interest, from the first visit of a user on."""
    episodes = truth.table("episodes").astype({"category": str}).sort_values(["user_id", "start"])
    follows = episodes["user_id"].eq(episodes["user_id"].shift())
    other = episodes["category"].ne(episodes["category"].shift())
    seen = episodes["user_id"].map(regimes.groupby("user_id")["changed"].min()) < episodes["start"]
    changes = episodes[follows & other & seen]
    return changes.rename(columns={"start": "changed", "category": "interest"})


def _nearest(planted: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Pairs of changes that are each other's nearest."""
    columns = ["user_id", "changed", "interest"]
    left, right = (
        part[columns]
        .sort_values(["changed", "user_id"], ignore_index=True)
        .assign(moment=lambda t: t["changed"])
        for part in (planted, found)
    )
    left["changed"] = left["changed"].astype("datetime64[us]")
    right["changed"] = right["changed"].astype("datetime64[us]")
    ways = []
    for one, other in ((left, right), (right, left)):
        placed = other.reset_index(names="place")
        ways.append(pd.merge_asof(one, placed, on="changed", by="user_id", direction="nearest")["place"])
    to, back = ways
    there = to.notna().to_numpy()
    mutual = np.flatnonzero(there)[back.to_numpy()[to[there].astype(int)] == np.flatnonzero(there)]
    places = to[mutual].astype(np.int64)
    pairs = left.loc[mutual].reset_index(drop=True).add_suffix("_planted")
    pairs = pairs.join(right.loc[places].reset_index(drop=True).add_suffix("_found"))
    days = (pairs["moment_found"] - pairs["moment_planted"]).abs() / pd.Timedelta(days=1)
    return pairs.assign(days=days)


def global_change(
    regimes: pd.DataFrame, step_days: int = 7, strength: float = 5.0
) -> tuple[pd.Timestamp, pd.Series]:
    """When the transitions of all users changed, and which rows did, from changes of regime alone.

    Parameters
    ----------
    regimes : pandas.DataFrame
        From `RegimeModel.regimes`.
    step_days : int
        Moments that are tried are so far apart.
    strength : float
        Changes that the Dirichlet prior of a row is worth, before and after.

    Returns
    -------
    moment : pandas.Timestamp
        The most probable one.
    evidence : pandas.Series
        One number per interest: log Bayes factor for two rows, before and after the moment, against one.
        Above `SURE` the row has changed; where none is, nothing has.
    """
    moves = regimes.dropna(subset=["before"])
    names = pd.Index(np.sort(moves["interest"].unique()))
    before, after = codes(names, moves["before"]), codes(names, moves["interest"])
    start = moves["changed"].min()
    step = ((moves["changed"] - start) // pd.Timedelta(days=step_days)).to_numpy().astype(np.int64)
    counts = np.zeros((step.max() + 1, len(names), len(names)))
    kept = before >= 0
    np.add.at(counts, (step[kept], before[kept], after[kept]), 1.0)
    prior = strength * shares(counts.sum(axis=(0, 1)) + 1 / len(names))
    early = counts.cumsum(axis=0)[:-1]
    whole = counts.sum(axis=0)
    gain = _log_evidence(early, prior) + _log_evidence(whole - early, prior) - _log_evidence(whole, prior)
    # of each row only what speaks for a change, so that rows that stay do not hide those that do
    best = int(np.maximum(gain - SURE, 0).sum(axis=1).argmax())
    moment = start + pd.Timedelta(days=step_days * (best + 1))
    return moment, pd.Series(gain[best], index=names.rename("interest"))


def _log_evidence(counts: Floats, prior: Floats) -> Floats:
    """Log probability of the rows of counts, each integrated over its Dirichlet prior."""
    inside = (gammaln(counts + prior) - gammaln(prior)).sum(axis=-1)
    return np.asarray(inside + gammaln(prior.sum()) - gammaln(prior.sum() + counts.sum(axis=-1)))
