"""Work spread over processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from joblib import Parallel, delayed
from joblib.externals.loky import process_executor

GROWTH_BYTES: Final = 3_000_000_000


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
    roomy = (delayed(_done)(*task) for task in tasks)
    with warnings.catch_warnings():
        # a process that has grown too large is replaced after its task, and nothing is lost
        warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
        return list(Parallel(n_jobs=n_jobs, batch_size=1)(roomy))


def _done(work: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """One task, in a process that may grow: a new one would spend seconds on its imports.

    joblib replaces a process that is 300 MB larger than after its first task, which one move's rows are.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = GROWTH_BYTES
    return work(*args, **named)
