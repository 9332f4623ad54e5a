"""Moments inside a history are what one would have known at the time."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.history import history_before, history_but_baskets
from interest_lib.pair_records import CLOCK, pair_records
from interest_lib.schema import InputError
from interest_lib.split import folds
from interest_lib.windows import category_codes, training_windows, window_before

ORIGIN = pd.Timestamp("2017-06-01")
BACK = pd.Timedelta(days=28)


def log() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 3000
    times = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 180 * 24, n)), unit="h")
    events = pd.DataFrame(
        {"user_id": rng.integers(0, 40, n), "item_id": rng.integers(0, 30, n), "timestamp": times}
    )
    events["basket_number"] = events.groupby("user_id")["timestamp"].rank("dense").astype(int)
    return events


def named(history, cells) -> set:
    rows, cols = np.divmod(cells, history.shape[1])
    return set(zip(history.user_ids[rows], history.item_ids[cols], strict=True))


@pytest.mark.parametrize("n_back", [1, 2])
def test_a_window_knows_what_a_history_of_that_moment_knows(n_back: int) -> None:
    events, moment = log(), ORIGIN - n_back * BACK
    history = history_before(events, ORIGIN, 1)
    window = window_before(history, n_back)
    then = history_before(events, moment, 1)
    np.testing.assert_allclose(window.ages, then.age_days, rtol=1e-12)
    assert named(history, window.cells) == named(then, np.unique(then.rows * then.shape[1] + then.cols))
    after = events[(events["timestamp"] >= moment) & (events["timestamp"] < moment + BACK)]
    bought = set(zip(after["user_id"], after["item_id"], strict=True))
    assert named(history, window.cells[window.returned]) == bought & named(history, window.cells)
    assert set(window.cells[window.active] // history.shape[1]) == set(
        history.user_ids.get_indexer(after["user_id"].unique())
    ) & set(window.rows)


def test_a_window_in_baskets_hides_the_last_basket() -> None:
    events = log()
    history = history_but_baskets(events, 0, 1)
    window = window_before(history, 1, horizon_days=None, horizon_baskets=1)
    fold = folds(events.drop(columns="timestamp"), n_folds=1, min_users_per_item=1)[0]
    again = fold.targets[~fold.targets["novel"]]
    hidden = set(zip(again["user_id"], again["item_id"], strict=True))
    assert named(history, window.cells[window.returned]) == hidden
    assert window.ages.min() == 0 and len(window.ages) == (history.age_baskets > 0).sum()


def test_sums_equal_the_sum_written_out() -> None:
    window = window_before(history_before(log(), ORIGIN, 1), 1)
    sums = window.sums([20.0, np.inf])
    place = 17
    ages = window.ages[window.cell_of_event == place]
    assert sums[place] == pytest.approx([(0.5 ** (ages / 20)).sum(), len(ages)])


def test_records_of_a_window_do_not_see_what_came_after_it() -> None:
    category = np.arange(30) % 4
    history = history_before(log(), ORIGIN, 1)
    inside = pair_records(window_before(history, 1), 40, category, 28.0)[0]
    late = history.age_days <= 28
    moved = history.rows.copy(), history.cols.copy()
    moved[0][late], moved[1][late] = 3, 5
    spoilt = type(history)(**{**vars(history), "rows": moved[0], "cols": moved[1]})
    np.testing.assert_array_equal(inside, pair_records(window_before(spoilt, 1), 40, category, 28.0)[0])
    assert late.sum() > 100


def test_what_is_not_the_clock_stands_still_while_the_user_does_nothing() -> None:
    events = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 2],
            "item_id": ["a", "b", "a", "a"],
            "timestamp": pd.to_datetime(["2017-01-01", "2017-01-05", "2017-01-20", "2017-01-21"]),
        }
    )
    found = []
    for origin in ("2017-02-01", "2017-02-10"):
        window = window_before(history_before(events, pd.Timestamp(origin), 1))
        found.append(pair_records(window, 2, np.array([0, 1]), 1.0))
    names = np.array(found[0][1])
    moves = np.abs(found[0][0] - found[1][0]).max(axis=0) > 1e-6
    assert set(names[moves]) <= CLOCK
    assert {"since_last", "since_first", "since_visit"} <= set(names[moves])
    assert set(names) >= CLOCK and np.isfinite(found[0][0]).all()


def test_what_a_user_can_mend_is_said() -> None:
    events = log()
    timed = history_before(events.drop(columns="basket_number"), ORIGIN, 1)
    with pytest.raises(InputError, match="either horizon_days or horizon_baskets"):
        window_before(timed, 1, 28.0, 1.0)
    with pytest.raises(InputError, match="no ages in baskets; give horizon_days"):
        window_before(timed, 1, None, 1.0)
    with pytest.raises(InputError, match="no ages in days; give horizon_baskets"):
        window_before(history_but_baskets(events, 0, 1), 1)
    with pytest.raises(InputError, match="give a positive number"):
        window_before(timed, 1, -1.0)
    with pytest.raises(InputError, match="nobody came back"):
        training_windows(timed, 3, 500.0, None)
    with pytest.raises(InputError, match="No item of the log has a category"):
        category_codes(timed, pd.Series(["x"], index=["unknown"]))


@pytest.mark.parametrize("unit", ["days", "baskets"])
def test_records_are_what_the_events_say(unit: str) -> None:
    category = np.arange(30) % 4
    history = history_before(log(), ORIGIN, 1) if unit == "days" else history_but_baskets(log(), 0, 1)
    window = window_before(history, 0, *((28.0, None) if unit == "days" else (None, 2.0)))
    features, names = pair_records(window, 40, category, 28.0)
    found = pd.DataFrame(features, columns=names)
    events = pd.DataFrame({"user": window.rows, "item": window.cols, "age": window.ages})
    events["category"] = category[events["item"]]
    users, items = np.divmod(window.cells, 30)
    for place in range(0, len(found), 7):
        own = events[events["user"] == users[place]]
        pair = own[own["item"] == items[place]]
        alike = own[own["category"] == category[items[place]]]
        expected = {
            "count": np.log1p(len(pair)),
            "since_first": np.log1p(pair["age"].max()),
            "user_events": np.log1p(len(own)),
            "user_baskets": np.log1p(own["age"].nunique()),
            "category_count": np.log1p(len(alike)),
            "category_share": len(pair) / len(alike),
            "category_recent": np.log1p((0.5 ** (alike["age"] / 28)).sum()),
            "since_category": np.log1p(alike["age"].min()),
        }
        np.testing.assert_allclose(found.loc[place, list(expected)], list(expected.values()), rtol=1e-5)
