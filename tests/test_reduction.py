"""Components and selected columns against all of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib import reduction
from interest_lib.schema import InputError

INTERESTS = pd.Index([f"c{n}" for n in range(8)], name="category")
AT = pd.Timestamp("2017-04-01")


def log() -> pd.DataFrame:
    """Users who buy every interest at a rate of their own."""
    rng = np.random.default_rng(1)
    n_users, n = 150, 12_000
    rate = rng.gamma(0.5, size=(n_users, 8)).ravel()
    cell = rng.choice(len(rate), n, p=rate / rate.sum())
    times = pd.Timestamp("2017-01-01") + pd.to_timedelta(np.sort(rng.uniform(0, 130, n)), unit="D")
    return pd.DataFrame(
        {"user_id": cell // 8, "item_id": cell % 8, "category": INTERESTS[cell % 8], "timestamp": times}
    )


@pytest.fixture(scope="module")
def tasks() -> tuple[reduction.ReturnTask, reduction.ReturnTask]:
    events = log()
    earlier = reduction.return_task(events, AT - pd.Timedelta(days=28), INTERESTS)
    return earlier, reduction.return_task(events, AT, INTERESTS)


def test_every_row_holds_the_profile_of_its_user(tasks: tuple[reduction.ReturnTask, ...]) -> None:
    task = tasks[1]
    events = log()
    events = events[events["timestamp"] < AT]
    first = events.sort_values(["user_id", "category"]).iloc[0]["user_id"]
    shares = events[events["user_id"] == first]["category"].value_counts(normalize=True).reindex(INTERESTS)
    profile = task.inputs[0, task.names.str.startswith("profile: ")]
    np.testing.assert_allclose(profile, np.sqrt(shares.fillna(0)), rtol=1e-6)
    assert len(task.inputs) == len(task.bought) == len(events[["user_id", "category"]].drop_duplicates())
    assert 0.2 < task.bought.mean() < 0.8


def test_what_matters_is_found_and_noise_is_not(tasks: tuple[reduction.ReturnTask, ...]) -> None:
    earlier = tasks[0]
    noise = np.random.default_rng(0).random((len(earlier.inputs), 1)).astype(np.float32)
    task = reduction.ReturnTask(
        np.hstack([noise, earlier.inputs]),
        earlier.bought,
        pd.Index(["noise", *earlier.names]),
        earlier.users,
    )
    rise = reduction.important_columns(task, seed=0)
    assert rise.index[0].startswith(("decayed", "frequency", "share")) and rise.iloc[0] > 0.005
    assert rise["noise"] < 0.25 * rise.iloc[0] and rise.is_monotonic_decreasing
    pd.testing.assert_series_equal(rise, reduction.important_columns(task, seed=0))


def test_inputs_are_compared_on_the_later_moment(tasks: tuple[reduction.ReturnTask, ...]) -> None:
    earlier, later = tasks
    kept = ["decayed_180", "recency_days"]
    table, losses = reduction.compare_inputs(earlier, later, kept, n_components=6, seed=0)
    assert table["columns"].tolist() == [len(earlier.names), 6, 2]
    assert (table["auc"] > 0.6).all() and table.loc["all", "cost"] == 1
    n_rows = later.users.value_counts().reindex(losses.index)
    for name in table.index:
        assert np.average(losses[name], weights=n_rows) == pytest.approx(
            table.loc[name, "log_loss"], rel=1e-6
        )
    swapped = replace(later, bought=1 - later.bought)
    assert (reduction.compare_inputs(earlier, swapped, ["decayed_180"], 6, seed=0)[0]["auc"] < 0.4).all()
    with pytest.raises(InputError, match="smaller n_components than 999"):
        reduction.compare_inputs(earlier, later, ["share"], 999, seed=0)


def test_a_column_without_any_value_is_no_obstacle(tasks: tuple[reduction.ReturnTask, ...]) -> None:
    empty = tasks[0].names == "gap_variation"
    blank = [replace(task, inputs=np.where(empty, np.float32(np.nan), task.inputs)) for task in tasks]
    rise = reduction.important_columns(blank[0], seed=0, n_rows=500, n_repeats=1)
    assert rise["gap_variation"] == 0
    table, _ = reduction.compare_inputs(*blank, ["decayed_180", "gap_variation"], n_components=6, seed=0)
    assert (table["auc"] > 0.6).all()


def test_where_nobody_comes_back_it_says_so(tasks: tuple[reduction.ReturnTask, ...]) -> None:
    never = replace(tasks[0], bought=np.zeros_like(tasks[0].bought))
    with pytest.raises(InputError, match="No user buys what they had before"):
        reduction.important_columns(never, seed=0)
    with pytest.raises(InputError, match="No user buys what they had before"):
        reduction.compare_inputs(tasks[0], never, ["share"], 6, seed=0)
