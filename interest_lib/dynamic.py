"""Dynamic decay: a neural network sets the rate and the weight of every pair, trained on who came back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

from interest_lib.decay import decayed_counts
from interest_lib.history import Bools, Floats, History, Ints
from interest_lib.pair_records import CLOCK, pair_records
from interest_lib.rate_network import (
    START,
    Block,
    RateNetwork,
    Training,
    mixture_half_life,
    one_thread,
    predict,
    standardise,
    train,
)
from interest_lib.recommend import InterestRecommender
from interest_lib.schema import InputError
from interest_lib.windows import Window, category_codes, training_windows, window_before

DAYS = (7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0, math.inf)
BASKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, math.inf)


class DynamicDecay(InterestRecommender):
    """Interest whose rate and weight depend on user, category, context and time, by a neural network.

    A pair of user and product comes back within the horizon with probability ``1 - exp(-interest)``. The
    network is trained by that likelihood on moments inside the history, each a horizon before the other; the
    number of epochs is chosen on the newest of them, which the first training does not see.

    Parameters
    ----------
    item_category : pandas.Series
        Category by item id.
    rates : bool
        Whether the rate is learned; if not, every event fades with the given half-life.
    weights : bool
        Whether pairs have weights. With neither rates nor weights this is `recommend.PersonalFrequency`.
    clock : bool
        Whether the rate may read how much time has passed since the user's events. If not, it stands still
        between the user's events, and its half-life is that of the whole curve.
    half_life_days, half_life_baskets : float or None
        The fixed half-life where `rates` is False, in the unit of the horizon; None for no decay.
    horizon_days, horizon_baskets : float or None
        Length of the period in which coming back counts, in one of the two units.
    n_origins : int
        Moments inside the history to learn from.
    n_epochs : int
        Passes over the pairs at most.
    learning_rate : float
        Largest step of the optimiser.
    weight_decay : float
        How strongly the optimiser pulls the network's weights to zero.
    batch_size : int
        Pairs in a step of the optimiser.
    n_hidden : int
        Width of the network's first hidden layer; the second has half of it.
    n_embedding : int
        Coordinates of a category.
    random_state : int
        Seed of start values and batches.

    Attributes
    ----------
    pairs_ : pandas.DataFrame
        Every pair of the history: ``row``, ``col`` (codes of user and item), ``interest`` (returns expected
        in the horizon), ``weight`` and ``half_life`` (age at which half of an event is left, in the unit of
        the horizon).
    n_epochs_ : int
        Passes that were made.

    Notes
    -----
    `P = 1 - exp(-interest)` is a Poisson process that is seen only through whether anything happened. A
    weight does not read how much time has passed since the user's events. With `clock` a rate does: its
    half-life is the one that holds now, and for an old pair, of which little is left, hardly determined.
    Sums on a grid of half-lives can be kept up in O(1) per event.
    """

    def __init__(
        self,
        item_category: pd.Series,
        rates: bool = True,
        weights: bool = True,
        clock: bool = True,
        half_life_days: float | None = None,
        half_life_baskets: float | None = None,
        horizon_days: float | None = 28.0,
        horizon_baskets: float | None = None,
        n_origins: int = 3,
        n_epochs: int = 4,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-5,
        batch_size: int = 8192,
        n_hidden: int = 64,
        n_embedding: int = 8,
        random_state: int = 0,
    ) -> None:
        self.item_category = item_category
        self.rates = rates
        self.weights = weights
        self.clock = clock
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.horizon_days = horizon_days
        self.horizon_baskets = horizon_baskets
        self.n_origins = n_origins
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_hidden = n_hidden
        self.n_embedding = n_embedding
        self.random_state = random_state

    def _learn(self, history: History) -> None:
        if not self.rates and not self.weights:
            self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets)
            return
        self._check()
        categories, _ = category_codes(history, self.item_category)
        now = window_before(history, 0, self.horizon_days, self.horizon_baskets)
        past = training_windows(history, self.n_origins, self.horizon_days, self.horizon_baskets)
        every, moments, names = self._pairs([*past, now], len(history.user_ids), categories)
        del past
        with one_thread():
            told = every[: moments[-1].start]
            network = self._trained(told, moments[:-1], names, int(categories.max()) + 1)
            found = predict(network, every[moments[-1]])
        del every, told
        self._keep(now, found, history)

    def _check(self) -> None:
        least = {"n_epochs": 1, "learning_rate": 0.0, "batch_size": 1, "n_hidden": 2, "n_embedding": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise InputError(f"DynamicDecay's {name} is {getattr(self, name)}: give {bound:g} or more.")

    def _grid(self) -> tuple[float, ...]:
        """Half-lives that the network mixes, or the fixed one alone."""
        if self.rates:
            return BASKETS if self.horizon_days is None else DAYS
        fixed = self.half_life_baskets if self.horizon_days is None else self.half_life_days
        return (math.inf if fixed is None else fixed,)

    def _pairs(
        self, windows: list[Window], n_users: int, categories: Ints
    ) -> tuple[Block, list[slice], list[str]]:
        """The pairs of all windows in one piece of memory, standardised; the place of each; the features."""
        horizon = float(self.horizon_days or self.horizon_baskets or 0)
        told = [slice(None) if window.active is None else window.active for window in windows]
        ends = np.cumsum([len(w.cells[here]) for w, here in zip(windows, told, strict=True)]).tolist()
        moments = [slice(start, end) for start, end in pairwise([0, *ends])]
        for window, here, moment in zip(windows, told, moments, strict=True):
            features, names = pair_records(window, n_users, categories, horizon)
            if not moment.start:
                every = _room(ends[-1], len(names), len(self._grid()))
            _fill(every[moment], window, here, features[here], categories, self._grid())
        standardise([every[moment] for moment in moments])
        return every, moments, names

    def _trained(self, told: Block, moments: list[slice], names: list[str], n_categories: int) -> RateNetwork:
        """A network trained on all moments, for as long as was best for the newest when it was left out."""
        how = Training(self.learning_rate, self.weight_decay, self.batch_size)
        newest = moments[0].stop
        self.n_epochs_ = self.n_epochs
        for rehearsal in (True, False) if len(moments) > 1 else (False,):
            torch.manual_seed(self.random_state)
            network = self._network(told, moments, names, n_categories)
            pairs, judge = (told[newest:], told[:newest]) if rehearsal else (told, None)
            losses = train(network, pairs, self.n_epochs_, self.random_state, judge, how)
            if rehearsal:
                self.n_epochs_ = int(np.argmin(losses)) + 1
        return network

    def _network(self, told: Block, moments: list[slice], names: list[str], n_categories: int) -> RateNetwork:
        start = min(START, len(self._grid()) - 1)
        returns = float(told.returned.sum(dtype=torch.float64))
        interest = sum(float(told.sums[moment, start].sum(dtype=torch.float64)) for moment in moments)
        return RateNetwork(
            [self.clock or name not in CLOCK for name in names],
            # without weights the scale is that of the user, which changes no ranking
            [name not in CLOCK and (self.weights or name.startswith("user_")) for name in names],
            n_categories,
            len(self._grid()),
            self.weights,
            math.log(returns / interest),
            self.n_hidden,
            self.n_embedding,
        )

    def _keep(self, now: Window, found: tuple[Floats, Floats, Floats], history: History) -> None:
        log_interest, log_weight, self._shares = found
        places = np.divmod(now.cells, history.shape[1])
        # what was returned leaves no interest behind
        interest = np.where(now.sums((math.inf,))[:, 0] > 0, np.exp(log_interest), 0.0)
        self._pairs_but_half_life = pd.DataFrame(
            {"row": places[0], "col": places[1], "interest": interest, "weight": np.exp(log_weight)}
        )
        self.interest_ = sp.csr_matrix((interest, places), shape=history.shape)
        self.interest_.eliminate_zeros()

    @property
    def pairs_(self) -> pd.DataFrame:
        """As said at the class; half-lives take a while and are worked out when they are asked for."""
        half_life = mixture_half_life(self._shares, self._grid())
        return self._pairs_but_half_life.assign(half_life=half_life)


def _room(n_pairs: int, n_features: int, n_rates: int) -> Block:
    return Block(
        torch.empty(n_pairs, n_features),
        torch.empty(n_pairs, dtype=torch.int64),
        torch.empty(n_pairs, n_rates),
        torch.empty(n_pairs),
    )


def _fill(
    block: Block,
    window: Window,
    here: Bools | slice,
    features: npt.NDArray[np.float32],
    categories: Ints,
    grid: Sequence[float],
) -> None:
    """Pairs of a window as tensors; in training only those of users who came back to anything."""
    block.features.copy_(torch.from_numpy(features))
    block.categories.copy_(torch.from_numpy(categories[window.cells[here] % len(categories)]))
    for j, half_life in enumerate(grid):
        block.sums[:, j].copy_(torch.from_numpy(window.decayed(half_life)[here]))
    returned = np.zeros(len(window.cells)) if window.returned is None else window.returned
    block.returned.copy_(torch.from_numpy(returned[here]))
