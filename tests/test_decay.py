"""Decay weights and the interest that is left."""

import numpy as np
import pandas as pd
import pytest

from interest_lib import metrics, split
from interest_lib.curves import CURVES, weight_left
from interest_lib.decay import (
    choose_half_life,
    decayed_counts,
    interest_shares,
    shuffled_in_time,
    threshold_rule,
)
from interest_lib.history import history_before, history_but_baskets
from interest_lib.recommend import PersonalFrequency
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


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_begins_at_one_is_halved_at_its_half_life_and_never_rises(curve: str) -> None:
    left = weight_left(np.linspace(0, 500, 2001), 30.0, curve)
    assert left[0] == 1
    assert weight_left(np.array([30.0]), 30.0, curve)[0] == pytest.approx(0.5, abs=1e-12)
    assert (np.diff(left) <= 0).all()
    assert (left >= 0).all()


def test_curves_have_the_shapes_of_their_names() -> None:
    ages = np.array([10.0, 20.0, 40.0, 60.0])
    linear, logarithmic = weight_left(ages, 30.0, "linear"), weight_left(ages, 30.0, "logarithmic")
    np.testing.assert_allclose(linear, 1 - ages / 60, atol=1e-12)
    np.testing.assert_allclose(logarithmic, 1 - np.log(1 + ages / 30) / np.log(4), atol=1e-12)
    assert weight_left(np.array([60.0, 90.0]), 30.0, "linear").tolist() == [0, 0]
    assert weight_left(np.array([90.0, 120.0]), 30.0, "logarithmic").round(12).tolist() == [0, 0]
    late = {curve: weight_left(np.array([300.0]), 30.0, curve)[0] for curve in CURVES}
    assert late["power"] > 10 * late["exponential"] > 0, "a power law forgets last"


def test_each_event_can_have_a_half_life_of_its_own_and_unknown_curves_are_refused() -> None:
    left = weight_left(np.array([10.0, 10.0]), np.array([10.0, 5.0]))
    assert left.tolist() == [0.5, 0.25]
    with pytest.raises(InputError, match="give a positive number"):
        weight_left(np.array([1.0, 1.0]), np.array([10.0, 0.0]))
    with pytest.raises(InputError, match="did you mean linear"):
        weight_left(np.ones(1), 3.0, "lineer")


@pytest.mark.parametrize("curve", CURVES)
def test_counts_follow_the_curve_that_is_asked_for(curve: str) -> None:
    history = history_before(events(), pd.Timestamp("2017-03-20"), min_users_per_item=1)
    found = decayed_counts(history, 20.0, curve=curve)
    expected = np.zeros(history.shape)
    np.add.at(expected, (history.rows, history.cols), weight_left(history.age_days, 20.0, curve))
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12)


def test_shares_add_up_and_the_threshold_rule_is_what_is_written() -> None:
    log = events()
    fold = split.fold_at(log, pd.Timestamp("2017-03-01"), 28, min_users_per_item=1)
    interest = decayed_counts(fold.history, 20.0)
    shares = interest_shares(interest).toarray()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    found = threshold_rule(interest, fold.history, fold.targets, np.array([0.01, 0.03, 0.9]))
    precision, recall, length = [], [], []
    for user, wanted in fold.targets.groupby("user_id")["item_id"]:
        own = shares[fold.history.user_ids.get_loc(user)]
        listed = set(fold.history.item_ids[own >= 0.03])
        hits = len(listed & set(wanted))
        precision.append(hits / max(len(listed), 1))
        recall.append(hits / len(wanted))
        length.append(len(listed))
    row = found.loc[0.03]
    assert row[["precision", "recall", "length"]].tolist() == pytest.approx(
        [np.mean(precision), np.mean(recall), np.mean(length)]
    )
    assert 0 < row["f1"] < 1
    assert found["recall"].is_monotonic_decreasing
    assert found.loc[0.9].eq(0).all(), "nobody has so strong an interest"


def test_a_user_without_history_counts_as_a_miss_under_the_threshold_rule() -> None:
    log = events()
    fold = split.fold_at(log, pd.Timestamp("2017-03-01"), 28, min_users_per_item=1)
    stranger = pd.concat([fold.targets, pd.DataFrame({"user_id": [999], "item_id": [0], "novel": [True]})])
    interest, n_users = decayed_counts(fold.history, 20.0), fold.targets["user_id"].nunique()
    known = threshold_rule(interest, fold.history, fold.targets, np.array([0.03]))
    both = threshold_rule(interest, fold.history, stranger, np.array([0.03]))
    np.testing.assert_allclose(both * (n_users + 1), known * n_users)


