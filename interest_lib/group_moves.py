"""Users whose taste became that of another group: who, when, and which group."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from interest_lib.history import Floats, Ints
from interest_lib.migration import shares
from interest_lib.schema import InputError
from interest_lib.visits import Visits

LIKELY: Final = 0.5
"""Probability from which a user counts as moved."""

_TINY: Final = 1e-300  # what cannot be, with a logarithm
_N_STEPS: Final = 10  # of expectation and maximisation for the tastes; more change next to nothing
_N_PRIOR_STEPS: Final = 500  # the same for the share of users who move, which costs nothing


def moved_users(visits: Visits, groups: Ints, memory_visits: int = 5) -> pd.DataFrame:
    """Who moved from the taste of one group to that of another, when, and to which.

    Either all visits of a user follow one group, or those until some moment follow one and the later ones
    another. Each moment is as likely as any other, and what the visits are worth under all moments and pairs
    of groups is summed up. But visits come in bursts: five to one interest in a week are one sign and not
    five, and whoever counts them as five finds moves everywhere. So a visit either repeats one of the user's
    last visits, which says nothing of groups, or is drawn from the taste of the group. How many are drawn,
    and the tastes, are learned from the log by expectation and maximisation.

    Parameters
    ----------
    visits : Visits
    groups : ndarray of int, shape (n_users,)
        Group of each user by all visits, such as from `mining.group_users` on the roots of their shares.
    memory_visits : int
        How many last visits the next one may repeat.

    Returns
    -------
    pandas.DataFrame
        One row per user: ``user_id``; ``probability`` of having moved; ``log_bayes_factor`` for a move
        against none; and, if there was one, the ``group`` before, the ``group_after``, and ``moved``, the
        moment before which it was with probability one half.

    Raises
    ------
    InputError
        There is not one group for each user, or only one group in all.

    Notes
    -----
    One change in a sequence, its moment summed over, is from Smith (1975); repeats are the cache of Kuhn and
    De Mori (1990). The prior probability of a move is its share among all users, learned from their Bayes
    factors (empirical Bayes, Efron 2008), so that nobody is found where nobody moves. A second move is not
    looked for. Where an interest comes back after weeks, between visits to others, its visits pass for drawn
    ones, and some users are found who only had such an interest; and so are a few whose taste is that of two
    groups all along.

    Examples
    --------
    >>> from interest_lib.visits import visits_to_interests
    >>> days = pd.to_datetime("2024-01-01") + pd.to_timedelta(range(40), unit="D")
    >>> sweet, salty = ["tea", "cake"] * 20, ["ham", "egg"] * 20
    >>> of_user = [sweet] * 5 + [salty] * 5 + [sweet[:20] + salty[20:]]
    >>> log = [pd.DataFrame({"user_id": u, "timestamp": days, "category": c}) for u, c in enumerate(of_user)]
    >>> found = moved_users(visits_to_interests(pd.concat(log)), np.repeat([0, 1, 0], [5, 5, 1]))
    >>> found.loc[found["probability"] > LIKELY, ["user_id", "group", "group_after", "moved"]].values.tolist()
    [[10, 0, 1, Timestamp('2024-01-20 12:00:00')]]
    """
    if len(groups) != len(visits.user_ids) or len(np.unique(groups)) < 2:
        raise InputError(
            f"There are {len(visits.user_ids)} users with visits, {len(groups)} with a group, and "
            f"{len(np.unique(groups))} groups: give each user a group, and at least two groups."
        )
    tastes, repeats = _learned(visits, groups[visits.user], _repeated(visits, memory_visits))
    each = np.log(tastes[:, visits.interest].T + repeats[:, None] + _TINY)  # by visit and group
    until = each.cumsum(axis=0)
    until -= (until[visits.first] - each[visits.first])[visits.user]
    group_share = shares(np.bincount(groups).astype(np.float64))
    prior = np.log(group_share + _TINY)
    staying = until[visits.last] + prior
    evidence, pairs, place = _one_change(visits, until + prior, staying[visits.user] - until)
    log_bayes_factor = evidence - np.log(1 - (group_share**2).sum()) - logsumexp(staying, axis=1)
    half_way = (visits.day[place] + visits.day[np.minimum(place + 1, visits.last)]) / 2
    return pd.DataFrame(
        {
            "user_id": visits.user_ids,
            "probability": _probability(log_bayes_factor),
            "log_bayes_factor": log_bayes_factor,
            "group": pairs[0],
            "group_after": pairs[1],
            "moved": visits.start + pd.to_timedelta(half_way, unit="D"),
        }
    )


def move_recovery(planted: pd.DataFrame, found: pd.DataFrame, groups: Ints) -> dict[str, float]:
    """How many of the planted moves to another group are found, and how many found ones are planted.

    Parameters
    ----------
    planted : pandas.DataFrame
        The table ``users`` of a `marketplace.Truth`.
    found : pandas.DataFrame
        From `moved_users`.
    groups : ndarray of int
        As given to it.

    Returns
    -------
    dict of str to float
        ``recall``: users found, of those who moved; ``precision``: users who moved or whose account was taken
        over, which is a change to another group as well, of those found; ``false_alarms``: users found, of
        all others; of the moves found, ``days_off``, the median distance in days, and ``right_group``, the
        share with the right group after it. What nobody is there for is missing.
    """
    users = planted.set_index("user_id").reindex(found["user_id"])
    is_found = found["probability"].to_numpy() > LIKELY
    taken = users["takeover"].notna().to_numpy()
    moved = users["moved"].notna().to_numpy() & ~taken
    still = ~moved & ~taken
    hit = is_found & moved
    off = (found["moved"].to_numpy() - users["moved"].to_numpy())[hit] / np.timedelta64(1, "D")
    of_group = pd.crosstab(groups[still], users["group"].to_numpy()[still]).idxmax(axis=1)
    after = of_group.reindex(found["group_after"]).to_numpy() == users["group_after"].to_numpy()
    return {
        "recall": _mean(is_found[moved]),
        "precision": _mean(~still[is_found]),
        "false_alarms": _mean(is_found[still]),
        "days_off": float(np.median(np.abs(off))) if hit.any() else np.nan,
        "right_group": _mean(after[hit]),
    }


def _repeated(visits: Visits, memory_visits: int) -> Floats:
    """Share of a user's last visits before each one that went to the same interest."""
    same, seen = np.zeros(len(visits.user)), np.zeros(len(visits.user))
    for back in range(1, memory_visits + 1):
        own = visits.user[back:] == visits.user[:-back]
        seen[back:] += own
        same[back:] += own & (visits.interest[back:] == visits.interest[:-back])
    return same / np.maximum(seen, 1)


