"""Whether interest fades, along which curve, and how far returns are from what fading brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.curves import CURVES
from interest_lib.history import Floats
from interest_lib.palm import Part, fit_part, parts_by_interest, rates
from interest_lib.return_counts import ReturnStatistics
from interest_lib.return_rates import REACHES, curve_scores, given_curves

_AGES: Final = (0, 0.125, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6)  # classes of lags in half-lives, for the misfit


def compare_curves(statistics: ReturnStatistics, follow_ups: float = 3.0) -> pd.DataFrame:
    """Which curve the returns to each interest follow, and whether they fade at all.

    Parameters
    ----------
    statistics : ReturnStatistics
    follow_ups : float
        As for `fit_half_lives`.

    Returns
    -------
    pandas.DataFrame
        By interest: ``curve``, the best; ``lead``, how far it is ahead of the second; one column for each
        curve with its log-likelihood below the best; ``over_none``, how far fading is ahead of an even
        background on users that it was not fitted to (each half by the other, exponential curve). ``lead``
        and ``over_none`` are in standard errors, by users (Vuong, 1989, Econometrica 57); the one for all
        interests together is ``attrs["over_none"]``. Below 1.3 the log cannot tell; an ``over_none`` below
        1.6 means that no decay should be chosen.

    Notes
    -----
    Curves have the same number of settings, so they are compared on the users they were fitted to, all by
    the lags until ten half-lives of an exponential fit. Pairs of visits are not independent; that is why
    leads are measured by their spread over users and not as likelihood ratios.

    By the shop's clock, a user who comes more often in some months than in others returns to everything,
    which looks like fading. Whether interest fades, apart from that, is a question for statistics with the
    clock ``user``: on a log whose baskets are shuffled in time within each user, they show nothing.

    Examples
    --------
    >>> from interest_lib.return_counts import return_statistics
    >>> log = pd.DataFrame({"user_id": np.arange(300) // 10, "category": "tea",
    ...                     "timestamp": pd.date_range("2024-01-01", periods=300, freq="7h")})
    >>> list(compare_curves(return_statistics(log)).columns[:3])
    ['curve', 'lead', 'exponential']
    """
    rows, gains = [], np.zeros(len(statistics.user_ids))
    for part in parts_by_interest(statistics):
        rough = fit_part(part, CURVES[0], follow_ups)
        near = part.within(rough, REACHES[-1])
        gain = _gain_over_none(near, follow_ups)
        gains[part.user] += gain
        rows.append(_compared(near, follow_ups) | {"over_none": _z(gain)})
    found = pd.DataFrame(rows, index=statistics.interests.rename("interest"))
    found.attrs["over_none"] = _z(gains)
    return found


def _compared(part: Part, follow_ups: float) -> dict[str, object]:
    scores = curve_scores(part, follow_ups)
    total = scores.sum(axis=1)
    best, second = np.argsort(-total, kind="stable")[:2]
    behind = {name: float(score - total[best]) for name, score in zip(CURVES, total, strict=True)}
    return {"curve": CURVES[best], "lead": _z(scores[best] - scores[second]), **behind}


def _gain_over_none(part: Part, follow_ups: float) -> Floats:
    """What fading adds to each user's log-likelihood, learned from the other half of the users."""
    gain, half = np.zeros(len(part.user)), part.user % 2
    for fold in (0, 1):
        learn, test = part.of(half != fold), part.of(half == fold)
        fit = fit_part(learn, CURVES[0], follow_ups)
        none = fit._replace(drift=learn.even_drift(), share=np.zeros_like(fit.share))
        with_it, without = (rates(learn, given, CURVES[0], follow_ups)[0] for given in (fit, none))
        gain[half == fold] = test.user_scores(with_it) - test.user_scores(without)
    return gain


def _z(gain: Floats) -> float:
    """A sum over users in units of its standard error."""
    return float(gain.sum() / max(np.sqrt((gain**2).sum()), 1e-12))


