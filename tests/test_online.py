"""The state that is updated event by event, against the sums over the whole log."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest

from interest_lib.decay import decayed_counts
from interest_lib.history import history_before
from interest_lib.online import InterestState
from interest_lib.queries import interests
from interest_lib.schema import EVENT_WEIGHTS, InputError

AT = datetime(2018, 1, 1)


def log(seed: int = 0, n: int = 3000) -> pd.DataFrame:
    """Events of all types in no order, some at the same time, some without a category."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 365 * 86_400, n) // 60 * 60
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 40, n),
            "category": rng.choice(["tea", "milk", "soap", None], n, p=[0.5, 0.2, 0.2, 0.1]),
            "item_id": rng.integers(0, 25, n),
            "timestamp": pd.Timestamp("2017-01-01") + pd.to_timedelta(seconds, unit="s"),
            "event": rng.choice(["view", "cart", "purchase", "return"], n, p=[0.5, 0.2, 0.25, 0.05]),
        }
    )


def one_by_one(state: InterestState, events: pd.DataFrame, weights: Any = None) -> InterestState:
    for row in events[events[state.by].notna()].to_dict("records"):
        weight = (weights or {}).get(row["event"], 1.0)
        state.update(row["user_id"], row[state.by], row["timestamp"].to_pydatetime(), weight)
    return state


def in_bulk(state: InterestState, events: pd.DataFrame, weights: Any = None, parts: int = 3) -> InterestState:
    for part in np.array_split(np.arange(len(events)), parts):
        state.update_events(events.iloc[part], weights)
    return state


def batch(events: pd.DataFrame, by: str, half_life_days: float | None, weights: Any = None) -> pd.DataFrame:
    table = interests(ibis.memtable(events), by, AT, half_life_days, weights).to_pandas()
    return table.sort_values(["user_id", by], ignore_index=True)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame, rtol: float = 1e-9) -> None:
    pd.testing.assert_frame_equal(found, expected, rtol=rtol, atol=1e-12, check_dtype=False)


@pytest.mark.parametrize("update", [one_by_one, in_bulk])
@pytest.mark.parametrize("half_life_days", [None, 0.7, 90])
@pytest.mark.parametrize("by", ["category", "item_id"])
def test_it_is_the_batch_result(update: Any, half_life_days: float | None, by: str) -> None:
    events = log()
    state = update(InterestState(half_life_days, by), events, EVENT_WEIGHTS)
    expected = batch(events, by, half_life_days, EVENT_WEIGHTS)
    assert len(state) == len(expected) > 50 and (expected["weight"] > 0).any()
    assert_same(state.table(AT), expected)
    for user, own in expected.groupby("user_id"):
        assert state.interests(user, AT) == pytest.approx(dict(zip(own[by], own["weight"], strict=True)))
        if own["weight"].sum() > 0:
            assert state.shares(user, AT) == pytest.approx(dict(zip(own[by], own["share"], strict=True)))


def test_without_returns_every_weight_is_right_to_a_billionth() -> None:
    events = log(n=20_000)
    expected = batch(events, "category", 3.0)["weight"]
    for update in (one_by_one, in_bulk):
        found = update(InterestState(3.0, "category"), events).table(AT)["weight"]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=0)


def test_it_is_what_the_models_work_with() -> None:
    events = log().sort_values("timestamp", ignore_index=True)
    events["weight"] = events["event"].map(EVENT_WEIGHTS)
    history = history_before(events, pd.Timestamp(AT), min_users_per_item=1)
    table = in_bulk(InterestState(20.0), events).table(AT)
    rows, cols = (
        history.user_ids.get_indexer(table["user_id"]),
        history.item_ids.get_indexer(table["item_id"]),
    )
    expected = decayed_counts(history, 20.0).toarray()[rows, cols]
    np.testing.assert_allclose(table["weight"], expected, rtol=1e-9, atol=1e-13)


def test_the_column_weight_comes_before_that_of_the_type() -> None:
    events = log().assign(weight=lambda t: np.where(t.index % 2, 0.25, np.nan))
    state = in_bulk(InterestState(30.0, "category"), events, EVENT_WEIGHTS)
    assert_same(state.table(AT), batch(events, "category", 30.0, EVENT_WEIGHTS))


def test_every_interest_may_have_its_own_half_life() -> None:
    events, own = log(), {"tea": 5.0, "soap": 200.0}
    everything = {days: batch(events, "category", days) for days in (5.0, 200.0, 40.0)}
    expected = everything[40.0].copy()
    for name, days in own.items():
        expected.loc[expected["category"] == name, "weight"] = everything[days]["weight"]
    for update in (one_by_one, in_bulk):
        found = update(InterestState(40.0, "category", own), events).table(AT)
        np.testing.assert_allclose(found["weight"], expected["weight"], rtol=1e-9)
        np.testing.assert_allclose(found.groupby("user_id")["share"].sum(), 1, rtol=1e-12)


