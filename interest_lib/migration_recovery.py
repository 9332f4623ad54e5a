"""Migration where it is planted: the matrix, the changes and the forecasts of synthetic marketplaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import gammaln

from interest_lib.forecasts import Forecaster
from interest_lib.history import Floats, codes
from interest_lib.leaders import leading_interests
from interest_lib.marketplace import Marketplace, Truth, generate
from interest_lib.metrics import Interval, bootstrap_mean
from interest_lib.migration import forecast_errors, perplexity, shares
from interest_lib.moves import Move, move_at
from interest_lib.recovery import views_of
from interest_lib.regimes import RegimeModel, visits_to_interests
from interest_lib.schema import EVENT_WEIGHTS, InputError

SHORT_PERIOD_DAYS: Final = 14
"""Period of the simple estimate by leading interests, shorter than a regime."""


SURE: Final = 3.0
"""Log Bayes factor from which a row has changed, 20 to 1: strong evidence for Kass and Raftery (1995)."""


SIGNS: Final = ("view", "cart", "purchase", "review")
"""Kinds of events that a shop reads interest from here, with the weights of the schema."""


def matrix_recovery(settings: Iterable[Marketplace], n_groups: int = 10) -> pd.DataFrame:
    """How near the planted transitions come out of the log, in mean absolute error per entry.

    Two things can be recovered. The *planted* matrix is where a change leads that follows it. What the users
    show together, *expected* in the truth, mixes it with their tastes.

    Parameters
    ----------
    settings : iterable of Marketplace
        One for each log, of the generator ``regimes``. Logs with a global change are cut at it, as planted.
    n_groups : int
        Of `RegimeModel`.

    Returns
    -------
    pandas.DataFrame
        One row per log and era: ``events``, ``visits`` and ``changes`` (true ones); for each estimate the
        mean absolute error, such as ``planted.regimes``: against ``planted``, ``destinations`` (each row is
        where changes lead overall, which knows nothing of where they come from), ``leaders`` (leading
        interests of consecutive fortnights) and ``regimes`` (`RegimeModel`); against ``expected`` the same,
        and ``seen``, the frequencies of the true changes, which is the error of sampling alone;
        ``transition_share``, ``regime_share`` and ``sojourn_days`` as learned.

    Raises
    ------
    InputError
        A log is of the other generator.

    Examples
    --------
    >>> small = Marketplace(n_users=30, n_items=40, n_categories=4, n_groups=2, generator="regimes",
    ...                     events_per_user=60, global_change_at=1.0)
    >>> matrix_recovery([small], n_groups=2)[["era", "events"]].shape
    (1, 2)
    """
    rows = []
    for given in settings:
        if given.generator != "regimes":
            raise InputError(f"A marketplace has the generator {given.generator!r}: give 'regimes'.")
        with TemporaryDirectory() as folder:
            truth = generate(given, Path(folder) / "shop", n_jobs=1)
            rows += [_era(truth, era, log, n_groups) for era, log in enumerate(_eras(truth))]
    return pd.DataFrame(rows)


def _eras(truth: Truth) -> list[pd.DataFrame]:
    """The views before and after the global change, or all of them where there is none."""
    views, change = views_of(truth), truth.planted["global_change"]
    if change is None:
        return [views]
    late = views["timestamp"] >= pd.Timestamp(change)
    return [views[~late], views[late]]


def _era(truth: Truth, era: int, views: pd.DataFrame, n_groups: int) -> dict[str, float]:
    names = pd.Index(truth.table("categories")["category"].astype(str), name="category")
    visits = visits_to_interests(views, interests=names)
    model = RegimeModel(n_groups).fit(visits)
    planted, expected, count = planted_matrices(truth, era)
    leaders = _moves_of_leaders(views, names)
    found = {
        "destinations": np.tile(shares(model.moves_.sum(axis=0)), (len(names), 1)),
        "leaders": shares(leaders + 1 / len(names)),
    }
    estimates = {
        "planted": found | {"regimes": model.transition_},
        "expected": found | {"regimes": shares(model.moves_ + 1 / len(names)), "seen": shares(count)},
    }
    truths = {"planted": planted, "expected": expected}
    n_events = sum(truth.planted["events"].values())
    return {
        "era": era,
        "events": n_events,
        "visits": len(visits.user),
        "changes": float(count.sum()),
        **{
            f"{of}.{name}": float(np.nanmean(np.abs(matrix - truths[of])))
            for of, matrices in estimates.items()
            for name, matrix in matrices.items()
        },
        "transition_share": model.transition_share_,
        "regime_share": model.regime_share_,
        "sojourn_days": model.sojourn_days_,
    }


def planted_matrices(truth: Truth, era: int) -> tuple[Floats, Floats, Floats]:
    """The planted matrix, the expected shares and the true number of changes, categories as in the truth."""
    names = truth.table("categories")["category"].astype(str)
    table = truth.table("transitions")
    table = table[table["era"] == era].astype({"before": str, "after": str})
    table = table.set_index(["before", "after"]).reindex(pd.MultiIndex.from_product([names, names]))
    planted, expected, count = (
        table[column].to_numpy(np.float64).reshape(len(names), -1)
        for column in ("planted", "expected", "count")
    )
    return planted, expected, count


def _moves_of_leaders(views: pd.DataFrame, names: pd.Index) -> Floats:
    """Leading interests of consecutive short periods, those without a view left out."""
    user_ids = pd.Index(views["user_id"].unique())
    age = (views["timestamp"] - views["timestamp"].min()) // pd.Timedelta(days=SHORT_PERIOD_DAYS)
    period = age.to_numpy().astype(np.int64)
    counts = np.zeros((period.max() + 1, len(user_ids), len(names)))
    np.add.at(counts, (period, codes(user_ids, views["user_id"]), codes(names, views["category"])), 1.0)
    leading, there = leading_interests(counts), counts.sum(axis=2) > 0
    both = there[:-1] & there[1:]
    cells = leading[:-1][both] * len(names) + leading[1:][both]
    return np.bincount(cells, minlength=len(names) ** 2).reshape(len(names), -1).astype(np.float64)


def change_recovery(
    truth: Truth, regimes: pd.DataFrame, within_days: Sequence[float] = (3, 7, 14)
) -> pd.DataFrame:
    """How many of the planted changes of regime are found, and how many found ones are planted.

    A planted and a found change belong together where each is the other's nearest of the same user.

    Parameters
    ----------
    truth : Truth
        With its table ``episodes``.
    regimes : pandas.DataFrame
        From `RegimeModel.regimes`.
    within_days : sequence of float
        How far apart the two may be.

    Returns
    -------
    pandas.DataFrame
        One row per number of days (the index): ``recall``, ``precision``, ``recall_by_chance`` (found changes
        given to another user), ``right_interest`` (share of the matches with the right next interest), and
        ``median_days`` between the two.

    Notes
    -----
    Only changes to another interest count, and only those with a visit of the user before and after.
    """
    planted, found = _planted_changes(truth, regimes), regimes.dropna(subset=["before"])
    user_ids = pd.Index(regimes["user_id"].unique())
    turned = found.assign(user_id=user_ids[(codes(user_ids, found["user_id"]) + 1) % len(user_ids)])
    pairs, by_chance = _nearest(planted, found), _nearest(planted, turned)
    table = {}
    for days in within_days:
        near = pairs[pairs["days"] <= days]
        table[days] = {
            "recall": len(near) / len(planted),
            "precision": len(near) / len(found),
            "recall_by_chance": (by_chance["days"] <= days).sum() / len(planted),
            "right_interest": (near["interest_planted"] == near["interest_found"]).mean(),
            "median_days": near["days"].median(),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("within_days")


def _planted_changes(truth: Truth, regimes: pd.DataFrame) -> pd.DataFrame:
    """Changes to another interest, from the first visit of a user on."""
    episodes = truth.table("episodes").astype({"category": str}).sort_values(["user_id", "start"])
    follows = episodes["user_id"].eq(episodes["user_id"].shift())
    other = episodes["category"].ne(episodes["category"].shift())
    seen = episodes["user_id"].map(regimes.groupby("user_id")["changed"].min()) < episodes["start"]
    changes = episodes[follows & other & seen]
    return changes.rename(columns={"start": "changed", "category": "interest"})


def _nearest(planted: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Pairs of changes that are each other's nearest."""
    columns = ["user_id", "changed", "interest"]
    left, right = (
        part[columns]
        .sort_values(["changed", "user_id"], ignore_index=True)
        .assign(moment=lambda t: t["changed"])
        for part in (planted, found)
    )
    left["changed"] = left["changed"].astype("datetime64[us]")
    right["changed"] = right["changed"].astype("datetime64[us]")
    ways = []
    for one, other in ((left, right), (right, left)):
        placed = other.reset_index(names="place")
        ways.append(pd.merge_asof(one, placed, on="changed", by="user_id", direction="nearest")["place"])
    to, back = ways
    there = to.notna().to_numpy()
    mutual = np.flatnonzero(there)[back.to_numpy()[to[there].astype(int)] == np.flatnonzero(there)]
    places = to[mutual].astype(np.int64)
    pairs = left.loc[mutual].reset_index(drop=True).add_suffix("_planted")
    pairs = pairs.join(right.loc[places].reset_index(drop=True).add_suffix("_found"))
    days = (pairs["moment_found"] - pairs["moment_planted"]).abs() / pd.Timedelta(days=1)
    return pairs.assign(days=days)


