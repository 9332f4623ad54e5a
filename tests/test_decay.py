"""Decay weights and the interest that is left."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.decay import decayed_counts, exponential_weight, interest_shares
from interest_lib.schema import InputError
from interest_lib.split import history_before


def events() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 2000
    times = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 100, n)), unit="D")
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 30, n),
            "item_id": rng.integers(0, 50, n),
            "timestamp": times,
            "category": rng.choice(["tea", "milk", "soap"], n),
        }
    )


def test_half_life_and_rate_are_the_same_curve() -> None:
    ages = np.linspace(0, 400, 50)
    np.testing.assert_allclose(exponential_weight(ages, 45.0), np.exp(-np.log(2) / 45.0 * ages), rtol=1e-12)


@pytest.mark.parametrize("half_life_days", [0, -3, float("nan")])
def test_a_half_life_must_be_positive(half_life_days: float) -> None:
    with pytest.raises(InputError, match="positive number of days"):
        exponential_weight(np.ones(1), half_life_days)


def test_counts_equal_the_sum_written_out() -> None:
    log, origin = events(), pd.Timestamp("2017-03-20")
    history = history_before(log, origin, min_users_per_item=1)
    matrix = decayed_counts(history, 20.0)
    user, item = history.user_ids[3], history.item_ids[5]
    own = log[(log["user_id"] == user) & (log["item_id"] == item) & (log["timestamp"] < origin)]
    ages = (origin - own["timestamp"]) / pd.Timedelta(days=1)
    assert len(own) > 0
    assert matrix[3, 5] == pytest.approx((0.5 ** (ages / 20.0)).sum())


def test_no_half_life_counts_every_event_once() -> None:
    log = events()
    history = history_before(log, pd.Timestamp("2017-03-20"), min_users_per_item=1)
    assert decayed_counts(history).sum() == (log["timestamp"] < "2017-03-20").sum()


def test_items_always_bought_together_tie_exactly() -> None:
    times = pd.date_range("2017-01-01 08:13:07", periods=40, freq="53h").repeat(2)
    log = pd.DataFrame({"user_id": 1, "item_id": ["a", "b"] * 40, "timestamp": times})
    row = decayed_counts(history_before(log, pd.Timestamp("2017-06-01"), 1), 33.3).toarray()[0]
    assert row[0] == row[1]


def test_shares_add_up_and_ignore_the_future() -> None:
    log, at = events(), pd.Timestamp("2017-02-01")
    shares = interest_shares(log, at, 30.0)
    np.testing.assert_allclose(shares.groupby("user_id")["share"].sum(), 1.0)
    changed = log.assign(category=log["category"].where(log["timestamp"] < at, "future"))
    pd.testing.assert_frame_equal(shares, interest_shares(changed, at, 30.0))