def test_late_events_are_exact() -> None:
    times = [datetime(2017, 1, 1), datetime(2017, 3, 1), datetime(2017, 6, 1)]
    expected = sum(0.5 ** ((AT - time).days / 30) for time in times)
    for order in permutations(times):
        state = InterestState(30.0)
        for time in order:
            state.update(1, "a", time)
        assert state.interests(1, AT)["a"] == pytest.approx(expected, rel=1e-12)


def test_single_and_bulk_updates_take_turns() -> None:
    events, state = log(), InterestState(30.0, "category")
    for number, part in enumerate(np.array_split(np.arange(len(events)), 12)):
        (one_by_one, in_bulk)[number % 2](state, events.iloc[part])
    expected = batch(events, "category", 30.0)
    assert_same(state.table(AT), expected)
    for user, own in expected.groupby("user_id"):
        assert state.interests(user, AT).keys() == set(own["category"])


def test_shards_merge_in_any_order_and_grouping() -> None:
    events = log()
    parts = np.array_split(np.arange(len(events)), 3)  # users and categories are in all of them
    expected = batch(events, "category", 30.0)

    def shard(number: int) -> InterestState:
        return in_bulk(InterestState(30.0, "category"), events.iloc[parts[number]])

    for first, second, third in permutations(range(3)):
        left = shard(first)
        left.merge(shard(second))
        left.merge(shard(third))
        inner, right = shard(second), shard(first)
        inner.merge(shard(third))
        right.merge(inner)
        assert_same(left.table(AT), expected)
        assert_same(right.table(AT), left.table(AT), rtol=1e-12)


def test_a_merge_leaves_the_other_state_alone_and_takes_an_empty_one() -> None:
    state, other = InterestState(30.0), InterestState(30.0)
    other.update(1, "a", AT)
    state.merge(other)
    state.merge(InterestState(30.0))
    state.update(1, "a", AT)
    assert other.interests(1, AT) == {"a": 1.0} and state.interests(1, AT) == {"a": 2.0}


@pytest.mark.parametrize(
    "other", [InterestState(31.0), InterestState(30.0, "category"), InterestState(30.0, by_interest={"a": 3})]
)
def test_states_that_fade_differently_are_not_merged(other: InterestState) -> None:
    with pytest.raises(InputError, match="merge states that fade alike"):
        InterestState(30.0).merge(other)


def test_centuries_neither_overflow_nor_lose_the_shares() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        state = InterestState(1 / 24)
        for time in (datetime(2017, 1, 1), datetime(1700, 1, 1), datetime(2200, 1, 1)):
            state.update(1, "a", time)
            state.update(1, "b", time - timedelta(hours=1))
        state.update_many([1, 1], ["a", "b"], np.array(["1066-01-01", "2200-01-01"], "datetime64[us]"))
        assert state.interests(1, datetime(2200, 1, 1)) == {"a": 1.0, "b": 1.5}
        far = datetime(9999, 1, 1)
        assert state.interests(1, far) == {"a": 0.0, "b": 0.0}
        assert state.shares(1, far) == pytest.approx({"a": 0.4, "b": 0.6}, rel=1e-12)
        assert state.table(far)["share"].tolist() == pytest.approx([0.4, 0.6], rel=1e-12)


def test_a_moment_before_the_newest_event_cannot_be_read() -> None:
    state = InterestState(30.0)
    state.update(1, "a", datetime(2017, 1, 10))
    state.update(2, "a", datetime(2017, 1, 20))
    assert state.interests(1, datetime(2017, 1, 10)) == {"a": 1.0}
    for read in (state.interests, state.shares):
        with pytest.raises(InputError, match="An event of 2017-01-20") as refused:
            read(2, datetime(2017, 1, 19))
    with pytest.raises(InputError, match="at that moment or later"):
        state.table(datetime(2017, 1, 19))
    state.update(3, "b", datetime(2017, 1, 20))  # what was refused holds no memory that has to grow
    assert refused and len(state) == 3


def test_what_is_returned_leaves_nothing_but_is_not_forgotten() -> None:
    state = InterestState(by="category")
    state.update(1, "tea", AT, -1.0)
    assert str(state.interests(1, AT)) == "{'tea': 0.0}" and state.shares(1, AT) == {}
    assert np.isnan(state.table(AT)["share"][0])
    state.update(1, "tea", AT, 3.0)
    assert state.interests(1, AT) == {"tea": 2.0}
    assert state.interests("nobody", AT) == {} == state.shares("nobody", AT)


