"""Work spread over processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from joblib import Parallel


def all_done(tasks: Iterable[Any], n_jobs: int) -> list[Any]:
    """What the tasks give, in their order; one at a time goes to whichever process is free.

    Parameters
    ----------
    tasks : iterable of joblib.delayed
    n_jobs : int
        Processes; 1 works in this one.

    Examples
    --------
    >>> from joblib import delayed
    >>> all_done((delayed(abs)(number) for number in (-2, 1)), n_jobs=1)
    [2, 1]
    """
    with warnings.catch_warnings():
        # a process that has grown large is replaced after its task, and nothing is lost
        warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
        return list(Parallel(n_jobs=n_jobs, batch_size=1)(tasks))
