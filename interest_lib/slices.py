"""Accuracy for whom and for what: repeat and novel targets, warm and cold users, demographic groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interest_lib.history import Ints, codes
from interest_lib.ranking_metrics import accuracy_table
from interest_lib.schema import InputError
from interest_lib.split import Fold


@dataclass(frozen=True)
class Slice:
    """A part of the targets, and the lists that are scored against it.

    Attributes
    ----------
    lists : {"all", "novel"}
        Whether the lists may show what the user already had ("all").
    targets : pandas.DataFrame
        Distinct ``user_id``, ``item_id``; their users are the users of the slice.
    """

    lists: str
    targets: pd.DataFrame


def target_slices(
    fold: Fold, cold_events: int = 100, users: pd.DataFrame | None = None, by: Iterable[str] = ()
) -> dict[str, Slice]:
    """The parts of a fold's targets that are looked at apart; those without a target are left out.

    Parameters
    ----------
    fold : Fold
    cold_events : int
        A user with fewer goal events than that before the origin is cold, every other one is warm.
    users : pandas.DataFrame, optional
        ``user_id`` and what is known of each user.
    by : iterable of str
        Columns of `users`; each of their values is a slice, such as ``age=25-34``.

    Returns
    -------
    dict of str to Slice
        ``all``: every target. ``novel``: what the user never had before, in lists that leave out what the
        user had. ``repeat``: what the user had before, in the lists of ``all``, which are not restricted to
        it. ``cold``, ``warm`` and the groups: every target of those users.

    Raises
    ------
    InputError
        When a column is not there.

    Examples
    --------
    >>> from interest_lib.split import fold_at
    >>> log = pd.DataFrame({
    ...     "user_id": [1, 2, 1, 2], "item_id": ["a", "b", "a", "a"],
    ...     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-06", "2017-01-07"])})
    >>> fold = fold_at(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    >>> {name: len(part.targets) for name, part in target_slices(fold, cold_events=2).items()}
    {'all': 2, 'novel': 1, 'repeat': 1, 'cold': 2}
    """
    targets, is_novel = fold.targets, fold.targets["novel"].to_numpy(bool)
    is_cold = _n_events(fold, targets["user_id"]) < cold_events
    found = {
        "all": Slice("all", targets),
        "novel": Slice("novel", targets[is_novel]),
        "repeat": Slice("all", targets[~is_novel]),
        "warm": Slice("all", targets[~is_cold]),
        "cold": Slice("all", targets[is_cold]),
    }
    for column in by:
        for value, ids in _groups(users, column).items():
            found[f"{column}={value}"] = Slice("all", targets[targets["user_id"].isin(ids)])
    return {name: part for name, part in found.items() if len(part.targets)}


def _n_events(fold: Fold, user_ids: pd.Series) -> Ints:
    """Goal events before the origin of each user, 0 of somebody unknown."""
    history = fold.history
    n_events = np.bincount(history.rows[history.is_goal], minlength=len(history.user_ids))
    rows = codes(history.user_ids, user_ids)
    return np.where(rows >= 0, n_events[rows], 0)


def _groups(users: pd.DataFrame | None, column: str) -> dict[object, pd.Series]:
    """Users of each value of a column, in the order of values; those of whom nothing is known are in none."""
    if users is None or column not in users:
        raise InputError(f"There is no column '{column}' to slice by: give a users table that has it.")
    return {value: part["user_id"] for value, part in users.groupby(column, sort=True, observed=True)}


def slice_scores(
    lists: pd.DataFrame, slices: Mapping[str, Slice], k: int = 10, n_items: int | None = None
) -> pd.DataFrame:
    """Every metric of every user under every model, slice by slice.

    Parameters
    ----------
    lists : pandas.DataFrame
        ``model``, ``slice`` ("all" or "novel"), ``user_id``, ``item_id``, ``rank``.
    slices : mapping of str to Slice
        From `target_slices`; one whose kind of lists a model does not have is left out for it.
    k, n_items
        As in `ranking_metrics.accuracy_table`.

    Returns
    -------
    pandas.DataFrame, indexed by slice, model and user_id
        The columns of `ranking_metrics.accuracy_table`.

    Raises
    ------
    InputError
        When there is no list for any slice.

    Examples
    --------
    >>> shown = pd.DataFrame({"model": "m", "slice": "all", "user_id": [1], "item_id": ["a"], "rank": [1]})
    >>> part = Slice("all", pd.DataFrame({"user_id": [1], "item_id": ["a"]}))
    >>> slice_scores(shown, {"repeat": part})["ndcg"].to_dict()
    {('repeat', 'm', 1): 1.0}
    """
    of_kind = {kind: group.groupby("model", sort=False) for kind, group in lists.groupby("slice", sort=False)}
    tables = {
        (name, model): accuracy_table(shown, part.targets, k, n_items)
        for name, part in slices.items()
        if part.lists in of_kind
        for model, shown in of_kind[part.lists]
    }
    if not tables:
        raise InputError("None of the slices has lists: give lists of the kind 'all' or 'novel'.")
    return pd.concat(tables, names=["slice", "model"])
