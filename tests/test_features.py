"""The feature table: every column against its meaning written out, and nothing from after the moment."""

import math

import numpy as np
import pandas as pd
import pytest

from interest_lib import features
from interest_lib.schema import InputError

AT = pd.Timestamp("2017-05-01")


def log(n: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    item = rng.integers(0, 12, n)
    times = pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.uniform(0, 150, n), unit="D")
    events = pd.DataFrame(
        {
            "user_id": rng.integers(0, 20, n),
            "item_id": item,
            "category": pd.Series(["tea", "milk", "soap", None])[item % 4].to_numpy(),
            "timestamp": times,
            "event": rng.choice(["purchase", "view"], n, p=[0.8, 0.2]),
            "quantity": rng.integers(1, 3, n).astype(float),
        }
    )
    events["value"] = events["quantity"] * rng.choice([1.0, 0.5], n, p=[0.7, 0.3]) * (1 + item)
    events["basket_id"] = events["timestamp"].dt.strftime("%j%p")
    return events.sort_values("timestamp", ignore_index=True)


USERS = pd.DataFrame({"user_id": [3, 5], "gender": ["woman", None], "age": ["19-24", "65+"]})


def test_every_column_equals_its_meaning_written_out() -> None:
    events = log()
    table = features.feature_table(events, AT, USERS)
    own = events[(events["user_id"] == 3) & (events["timestamp"] < AT) & events["category"].notna()]
    bought = own[own["event"] == "purchase"].drop_duplicates(["basket_id", "category"])
    tea = bought[bought["category"] == "tea"]
    age = ((AT - tea["timestamp"]) / pd.Timedelta(days=1)).to_numpy()
    gaps = -np.diff(age)
    turn = 2 * math.pi * (tea["timestamp"].dt.hour + tea["timestamp"].dt.minute / 60) / 24
    week = 2 * math.pi * tea["timestamp"].dt.day_of_week / 7
    lines = events[(events["timestamp"] < AT) & (events["event"] == "purchase") & events["category"].notna()]
    lines = lines.assign(unit=lines["value"] / lines["quantity"])
    level = (lines["unit"] / lines.groupby("item_id")["unit"].transform("median"))[
        (lines["user_id"] == 3) & (lines["category"] == "tea")
    ]
    written_out = {
        "frequency": len(tea),
        "share": len(tea) / len(bought),
        "other_events": ((own["event"] == "view") & (own["category"] == "tea")).sum(),
        "user_purchases": len(bought),
        "user_interests": 3,
        "recency_days": age.min(),
        "known_days": age.max(),
        **{f"decayed_{h}": (0.5 ** (age / h)).sum() for h in (14, 45, 180)},
        "trend": math.log(((age < 28).sum() + 0.5) / (((age >= 28) & (age < 56)).sum() + 0.5)),
        "season_share": (tea["timestamp"] >= "2017-04-01").mean(),
        "gap_mean_days": gaps.mean(),
        "gap_variation": gaps.std(ddof=1) / gaps.mean(),
        "overdue": age.min() / max(gaps.mean(), 1),
        "hour_cos": np.cos(turn).mean(),
        "hour_sin": np.sin(turn).mean(),
        "weekday_cos": np.cos(week).mean(),
        "weekday_sin": np.sin(week).mean(),
        "user_recency_days": (AT - bought["timestamp"].max()) / pd.Timedelta(days=1),
        "price_level": level.mean(),
        "discount_share": (level < 0.95).mean(),
    }
    assert set(written_out) == set(features.FEATURES)
    found = table.loc[(3, "tea"), list(written_out)]
    np.testing.assert_allclose(found.to_numpy(float), list(written_out.values()), rtol=1e-9)


def test_every_column_is_documented_and_in_that_order() -> None:
    table = features.feature_table(log(), AT, USERS)
    fixed = [name for name in table.columns if "=" not in name]
    assert fixed == list(features.FEATURES)
    assert list(table.columns[len(fixed) :]) == ["gender=woman", "age=19-24", "age=65+"]
    assert all(features.FEATURES.values()) and table.index.is_monotonic_increasing and table.index.is_unique


def test_demographics_are_zero_where_nothing_is_known() -> None:
    table = features.feature_table(log(), AT, USERS)
    told = table[["gender=woman", "age=19-24", "age=65+"]].groupby("user_id").first()
    assert told.loc[3].tolist() == [1, 1, 0] and told.loc[5].tolist() == [0, 0, 1]
    assert (told.drop(index=[3, 5]) == 0).all(axis=None)


def test_nothing_comes_from_after_the_moment() -> None:
    events = log()
    later = events["timestamp"] >= AT
    corrupt = events.assign(
        category=events["category"].where(~later, "milk"),
        value=events["value"].where(~later, 1e9),
        event=events["event"].where(~later, "return"),
    )
    assert later.any()
    pd.testing.assert_frame_equal(features.feature_table(corrupt, AT), features.feature_table(events, AT))


def test_order_of_rows_does_not_matter() -> None:
    events = log()
    shuffled = events.sample(frac=1, random_state=0)
    found, expected = (features.feature_table(e, AT) for e in (shuffled, events))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_few_purchases_leave_gaps_missing() -> None:
    times = pd.to_datetime(["2017-01-01", "2017-01-01", "2017-01-05"])
    events = pd.DataFrame({"user_id": [1, 2, 2], "item_id": 1, "category": "tea", "timestamp": times})
    table = features.feature_table(events, AT).droplevel("category")
    assert table["gap_mean_days"].isna().tolist() == [True, False]
    assert table[["gap_variation", "overdue"]].isna().to_numpy().tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("missing", ["timestamp", "value", "event", "basket_id"])
def test_what_a_log_lacks_is_told_and_left_out(missing: str) -> None:
    events = log().assign(basket_number=1).drop(columns=missing)
    table = features.feature_table(events, None if missing == "timestamp" else AT)
    absent = features.absent_features(events)
    assert set(features.FEATURES) - set(table.columns) == set(absent) - {features.DEMOGRAPHIC}
    if missing != "basket_id":
        assert any(missing in reason for reason in absent.values())


def test_a_moment_without_times_or_without_a_past_is_refused() -> None:
    with pytest.raises(InputError, match="no times"):
        features.feature_table(log().drop(columns="timestamp"), AT)
    with pytest.raises(InputError, match="give a later moment"):
        features.feature_table(log(), pd.Timestamp("2016-01-01"))
    with pytest.raises(InputError, match="no column department: join it"):
        features.feature_table(log(), AT, by="department")


def test_labels_are_the_purchases_of_the_horizon() -> None:
    events = log()
    table = features.feature_table(events, AT)
    bought = features.bought_next(table, events, AT, horizon_days=2)
    window = events[(events["timestamp"] >= AT) & (events["timestamp"] < AT + pd.Timedelta(days=2))]
    pairs = window.loc[window["event"] == "purchase", ["user_id", "category"]].dropna().drop_duplicates()
    assert 0 < bought.sum() == pairs.apply(tuple, axis=1).isin(table.index).sum() < len(table)
