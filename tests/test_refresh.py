"""A model refreshed every period against one left alone."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
import pytest

from interest_lib.forecasts import ShrunkShares
from interest_lib.history import Floats
from interest_lib.migration import shares
from interest_lib.moves import Move
from interest_lib.refresh import WAYS, moves_apart, refresh_losses, staleness, tilted
from interest_lib.schema import InputError

PERIOD_DAYS = 20
START = pd.Timestamp("2017-01-01")
ORIGINS = [START + pd.Timedelta(days=days) for days in range(20, 140, PERIOD_DAYS)]


def log(drift: float, common: bool = False, n_users: int = 60) -> pd.DataFrame:
    """Users who like one of six interests and, with a probability a period, turn to another for good."""
    rng = np.random.default_rng(3)
    n_periods, per_period = 8, 40
    first = np.zeros(n_users, dtype=int) if common else rng.integers(0, 6, n_users)
    moves = rng.random((n_periods, 1 if common else n_users)) < drift
    liked = (first + np.cumsum(np.broadcast_to(moves, (n_periods, n_users)), axis=0)) % 6
    days = np.sort(rng.uniform(0, PERIOD_DAYS, (n_periods, n_users, per_period)), axis=2)
    days = days + PERIOD_DAYS * np.arange(n_periods)[:, None, None]
    strays = rng.random(days.shape) < 0.3
    interest = np.where(strays, rng.integers(0, 6, days.shape), liked[:, :, None])
    user = np.broadcast_to(np.arange(n_users)[None, :, None], days.shape)
    table = pd.DataFrame({"user_id": user.ravel(), "category": interest.ravel(), "day": days.ravel()})
    table = table.sort_values("day", kind="stable", ignore_index=True)
    times = START + pd.to_timedelta(table.pop("day"), unit="D")
    return table.assign(timestamp=times, basket_id=np.arange(len(table)), weight=1.0)


class LastMonth:
    """Shares of the last period times a bias learned as the mean of the last move that is known."""

    def __init__(self, bias: Floats | None = None) -> None:
        self.bias = bias

    def fit(self, moves: Sequence[Move]) -> Self:
        self.bias = moves[-1].next_shares.mean(axis=0)
        return self

    def predict(self, move: Move) -> Floats:
        assert self.bias is not None
        return shares((move.decayed(None, PERIOD_DAYS) + 1) * self.bias)


def dirichlet(known: Sequence[Move]) -> ShrunkShares:
    return ShrunkShares(half_life_days=15, strength=5).fit(known)


@pytest.fixture(scope="module")
def drifting() -> pd.DataFrame:
    return refresh_losses(moves_apart(log(drift=0.3), ORIGINS, PERIOD_DAYS), dirichlet)


def test_where_interest_moves_the_model_left_alone_gets_worse_with_age(drifting: pd.DataFrame) -> None:
    stale = staleness(drifting, seed=1, n_resamples=200)
    assert stale.loc[0, "value"] == 0
    assert (stale.loc[1:4, "low"] > 0).all()
    assert stale.loc[3, "value"] > 1.5 * stale.loc[1, "value"]
    by_log = staleness(drifting, measure="log_loss", seed=1, n_resamples=200)
    assert by_log.loc["all", "low"] > 0


def test_a_model_without_parameters_gains_nothing_by_fitting_anew(drifting: pd.DataFrame) -> None:
    refit = staleness(drifting, "state_only", "refit", seed=1, n_resamples=50)
    np.testing.assert_array_equal(refit["value"], 0.0)


def test_where_nothing_moves_little_is_lost() -> None:
    still = refresh_losses(moves_apart(log(drift=0.0), ORIGINS, PERIOD_DAYS), dirichlet)
    moving = refresh_losses(moves_apart(log(drift=0.3), ORIGINS, PERIOD_DAYS), dirichlet)
    lost = [staleness(losses, seed=1, n_resamples=50).loc["all", "value"] for losses in (still, moving)]
    assert abs(lost[0]) < 0.03 * lost[1]


def test_a_season_of_everybody_is_what_the_tilt_takes_away() -> None:
    common = refresh_losses(moves_apart(log(0.5, common=True), ORIGINS, PERIOD_DAYS), dirichlet)
    alone = staleness(common, "left_alone", "state_only", seed=1, n_resamples=50).loc["all", "value"]
    tilt = staleness(common, "shop_only", "state_only", seed=1, n_resamples=50).loc["all", "value"]
    own = refresh_losses(moves_apart(log(0.3), ORIGINS, PERIOD_DAYS), dirichlet)
    own_alone = staleness(own, "left_alone", "state_only", seed=1, n_resamples=50).loc["all", "value"]
    own_tilt = staleness(own, "shop_only", "state_only", seed=1, n_resamples=50).loc["all", "value"]
    assert tilt < 0.1 * alone
    assert own_tilt > 0.8 * own_alone


def test_parameters_of_the_start_stay_unless_the_model_is_fitted_anew() -> None:
    moves = moves_apart(log(0.5, common=True), ORIGINS, PERIOD_DAYS)
    losses = refresh_losses(moves, lambda known: LastMonth().fit(known), every_start=False)
    last = losses[losses["age"] == losses["age"].max()].groupby("way")["squared_error"].mean()
    future = shares(moves[-1].future)
    state = LastMonth(moves[0].next_shares.mean(axis=0)).predict(moves[-1])
    refit = LastMonth(moves[-2].next_shares.mean(axis=0)).predict(moves[-1])
    alone = LastMonth(moves[0].next_shares.mean(axis=0)).predict(moves[1])
    for way, forecast in (("state_only", state), ("refit", refit), ("left_alone", alone)):
        assert last[way] == pytest.approx(((forecast - future) ** 2).sum(axis=1).mean())


def test_every_way_is_judged_on_the_same_users_and_one_start_gives_one_period_to_an_age() -> None:
    moves = moves_apart(log(0.3), ORIGINS, PERIOD_DAYS)
    losses = refresh_losses(moves, dirichlet, every_start=False)
    sizes = losses.groupby(["age", "way"]).size().unstack()
    assert list(sizes.columns) == sorted(WAYS)
    assert (sizes.nunique(axis=1) == 1).all()
    assert losses.groupby("age")["origin"].nunique().eq(1).all()
    assert refresh_losses(moves, dirichlet).groupby("age")["origin"].nunique().loc[1] == len(moves) - 2


def test_nothing_after_a_moment_is_read() -> None:
    events, at = log(0.3), ORIGINS[2]
    spoilt = events.assign(category=events["category"].where(events["timestamp"] < at, 5))
    clean, dirty = (moves_apart(table, ORIGINS, PERIOD_DAYS) for table in (events, spoilt))
    np.testing.assert_array_equal(clean[2].decayed(15), dirty[2].decayed(15))
    np.testing.assert_array_equal(clean[1].future, dirty[1].future)
    assert not np.array_equal(clean[2].future, dirty[2].future)


def test_users_without_enough_purchases_are_not_judged() -> None:
    moves = moves_apart(log(0.3), ORIGINS, PERIOD_DAYS)
    moves[2].future[:10] = 0
    losses = refresh_losses(moves, dirichlet, every_start=False)
    judged = losses[losses["origin"] == moves[2].label]["user_id"].unique()
    assert sorted(judged) == list(range(10, 60))


def test_a_tilt_moves_the_mean_and_leaves_nobody_empty() -> None:
    forecast = np.array([[1.0, 0.0, 0.0], [0.2, 0.4, 0.4]])
    today = np.array([[0.0, 0.5, 0.5], [0.0, 0.8, 0.2]])
    moved = tilted(forecast, today)
    np.testing.assert_allclose(moved.sum(axis=1), 1)
    np.testing.assert_array_equal(moved[0], forecast[0])
    np.testing.assert_allclose(moved[1], [0, 0.65, 0.35])


def test_what_cannot_be_compared_is_refused() -> None:
    events = log(0.3)
    moves = moves_apart(events, ORIGINS, PERIOD_DAYS)
    others = moves_apart(events[events["user_id"] > 5], ORIGINS, PERIOD_DAYS)
    with pytest.raises(InputError, match="other users"):
        refresh_losses([*moves[:2], others[2]], dirichlet)
    with pytest.raises(InputError, match="give more moves"):
        refresh_losses(moves[:1], dirichlet)
    with pytest.raises(InputError, match="choose from"):
        staleness(pd.DataFrame(), of="never")
    unknown = moves_apart(events, ORIGINS[:1], 0)
    with pytest.raises(InputError, match="not known"):
        refresh_losses([*unknown, moves[0]], dirichlet)
