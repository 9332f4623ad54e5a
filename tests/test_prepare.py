"""Cleaning: what is kept, what is counted, what a log supports; and the first look at it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interest_lib import datasets, engine, overview, prepare
from interest_lib.schema import InputError

START = pd.Timestamp("2020-01-01 08:00")


def own(folder: Path, frame: pd.DataFrame, users: pd.DataFrame | None = None) -> datasets.Log:
    """The log that a user would load from these tables."""
    frame.to_csv(folder / "my.csv", index=False)
    mapping = ""
    if users is not None:
        users.to_csv(folder / "people.csv", index=False)
        (folder / "my.yml").write_text("users: {data: people.csv}")
        mapping = str(folder / "my.yml")
    return datasets.load(engine.connect(1), data=str(folder / "my.csv"), mapping=mapping)


def frame(days: int = 100, **columns: Any) -> pd.DataFrame:
    """One event a day, of 7 users and 11 items; further columns on request."""
    day = pd.Series(range(days))
    times = START + pd.to_timedelta(day, unit="D")
    return pd.DataFrame({"user_id": day % 7, "item_id": day % 11, "timestamp": times, **columns})


@pytest.fixture(scope="module")
def journey() -> prepare.CleanLog:
    return prepare.clean(datasets.load(engine.connect(2)))


def test_complete_journey_comes_out_sorted_typed_and_counted(journey: prepare.CleanLog) -> None:
    events = journey.events
    assert len(events) == 1_450_637
    assert events.dtypes.astype(str).to_dict() == {
        "user_id": "int64",
        "item_id": "int64",
        "timestamp": "datetime64[us]",
        "event": "str",
        "basket_id": "int64",
        "basket_number": "int64",
        "quantity": "float64",
        "value": "float64",
        "discount_value": "float64",
        "coupon_value": "float64",
        "n_campaigns": "float64",
    }
    keys = ["timestamp", "user_id", "basket_id", "item_id"]
    assert events[keys].equals(events[keys].sort_values(keys, ignore_index=True))
    quality = journey.quality
    assert list(quality.columns) == ["step", "rows_before", "rows_removed", "rows_left", "why"]
    assert (quality["rows_before"].iloc[0], quality["rows_left"].iloc[-1]) == (1_469_307, 1_450_637)
    assert (quality["rows_before"] - quality["rows_removed"] == quality["rows_left"]).all()
    assert (quality["rows_left"].iloc[:-1].to_numpy() == quality["rows_before"].iloc[1:].to_numpy()).all()
    # The test origin of the reference protocol and the 28 days from it lie inside the log.
    assert events["timestamp"].max() >= pd.Timestamp("2017-12-04") + pd.Timedelta(days=28)


def test_items_and_users_are_those_of_the_events(journey: prepare.CleanLog) -> None:
    for table, key, rows in ((journey.items, "item_id", 68_080), (journey.users, "user_id", 2_467)):
        assert len(table) == rows
        assert table[key].is_monotonic_increasing and table[key].is_unique
        assert set(table[key]) == set(journey.events[key])
    assert (journey.items["category"].isna().sum(), journey.users["age"].notna().sum()) == (17, 801)


@pytest.mark.parametrize("max_users", [0, 60])
def test_one_and_two_threads_give_the_same_log(max_users: int) -> None:
    one, two = (
        prepare.clean(datasets.load(engine.connect(threads)), max_users=max_users) for threads in (1, 2)
    )
    for name in ("events", "items", "users", "quality"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert prepare.data_sha256(one) == prepare.data_sha256(two)


def test_sample_of_users_is_seeded_nested_and_whole(journey: prepare.CleanLog) -> None:
    def sample(max_users: int, seed: int = 2017) -> prepare.CleanLog:
        return prepare.clean(datasets.load(engine.connect()), max_users=max_users, seed=seed)

    small, large = sample(30), sample(60)
    kept = set(small.users["user_id"])
    assert len(kept) == 30 and kept < set(large.users["user_id"])
    assert kept != set(sample(30, seed=1).users["user_id"])
    whole = journey.events[journey.events["user_id"].isin(kept)].reset_index(drop=True)
    pd.testing.assert_frame_equal(small.events, whole)
    assert small.quality.iloc[-1].tolist()[:4] == [
        "sample of users",
        1_450_637,
        1_450_637 - len(whole),
        len(whole),
    ]
    assert len(sample(9999).users) == len(journey.users)


def test_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    ties = pd.concat([frame(value=1.0), frame(value=2.0)])
    logs = [prepare.clean(own(tmp_path, ties.sample(frac=1, random_state=seed))) for seed in (1, 2)]
    pd.testing.assert_frame_equal(logs[0].events, logs[1].events)


def test_a_basket_is_a_day_where_the_log_names_none(tmp_path: Path) -> None:
    hours = frame(timestamp=START + pd.to_timedelta(pd.Series(range(100)) * 14, unit="h"))
    log = prepare.clean(own(tmp_path, hours))
    day = log.events["timestamp"].dt.strftime("%Y-%m-%d")
    assert (log.events["basket_id"] == log.events["user_id"].astype(str) + "/" + day).all()
    assert log.baskets == "The log has no basket_id, so a basket is what a user did on one UTC day."
    half = prepare.clean(own(tmp_path, frame(basket_id=[i if i % 2 else None for i in range(100)])))
    assert half.events["basket_id"].tolist()[:3] == ["0/2020-01-01", "1.0", "2/2020-01-03"]
    assert half.baskets.startswith("Some events have no basket_id")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda log: log.assign(user_id=1), "Event log my.csv: column user_id holds 1 user only; give"),
        (lambda log: log.assign(item_id=1), "Event log my.csv: column item_id holds 1 item only; give"),
        (
            lambda log: log.head(56),
            "Event log my.csv: column timestamp spans 55.0 days, less than two periods",
        ),
        (lambda log: log.head(1), "Event log my.csv: column user_id holds 1 user only; give"),
    ],
)
def test_logs_to_learn_nothing_from_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        prepare.clean(own(tmp_path, change(frame())))
    assert str(caught.value).startswith(sentence)


def test_two_whole_periods_are_enough(tmp_path: Path) -> None:
    log = own(tmp_path, frame(57))
    assert len(prepare.clean(log, horizon_days=28).events) == 57
    with pytest.raises(InputError, match=r"less than two periods of 29 days; give a longer log"):
        prepare.clean(log, horizon_days=29)


@pytest.mark.parametrize("max_users", [-1, 1])
def test_too_few_users_to_keep_are_refused(max_users: int) -> None:
    with pytest.raises(InputError, match=f"max_users is {max_users}; keep 2 users or more"):
        prepare.clean(datasets.load(engine.connect()), max_users=max_users)


def test_hash_changes_with_any_value_name_or_order(tmp_path: Path) -> None:
    log = prepare.clean(own(tmp_path, frame(category="x")))
    events, items = log.events, log.items
    variants = [
        dataclasses.replace(log, events=events.assign(value=events["value"].where(events.index != 50, 0.5))),
        dataclasses.replace(
            log, events=events.assign(event=events["event"].where(events.index != 50, "view"))
        ),
        dataclasses.replace(log, events=events.assign(timestamp=events["timestamp"] + pd.Timedelta("1us"))),
        dataclasses.replace(log, events=events.iloc[::-1]),
        dataclasses.replace(log, events=events.rename(columns={"value": "price"})),
        dataclasses.replace(log, items=items.assign(category=items["category"].where(items.index != 3))),
        dataclasses.replace(log, items=items.assign(category=["xx", "", *["x"] * 9])),
        dataclasses.replace(log, users=log.users.assign(user_id=log.users["user_id"] + 1)),
    ]
    hashes = {prepare.data_sha256(variant) for variant in [log, *variants]}
    assert len(hashes) == len(variants) + 1
    # How pandas stores the values is no part of them.
    stored = events.astype({"event": object, "timestamp": "datetime64[ns]", "user_id": "int32"})
    assert prepare.data_sha256(dataclasses.replace(log, events=stored)) == prepare.data_sha256(log)


def test_hash_of_a_known_log(tmp_path: Path) -> None:
    """Equal on every machine: the number below was written down once."""
    log = prepare.clean(own(tmp_path, frame(category="é", value=0.1)))
    assert prepare.data_sha256(log) == "27c97079af0f5b1c8fe6eb373f90f4871b0f2aac90368dbf0dad084f44865ab9"


def test_weekly_activity_adds_up(journey: prepare.CleanLog) -> None:
    weeks = overview.activity(journey)
    assert weeks["events"].sum() == len(journey.events) and len(weeks) == 53
    assert weeks["week"].iloc[[0, 1, -1]].dt.strftime("%m-%d").tolist() == ["01-01", "01-08", "12-31"]
    assert weeks["whole"].tolist() == [True] * 52 + [False]
    second = journey.events[journey.events["timestamp"].between("2017-01-08", "2017-01-14 23:59:59.999999")]
    assert weeks.iloc[1].tolist()[1:3] == [len(second), second["user_id"].nunique()]


def test_weeks_without_events_are_zero(tmp_path: Path) -> None:
    log = prepare.clean(own(tmp_path, frame().drop(range(5, 40))))
    weeks = overview.activity(log)
    assert weeks["events"].tolist()[:7] == [5, 0, 0, 0, 0, 2, 7]


def test_repeat_share_counts_only_earlier_purchases_of_the_same_user(tmp_path: Path) -> None:
    buys = pd.DataFrame(
        [
            (1, 1, "2020-01-01 10:00", "purchase", "a"),
            (1, 1, "2020-01-01 10:00", "purchase", "a"),  # twice in one basket is no repeat
            (1, 1, "2020-03-01 10:00", "purchase", "a"),  # the one repeat
            (2, 1, "2020-03-02 10:00", "purchase", "a"),  # somebody else
            (2, 2, "2020-01-01 10:00", "view", "b"),
            (2, 2, "2020-03-01 10:00", "purchase", "b"),  # seen before, not bought
            (2, 3, "2020-03-01 10:00", "purchase", ""),
        ],
        columns=["user_id", "item_id", "timestamp", "event", "category"],
    ).assign(value=range(7))
    shares = overview.repeat_share(prepare.clean(own(tmp_path, buys)))
    assert shares.values.tolist() == [["a", 4, 2, 0.25], ["b", 1, 1, 0.0]]


def test_quality_checks_count_what_is_odd(tmp_path: Path) -> None:
    odd = frame(quantity=1.0, value=2.0, category="x")
    odd.loc[[3, 4], "quantity"] = [0, -1]
    odd.loc[[5, 6, 7], "value"] = [0, -1, float("nan")]
    odd.loc[odd["item_id"] == 2, "category"] = None
    odd.loc[0, "timestamp"] = pd.Timestamp("1999-01-01")
    people = pd.DataFrame({"user_id": [0, 1], "age": ["20", None]})
    checks = overview.quality_checks(prepare.clean(own(tmp_path, odd, people))).set_index("check")
    assert checks["count"].to_dict() == {
        "exact duplicates": 0,
        "quantity zero or negative": 2,
        "value zero": 1,
        "value negative": 1,
        "events outside the span": 1,
        "items without category": 1,
        "events of items without category": 9,
        "users without attributes": 6,
    }
    assert checks["of"].tolist() == [100, 100, 99, 99, 100, 11, 100, 7]
    assert checks.loc["users without attributes", "share"] == pytest.approx(6 / 7)


def test_complete_journey_checks(journey: prepare.CleanLog) -> None:
    checks = overview.quality_checks(journey).set_index("check")["count"]
    assert checks["exact duplicates"] == checks["value negative"] == checks["events outside the span"] == 0
    assert checks["events of items without category"] == 4_836


def test_every_kind_of_event_stays_and_a_search_without_item_is_counted(tmp_path: Path) -> None:
    kinds = ["purchase", "view", "search", "return"] * 25
    log = frame(event=kinds).astype({"item_id": "Int64"})
    log.loc[log["event"] == "search", "item_id"] = pd.NA
    cleaned = prepare.clean(own(tmp_path, log), horizon_days=20)
    assert set(cleaned.events["event"]) == {"purchase", "view", "return"} and len(cleaned.events) == 75
    assert cleaned.quality.iloc[-1][["step", "rows_removed", "rows_left"]].tolist() == ["no item", 25, 75]


def test_baskets_are_numbered_in_time_within_the_user(journey: prepare.CleanLog) -> None:
    baskets = journey.events.groupby(["user_id", "basket_id"]).agg(
        number=("basket_number", "max"), least=("basket_number", "min"), start=("timestamp", "min")
    )
    assert (baskets["number"] == baskets["least"]).all()
    in_time = baskets.reset_index().sort_values(["user_id", "start", "basket_id"])
    assert (in_time["number"] == in_time.groupby("user_id").cumcount() + 1).all()


def test_a_log_without_times_is_sorted_by_basket_number(tmp_path: Path) -> None:
    log = frame().drop(columns="timestamp").assign(basket_number=[i // 7 + 1 for i in range(100)])
    cleaned = prepare.clean(own(tmp_path, log))
    assert "timestamp" not in cleaned.events and cleaned.events["basket_number"].is_monotonic_increasing
    number = cleaned.events["basket_number"].astype(str)
    assert (cleaned.events["basket_id"] == cleaned.events["user_id"].astype(str) + "/" + number).all()
    with pytest.raises(InputError, match="no user has a second basket"):
        prepare.clean(own(tmp_path, log.assign(basket_number=1)))


def test_a_log_of_too_many_events_is_cut_to_a_counted_sample_of_users() -> None:
    log = datasets.load(engine.connect())
    small = prepare.clean(log, max_events=100_000)
    assert 60_000 < len(small.events) < 140_000
    assert small.quality.iloc[-1]["why"] == "1,450,637 events are more than max_events = 100,000, seed = 2017"
    assert small.quality.iloc[-1]["rows_left"] == len(small.events)
    assert len(prepare.clean(log, max_users=20, max_events=100_000).users) == 20


def test_robots_are_left_out_whole_and_counted(tmp_path: Path) -> None:
    fast = frame(40, user_id=99, timestamp=START + pd.to_timedelta(pd.Series(range(40)), unit="s"))
    log = own(tmp_path, pd.concat([frame(), fast]))
    report = overview.recording_report(log, max_per_minute=30).set_index("check")["count"]
    assert (report["users at inhuman rates"], report["acts of users at inhuman rates"]) == (1, 40)
    cleaned = prepare.clean(prepare.without_robots(log, max_per_minute=30))
    assert 99 not in set(cleaned.users["user_id"]) and len(cleaned.events) == 100
    assert cleaned.quality.iloc[-1][["step", "rows_removed"]].tolist() == ["users at inhuman rates", 40]
    assert len(prepare.clean(prepare.without_robots(log, max_per_minute=40)).events) == 140
