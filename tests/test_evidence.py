"""Weights of kinds of events: set, learned on validation, and used."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.evidence import learn_weights, set_weights


def shop(carts_tell: bool, n_days: int = 140) -> pd.DataFrame:
    """Users who buy what they put in the cart a week before, or something else; views are noise."""
    rng = np.random.default_rng(5)
    rows = []
    for user in range(120):
        for day in range(0, n_days - 7, 7):
            wanted, other = rng.integers(0, 50, 2)
            rows += [(user, rng.integers(50), day, "view") for _ in range(4)]
            rows += [
                (user, wanted, day, "cart"),
                (user, wanted if carts_tell else other, day + 7, "purchase"),
            ]
            rows += [(user, rng.integers(50), day, "purchase")]
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "day", "event"])
    log["timestamp"] = pd.Timestamp("2024-01-01 10:00") + pd.to_timedelta(log["day"], unit="D")
    return log.sort_values(["timestamp", "user_id", "item_id", "event"], ignore_index=True)


def test_what_foretells_weighs_and_what_does_not_weighs_nothing() -> None:
    telling, useless = shop(carts_tell=True), shop(carts_tell=False)
    settings = {"horizon_days": 7, "half_life_days": 7.0}
    learned = learn_weights(telling, set_weights(telling), **settings)
    assert learned.weights["cart"] >= 1 and learned.weights["view"] <= 0.1
    assert learned.weights["purchase"] == 1
    gain = learned.trials[learned.trials["kind"] == "cart"].set_index("weight")["ndcg"]
    assert gain.max() > 1.3 * gain[0.0]
    assert learn_weights(useless, set_weights(useless), **settings).weights["cart"] <= 0.3


def test_the_test_period_is_never_looked_at() -> None:
    log = shop(carts_tell=True)
    test = log["timestamp"] >= log["timestamp"].max().normalize() - pd.Timedelta(days=7)
    rng = np.random.default_rng(0)
    changed = log.assign(item_id=log["item_id"].where(~test, rng.integers(0, 50, len(log))))
    before, after = (learn_weights(each, set_weights(each), horizon_days=7).trials for each in (log, changed))
    assert not changed.equals(log)
    pd.testing.assert_frame_equal(before, after)
    earlier = log.assign(item_id=log["item_id"].where(test | (log["day"] < 100), 3))
    assert not learn_weights(earlier, set_weights(earlier), horizon_days=7).trials.equals(before)


def test_returns_take_away_or_weigh_nothing_without_a_sign() -> None:
    log = shop(carts_tell=True)
    sent_back = log[log["event"] == "cart"].assign(event="return")
    log = pd.concat([log, sent_back]).sort_values("timestamp", kind="stable", ignore_index=True)
    learned = learn_weights(log, set_weights(log), horizon_days=7, grid=(0.0, 1.0))
    tried = learned.trials.loc[learned.trials["kind"] == "return", "weight"]
    assert [f"{weight:g}" for weight in tried] == ["0", "-1"]


def test_weights_set_by_hand_stay_and_count_in_predicted_events() -> None:
    log = shop(carts_tell=True)
    start = set_weights(log, {"cart": 0.4, "purchase": 2.0})
    assert start.weights == pytest.approx({"cart": 0.2, "purchase": 1.0, "view": 0.05})
    learned = learn_weights(log, start, given=["cart"], horizon_days=7)
    assert learned.weights["cart"] == 0.2 and set(learned.trials["kind"]) == {"view"}


def test_a_log_too_short_to_learn_keeps_what_is_set() -> None:
    log = shop(carts_tell=True, n_days=63)
    kept = learn_weights(log, set_weights(log), horizon_days=28)
    assert kept.weights == set_weights(log).weights and "no period before the test" in kept.why


def test_weights_are_learned_in_baskets_where_there_are_no_times() -> None:
    log = (
        shop(carts_tell=True).drop(columns="timestamp").assign(basket_number=lambda log: log["day"] // 7 + 1)
    )
    learned = learn_weights(log.sort_values("basket_number"), set_weights(log), half_life_baskets=1.0)
    assert learned.weights["cart"] >= 1
    assert learned.why.endswith("did next at last_basket_but_1.")


def test_own_weights_of_events_multiply() -> None:
    log = pd.DataFrame({"event": ["view", "purchase"], "weight": [2.0, np.nan]})
    assert set_weights(log).of(log).tolist() == [0.2, 1.0]


def test_own_weights_of_events_count_while_learning() -> None:
    log = shop(carts_tell=True)
    log.index += 5  # places in the log are not its labels
    twice = log.assign(weight=np.where(log["event"] == "cart", 2.0, 1.0))
    start = set_weights(log)
    found, whole = (
        learn_weights(each, start, given=["view"], horizon_days=7, grid=grid).trials["ndcg"].tolist()
        for each, grid in ((twice, (0.05, 0.5)), (log, (0.1, 1.0)))
    )
    assert found == whole and found[0] != found[1]