def misfit(statistics: ReturnStatistics, curves: Mapping[str, str], follow_ups: float = 3.0) -> pd.DataFrame:
    """How far returns are from what fading interest brings, by age.

    Parameters
    ----------
    statistics : ReturnStatistics
    curves : mapping from interest to str
        The curve of each interest, for instance from `compare_curves`.
    follow_ups : float
        As for `fit_half_lives`.

    Returns
    -------
    pandas.DataFrame
        By ``age_half_lives``, where a class of lags begins: ``returns`` to the same interest and the number
        ``expected`` by the fit; visits to ``others`` of the user's interests and the number expected if they
        went on at an even rate; ``z`` and ``others_z``, the differences in standard errors, by users.

    Notes
    -----
    Interests that fade leave each other alone: how often a user goes elsewhere does not depend on how long
    ago he was here. Where a user has one interest at a time, as in the marketplace of regimes, visits
    elsewhere are rare at first. Returns to the same interest alone hardly tell the two apart, since a curve
    can be found that fits; ``z`` is what that fit leaves, so it is smaller than a normal variable.

    Examples
    --------
    >>> from interest_lib.return_counts import return_statistics
    >>> log = pd.DataFrame({"user_id": np.arange(300) // 10, "category": ["tea", "milk"] * 150,
    ...                     "timestamp": pd.date_range("2024-01-01", periods=300, freq="7h")})
    >>> list(misfit(return_statistics(log), {"tea": "power", "milk": "power"}).columns[:3])
    ['returns', 'expected', 'z']
    """
    n_users = len(statistics.user_ids)
    left, sums, ages = np.zeros((n_users, len(_AGES))), np.zeros((2, len(_AGES))), []
    for part, curve in zip(parts_by_interest(statistics), given_curves(statistics, curves), strict=True):
        near = part.within(fit_part(part, curve, follow_ups), REACHES[1])
        fit = fit_part(near, curve, follow_ups)
        expected = near.exposure * (near.member.T @ rates(near, fit, curve, follow_ups)[0])
        into = _age_classes(near.edges_days, fit.log_half_life)
        np.add.at(left, near.user, (near.pairs - expected) @ into)
        sums += np.stack([near.pairs.sum(axis=0), expected.sum(axis=0)]) @ into
        ages.append(fit.log_half_life)
    others = _others(statistics, float(np.median(ages)))
    return pd.DataFrame(
        {
            "returns": sums[0],
            "expected": sums[1],
            "z": _column_z(left),
            "others": others[0].sum(axis=0),
            "others_expected": (others[0] - others[1]).sum(axis=0),
            "others_z": _column_z(others[1]),
        },
        index=pd.Index(_AGES, name="age_half_lives"),
    )


def _age_classes(edges_days: Floats, log_half_life: float) -> Floats:
    """Which class of age each bin of lag belongs to, as a matrix of zeros and ones."""
    middle = (edges_days[1:] + edges_days[:-1]) / 2
    place = np.searchsorted(_AGES, middle / np.exp(log_half_life), side="right") - 1
    return (place[:, None] == np.arange(len(_AGES))).astype(np.float64)


def _others(statistics: ReturnStatistics, log_half_life: float) -> tuple[Floats, Floats]:
    """Visits to other interests by age class, for each user, and what there are more than at an even rate."""
    bins = int(np.searchsorted(statistics.edges_days, REACHES[1] * np.exp(log_half_life)))
    bins = min(max(bins, 8), len(statistics.edges_days) - 1)
    found, seen = np.zeros((2, len(statistics.user_ids), bins))
    np.add.at(found, statistics.user, (statistics.after - statistics.pairs)[:, :bins])
    np.add.at(seen, statistics.user, statistics.exposure[:, :bins])
    even = seen * (found.sum(axis=1) / np.maximum(seen.sum(axis=1), 1e-9))[:, None]
    into = _age_classes(statistics.edges_days[: bins + 1], log_half_life)
    return found @ into, (found - even) @ into


def _column_z(left: Floats) -> Floats:
    return left.sum(axis=0) / np.maximum(np.sqrt((left**2).sum(axis=0)), 1e-12)
