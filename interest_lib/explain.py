"""Why something is recommended, in words and numbers that add up to the score."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from interest_lib.explain_interests import ALIKE
from interest_lib.explain_parts import NOBODY, OTHERS, OWN, POPULAR, REST, TOGETHER, score_parts
from interest_lib.history import Bools, Floats, History, Ints, codes
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError

BATCH_PAIRS: Final = 512  # all parts of so many recommendations exist at a time

COLUMNS: Final = ("user_id", "item_id", "reason", "amount", "detail")
EVIDENCE: Final = ("source_user", "source_item", "weight", "n_parts")


def explain(
    model: ScoringRecommender,
    lists: pd.DataFrame,
    names: pd.Series | None = None,
    n_reasons: int | None = 5,
    verb: str = "bought",
) -> pd.DataFrame:
    """The reasons of recommendations, in words and numbers.

    Parameters
    ----------
    model : ScoringRecommender
        A fitted one that `explain_parts.score_parts` knows: of counts, neighbours, similar items, EASE, ALS,
        migrated interest, or content.
    lists : pandas.DataFrame
        ``user_id``, ``item_id`` of the recommendations, as from the model's `recommend`.
    names : pandas.Series or None
        What to call an item, by item id; None for its id.
    n_reasons : int or None
        How many reasons of a recommendation are told one by one, largest first; what is left of a kind is
        summed up in one row. None tells all.
    verb : str
        What the events that count are called: bought, viewed, rated.

    Returns
    -------
    pandas.DataFrame
        In the order of `lists`, the largest reason first: ``user_id``, ``item_id``, ``reason`` (kind),
        ``amount``, ``detail`` (words), ``source_user`` and ``source_item``: whose events on which item stand
        behind it (missing where it is nobody's alone), and ``weight``: what they were multiplied by. Amounts
        of a recommendation add up to its score. One that nothing speaks for has the one reason that it is
        popular, of amount 0.

    Raises
    ------
    InputError
        An item is outside the model's vocabulary, or the model cannot tell its reasons.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> from interest_lib.recommend import PersonalFrequency
    >>> log = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"],
    ...                     "timestamp": pd.to_datetime(["2017-01-02", "2017-02-01"])})
    >>> h = history_before(log, pd.Timestamp("2017-03-03"), min_users_per_item=1)
    >>> model = PersonalFrequency(half_life_days=30.0).fit(h)
    >>> explain(model, model.recommend([1]))[["reason", "amount", "detail"]].values.tolist()
    [['bought before', 0.75, 'bought 2 times, last 30 days ago; half-life 30 days']]
    """
    history = model.history_
    rows, cols = codes(history.user_ids, lists["user_id"]), codes(history.item_ids, lists["item_id"])
    if (cols < 0).any():
        unknown = lists["item_id"].iloc[int(np.argmin(cols))]
        raise InputError(f"Item {unknown} is not in the vocabulary: explain what the model recommends.")
    known = np.flatnonzero(rows >= 0)
    batches = [known[start : start + BATCH_PAIRS] for start in range(0, len(known), BATCH_PAIRS)]
    told = [_told(model, pairs, rows, cols, n_reasons) for pairs in batches]
    parts = pd.concat([*told, _nothing_known(told, rows, cols)], ignore_index=True)
    parts = parts.sort_values(["pair", "place"], kind="stable", ignore_index=True)
    parts["detail"] = _words(parts, model, names, verb)
    for name, index, place in (
        ("source_user", history.user_ids, parts["row"]),
        ("source_item", history.item_ids, parts["col"]),
    ):
        parts[name] = pd.Series(index.take(place.to_numpy())).convert_dtypes().where(place >= 0)
    for name in ("user_id", "item_id"):
        parts[name] = lists[name].to_numpy()[parts["pair"]]
    return parts[[*COLUMNS, *EVIDENCE]]


def _told(
    model: ScoringRecommender, pairs: Ints, rows: Ints, cols: Ints, n_reasons: int | None
) -> pd.DataFrame:
    """The largest parts of some pairs one by one, and the rest of every kind in one row."""
    parts = score_parts(model, rows[pairs], cols[pairs])
    parts = parts.iloc[np.lexsort((-parts["amount"].abs(), parts["pair"]))]
    parts["pair"] = pairs[parts["pair"]]
    parts["place"] = parts.groupby("pair").cumcount()
    parts["n_parts"] = 1
    if n_reasons is None:
        return parts
    single = parts["place"] < n_reasons
    more = parts[~single].groupby(["pair", "reason"], as_index=False)["amount"].agg(["sum", "size"])
    summed = more.rename(columns={"sum": "amount", "size": "n_parts"})
    summed = summed.assign(place=n_reasons, row=NOBODY, col=NOBODY, weight=np.nan)
    return pd.concat([parts[single], summed], ignore_index=True)


def _nothing_known(told: list[pd.DataFrame], rows: Ints, cols: Ints) -> pd.DataFrame:
    """A row for each pair that has no part at all: ties are broken by popularity."""
    explained = [parts["pair"].to_numpy(np.int64) for parts in told]
    pair = np.setdiff1d(np.arange(len(rows)), np.concatenate([[NOBODY], *explained]))
    table = pd.DataFrame({"pair": pair, "reason": POPULAR, "amount": 0.0, "row": NOBODY, "col": cols[pair]})
    return table.assign(place=0, n_parts=1, weight=0.0)


def _words(parts: pd.DataFrame, model: ScoringRecommender, names: pd.Series | None, verb: str) -> pd.Series:
    """One text for every part: what happened, how often, how long ago, and what it weighs."""
    history = model.history_
    happened = _happened(history, parts["row"].to_numpy(), parts["col"].to_numpy(), verb)
    happened = happened + _half_life(model)
    who = pd.Series(history.user_ids.take(parts["row"].to_numpy())).astype(str)
    item = pd.Series(history.item_ids.take(parts["col"].to_numpy()))
    what = (item if names is None else item.map(names).fillna(item)).astype(str)
    weight = parts["weight"].map("{:.2g}".format)
    popularity = pd.Series(history.popularity[parts["col"]]).map("{:g}".format)
    words = pd.Series("what the factors hold beside single purchases", index=parts.index)
    named = what + " (weight " + weight + "): " + happened
    for kind, text in (
        (OWN, happened),
        (OTHERS, "user " + who + " (weight " + weight + "): " + happened),
        (TOGETHER, named),
        (ALIKE, named),
        (POPULAR, "of " + popularity + " users lately"),
    ):
        words = words.where(parts["reason"] != kind, text)
    if "words" in parts:  # a model that tells its reasons itself
        words = parts["words"].where(parts["words"].notna(), words)
    alone = parts["weight"].notna() | (parts["reason"] == REST)
    return words.where(alone, parts["n_parts"].astype(str) + " more")


def _happened(history: History, rows: Ints, cols: Ints, verb: str) -> pd.Series:
    """How often each user had each item, and when last: empty where the part is nobody's alone."""
    width = len(history.item_ids)
    cells, counts, last, only_seen = _cell_facts(history)
    wanted = np.where((rows >= 0) & (cols >= 0), rows * width + cols, -1)
    place = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    there = cells[place] == wanted
    times = pd.Series(np.where(there, counts[place], 0)).map(lambda n: "once" if n == 1 else f"{n} times")
    unit = "days" if history.age_days is not None else "baskets"
    ago = pd.Series(np.where(there, last[place], 0.0)).round().astype(int).astype(str)
    ago = ", last " + ago + " " + np.where(ago == "1", unit[:-1], unit) + " ago"
    did = pd.Series(np.where(only_seen[place], "seen ", f"{verb} "))
    return (did + times + ago).where(pd.Series(there), "")


