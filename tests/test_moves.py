"""A move holds what was known at a moment and nothing of what came after it."""

import numpy as np
import pandas as pd
import pytest

from interest_lib import migration, moves, split
from interest_lib.schema import InputError

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def log(shop: pd.DataFrame) -> pd.DataFrame:
    return shop.assign(category="c" + (shop["item_id"] % 7).astype(str), weight=1.0)


def test_periods_and_future_are_those_of_period_counts(log: pd.DataFrame) -> None:
    start = log["timestamp"].min()
    period = split.quarters(log["timestamp"], 45, n_periods=4)
    counts, users, interests = migration.period_counts(log, period, 1)
    move = moves.move_at(log, start + 135 * DAY, None, users, interests)
    np.testing.assert_array_equal(move.periods(45, 3), counts[:3])
    np.testing.assert_array_equal(move.future, counts[3])
    np.testing.assert_allclose(move.next_shares.sum(axis=1), 1)


def test_nothing_after_the_moment_is_known(log: pd.DataFrame) -> None:
    at = log["timestamp"].min() + 100 * DAY
    spoilt = log.copy()
    after = spoilt["timestamp"] >= at
    spoilt.loc[after, "category"] = "c0"
    spoilt.loc[after, "weight"] = 9.0
    one, other = (moves.move_at(events, at, 28) for events in (log, spoilt))
    pd.testing.assert_frame_equal(one.events, other.events)
    pd.testing.assert_frame_equal(one.signs, other.signs)
    assert not np.array_equal(one.future, other.future)


def test_a_sign_is_worth_its_most_telling_event_once_a_basket(log: pd.DataFrame) -> None:
    twice = pd.concat([log.assign(weight=0.2), log]).sort_values("timestamp", kind="stable")
    at = log["timestamp"].max() + DAY
    once, again = (moves.move_at(events, at, 0, pd.Index([1, 2])) for events in (log, twice))
    assert once.future is None
    np.testing.assert_array_equal(once.decayed(), again.decayed())
    ages = once.signs["age_days"]
    assert once.decayed(30).sum() == pytest.approx((0.5 ** (ages / 30)).sum())
    assert once.decayed(None, 50).sum() == (ages <= 50).sum()


def test_some_users_are_a_move_of_their_own(log: pd.DataFrame) -> None:
    move = moves.move_at(log, log["timestamp"].min() + 100 * DAY, 28)
    some = move.of_users([5, 2])
    assert some.user_ids.tolist() == move.user_ids[[5, 2]].tolist()
    np.testing.assert_array_equal(some.decayed(30), move.decayed(30)[[5, 2]])
    np.testing.assert_array_equal(some.future, move.future[[5, 2]])
    assert some.events["user_id"].isin(some.user_ids).all()
    assert (some.user_ids[some.events["user"]] == some.events["user_id"]).all()


def test_users_are_those_known_before_and_often_enough_after(log: pd.DataFrame) -> None:
    at = log["timestamp"].min() + 100 * DAY
    move = moves.move_at(log, at, 28, min_purchases=12)
    assert (move.future.sum(axis=1) >= 12).all()
    assert len(move.user_ids) < len(moves.move_at(log, at, 28).user_ids)
    newcomer = log[(log["user_id"] != 3) | (log["timestamp"] >= at)]
    assert 3 not in moves.move_at(newcomer, at, 28).user_ids


def test_what_cannot_be_is_refused(log: pd.DataFrame) -> None:
    start = log["timestamp"].min()
    with pytest.raises(InputError, match="Nobody has a purchase before"):
        moves.move_at(log, start, 28)
    with pytest.raises(InputError, match="is not known"):
        _ = moves.move_at(log, start + 90 * DAY, 0, pd.Index([1])).next_shares