def in_baskets(log: pd.DataFrame) -> pd.DataFrame:
    day = log["timestamp"].dt.strftime("%j").astype(int)
    log = log.assign(basket_id=log["user_id"] * 1000 + day, quantity=1.0)
    return log.assign(basket_number=log.groupby("user_id")["basket_id"].rank("dense").astype(int))


def test_shuffling_moves_whole_baskets_within_each_user_and_nothing_else() -> None:
    log = in_baskets(events())
    shuffled = shuffled_in_time(log, seed=4)
    kept = ["user_id", "basket_id", "item_id", "category"]
    pd.testing.assert_frame_equal(
        shuffled[kept].sort_values(kept, ignore_index=True), log[kept].sort_values(kept, ignore_index=True)
    )
    assert shuffled["timestamp"].is_monotonic_increasing
    assert shuffled.groupby("basket_id")[["timestamp", "basket_number"]].nunique().eq(1).all().all()
    first = log.groupby(["user_id", "basket_id"])["timestamp"].min().groupby("user_id").apply(set)
    pd.testing.assert_series_equal(shuffled.groupby("user_id")["timestamp"].apply(set), first)
    places = [each.drop_duplicates("basket_id").set_index("basket_id") for each in (shuffled, log)]
    assert (places[0]["basket_number"] != places[1]["basket_number"].reindex(places[0].index)).mean() > 0.8
    again = shuffled_in_time(log.sample(frac=1, random_state=0), seed=4)
    pd.testing.assert_frame_equal(shuffled[[*kept[:3], "timestamp"]], again[[*kept[:3], "timestamp"]])
    assert not shuffled["timestamp"].equals(shuffled_in_time(log, seed=5)["timestamp"])


def test_shuffling_works_on_ordered_baskets_without_times() -> None:
    log = in_baskets(events()).drop(columns="timestamp")
    shuffled = shuffled_in_time(log, seed=4)
    assert shuffled["basket_number"].is_monotonic_increasing
    assert shuffled.groupby("basket_id")["basket_number"].nunique().eq(1).all()


def drifting() -> pd.DataFrame:
    """Baskets of users whose taste drifts: what they bought lately tells most."""
    rng = np.random.default_rng(2)
    rows = []
    for user in range(80):
        taste = rng.integers(0, 60, 6)
        for visit in range(40):
            taste[rng.random(6) < 0.12] = rng.integers(0, 60)
            time = pd.Timestamp("2017-01-01") + pd.Timedelta(days=7 * visit + rng.uniform(0, 6))
            rows += [(user, item, time, user * 100 + visit) for item in set(rng.choice(taste, 3))]
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "basket_id"])
    return log.sort_values("timestamp", ignore_index=True)


def earlier_scores(log: pd.DataFrame) -> pd.DataFrame:
    scores = []
    for fold in split.folds(log, 28, 3, 1)[1:]:
        by_half_life = {}
        for half_life in (10.0, 30.0, 90.0, np.inf):
            model = PersonalFrequency(None if half_life == np.inf else half_life).fit(fold.history)
            by_half_life[half_life] = metrics.ndcg_at_k(model.recommend(fold.user_ids, 5), fold.targets, 5)
        scores.append(pd.DataFrame(by_half_life))
    return pd.concat(scores)


def test_a_half_life_is_chosen_where_interest_fades_and_none_where_time_was_shuffled() -> None:
    log = drifting()
    chosen, gain = choose_half_life(earlier_scores(log), seed=1)
    assert chosen in (10.0, 30.0)
    assert gain.low > 0
    for seed in range(5):
        nothing, gain = choose_half_life(earlier_scores(shuffled_in_time(log, seed)), seed=1)
        assert nothing == np.inf
        assert gain.low <= 0


def test_more_candidates_need_a_clearer_gain() -> None:
    rng = np.random.default_rng(0)
    better = pd.Series(rng.normal(0.1, 0.5, 100)) + 0.05
    few = pd.DataFrame({30.0: better, np.inf: 0.0})
    many = pd.DataFrame({**{float(h): better - h for h in range(1, 40)}, 0.5: better, np.inf: 0.0})
    assert choose_half_life(few, seed=1)[0] == 30.0
    assert choose_half_life(many, seed=1)[1].low < choose_half_life(few, seed=1)[1].low
