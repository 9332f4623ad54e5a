"""The planted matrix of synthetic marketplaces beside what is found of it in their logs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd

from interest_lib.history import Floats, codes
from interest_lib.leaders import leading_interests
from interest_lib.marketplace import Marketplace, Truth, generate
from interest_lib.migration import shares
from interest_lib.recovery import views_of
from interest_lib.regimes import RegimeModel
from interest_lib.schema import InputError
from interest_lib.visits import visits_to_interests

SHORT_PERIOD_DAYS: Final = 14
"""Period of the simple estimate by leading interests, shorter than a regime."""


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
