"""How an item stands among all that a user may be shown: blends of scores, and places by them."""

from __future__ import annotations

from typing import Final

import numpy as np

from interest_lib.history import Ints
from interest_lib.ranker_candidates import places_within
from interest_lib.ranker_features import Columns

OWN_WEIGHT: Final = 0.8  # as in `recommend.NearestUsers`
BLENDS: Final = {
    "90": ("decay: purchases, half-life 90 days", "transfer: neighbours, half-life 90"),
    "60 and 45": ("decay: purchases, half-life 60 days", "transfer: neighbours, half-life 45"),
}
"""Own decayed counts, and those of the nearest users that they are blended with."""

COMPARED: Final = (
    "decay: purchases, half-life 30 days",
    "decay: purchases, half-life 90 days",
    "decay: fading share of months with it",
    "peers: EASE, half-life 90",
    "peers: EASE, half-life 30",
    "peers: factors",
)
FUSED: Final = (
    "combined: place by own and nearest users, half-life 90",
    "peers: place by EASE, half-life 90",
    "decay: place by fading share of months with it",
)
PLACES_ADDED: Final = 10.0  # the first places weigh about alike when places are summed up


def standing(columns: Columns, rows: Ints) -> Columns:
    """Places among all candidates of the user, own and new ones together, by several scores.

    Trees split at values that are the same for everybody, but a list is made by comparing the items of one
    user: of somebody who buys little, the most frequent item has a lower count than any of somebody else's.

    Parameters
    ----------
    columns : dict of str to ndarray of float32, shape (n_pairs,)
        Features so far; scores that are not among them are left out.
    rows : ndarray of int, shape (n_pairs,)
        The users.

    Returns
    -------
    dict of str to ndarray of float32, shape (n_pairs,)

    Notes
    -----
    Places are fused as sums of ``1 / (10 + place)`` (Cormack, Clarke and Buettcher 2009).

    Examples
    --------
    >>> counts = np.array([3.0, 1.0, 2.0], np.float32)
    >>> found = standing({"decay: purchases, half-life 30 days": counts}, np.array([0, 0, 0]))
    >>> found["decay: place by purchases, half-life 30 days"]
    array([1., 3., 2.], dtype=float32)
    """
    found: Columns = {}
    for name, (own, borrowed) in BLENDS.items():
        if own in columns and borrowed in columns:
            blend = OWN_WEIGHT * columns[own] + (1 - OWN_WEIGHT) * columns[borrowed]
            best = np.zeros(int(rows.max(initial=-1)) + 1, np.float32)
            np.maximum.at(best, rows, blend)
            found[f"combined: own and nearest users, half-life {name}"] = blend
            of_best = blend / np.maximum(best[rows], 1e-6)
            found[f"combined: own and nearest users / the best of the user, half-life {name}"] = (
                of_best.astype(np.float32)
            )
            found[f"combined: place by own and nearest users, half-life {name}"] = places_within(rows, blend)
    for name in COMPARED:
        if name in columns:
            group, _, what = name.partition(": ")
            found[f"{group}: place by {what}"] = places_within(rows, columns[name])
    if all(name in found for name in FUSED):
        fused = np.asarray(sum(1 / (PLACES_ADDED + found[name]) for name in FUSED), np.float32)
        found["combined: places fused"] = fused
        found["combined: place by places fused"] = places_within(rows, fused)
    return found