def global_change(
    regimes: pd.DataFrame, step_days: int = 7, strength: float = 5.0
) -> tuple[pd.Timestamp, pd.Series]:
    """When the transitions of all users changed, and which rows did, from changes of regime alone.

    Parameters
    ----------
    regimes : pandas.DataFrame
        From `RegimeModel.regimes`.
    step_days : int
        Moments that are tried are so far apart.
    strength : float
        Changes that the Dirichlet prior of a row is worth, before and after.

    Returns
    -------
    moment : pandas.Timestamp
        The most probable one.
    evidence : pandas.Series
        One number per interest: log Bayes factor for two rows, before and after the moment, against one.
        Above `SURE` the row has changed; where none is, nothing has.
    """
    moves = regimes.dropna(subset=["before"])
    names = pd.Index(np.sort(moves["interest"].unique()))
    before, after = codes(names, moves["before"]), codes(names, moves["interest"])
    start = moves["changed"].min()
    step = ((moves["changed"] - start) // pd.Timedelta(days=step_days)).to_numpy().astype(np.int64)
    counts = np.zeros((step.max() + 1, len(names), len(names)))
    kept = before >= 0
    np.add.at(counts, (step[kept], before[kept], after[kept]), 1.0)
    prior = strength * shares(counts.sum(axis=(0, 1)) + 1 / len(names))
    early = counts.cumsum(axis=0)[:-1]
    whole = counts.sum(axis=0)
    gain = _log_evidence(early, prior) + _log_evidence(whole - early, prior) - _log_evidence(whole, prior)
    # of each row only what speaks for a change, so that rows that stay do not hide those that do
    best = int(np.maximum(gain - SURE, 0).sum(axis=1).argmax())
    moment = start + pd.Timedelta(days=step_days * (best + 1))
    return moment, pd.Series(gain[best], index=names.rename("interest"))


def _log_evidence(counts: Floats, prior: Floats) -> Floats:
    """Log probability of the rows of counts, each integrated over its Dirichlet prior."""
    inside = (gammaln(counts + prior) - gammaln(prior)).sum(axis=-1)
    return np.asarray(inside + gammaln(prior.sum()) - gammaln(prior.sum() + counts.sum(axis=-1)))


def marketplace_moves(truth: Truth, n_moves: int, period_days: int = 28) -> list[Move]:
    """The last moves of a simulated log, a period apart, as a shop would know them.

    Parameters
    ----------
    truth : Truth
        Its log: views, carts, purchases and reviews count, weighted by the schema; a day is a basket.
    n_moves : int
        How many; the period after the last one ends with the log.
    period_days : int

    Returns
    -------
    list of Move
        In the order of time; users with two or more purchases in the period after.
    """
    category = pd.read_parquet(truth.folder / "items.parquet").set_index("item_id")["category"].astype(str)
    events = pd.read_parquet(truth.folder / "events")
    events = events[events["event"].isin(SIGNS)]
    events = events.assign(
        category=category.reindex(events["item_id"]).to_numpy(),
        weight=events["event"].map(EVENT_WEIGHTS),
        basket_id=events["user_id"].astype(str) + events["timestamp"].dt.strftime("/%Y-%m-%d"),
    ).sort_values(["timestamp", "user_id", "item_id"], kind="stable", ignore_index=True)
    interests, end = pd.Index(np.sort(category.unique())), events["timestamp"].max().normalize()
    moments = [end - pd.Timedelta(days=period_days * back) for back in range(n_moves, 0, -1)]
    return [move_at(events, at, period_days, interests=interests, min_purchases=2) for at in moments]


def forecast_gains(
    forecasters: Mapping[str, Forecaster], move: Move, over: str, seed: int, n_resamples: int = 1000
) -> pd.DataFrame:
    """Errors of fitted forecasters at one move, and what each gains over one of them, with intervals.

    Parameters
    ----------
    forecasters : mapping of str to forecaster
        Fitted on earlier moves.
    move : Move
        Its future is known and read by nobody but the scores.
    over : str
        Which of the forecasters the others are compared with.
    seed, n_resamples
        As in `metrics.bootstrap_mean`.

    Returns
    -------
    pandas.DataFrame
        One row per forecaster: ``top1``, ``sse1000``, ``perplexity``; ``gain``, ``low``, ``high``: how much
        less its squared error x 1000 is than that of `over`, with the paired 95 % interval over users.
    """
    if move.future is None:
        raise InputError(f"What came after {move.label} is not known: give a move with a future.")
    future = move.future
    errors = {name: forecast_errors(model.predict(move), future) for name, model in forecasters.items()}
    base = errors[over]["squared_error"]
    rows = {}
    for name, error in errors.items():
        gain: Interval = bootstrap_mean(1000 * (base - error["squared_error"]), seed, n_resamples)
        rows[name] = {
            "top1": error["top1"].mean(),
            "sse1000": 1000 * error["squared_error"].mean(),
            "perplexity": perplexity(error),
            "gain": gain.value,
            "low": gain.low,
            "high": gain.high,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
