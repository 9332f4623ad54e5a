"""Reasons of models that go by interests and by texts, for `explain_parts.score_parts`."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

from interest_lib.content import ContentInterest
from interest_lib.decay import decayed_counts
from interest_lib.explain_parts import NOBODY, OWN, POPULAR, parts_table, score_parts
from interest_lib.forecasts import ShrunkShares
from interest_lib.history import Floats, Ints
from interest_lib.migrated import MigratedInterest

STAYS: Final = "interest of yours"
MOVES: Final = "where your interest moves"
ALIKE: Final = "like what you bought"

BATCH_ENTRIES: Final = 20_000  # pairs of texts that are compared at a time


@score_parts.register
def _of_migrated_interest(model: MigratedInterest, rows: Ints, cols: Ints) -> pd.DataFrame:
    """``u' Q h`` term by term: every interest of today, times what of it goes to the item's, times `h`."""
    pairs = np.flatnonzero(model.interest_[cols] >= 0)  # an item without an interest scores zero
    to = model.interest_[cols[pairs]]
    item_part = _item_part(model, rows[pairs], cols[pairs])
    flow = _flow(model, rows[pairs], to)
    flow = flow[(flow["share"] != 0) & (item_part[flow["pair"]] > 0)]
    within = item_part[flow["pair"]]
    nobody = np.full(len(flow), NOBODY)
    reason = np.where(flow["stays"], STAYS, MOVES)
    table = parts_table(
        pairs[flow["pair"]], reason, flow["share"].to_numpy() * within, nobody, nobody, within
    )
    table["words"] = _told_flow(model, flow, to[flow["pair"]], within)
    return table


def _flow(model: MigratedInterest, rows: Ints, to: Ints) -> pd.DataFrame:
    """From which interest of today what share of the purchases of the next period comes to an interest.

    Where the way cannot be told, as with a softmax, there is what the interest is today, and its change.
    """
    users, place = np.unique(rows, return_inverse=True)
    today = _shares_today(model)[users]
    if model.migration == "markov":
        chain = model.chain_.transition_
        reached = (today @ chain).sum(axis=1)
        share = today[place] * chain[:, to].T / reached[place, None]
        pair, source = np.indices(share.shape)
        stays = source == to[:, None]
        columns = {"pair": pair, "source": source, "share": share, "stays": stays}
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    here = today[place, to]
    change = model.next_shares_[rows, to] - here
    parts = [
        pd.DataFrame({"share": part, "source": to, "pair": np.arange(len(to))}) for part in (here, change)
    ]
    return pd.concat([parts[0].assign(stays=True), parts[1].assign(stays=False)], ignore_index=True)


def _told_flow(model: MigratedInterest, flow: pd.DataFrame, to: Ints, within: Floats) -> list[str]:
    names = np.asarray(model.interests_).astype(str)
    source = names[flow["source"]]
    ways = np.where(flow["stays"], "stay with ", np.where(flow["source"] == to, "are new in ", "move from "))
    return [
        f"{100 * share:.2g} % of the purchases {way}{name}, of which this is {100 * part:.2g} %"
        for share, way, name, part in zip(flow["share"], ways, source, within, strict=True)
    ]


def _shares_today(model: MigratedInterest) -> Floats:
    base = ShrunkShares(model.half_life_days, strength=model.strength)
    return base.predict(model._move(model.history_, 0.0))


def _item_part(model: MigratedInterest, rows: Ints, cols: Ints) -> Floats:
    """`h`: the item's part among what is bought in its interest."""
    users, place = np.unique(rows, return_inverse=True)
    total = np.asarray((model.counts_[users] @ model.membership_).toarray()) + model.popular_purchases
    own = np.asarray(model.counts_[rows, cols], dtype=np.float64).reshape(-1)
    found: Floats = (own + model.popular_[cols]) / total[place, model.interest_[cols]]
    return found


@score_parts.register
def _of_content(model: ContentInterest, rows: Ints, cols: Ints) -> pd.DataFrame:
    """The mean of vectors taken apart: every item that the user had, times how alike the texts are."""
    interest = decayed_counts(model.history_, model.half_life_days, model.half_life_baskets)
    given = sp.coo_matrix(interest[rows])
    profile = interest[rows] @ model.vectors_
    squares = profile.multiply(profile) if sp.issparse(profile) else profile * profile
    length = np.sqrt(np.asarray(squares.sum(axis=1), dtype=np.float64)).reshape(-1)
    alike = _products(model, given.col, cols[given.row])
    weight = alike / np.where(length > 0, length, 1.0)[given.row]
    reason = np.where(given.col == cols[given.row], OWN, ALIKE)
    table = parts_table(given.row, reason, given.data * weight, rows[given.row], given.col, weight)
    if not model.popularity_weight:
        return table
    popular = model.popularity_weight * np.log1p(model.history_.popularity[cols])
    nobody = np.full(len(rows), NOBODY)
    extra = parts_table(np.arange(len(rows)), POPULAR, popular, nobody, cols, model.popularity_weight)
    return pd.concat([table, extra], ignore_index=True)


def _products(model: ContentInterest, one: Ints, other: Ints) -> Floats:
    """Products of the vectors of pairs of items."""
    found = np.empty(len(one))
    for start in range(0, len(one), BATCH_ENTRIES):
        part = slice(start, start + BATCH_ENTRIES)
        a, b = model.vectors_[one[part]], model.vectors_[other[part]]
        both = sp.csr_matrix(a).multiply(b) if sp.issparse(a) else np.multiply(a, b, dtype=np.float64)
        found[part] = np.asarray(both.sum(axis=1)).reshape(-1)
    return found