def _learned(visits: Visits, group: Ints, repeated: Floats) -> tuple[Floats, Floats]:
    """Probability of a visit drawn from the taste of each group, and of each visit as a repeat."""
    shape = (group.max() + 1, len(visits.interests))
    cells = group * shape[1] + visits.interest
    drawn, by_taste = 0.5, np.ones(len(cells))  # the share of visits that are drawn, and which ones
    for _ in range(_N_STEPS):
        seen = np.bincount(cells, by_taste, shape[0] * shape[1]).reshape(shape)
        tastes = shares(seen + shares(seen.sum(axis=0)))  # one draw like everybody's: nothing is impossible
        likely = drawn * tastes[group, visits.interest]
        by_taste = likely / (likely + (1 - drawn) * repeated)
        drawn = float(by_taste.mean())
    return drawn * tastes, (1 - drawn) * repeated


def _one_change(visits: Visits, before: Floats, after: Floats) -> tuple[Floats, tuple[Ints, Ints], Ints]:
    """A change in the gap after each visit, by what the groups make of the visits before and after.

    Returns the log evidence for a change of each user, up to the prior of two different groups; the most
    probable group before and after it; and the visit after which it was with probability one half.
    """
    gap = np.append(np.diff(visits.day), 0.0)
    gap[visits.last] = 0.0
    days = visits.day[visits.last] - visits.day[visits.first]
    tops = before.max(axis=1), after.max(axis=1)
    a, b = np.exp(before - tops[0][:, None]), np.exp(after - tops[1][:, None])
    leaves = a * (b.sum(axis=1, keepdims=True) - b)  # to any other group
    comes = b * (a.sum(axis=1, keepdims=True) - a)
    level = np.log(gap / np.maximum(days, _TINY)[visits.user] + _TINY) + tops[0] + tops[1]
    log_odds = level + np.log(np.maximum(leaves.sum(axis=1), _TINY))
    top = np.maximum.reduceat(log_odds, visits.first)
    odds = np.exp(log_odds - top[visits.user])
    total = np.add.reduceat(odds, visits.first)
    weight = np.exp(level - top[visits.user])[:, None]
    pairs = [np.add.reduceat(weight * part, visits.first).argmax(axis=1) for part in (leaves, comes)]
    so_far = (odds / total[visits.user]).cumsum() - visits.user
    place = np.minimum(visits.first + np.add.reduceat(so_far < 0.5, visits.first), visits.last)
    return top + np.log(total), (pairs[0], pairs[1]), place


def _probability(log_bayes_factor: Floats) -> Floats:
    """Posterior probability of a move, its prior the share of users who moved."""
    factor = np.exp(np.clip(log_bayes_factor, -600, 600))
    share = 0.1
    for _ in range(_N_PRIOR_STEPS):
        probability = share * factor / (share * factor + 1 - share)
        share = float(probability.mean())
    return np.asarray(probability)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
