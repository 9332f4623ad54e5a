"""Does a representation learned on other users save training, and when has it paid for itself?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from interest_lib.history import Ints, codes
from interest_lib.interest_network import Fitting, InterestNetwork, UserRows, fit
from interest_lib.metrics import Interval
from interest_lib.newcomer_models import Trained
from interest_lib.newcomer_rows import rows_of, stacked
from interest_lib.transfer import NewUserTask


@dataclass(frozen=True)
class HeadStart:
    """Training of newcomers' networks from different starts, judged by other newcomers.

    Attributes
    ----------
    losses : dict of str to list of float
        Loss before the first epoch and after each: ``nothing``, ``representation`` (the source's encoder, a
        new head) and ``everything`` (its head as well).
    n_rows : int
        Rows in an epoch.
    """

    losses: dict[str, list[float]]
    n_rows: int

    def rows_to_level(self, start: str) -> float:
        """Rows read until the loss is as low as training from nothing ever gets; infinite if it never is."""
        return self.n_rows * epochs_to(self.losses[start], min(self.losses["nothing"]))


def epochs_to(losses: Sequence[float], level: float) -> float:
    """Epochs until a loss first reaches a level, in between by a straight line; infinite if it never does.

    Examples
    --------
    >>> epochs_to([3.0, 2.0, 1.0], 1.5), epochs_to([3.0, 2.0], 1.0), epochs_to([3.0, 2.0], 4.0)
    (1.5, inf, 0.0)
    """
    values = np.asarray(losses)
    reached = np.flatnonzero(values <= level)
    if not len(reached):
        return float("inf")
    first = int(reached[0])
    if first == 0:
        return 0.0
    above, below = values[first - 1], values[first]
    return float(first - 1 + (above - level) / (above - below))


def head_start(
    task: NewUserTask, source: Trained, n_products: int, how: Fitting, seed: int, n_baskets: int = 5
) -> HeadStart:
    """Train networks for half of the newcomers on their own first baskets; the other half judges.

    The learners' first 0, 1 and 2 baskets foretell the rest of their first `n_baskets`; those who judge are
    asked for their later targets after one basket. New encoders and heads begin with random weights.

    Parameters
    ----------
    task : NewUserTask
    source : Trained
        A network with a head for new users, trained on the source users alone.
    n_products : int
        As in training.
    how : Fitting
        The same for all starts.
    seed : int
        Of the halves and of the training.
    n_baskets : int
        First baskets of the learners that are known.
    """
    half = np.random.default_rng(seed).permutation(len(task.user_ids)) % 2 == 0
    rows = _first_baskets(task, np.flatnonzero(half), n_products, n_baskets)
    judge = _asked(task, np.flatnonzero(~half), n_products)
    how = replace(how, judged_task="products", patience=0)
    losses = {}
    for start in ("nothing", "representation", "everything"):
        network = _started(source, rows, start, seed)
        losses[start] = fit(network, rows, judge, how, seed)
    return HeadStart(losses, len(rows))


def _first_baskets(task: NewUserTask, users: Ints, n_products: int, n_baskets: int) -> UserRows:
    """What the learners' first 0, 1 and 2 baskets say of the rest of those that are known."""
    known = task.own_counts(n_baskets)
    attributes = task.user_features[task.source.shape[0] :]
    parts = []
    for n in (0, 1, 2):
        given = task.own_counts(n)
        rest = sp.csr_matrix((known - given).maximum(0))
        parts.append(rows_of(task, given, attributes, rest, n_products)[users])
    rows = _only_products(stacked(parts))
    return rows[np.flatnonzero(np.diff(rows.labels["products"].indptr) > 0)]


def _asked(task: NewUserTask, users: Ints, n_products: int) -> UserRows:
    """One basket of those who judge, and their targets."""
    targets = task.targets_after(1)
    cells = (codes(task.user_ids, targets["user_id"]), codes(task.source.item_ids, targets["item_id"]))
    shape = (len(task.user_ids), len(task.source.item_ids))
    wanted = sp.csr_matrix((np.ones(len(targets)), cells), shape=shape)
    attributes = task.user_features[task.source.shape[0] :]
    return _only_products(rows_of(task, task.own_counts(1), attributes, wanted, n_products)[users])


def _only_products(rows: UserRows) -> UserRows:
    return replace(rows, labels={"products": rows.labels["products"]})


def _started(source: Trained, rows: UserRows, start: str, seed: int) -> InterestNetwork:
    """A network with one head, begun from nothing, from the source's encoder, or from its head as well."""
    settings = source.network.settings
    n_classes = {"products": rows.labels["products"].shape[1]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = InterestNetwork(**{**settings, "n_classes": n_classes})
    for name in () if start == "nothing" else ("straight", "bent"):
        getattr(network, name).load_state_dict(getattr(source.network, name).state_dict())
    if start == "everything":
        network.heads["products"].load_state_dict(source.network.heads[source.head].state_dict())
    return network


def saved(starts: Sequence[HeadStart], start: str, seed: int, n_resamples: int = 1000) -> Interval:
    """Rows to the level over rows from nothing, mean over runs, with a bootstrap interval over runs.

    A run that never gets there counts as the longest training that was tried.
    """
    ratios = np.array([_ratio(run, start) for run in starts])
    drawn = np.random.default_rng(seed).integers(0, len(ratios), (n_resamples, len(ratios)))
    low, high = np.quantile(ratios[drawn].mean(axis=1), [0.025, 0.975])
    return Interval(float(ratios.mean()), float(low), float(high), len(ratios))


def _ratio(run: HeadStart, start: str) -> float:
    longest = run.n_rows * (len(run.losses[start]) - 1)
    return min(run.rows_to_level(start), longest) / max(run.rows_to_level("nothing"), 1.0)


def pays_off_after(starts: Sequence[HeadStart], start: str, n_rows_before: int) -> float:
    """Batches of newcomers after which the source's training has cost less than it saved, in rows.

    Infinite where nothing is saved.
    """
    saves = np.mean([run.rows_to_level("nothing") - min(run.rows_to_level(start), 1e12) for run in starts])
    return float(n_rows_before / saves) if saves > 0 else float("inf")
