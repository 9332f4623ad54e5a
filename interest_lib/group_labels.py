"""Who belongs to which group: by the attributes of a log's users, or by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interest_lib.groups import FEWEST_ITEMS, halves
from interest_lib.history import is_goal


def group_splits(
    users: pd.DataFrame,
    attributes: Sequence[str] = (),
    events: pd.DataFrame | None = None,
    min_users: int = 70,
) -> dict[str, pd.Series]:
    """Pairs of groups that the attributes of a log's users make.

    Parameters
    ----------
    users : pandas.DataFrame
        ``user_id`` and attributes.
    attributes : sequence of str
        Those to split by, if the log has them. If it has none of them, or none with groups large enough, all
        attributes are candidates, those known of most users first.
    events : pandas.DataFrame, optional
        The log. Users who met fewer than five of its items are left out, as they cannot be held out.
    min_users : int
        Users that the smaller group needs; with fewer, too few can be held out.

    Returns
    -------
    dict of str to pandas.Series of bool
        Name of the attribute to what `groups.halves` gives; at most three.

    Examples
    --------
    >>> users = pd.DataFrame({"user_id": range(5), "gender": list("MMMFF"), "shop": ["a"] * 5})
    >>> {name: int(split.sum()) for name, split in group_splits(users, ["age"], min_users=2).items()}
    {'gender': 3}
    """
    table = users.set_index("user_id")
    if events is not None:
        n_met = events[is_goal(events)].groupby("user_id")["item_id"].nunique()
        table = table[table.index.isin(n_met.index[n_met >= FEWEST_ITEMS])]
    named = _large_enough(table, [name for name in attributes if name in table], min_users)
    known = table.notna().sum().sort_values(ascending=False, kind="stable")
    return named or _large_enough(table, list(known.index), min_users)


def _large_enough(table: pd.DataFrame, names: Sequence[str], min_users: int) -> dict[str, pd.Series]:
    found = {}
    for name in names:
        if table[name].nunique() > 1:
            split = halves(table[name])
            if (~split).sum() >= min_users:
                found[str(name)] = split.rename("is_source")
    return dict(list(found.items())[:3])


def shuffled_labels(is_source: pd.Series, seed: int) -> pd.Series:
    """The labels dealt out anew among the same users: groups of the same sizes that do not differ.

    Examples
    --------
    >>> shuffled_labels(pd.Series([True, True, False]), seed=1).sum()
    np.int64(2)
    """
    drawn = np.random.default_rng(seed).permutation(is_source.to_numpy())
    return pd.Series(drawn, index=is_source.index, name=is_source.name)
