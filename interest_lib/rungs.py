"""The rungs of the ladder that learn, with the settings that won among equally many trials each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from interest_lib.forecasts import Forecaster
from interest_lib.markov_forecast import MarkovForecast
from interest_lib.share_models import KINDS, ShareRegression
from interest_lib.share_rows import ShareRowStore
from interest_lib.softmax_move import SoftmaxMove
from interest_lib.visit_sequence import VisitForecast

Settings = Mapping[str, Any]

CHAINS: Final[Mapping[str, Settings]] = {"markov_raw": {"shrinkage": 0.0}, "markov": {}}
NETWORKS: Final[Mapping[str, tuple[Callable[..., Forecaster], Settings]]] = {
    "loglinear": (SoftmaxMove, {"rank": 0}),
    "softmax": (SoftmaxMove, {}),
    "lstm": (VisitForecast, {}),
}
LEARNED: Final = (*CHAINS, *NETWORKS, *KINDS)
"""Names of the rungs that learn from earlier moves."""

PATIENCE: Final = 5  # passes without a gain after which a network stops, the same for all

TUNED: Final[Mapping[str, Settings]] = {}
"""Settings of each rung that foretold the third quarter of Complete Journey best; the rest are defaults.

A test compares them with the log of the trials, ``benchmarks/results/tune_moves.csv``, which ``make tune``
writes; `learner` takes others for another log.
"""


def learner(
    name: str,
    settings: Settings,
    store: ShareRowStore,
    random_state: int = 0,
    n_epochs: int = 60,
) -> Forecaster:
    """A rung of the ladder, not fitted.

    Parameters
    ----------
    name : str
        One of `LEARNED`.
    settings : mapping of str to value
        Parameters of its class, or of the scikit-learn model of a regression; the others are defaults.
    store : ShareRowStore
        Rows of the regressions; its base is what all but the chains correct.
    random_state : int
        Seed of what is drawn.
    n_epochs : int
        Passes of a network over the users, at most.

    Examples
    --------
    >>> learner("softmax", {"rank": 4}, ShareRowStore()).get_params()["rank"]
    4
    """
    if name in KINDS:
        return ShareRegression(name, settings=settings, store=store, random_state=random_state)
    if name in CHAINS:
        return MarkovForecast(**{**CHAINS[name], **settings})
    make, fixed = NETWORKS[name]
    stops = {"n_networks": 1, "n_epochs": n_epochs, "patience": PATIENCE, "random_state": random_state}
    return make(store.base, **{**stops, **fixed, **settings})


def learners(base: Forecaster, random_state: int = 0, n_epochs: int = 60) -> dict[str, Forecaster]:
    """All rungs that learn, with the settings of `TUNED`; the regressions share their rows.

    Parameters
    ----------
    base : Forecaster
        What all but the chains correct.
    random_state, n_epochs
        As for `learner`.

    Examples
    --------
    >>> from interest_lib.forecasts import ShrunkShares
    >>> list(learners(ShrunkShares(strength=80)))[:4]
    ['markov_raw', 'markov', 'loglinear', 'softmax']
    """
    store = ShareRowStore(base)
    return {name: learner(name, TUNED.get(name, {}), store, random_state, n_epochs) for name in LEARNED}
