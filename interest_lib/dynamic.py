"""Dynamic decay: a neural network sets the rate and the weight of every pair, trained on who came back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.pair_records import CLOCK, pair_records
from interest_lib.rate_network import (
    START,
    Block,
    RateNetwork,
    mixture_half_life,
    one_thread,
    predict,
    standardise,
    train,
)
from interest_lib.recommend import InterestRecommender
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
        self.random_state = random_state

    def _learn(self, history: History) -> None:
        if not self.rates and not self.weights:
            self.interest_ = decayed_counts(history, self.half_life_days, self.half_life_baskets)
            return
        categories, _ = category_codes(history, self.item_category)
        now = window_before(history, 0, self.horizon_days, self.horizon_baskets)
        past = training_windows(history, self.n_origins, self.horizon_days, self.horizon_baskets)
        horizon = float(self.horizon_days or self.horizon_baskets or 0)
        blocks, names = [], [""]
        for window in [*past, now]:
            features, names = pair_records(window, len(history.user_ids), categories, horizon)
            blocks.append(_block(window, features, categories, self._grid()))
        del past
        standardise(blocks)
        with one_thread():
            network = self._trained(blocks[:-1], names, int(categories.max()) + 1)
            found = predict(network, blocks[-1])
        self._keep(now, found, history)

    def _grid(self) -> tuple[float, ...]:
        """Half-lives that the network mixes, or the fixed one alone."""
        if self.rates:
            return BASKETS if self.horizon_days is None else DAYS
        fixed = self.half_life_baskets if self.horizon_days is None else self.half_life_days
        return (math.inf if fixed is None else fixed,)

    def _trained(self, blocks: list[Block], names: list[str], n_categories: int) -> RateNetwork:
        """A network trained on all blocks, for as long as was best for the newest when it was left out."""
        self.n_epochs_ = self.n_epochs
        for rehearsal in (True, False) if len(blocks) > 1 else (False,):
            torch.manual_seed(self.random_state)
            network = self._network(blocks, names, n_categories)
            judge = blocks[0] if rehearsal else None
            losses = train(network, blocks[rehearsal:], self.n_epochs_, self.random_state, judge)
            if rehearsal:
                self.n_epochs_ = int(np.argmin(losses)) + 1
        return network

    def _network(self, blocks: list[Block], names: list[str], n_categories: int) -> RateNetwork:
        start = min(START, len(self._grid()) - 1)
        returns = sum(float(block.returned.sum()) for block in blocks)
        interest = sum(float(block.sums[:, start].sum(dtype=torch.float64)) for block in blocks)
        return RateNetwork(
            [self.clock or name not in CLOCK for name in names],
            # without weights the scale is that of the user, which changes no ranking
            [name not in CLOCK and (self.weights or name.startswith("user_")) for name in names],
            n_categories,
            len(self._grid()),
            self.weights,
            math.log(returns / interest),
        )

    def _keep(self, now: Window, found: tuple[Floats, Floats, Floats], history: History) -> None:
        log_interest, log_weight, shares = found
        places = np.divmod(now.cells, history.shape[1])
        # what was returned leaves no interest behind
        interest = np.where(now.sums((math.inf,))[:, 0] > 0, np.exp(log_interest), 0.0)
        self.pairs_ = pd.DataFrame(
            {
                "row": places[0],
                "col": places[1],
                "interest": interest,
                "weight": np.exp(log_weight),
                "half_life": mixture_half_life(shares, self._grid()),
            }
        )
        self.interest_ = sp.csr_matrix((interest, places), shape=history.shape)
        self.interest_.eliminate_zeros()


def _block(
    window: Window, features: npt.NDArray[np.float32], categories: Ints, grid: Sequence[float]
) -> Block:
    """Pairs of a window as tensors; in training only those of users who came back to anything."""
    here = slice(None) if window.active is None else window.active
    returned = np.zeros(len(window.cells)) if window.returned is None else window.returned
    category = categories[window.cells % len(categories)]
    return Block(
        torch.from_numpy(features[here]),
        torch.from_numpy(category[here]),
        torch.from_numpy(window.sums(grid)[here].astype(np.float32)),
        torch.from_numpy(returned[here].astype(np.float32)),
    )
