"""Decay weights and the interest that is left."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.curves import weight_left
from interest_lib.decay import decayed_counts
from interest_lib.history import history_before, history_but_baskets
from interest_lib.schema import InputError


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
    np.testing.assert_allclose(weight_left(ages, 45.0), np.exp(-np.log(2) / 45.0 * ages), rtol=1e-12)


@pytest.mark.parametrize("half_life_days", [0, -3, float("nan")])
def test_a_half_life_must_be_positive(half_life_days: float) -> None:
    with pytest.raises(InputError, match="give a positive number"):
        weight_left(np.ones(1), half_life_days)


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


def test_half_lives_in_days_and_in_baskets_are_never_mixed() -> None:
    ordered = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "a"], "basket_number": [1, 2]})
    baskets = history_but_baskets(ordered, 0, 1)
    assert decayed_counts(baskets, half_life_baskets=1.0).toarray().tolist() == [[1.5]]
    with pytest.raises(InputError, match="no ages in days; give half_life_baskets"):
        decayed_counts(baskets, half_life_days=1.0)
    timed = ordered.drop(columns="basket_number").assign(timestamp=pd.Timestamp("2017-01-01"))
    with pytest.raises(InputError, match="no ages in baskets; give half_life_days"):
        decayed_counts(history_before(timed, pd.Timestamp("2017-02-01"), 1), half_life_baskets=1.0)
    with pytest.raises(InputError, match="fades in one unit"):
        decayed_counts(baskets, 1.0, 1.0)


def test_events_count_by_their_weight_and_a_return_takes_back() -> None:
    log = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 2, 2],
            "item_id": ["a", "a", "b", "b", "b"],
            "timestamp": pd.Timestamp("2017-01-01"),
            "event": ["view", "purchase", "purchase", "purchase", "return"],
            "weight": [0.1, 1.0, 1.0, 1.0, -1.0],
        }
    )
    counts = decayed_counts(history_before(log, pd.Timestamp("2017-02-01"), 1))
    assert counts.toarray().tolist() == [[1.1, 1.0], [0.0, 0.0]] and counts.nnz == 2
