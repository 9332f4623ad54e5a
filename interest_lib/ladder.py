"""All rungs of the ladder side by side: every model learned anew and judged by the same move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

import pandas as pd
from joblib import delayed

from interest_lib.forecasts import Forecaster, scored
from interest_lib.history import Floats
from interest_lib.moves import Move
from interest_lib.processes import all_done
from interest_lib.share_models import ShareRegression
from interest_lib.share_rows import ShareRowStore

Forecasts = dict[str, Floats]


def foretold(
    models: Mapping[str, Forecaster], known: Sequence[Move], judge: Move, n_jobs: int = 1
) -> Forecasts:
    """Forecasts of a move by every model, each learned anew from the moves before it.

    Parameters
    ----------
    models : mapping of str to Forecaster
        They are copied, not changed; rows that several read (`share_rows.ShareRowStore`) are made once.
    known : sequence of Move
        What is learned from.
    judge : Move
        What is foretold; its future is taken away before a model sees it.
    n_jobs : int
        Processes; the forecasts are the same bytes with any number.

    Returns
    -------
    dict of str to ndarray of float, shape (n_users, n_interests), in the order of `models`

    Examples
    --------
    >>> from interest_lib.forecasts import ShrunkShares
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 2], "category": "tea", "weight": 1.0,
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08"])})
    >>> foretold({"pooled": ShrunkShares()}, [], move_at(log, pd.Timestamp("2017-01-02"), 28))
    {'pooled': array([[1.]])}
    """
    asked = replace(judge, future=None)
    ready = _with_rows(models, [*known, asked], n_jobs)
    # from the last to the first, because those that take longest stand last
    tasks = (delayed(_forecast)(model, known, asked) for model in reversed(ready.values()))
    return dict(zip(models, reversed(all_done(tasks, n_jobs)), strict=True))


def _with_rows(models: Mapping[str, Forecaster], moves: Sequence[Move], n_jobs: int) -> dict[str, Forecaster]:
    """Copies of the models; the rows that several of them read are made once."""
    filled: dict[int, ShareRowStore] = {}
    ready = {name: copy(model) for name, model in models.items()}
    for model in ready.values():
        if isinstance(model, ShareRegression) and model.store is not None:
            if id(model.store) not in filled:
                filled[id(model.store)] = model.store.filled(moves, n_jobs)
            model.store = filled[id(model.store)]
    return ready


def _forecast(model: Forecaster, known: Sequence[Move], judge: Move) -> Floats:
    return model.fit(known).predict(judge)


def squared_errors(forecasts: Mapping[str, Floats], judge: Move) -> pd.DataFrame:
    """Squared error x 1000 of each user (rows) by each forecast (columns), summed over interests.

    Examples
    --------
    >>> import numpy as np
    >>> from interest_lib.moves import move_at
    >>> log = pd.DataFrame({"user_id": 1, "basket_id": [1, 2], "category": "tea", "weight": 1.0,
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-08"])})
    >>> squared_errors({"sure": np.ones((1, 1))}, move_at(log, pd.Timestamp("2017-01-02"), 28)).to_dict()
    {'sure': {1: 0.0}}
    """
    came = judge.next_shares  # says so where it is not known
    errors = {name: ((forecast - came) ** 2).sum(axis=1) for name, forecast in forecasts.items()}
    return 1000 * pd.DataFrame(errors, index=judge.user_ids.rename(None))


def scores(forecasts: Mapping[str, Floats], judge: Move) -> pd.DataFrame:
    """Every score of `forecasts.scored`, a row for each forecast."""
    return pd.DataFrame({name: scored(forecast, judge) for name, forecast in forecasts.items()}).T