def _cell_facts(history: History) -> tuple[Ints, Ints, Floats, Bools]:
    """Sorted cells of users x items, the events that count, age of the newest, whether there are only others.

    Where a user only looked at an item, looks are what counts.
    """
    ages = history.age_days if history.age_days is not None else history.age_baskets
    ages = np.zeros(len(history.rows)) if ages is None else ages
    keys = history.rows * len(history.item_ids) + history.cols
    cells, cell = np.unique(keys, return_inverse=True)
    goals = np.bincount(cell, weights=history.is_goal, minlength=len(cells))
    counted = history.is_goal | (goals[cell] == 0)
    last = np.full(len(cells), np.inf)
    np.minimum.at(last, cell[counted], ages[counted])
    return cells, np.bincount(cell[counted], minlength=len(cells)), last, goals == 0


def _half_life(model: ScoringRecommender) -> str:
    """What every purchase of the model fades with."""
    for unit in ("days", "baskets"):
        half_life = getattr(model, f"half_life_{unit}", None)
        if half_life is not None:
            return f"; half-life {half_life:g} {unit}"
    return ""


def sentences(reasons: pd.DataFrame, n_kinds: int = 2) -> pd.Series:
    """The reasons of every recommendation in a sentence or two.

    Parameters
    ----------
    reasons : pandas.DataFrame
        From `explain`.
    n_kinds : int
        How many kinds of reasons are told, by the size of what they add up to; of each kind the largest.

    Returns
    -------
    pandas.Series of str, indexed by user_id and item_id, in the order of `reasons`
        Shares are of the sum of all amounts' sizes.

    Examples
    --------
    >>> reasons = pd.DataFrame({"user_id": 1, "item_id": "a", "reason": ["bought before", "users like you"],
    ...                         "amount": [3.0, 1.0], "detail": ["bought 4 times", "user 7: bought once"],
    ...                         "n_parts": [1, 1]})
    >>> sentences(reasons).iloc[0]
    'Bought before (75 %): bought 4 times. Users like you (25 %): user 7: bought once.'
    """
    pair = ["user_id", "item_id"]
    sized = reasons.assign(size=reasons["amount"].abs())
    kinds = sized.groupby([*pair, "reason"], sort=False, as_index=False).agg(
        size=("size", "sum"), detail=("detail", "first"), n=("n_parts", "sum")
    )
    total = kinds.groupby(pair)["size"].transform("sum")
    share = (100 * kinds["size"] / total.where(total > 0)).round()
    of_score = (" (" + share.map("{:.0f}".format) + " %)").where(share.notna(), "")
    more = (", and " + (kinds["n"] - 1).astype(str) + " more").where(kinds["n"] > 1, "")
    kinds["text"] = kinds["reason"].str.capitalize() + of_score + ": " + kinds["detail"] + more + "."
    kinds["order"] = kinds.groupby(pair, sort=False).ngroup()
    kinds = kinds.sort_values(["order", "size"], ascending=[True, False], kind="stable")
    top = kinds.groupby(pair, sort=False).head(n_kinds)
    return top.groupby(pair, sort=False)["text"].agg(" ".join)
