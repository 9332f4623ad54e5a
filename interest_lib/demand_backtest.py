"""The demand as it would have been foretold at several moments, each with what was known then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from interest_lib.demand import Demand, Outlook
from interest_lib.demand_rates import days_watched, purchases_alone
from interest_lib.forecasts import Forecaster
from interest_lib.history import Floats, is_goal
from interest_lib.migration import purchases
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError


@dataclass(frozen=True)
class Foretold:
    """What was foretold at a moment, beside what was known and what came.

    Attributes
    ----------
    outlook : Outlook
    demand : Demand
        Fitted on earlier moves.
    last : dict of str to ndarray of float, shape (n_users, n_interests)
        What somebody would expect who learns nothing, by name: what was bought in the last period, in the
        last month, and in all the time before, each at an even rate.
    came : ndarray of float, same shape
        Baskets that came, of the users and interests known at the moment.
    new : float
        Part of all baskets that came which is not in `came`: of new users, or with new interests.
    """

    outlook: Outlook
    demand: Demand
    last: dict[str, Floats]
    came: Floats
    new: float


def foretell(
    events: pd.DataFrame,
    origins: Sequence[pd.Timestamp],
    period_days: float,
    forecaster: Forecaster,
    month_days: float = 28.0,
    n_moves: int = 4,
    by: str = "category",
) -> dict[str, Foretold]:
    """The demand foretold at several moments, each time with what was known then.

    Parameters
    ----------
    events : pandas.DataFrame
        As for `moves.move_at`, with ``event`` where there are several kinds.
    origins : sequence of pandas.Timestamp
        The moments.
    period_days : float
        Length of the period after each, which the log covers.
    forecaster : Forecaster
        Gives the shares, of whatever users and interests are known at a moment. It is not fitted here, and
        should have learned nothing from what came after the first of the moves that `Demand` learns from.
    month_days : float
        At each moment, `Demand` learns from moves so many days apart whose futures have passed and which have
        at least a period and a month before them.
    n_moves : int
        From how many of them, the latest ones, at most.
    by : str
        Column that names the interest of an event.

    Returns
    -------
    dict of str to Foretold
        By the day of the moment. All users with an event before it are in, whether they bought later or not.

    Raises
    ------
    InputError
        The log does not reach back far enough, or ends before a period does.
    """
    once = ["user_id", "basket_id", by, *({"event"} & set(events))]
    lean = events[[*once, "timestamp", "weight"]].dropna(subset=[by]).drop_duplicates(once, keep="last")
    lean = lean.assign(**{by: lean[by].astype("category")})  # coded once for all moments
    begin, length = events["timestamp"].min().normalize(), pd.Timedelta(days=period_days)
    month = pd.Timedelta(days=month_days)
    known: dict[pd.Timestamp, tuple[Move, Floats]] = {}
    found = {}
    for origin in sorted(origins):
        room = (origin - length - begin - length - month) // month
        before = [origin - length - n * month for n in range(min(room, n_moves - 1), -1, -1)]
        if not before or origin + length > events["timestamp"].max() + pd.Timedelta(days=1):
            raise InputError(
                f"To judge {period_days:g} days from {origin:%Y-%m-%d} on, the log needs them and "
                f"{2 * period_days + month_days:g} days before: give a longer log or a shorter period."
            )
        for at in [*before, origin]:
            if at not in known:
                known[at] = _known_at(lean, at, period_days, forecaster, by)
        earlier, forecasts = zip(*(known[at] for at in before), strict=True)
        demand = Demand(period_days, month_days).fit(earlier, forecasts)
        found[f"{origin:%Y-%m-%d}"] = _foretold(lean, origin, demand, *known[origin], by)
    return found


def _known_at(
    lean: pd.DataFrame, at: pd.Timestamp, period_days: float, forecaster: Forecaster, by: str
) -> tuple[Move, Floats]:
    """All that were known at a moment, what they had bought, and the shares foretold for them."""
    users = pd.Index(np.sort(lean.loc[lean["timestamp"] < at, "user_id"].unique()))
    move = move_at(lean, at, period_days, users, by=by)
    forecast, bought = forecaster.predict(move), purchases_alone(move)
    oldest = move.events.nlargest(1, "age_days")[["user", "interest", "basket_id", "age_days"]]
    return replace(bought, events=oldest), forecast  # the oldest is enough; all take room


def _foretold(
    lean: pd.DataFrame, origin: pd.Timestamp, demand: Demand, bought: Move, forecast: Floats, by: str
) -> Foretold:
    came = np.zeros(bought.shape) if bought.future is None else bought.future
    spans = (demand.period_days, demand.month_days, days_watched(bought))
    last = {
        f"last {days:g} days" if days < spans[-1] else "all past": bought.decayed(None, days)
        * (demand.period_days / days)
        for days in spans
    }
    window = lean[lean["timestamp"].between(origin, origin + pd.Timedelta(days=demand.period_days), "left")]
    window = window[is_goal(window)]
    n_came = len(purchases(window, np.zeros(len(window), dtype=np.int64), by))
    return Foretold(demand.predict(bought, forecast), demand, last, came, 1 - came.sum() / max(n_came, 1))
