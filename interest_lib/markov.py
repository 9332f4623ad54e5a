"""Markov chains of interest: where interests lead, and which of them hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, gammaln, polygamma, psi
from scipy.stats import beta, norm

from interest_lib.history import Floats, Ints
from interest_lib.migration import shares
from interest_lib.schema import InputError

ROLES: Final = ("sticky", "gateway", "passing through", "open")  # see `MarkovChain.roles`

_TINY: Final = 1e-12
_STRENGTHS: Final = (1e-2, 1e7)  # the last is as good as infinite, and logarithms of gamma keep their digits
_N_ITERATIONS: Final = 20  # of expectation and maximisation for soft states; more change next to nothing


class MarkovChain:
    """A Markov chain over interests, maximum a posteriori.

    A row has two parts. How often an interest stays has a Beta prior worth `stay_strength` moves, of which
    the share `stay` stays and the rest goes where moves go overall. Where it leads when it is left has a
    Dirichlet prior worth `strength` moves, spread like the destinations of all. What is not given is learned:
    the values that make all moves together most probable, the rows integrated out (Dirichlet-multinomial, or
    Polya: Minka, 2000). With infinite strengths all rows are alike but for staying, so that the learned ones
    say how much it matters where a move comes from.

    Parameters
    ----------
    strength : float or None
        Moves that the prior of where a row leads is worth.
    stay : float or None
        Share of the prior that stays, from 0 to below 1.
    stay_strength : float or None
        Moves that the prior of staying is worth.

    Attributes
    ----------
    transition_ : ndarray of float, shape (n_interests, n_interests)
        Row = from, column = to.
    moves_ : ndarray of float, same shape
        Moves seen; expected ones where states are soft.
    destinations_ : ndarray of float, shape (n_interests,)
        Where moves lead overall, with one move spread evenly so that nothing is impossible.
    strength_, stay_, stay_strength_ : float
        As given or learned.

    Notes
    -----
    Soft states are shares. Which of a user's interests a later purchase comes from is not seen, and is summed
    over by expectation and maximisation, for the likelihood of ``before @ transition``. To count each pair of
    shares instead, ``before.T @ after``, would find moves between all interests of a user who never changes.

    Examples
    --------
    >>> chain = MarkovChain(strength=2.0, stay=0.0, stay_strength=2.0)
    >>> chain = chain.fit(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    >>> chain.transition_.round(2).tolist(), chain.stationary_.round(2).tolist()
    ([[0.6, 0.4], [0.33, 0.67]], [0.45, 0.55])
    """

    def __init__(
        self, strength: float | None = None, stay: float | None = None, stay_strength: float | None = None
    ) -> None:
        self.strength = strength
        self.stay = stay
        self.stay_strength = stay_strength

    def fit(self, before: Ints | Floats, after: Ints | Floats, n_interests: int | None = None) -> MarkovChain:
        """Learn from moves.

        Parameters
        ----------
        before, after : ndarray of int, shape (n_moves,), or ndarray of float, shape (n_moves, n_interests)
            State before and after each move. Soft states: shares before, and shares or purchases after; what
            is after counts with its sum.
        n_interests : int or None
            Number of states; needed for hard ones whose last does not occur.

        Raises
        ------
        InputError
            There is no move, or the two differ in shape.
        """
        if before.shape != after.shape or not before.size:
            raise InputError(
                f"The states before and after have the shapes {before.shape} and {after.shape}: "
                "give the same moves for both, at least one."
            )
        if before.ndim == 1:
            width = n_interests or int(max(before.max(), after.max())) + 1
            cells = before.astype(np.int64) * width + after.astype(np.int64)
            return self._learn(np.bincount(cells, minlength=width**2).reshape(width, width).astype(float))
        self.transition_ = 0.9 * np.eye(after.shape[1]) + 0.1 * shares(after.sum(axis=0))
        for _ in range(_N_ITERATIONS):
            came = before.T @ (after / np.maximum(before @ self.transition_, _TINY))
            self._learn(self.transition_ * came)
        return self

    def _learn(self, moves: Floats) -> MarkovChain:
        self.moves_ = moves
        self.destinations_ = shares(moves.sum(axis=0) + 1.0 / len(moves))
        self.stay_, self.stay_strength_ = self._learned_staying()
        self.strength_ = self._learned_strength()
        stays = shares(self._staying(self.stay_, self.stay_strength_)[0])
        onward = shares(self._leading_on(self.strength_)[0])
        self.transition_ = np.diag(stays[:, 0]) + stays[:, 1:] * onward
        return self

    def _learned_staying(self) -> tuple[float, float]:
        def at(point: Floats) -> tuple[float, float]:
            stay = expit(point[0]) if self.stay is None else self.stay
            return float(stay), _strength(point[1]) if self.stay_strength is None else self.stay_strength

        start = np.array([-1.0, 3.0])
        if self.stay is None or self.stay_strength is None:
            start = minimize(lambda point: -self._staying(*at(point))[1], start, method="Nelder-Mead").x
        return at(start)

    def _learned_strength(self) -> float:
        if self.strength is not None:
            return self.strength
        bounds = np.log(_STRENGTHS)
        found = minimize_scalar(
            lambda log: -self._leading_on(_strength(log))[1], bounds=bounds, method="bounded"
        )
        return _strength(found.x)

    def _staying(self, stay: float, strength: float) -> tuple[Floats, float]:
        """Posterior weights of staying and of leaving, a row for each interest, and the log evidence."""
        own = self.moves_.diagonal()
        stays = stay + (1 - stay) * self.destinations_
        seen = np.column_stack([own, self.moves_.sum(axis=1) - own])
        return _posterior(seen, np.column_stack([stays, 1 - stays]), strength)

    def _leading_on(self, strength: float) -> tuple[Floats, float]:
        """The same of the interests that each one leads to when it is left."""
        off = 1 - np.eye(len(self.moves_))
        return _posterior(self.moves_ * off, shares(self.destinations_ * off), strength)

    @property
    def log_evidence_(self) -> float:
        """Log probability of all moves under the prior, the rows integrated out."""
        return self._staying(self.stay_, self.stay_strength_)[1] + self._leading_on(self.strength_)[1]

    @property
    def stationary_(self) -> Floats:
        """Shares that the chain leads to in the long run, shape (n_interests,)."""
        width = len(self.transition_)
        balance = np.vstack([self.transition_.T - np.eye(width), np.ones(width)])
        found = np.linalg.lstsq(balance, np.append(np.zeros(width), 1.0), rcond=None)[0]
        return shares(np.maximum(found, 0.0))

    @property
    def sojourn_periods_(self) -> Floats:
        """Expected number of periods until each interest is left, shape (n_interests,)."""
        return np.asarray(1 / np.maximum(1 - self.transition_.diagonal(), _TINY))

    def roles(self, names: Sequence[str], level: float = 0.95) -> pd.DataFrame:
        """What the chain says of each interest.

        Parameters
        ----------
        names : sequence of str
            One for each interest.
        level : float
            Of the intervals.

        Returns
        -------
        pandas.DataFrame
            One row per interest, index ``interest``: ``moves`` seen from it; ``stays`` with ``low`` and
            ``high`` (posterior, Beta); ``by_chance``, the share of all moves that lead to it; ``lift``, stays
            over chance; ``typical``, what the prior expects to stay; ``sojourn_periods``; ``long_run``, its
            share in the long run; ``onward``, the effective number of interests (the exponential of the
            entropy) it leads to when it is left, and ``onward_by_chance``, the same for a row that is like
            the destinations of all; ``role``.

        Notes
        -----
        *sticky*: stays more than its share of the destinations and the general tendency to stay explain
        (`typical`), the whole interval above. *gateway*: not sticky, and leads on to more interests than
        chance, by the posterior of the entropy (Wolpert and Wolf, 1995). *passing through*: neither, and the
        whole interval below `typical`. *open*: too few moves to say, or nothing that stands out.

        Examples
        --------
        >>> before, after = np.repeat([0, 1, 2], [40, 40, 40]), np.repeat([0, 1, 2, 1], [35, 5, 40, 40])
        >>> chain = MarkovChain(1.0, stay=0.0, stay_strength=1.0).fit(before, after)
        >>> chain.roles(["tea", "milk", "ham"])["role"].tolist()
        ['sticky', 'passing through', 'passing through']
        """
        own, gone = self._staying(self.stay_, self.stay_strength_)[0].T
        low, high = beta.ppf([[(1 - level) / 2], [(1 + level) / 2]], own, gone)
        onward, error = _entropy(left := self._leading_on(self.strength_)[0])
        like_all = shares(self.destinations_ * (left > 0)) * left.sum(axis=1, keepdims=True)
        onward_by_chance, _ = _entropy(like_all)
        typical = self.stay_ + (1 - self.stay_) * self.destinations_
        wide = onward + norm.ppf((1 - level) / 2) * error > onward_by_chance
        return pd.DataFrame(
            {
                "moves": self.moves_.sum(axis=1),
                "stays": self.transition_.diagonal(),
                "low": low,
                "high": high,
                "by_chance": self.destinations_,
                "lift": self.transition_.diagonal() / self.destinations_,
                "typical": typical,
                "sojourn_periods": self.sojourn_periods_,
                "long_run": self.stationary_,
                "onward": np.exp(onward),
                "onward_by_chance": np.exp(onward_by_chance),
                "role": np.select([low > typical, wide, high < typical], ROLES[:3], ROLES[3]),
            },
            index=pd.Index(names, name="interest"),
        )


def _posterior(seen: Floats, expected: Floats, strength: float) -> tuple[Floats, float]:
    """Weights of Dirichlet posteriors, a row each, and the log probability of what was seen."""
    strength = min(strength, _STRENGTHS[1])
    prior = strength * expected
    cells = seen > 0
    inside = (gammaln(prior[cells] + seen[cells]) - gammaln(prior[cells])).sum()
    rows = (gammaln(strength) - gammaln(strength + seen.sum(axis=1))).sum()
    return seen + prior, float(rows + inside)


def _strength(log: float) -> float:
    return float(np.clip(np.exp(log), *_STRENGTHS))


def _entropy(weights: Floats) -> tuple[Floats, Floats]:
    """Posterior mean and standard deviation, in nats, of the entropy of rows with Dirichlet posteriors."""
    total = weights.sum(axis=1, keepdims=True)
    mean = psi(total + 1)[:, 0] - (weights * psi(weights + 1)).sum(axis=1) / total[:, 0]
    one, two = psi(weights + 1) - psi(total + 2), psi(weights + 2) - psi(total + 2)
    pairs = (weights * one).sum(axis=1) ** 2 - (weights**2 * one**2).sum(axis=1)
    pairs -= polygamma(1, total + 2)[:, 0] * (total[:, 0] ** 2 - (weights**2).sum(axis=1))
    same = (weights * (weights + 1) * (two**2 + polygamma(1, weights + 2))).sum(axis=1)
    same -= polygamma(1, total + 2)[:, 0] * (weights * (weights + 1)).sum(axis=1)
    square = (pairs + same) / (total * (total + 1))[:, 0]
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))
