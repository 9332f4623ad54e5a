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

TUNED: Final[Mapping[str, Settings]] = {
    "markov_raw": {"half_life_days": 184.0, "strength": 6.16, "stay": 0.917},
    "markov": {"half_life_days": 158.0, "strength": 2.2, "stay": 0.936, "shrinkage": 20.4},
    "loglinear": {
        "half_lives_days": (14.0, 60.0, 240.0),
        "own_penalty": 8.29,
        "learning_rate": 0.0015,
        "batch_size": 64,
    },
    "softmax": {
        "half_lives_days": (30.0, 120.0),
        "own_penalty": 10.0,
        "learning_rate": 0.003,
        "batch_size": 128,
        "rank": 8,
        "penalty": 1.0,
        "gate": False,
    },
    "lstm": {
        "rank": 32,
        "penalty": 0.249,
        "n_last": 80,
        "n_hidden": 48,
        "next_visit": 0.428,
        "own_penalty": 147.0,
        "learning_rate": 0.00869,
    },
    "ridge": {"alpha": 111.0},
    "tree": {"max_leaf_nodes": 77, "min_samples_leaf": 794, "max_features": 0.6},
    "svm": {"C": 0.616, "epsilon": 0.00691, "gamma": 0.00571},
    "mlp": {
        "hidden_layer_sizes": (64, 32),
        "alpha": 3.0,
        "learning_rate_init": 0.002,
        "batch_size": 2048,
        "max_iter": 12,
    },
    "boosting": {
        "learning_rate": 0.163,
        "max_iter": 97,
        "max_leaf_nodes": 16,
        "min_samples_leaf": 59,
        "l2_regularization": 145.0,
        "max_features": 0.34,
    },
}
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


def title(name: str) -> str:
    """Name of a rung as it is written in a picture.

    Examples
    --------
    >>> title("svm"), title("markov_raw"), title("regimes, rows alike")
    ('SVM', 'Markov, raw', 'Regimes, rows alike')
    """
    return name.upper() if name in ("svm", "mlp", "lstm") else name.replace("_", ", ").capitalize()
