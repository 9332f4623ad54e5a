"""Planted half-lives of synthetic marketplaces beside those that are found from their views."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from joblib import delayed

from interest_lib.marketplace import Marketplace, Truth, generate
from interest_lib.processes import all_done
from interest_lib.return_checks import misfit
from interest_lib.return_counts import return_statistics
from interest_lib.return_rates import fit_half_lives


def recovery(settings: Iterable[Marketplace], n_resamples: int = 99, n_jobs: int = 1) -> pd.DataFrame:
    """Planted half-lives of simulated logs beside those that are found from their views.

    Parameters
    ----------
    settings : iterable of Marketplace
        One for each log.
    n_resamples : int
        Resamples of users for the intervals.
    n_jobs : int
        Number of processes.

    Returns
    -------
    pandas.DataFrame
        One row for each log and category: the columns of `fit_half_lives` without a given curve;
        ``half_life_days_if_told``, ``low_if_told`` and ``high_if_told`` with the planted curve given;
        ``planted_curve`` and ``planted_half_life_days``; ``seed`` and ``events_per_user`` of the settings,
        and the learned ``follow_ups``.

    Notes
    -----
    Nothing but the log's views and the items' categories is used to find them. Each visit has a view, while
    carts and purchases leave most visits out.

    Examples
    --------
    >>> small = Marketplace(n_users=30, n_items=40, n_categories=4, n_groups=2, events_per_user=60)
    >>> recovery([small], n_resamples=0)[["seed", "interest"]].shape
    (4, 2)
    """
    every = list(settings)
    # the longest first: at the end no process waits for a large log that another one has just begun
    order = sorted(range(len(every)), key=lambda n: -every[n].n_users * every[n].events_per_user)
    found = all_done((delayed(_recovered)(every[n], n_resamples) for n in order), n_jobs)
    by_place = dict(zip(order, found, strict=True))
    return pd.concat([by_place[n] for n in range(len(every))], ignore_index=True)


def marketplace_misfit(settings: Marketplace) -> pd.DataFrame:
    """How far the views of one simulated log are from what fading interest brings.

    Parameters
    ----------
    settings : Marketplace
        Of either generator.

    Returns
    -------
    pandas.DataFrame
        As from `return_checks.misfit`, each interest with the curve that is most likely for it.

    Examples
    --------
    >>> small = Marketplace(n_users=30, n_items=40, n_categories=4, n_groups=2, events_per_user=60)
    >>> "others_z" in marketplace_misfit(small)
    True
    """
    statistics = return_statistics(_views(settings)[0])
    fitted = fit_half_lives(statistics)
    curve = {str(name): str(own) for name, own in fitted["curve"].items()}
    return misfit(statistics, curve, fitted.attrs["follow_ups"])


def views_of(truth: Truth) -> pd.DataFrame:
    """Views of a marketplace with their category: ``user_id``, ``timestamp``, ``category``.

    Every visit has a view, while carts and purchases leave most visits out.
    """
    events = pd.read_parquet(truth.folder / "events", filters=[("event", "==", "view")])
    category = pd.read_parquet(truth.folder / "items.parquet").set_index("item_id")["category"]
    return events[["user_id", "timestamp"]].assign(category=category.reindex(events["item_id"]).to_numpy())


def _views(given: Marketplace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Views of a simulated log with their category, and the planted curve and half-life of each category."""
    with TemporaryDirectory() as folder:
        truth = generate(given, Path(folder) / "shop", n_jobs=1)
        log = views_of(truth)
        planted = truth.table("categories").set_index("category")[["curve", "half_life_days"]]
    return log, planted


def _recovered(given: Marketplace, n_resamples: int) -> pd.DataFrame:
    log, planted = _views(given)
    statistics = return_statistics(log)
    planted = planted.reindex(statistics.interests).add_prefix("planted_")
    known = dict(zip(statistics.interests, planted["planted_curve"], strict=True))
    columns = ["half_life_days", "low", "high"]
    told = fit_half_lives(statistics, known, n_resamples, given.seed)[columns].add_suffix("_if_told")
    found = fit_half_lives(statistics, None, n_resamples, given.seed)
    return (
        found.join(told)
        .join(planted)
        .assign(seed=given.seed, events_per_user=given.events_per_user, follow_ups=found.attrs["follow_ups"])
        .reset_index()
    )
