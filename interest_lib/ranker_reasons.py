"""Why the ranker lists an item: what every group of features adds to the score, and the facts behind it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from interest_lib.history import Floats, Ints, codes
from interest_lib.ranker import Ranker
from interest_lib.schema import InputError

BASE: Final = "like every candidate"
POPULAR: Final = "popular"
REASONS: Final = {
    "mining": "interest in its kind",
    "decay": "bought before",
    "migration": "interest moves there",
    "transfer": "users like you",
    "peers": "goes with what you buy",
    "combined": "own habit, users like you and EASE together",
    "facts": "popular, and how",
    "text": "similar words",
    "promotions": "promoted",
    "context": "how often you come",
}
"""What each group of features is called as a reason."""

# The words of a reason: pieces with the feature that fills each; a piece is told where its feature is known.
_NOT_BOUGHT: Final = "never bought"
_PIECES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "mining": (
        ("{:.1f} purchases in its category of late", "mining: purchases of the category, half-life 60 days"),
        ("{:.1f} times the usual share", "mining: lift of the category, half-life 60 days"),
        ("the last {:.0f} days ago", "mining: days since the category"),
    ),
    "decay": (
        ("bought on {:.0f} visits", "decay: visits"),
        ("last {:.0f} days ago", "decay: days since the last"),
        ("usually every {:.0f} days", "decay: mean gap in days"),
    ),
    "migration": (
        ("share of its category expected {:.1%}", "migration: shrunk share of the category"),
        ("of late {:+.1%} against ever", "migration: trend of the category"),
    ),
    "transfer": (("the nearest users bought it {:.2f} times of late", "transfer: neighbours, half-life 90"),),
    "peers": (
        ("place {:.0f} by EASE", "peers: place: EASE, half-life 90"),
        ("place {:.0f} by similar items", "peers: place: similar items"),
        ("place {:.0f} by baskets", "peers: place: bought together"),
    ),
    "facts": (
        ("{:.0f} users in 28 days", "facts: users in 28 days"),
        ("{:.0%} of users come back for it", "facts: share of users who come back"),
    ),
    "text": (("words with a cosine of {:.2f} to what was bought", "text: words"),),
    "promotions": (
        (
            "in the mailer of {:.0%} of stores on average in the next 28 days",
            "promotions: mailer, next 28 days",
        ),
        ("on display in {:.0%}", "promotions: display, next 28 days"),
        ("in the mailer of {:.0%} when it was bought before", "promotions: mailer, own purchases of it"),
    ),
    "combined": (
        (
            "place {:.0f} by own habit and users like you",
            "combined: place by own and nearest users, half-life 90",
        ),
    ),
    "context": (
        ("{:.0f} visits in 28 days", "context: visits in 28 days"),
        ("{:.0%} of what was bought is new", "context: share that is new"),
    ),
}


def ranker_reasons(ranker: Ranker, lists: pd.DataFrame, novel: bool = False) -> pd.DataFrame:
    """What speaks for recommendations of the ranker, in words and numbers that add up to the score.

    Parameters
    ----------
    ranker : Ranker
        Fitted.
    lists : pandas.DataFrame
        ``user_id``, ``item_id`` and ``score``, from `Ranker.recommend`.
    novel : bool
        Whether the lists are those that leave out what was seen.

    Returns
    -------
    pandas.DataFrame
        ``user_id``, ``item_id``, ``reason``, ``amount``, ``detail``, ``n_parts``: a row for every group
        of features, the largest amount first, and one for what all candidates have in common.
        Amounts of a recommendation add up to its score. One that no simple model had named, and that fills
        a list by popularity, has that one reason.

    Raises
    ------
    InputError
        An item is outside the vocabulary.

    Notes
    -----
    Amounts are sums of SHAP values of trees (Lundberg et al. 2020), as LightGBM gives them: exact shares of
    the score, by how the score changes on average when what a feature says becomes known.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user_id": np.repeat(np.arange(20), 30), "item_id": rng.integers(0, 9, 600),
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> log["timestamp"] += pd.to_timedelta(rng.random(600) * 90, "D")
    >>> h = history_before(log.sort_values("timestamp", ignore_index=True), pd.Timestamp("2017-04-01"))
    >>> ranker = Ranker(n_moments=1).fit(h)
    >>> lists = ranker.recommend([3], k=1)
    >>> reasons = ranker_reasons(ranker, lists)
    >>> np.isclose(reasons["amount"].sum(), lists["score"].sum()), len(reasons)
    (np.True_, 7)
    """
    table, now = ranker.table_, ranker.now_
    rows, cols = codes(now.user_ids, lists["user_id"]), codes(now.item_ids, lists["item_id"])
    if (cols < 0).any():
        unknown = lists["item_id"].iloc[int(np.argmin(cols))]
        raise InputError(f"Item {unknown} is not in the vocabulary: explain what the ranker recommends.")
    pair = _places(table.rows, table.cols, rows, cols, now.shape[1])
    pair = np.where((pair >= 0) & table.listed(novel)[pair], pair, -1)
    ranked = np.flatnonzero(pair >= 0)
    parts = [_popular(lists, np.flatnonzero(pair < 0))]
    if len(ranked):
        amounts = _amounts(ranker, pair[ranked], novel)
        parts += [_told(ranker, name, pair[ranked], amount, ranked) for name, amount in amounts.items()]
    told = pd.concat(parts, ignore_index=True)
    told = told.iloc[np.lexsort((-told["amount"].abs(), told["place"]))].reset_index(drop=True)
    for name in ("item_id", "user_id"):
        told.insert(0, name, lists[name].to_numpy()[told["place"]])
    return told.drop(columns="place").assign(n_parts=1)


def _places(rows: Ints, cols: Ints, wanted_rows: Ints, wanted_cols: Ints, width: int) -> Ints:
    """Where wanted pairs stand among sorted ones, -1 where they do not."""
    keys, wanted = rows * width + cols, wanted_rows * width + wanted_cols
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((keys[place] == wanted) & (wanted_rows >= 0), place, -1)


def _amounts(ranker: Ranker, pairs: Ints, novel: bool) -> dict[str, Floats]:
    """What each group of features adds to the score of every pair, and what all pairs have in common."""
    features = ranker.table_.features[pairs][:, ranker.columns_]
    boosters = ranker.boosters_["novel" if novel else "all"]
    parts = [each.predict(features, pred_contrib=True, num_threads=ranker.n_jobs) for each in boosters]
    shares = np.mean(parts, axis=0)
    groups = np.array([ranker.table_.names[column].partition(":")[0] for column in ranker.columns_])
    found = {name: shares[:, :-1][:, groups == name].sum(axis=1) for name in dict.fromkeys(groups)}
    return found | {BASE: shares[:, -1]}


def _told(ranker: Ranker, group: str, pairs: Ints, amounts: Floats, places: Ints) -> pd.DataFrame:
    """One row for every pair: what the group adds, and its facts in words."""
    words = pd.Series("", index=range(len(pairs)))
    names = ranker.table_.names
    for text, name in _PIECES.get(group, ()):
        if name not in names:
            continue
        values = pd.Series(ranker.table_.features[pairs, names.index(name)])
        piece = values.map(text.format).where(values.notna(), "")
        words += np.where((words != "") & (piece != ""), ", ", "") + piece
    if group == "decay":
        words = words.where(ranker.table_.own[pairs], _NOT_BOUGHT)
    told = {"reason": REASONS.get(group, group), "amount": amounts, "detail": words.to_numpy()}
    return pd.DataFrame(told).assign(place=places)


def _popular(lists: pd.DataFrame, places: Ints) -> pd.DataFrame:
    told = {"reason": POPULAR, "amount": lists["score"].to_numpy()[places], "detail": "by the tie rule"}
    return pd.DataFrame(told, index=range(len(places))).assign(place=places)