def test_times_may_be_of_any_type_that_has_no_zone() -> None:
    state, time = InterestState(1.0), datetime(2017, 1, 1, 12, 30, 15, 123456)
    for same in (time, pd.Timestamp(time), np.datetime64(time), pd.Timestamp(time).as_unit("ns")):
        state.update(1, "a", same)
    for unit in ("us", "ns"):
        state.update_many([1], ["a"], np.array([time], f"datetime64[{unit}]"))
    assert state.interests(1, time) == {"a": 6.0}


WRONG = {
    "give datetime64 in UTC": {"times": pd.DatetimeIndex([AT, AT], tz="UTC")},
    "of type float64": {"times": [1.0, 2.0]},
    "A time is missing": {"times": pd.DatetimeIndex([AT, None])},
    "no user_id": {"users": ["u", None]},
    "no finite weight": {"weights": [1.0, float("nan")]},
    "only ints or only texts": {"users": [1, 2]},
    "category is 0.5": {"interests": [0.5, 0.5]},
    "category is True": {"interests": [True, False]},
    "3 users, 2 interests": {"users": ["u", "v", "w"]},
}


@pytest.mark.parametrize("problem", WRONG)
def test_bulk_events_that_cannot_be_are_refused_and_change_nothing(problem: str) -> None:
    state = InterestState(30.0, "category")
    state.update("u", "tea", AT)
    before = state.sums()
    right = {"users": ["u", "v"], "interests": ["tea", "milk"], "times": pd.DatetimeIndex([AT, AT])}
    with pytest.raises(InputError, match=problem):
        state.update_many(**(right | WRONG[problem]))
    pd.testing.assert_frame_equal(state.sums(), before)
    state.update_many(**right)
    assert state.interests("u", AT) == {"tea": 2.0} and state.interests("v", AT) == {"milk": 1.0}


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ((None, "tea", AT), "user_id is None"),
        (("u", float("nan"), AT), "category is nan"),
        ((7, "tea", AT), "only ints or only texts"),
        (("u", "tea", AT, float("inf")), "has the weight inf"),
        (("u", "tea", AT.replace(tzinfo=UTC)), "without a zone"),
        (("u", "tea", pd.NaT), "A time is missing"),
        (("u", "tea", 1.5e9), "of type float64"),
        ((2**63, "tea", AT), "does not fit into 64 bits"),
    ],
)
def test_single_events_that_cannot_be_are_refused_and_change_nothing(event: Any, problem: str) -> None:
    state = InterestState(30.0, "category")
    if event[0] != 2**63:
        state.update("u", "tea", AT)
    before = state.sums()
    with pytest.raises(InputError, match=problem):
        state.update(*event)
    pd.testing.assert_frame_equal(state.sums(), before)


@pytest.mark.parametrize("half_life_days", [0, -1, float("nan"), float("inf"), 1e-300])
def test_a_half_life_must_be_positive(half_life_days: float) -> None:
    with pytest.raises(InputError, match="give a positive number"):
        InterestState(half_life_days)
    with pytest.raises(InputError, match="give a positive number"):
        InterestState(30.0, by_interest={"a": half_life_days})


def test_whole_numbers_that_arrive_as_floats_are_the_same_ids() -> None:
    state = InterestState()
    state.update(1, 10, AT)
    state.update_many([1, 1, 2], [10.0, float("nan"), 11.0], pd.DatetimeIndex([AT] * 3))
    assert state.interests(1, AT) == {10: 2.0} and state.interests(2, AT) == {11: 1.0}


def test_an_empty_state_and_an_empty_log() -> None:
    state = InterestState(30.0, "category")
    state.update_events(log().iloc[:0])
    state.update_events(log().assign(category=None).astype({"category": "str"}))
    assert len(state) == 0
    assert list(state.table(AT)) == ["user_id", "category", "events", "weight", "share"]


def test_reading_one_user_does_not_depend_on_how_many_there_are() -> None:
    rng = np.random.default_rng(0)
    state, n = InterestState(30.0), 300_000
    state.update_many(rng.integers(0, n, n), rng.integers(0, 1000, n), np.full(n, np.datetime64(AT)))
    reads = [_seconds(lambda: state.interests(7, AT)) for _ in range(50)]
    assert np.median(reads) < _seconds(lambda: state.table(AT)) / 100


def _seconds(work: Any) -> float:
    begin = datetime.now()
    work()
    return (datetime.now() - begin).total_seconds()
