"""Forward and backward through visits: which regimes are expected behind them, given all visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interest_lib.history import Floats, Ints
from interest_lib.visits import Visits

Singles = npt.NDArray[np.float32]  # half the memory, and nothing here needs more digits


@dataclass(frozen=True)
class Expected:
    """What is expected to have happened, given all visits.

    Attributes
    ----------
    jumps, moves : ndarray of float, shape (n_interests, n_interests)
        Changes by the matrix, and all changes.
    taste_jumps : ndarray of float, shape (n_users, n_interests)
        Changes by taste, by the interest that they lead to.
    strays : ndarray of float, shape (n_visits,)
        Probability of each visit that it followed the taste.
    gap_days : float
        Days between visits, all together.
    log_likelihood : float
        Of the visits, in nats.
    regime : ndarray of int, shape (n_visits,)
        The most probable one at each visit.
    last : ndarray of float, shape (n_users, n_interests)
        Probability of each regime at the last visit of each user.
    """

    jumps: Floats
    moves: Floats
    taste_jumps: Floats
    strays: Floats
    gap_days: float
    log_likelihood: float
    regime: Ints
    last: Floats

    def draws(self, visits: Visits) -> Floats:
        """Visits and changes that followed the taste, by user and interest."""
        draws = self.taste_jumps.copy()
        np.add.at(draws, (visits.user, visits.interest), self.strays)
        return draws


def expected_regimes(
    visits: Visits,
    tastes: Floats,
    transition: Floats,
    transition_share: float,
    regime_share: float,
    sojourn_days: float,
) -> Expected:
    """Regimes behind visits and their changes, as expected under known numbers.

    Parameters
    ----------
    visits : Visits
    tastes : ndarray of float, shape (n_users, n_interests)
    transition : ndarray of float, shape (n_interests, n_interests)
        Where the matrix leads; rows add up to one.
    transition_share, regime_share, sojourn_days : float
        As learned by `regimes.RegimeModel`.

    Returns
    -------
    Expected

    Notes
    -----
    The first visits of all users go through together, then the second ones, and so on.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.visits import visits_to_interests
    >>> days = pd.to_datetime("2024-01-01") + pd.to_timedelta([0, 1, 2], unit="D")
    >>> log = pd.DataFrame({"user_id": 1, "timestamp": days, "category": ["tea", "tea", "ham"]})
    >>> visits = visits_to_interests(log)
    >>> expected_regimes(visits, np.full((1, 2), 0.5), np.full((2, 2), 0.5), 0.5, 0.7, 30.0).regime
    array([1, 1, 1])
    """
    rows = _Rows.of(visits)
    odds = _Odds(
        tastes=tastes[rows.user[: rows.number[0]]].astype(np.float32),
        matrix=transition.astype(np.float32),
        by_matrix=transition_share,
        by_regime=regime_share,
        hazard=-np.expm1(-np.maximum(rows.gap, 1e-3) / sojourn_days).astype(np.float32)[:, None],
        stray=((1 - regime_share) * tastes[rows.user, rows.interest]).astype(np.float32)[:, None],
    )
    state, scale = _forward(rows, odds)
    return _backward(rows, odds, state, scale, transition)


@dataclass(frozen=True)
class _Rows:
    """Visits in the order of their number within the user, users with most visits first."""

    user: Ints
    interest: Ints
    gap: Floats  # days since the visit before
    place: Ints  # of each visit of `Visits` in this order
    last: Ints  # place of the last visit of each user in this order
    number: list[int]  # users with so many visits
    offset: Ints

    @classmethod
    def of(cls, visits: Visits) -> _Rows:
        count = np.bincount(visits.user)
        rank = np.empty(len(count), dtype=np.int64)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
        step = np.arange(len(visits.user)) - visits.first[visits.user]
        number = np.bincount(step)
        offset = np.append(0, np.cumsum(number))
        place = offset[step] + rank[visits.user]
        order = np.argsort(place)
        gap = np.where(step > 0, np.diff(visits.day, prepend=0.0), 0.0)
        last, user, interest = place[visits.last], visits.user[order], visits.interest[order]
        return cls(user, interest, gap[order], place, last, number.tolist(), offset)

    def at(self, step: int) -> slice:
        return slice(self.offset[step], self.offset[step + 1])

    def before(self, step: int) -> slice:
        """The visits before those of a step, in the same order."""
        return slice(self.offset[step - 1], self.offset[step - 1] + self.number[step])


@dataclass(frozen=True)
class _Odds:
    """What happens how often; users and visits in the order of `_Rows`."""

    tastes: Singles
    matrix: Singles
    by_matrix: float  # share of the changes
    by_regime: float  # share of the visits
    hazard: Singles  # of a change before each visit
    stray: Singles  # probability of each visit by the taste alone

    def likely(self, rows: _Rows, step: int) -> Singles:
        """Probability of the visits of a step, by regime."""
        now, n = rows.at(step), rows.number[step]
        likely = np.tile(self.stray[now], (1, len(self.matrix)))
        likely[np.arange(n), rows.interest[now]] += self.by_regime
        return likely


def _forward(rows: _Rows, odds: _Odds) -> tuple[Singles, Singles]:
    """Probability of each regime after each visit given those so far, and of the visit given those before."""
    state = np.empty((len(rows.user), len(odds.matrix)), dtype=np.float32)
    scale = np.empty((len(rows.user), 1), dtype=np.float32)
    state[rows.at(0)] = odds.tastes
    m = odds.by_matrix
    for step, n in enumerate(rows.number):
        now = rows.at(step)
        if step:
            before = state[rows.before(step)]
            led = m * (before @ odds.matrix) + (1 - m) * odds.tastes[:n]
            state[now] = before + odds.hazard[now] * (led - before)
        state[now] *= odds.likely(rows, step)
        scale[now] = state[now].sum(axis=1, keepdims=True)
        state[now] /= scale[now]
    return state, scale


def _backward(rows: _Rows, odds: _Odds, state: Singles, scale: Singles, transition: Floats) -> Expected:
    m, r = odds.by_matrix, odds.by_regime
    jumps, by_own = np.zeros(odds.matrix.shape), np.zeros(odds.matrix.shape)
    taste_jumps = np.zeros(odds.tastes.shape)
    own, regime = np.empty(len(scale)), np.empty(len(scale), dtype=np.int64)
    rest = np.ones_like(odds.tastes)  # how likely all later visits are, by the regime at this one
    for step in range(len(rows.number) - 1, -1, -1):
        now, n = rows.at(step), rows.number[step]
        is_in = state[now] * rest[:n]
        own[now], regime[now] = is_in[np.arange(n), rows.interest[now]], is_in.argmax(axis=1)
        if step == 0:
            break
        ahead = rest[:n] * odds.likely(rows, step) / scale[now]
        h, left = odds.hazard[now], odds.hazard[now] * state[rows.before(step)]
        taste = (1 - m) * odds.tastes[:n] * ahead
        jumps += left.T @ ahead
        by_own += left.T @ taste
        taste_jumps[:n] += h * taste
        led = m * (ahead @ odds.matrix.T) + taste.sum(axis=1, keepdims=True)
        rest[:n] = ahead + h * (led - ahead)
    jumps *= m * transition
    stray = 1 - own * r / (r + odds.stray[:, 0])  # at the visited interest, by regime or by taste
    back = np.empty_like(taste_jumps)
    back[rows.user[: rows.number[0]]] = taste_jumps
    return Expected(
        jumps=jumps,
        moves=jumps + by_own,
        taste_jumps=back,
        strays=stray[rows.place],
        gap_days=float(rows.gap.sum()),
        log_likelihood=float(np.log(scale.astype(np.float64)).sum()),
        regime=regime[rows.place],
        last=state[rows.last].astype(np.float64),
    )
