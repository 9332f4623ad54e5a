"""Faults planted in a clean log are found and counted, and a log without faults raises no alarm."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest

from interest_lib import datasets, engine, overview, prepare
from interest_lib.layout import project_root

Fault = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def log() -> datasets.Log:
    return datasets.load(engine.connect(), "marketplace")


@pytest.fixture(scope="module")
def events(log: datasets.Log) -> pd.DataFrame:
    return log.events.to_pandas()


def found(log: datasets.Log) -> dict[str, int]:
    """What the report counts, without its zeros."""
    counts = overview.recording_report(log).set_index("check")["count"]
    return counts[counts > 0].to_dict()


def test_what_reading_leaves_out_is_in_the_report(tmp_path: Path) -> None:
    rows = [f"u{n % 7},i{n % 11},2020-01-{n % 28 + 1:02d} 10:{n % 60:02d}" for n in range(500)]
    text = "\n".join(["user_id,item_id,timestamp", *rows, *rows[:400], "u1,i1,1970-01-01 00:00"])
    (tmp_path / "log.csv").write_text(text)
    report = overview.recording_report(datasets.load(engine.connect(), data=tmp_path / "log.csv"))
    table = report.set_index("check")
    distinct = len(set(rows))
    assert table.loc["exact duplicates", ["count", "of"]].tolist() == [900 - distinct, 900]
    assert table.loc["impossible times", ["count", "of"]].tolist() == [1, distinct + 1]


@pytest.mark.parametrize("settings", ["", "generator=regimes"])
def test_a_log_without_faults_raises_no_alarm(settings: str) -> None:
    assert found(datasets.load(engine.connect(), "marketplace", settings=settings)) == {}


def test_few_users_raise_no_alarm_by_chance(log: datasets.Log, events: pd.DataFrame) -> None:
    for first in range(1, 200, 20):
        few = events[events["user_id"].between(first, first + 19)]
        alarms = found(replace(log, events=ibis.memtable(few)))
        assert not {name for name in alarms if name.startswith(("months", "users"))}, first


def test_complete_journey_shows_summer_time_and_christmas() -> None:
    assert found(datasets.load(engine.connect())) == {
        "same user, item and second": 14,
        "days without any event": 1,
        "longest gap in days": 1,
        "months shifted by an hour": 2,
    }


def late(hours: int, since: str, until: str = "2030") -> Fault:
    def shifted(events: pd.DataFrame) -> pd.DataFrame:
        wrong = (events["timestamp"] >= since) & (events["timestamp"] < until)
        return events.assign(timestamp=events["timestamp"] + pd.to_timedelta(wrong * hours, unit="h"))

    return shifted


def robots(events: pd.DataFrame) -> pd.DataFrame:
    """One that is fast, and one that never sleeps."""
    start, item = pd.Timestamp("2024-05-05"), np.arange(5000) + 1
    views = pd.DataFrame({"item_id": item, "event": "view"})
    fast = views.assign(user_id=5001, timestamp=start + pd.to_timedelta(item * 0.3, unit="s"))
    slow = views.assign(user_id=5002, timestamp=start + pd.to_timedelta(item * 43, unit="s"))
    return pd.concat([events, fast, slow])


def silent(events: pd.DataFrame) -> pd.DataFrame:
    return events[~events["timestamp"].between("2024-06-10", "2024-06-12 23:59:59.999999")]


@pytest.mark.parametrize(
    ("fault", "alarms"),
    [
        (lambda events: pd.concat([events, events.iloc[:777]]), {"exact duplicates": 777}),
        (robots, {"users at inhuman rates": 2, "acts of users at inhuman rates": 10_000}),
        (silent, {"days without any event": 3, "longest gap in days": 3}),
        (late(1, "2024-05", "2024-06"), {"months shifted by an hour": 1}),
        (late(5, "2024-05", "2024-06"), {"months shifted by more": 1}),
        (late(5, "2024-09"), {"months shifted by more": 5}),
    ],
)
def test_a_planted_fault_is_counted_and_no_other(
    log: datasets.Log, events: pd.DataFrame, fault: Fault, alarms: dict[str, int]
) -> None:
    assert found(replace(log, events=ibis.memtable(fault(events)))) == alarms


@pytest.mark.parametrize(("somebody_else", "least", "most"), [(True, 20, 40), (False, 0, 0)])
def test_ids_with_a_new_owner_are_told_from_users_who_were_away(
    log: datasets.Log, events: pd.DataFrame, somebody_else: bool, least: int, most: int
) -> None:
    """Of forty; groups share a tenth of their taste, and transitions lead anywhere, so not all differ."""
    group = steady_groups(log)
    first = group.groupby(group).head(4).sort_index()
    after = pd.Series(np.roll(first.sort_values().index, 4), first.sort_values().index)
    left = events[events["user_id"].isin(first.index)]
    owner = {after[user]: user for user in after.index} if somebody_else else {user: user for user in after}
    came = left.assign(user_id=left["user_id"].map(owner))
    parts = [left[left["timestamp"] < "2024-05-01"], came[came["timestamp"] >= "2024-11-15"]]
    alarms = found(replace(log, events=ibis.memtable(pd.concat(parts))))
    assert least <= alarms.get("users who return as strangers", 0) <= most


def steady_groups(log: datasets.Log) -> pd.Series:
    """Groups of users who were there from the beginning and stay what they are, by their id."""
    truth = log.card["note"].removeprefix("The truth lies in ").split("/truth.json")[0]
    users = pd.read_parquet(project_root() / truth / "truth" / "users.parquet").set_index("user_id")
    stays = users["moved"].isna() & users["takeover"].isna() & (users["joined"] < "2024-01-01")
    return users.loc[stays & (users["activity"] > 0.7), "group"]


def test_the_funnel_has_the_planted_shares_and_none_where_there_is_no_way(log: datasets.Log) -> None:
    steps = overview.funnel(log).set_index("event")
    assert steps.index.tolist() == ["search", "view", "cart", "purchase", "review", "return"]
    told = steps["pairs_going_on"].dropna()
    assert told.index.tolist() == ["view", "cart", "purchase"], "searches name no item, reviews lead nowhere"
    assert (told.to_numpy() > [0.25, 0.5, 0.14]).all()  # pairs meet again, so more than each time
    assert steps["users_going_on"].notna().tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("sample", "drop_robots"), [({}, True), ({"max_users": 100}, False), ({"max_events": 50_000}, True)]
)
def test_rows_removed_and_rows_kept_add_up(
    log: datasets.Log, events: pd.DataFrame, sample: dict[str, int], drop_robots: bool
) -> None:
    dirty = replace(log, events=ibis.memtable(robots(events)))
    clean = prepare.clean(prepare.without_robots(dirty) if drop_robots else dirty, **sample)
    table = clean.quality
    assert table["rows_before"].iloc[0] == len(events) + 10_000
    assert table["rows_left"].iloc[-1] == len(clean.events)
    assert (table["rows_before"] - table["rows_removed"] == table["rows_left"]).all()
    assert (table["rows_left"].iloc[:-1].to_numpy() == table["rows_before"].iloc[1:].to_numpy()).all()
    removed = table.set_index("step")["rows_removed"]
    assert removed["no item"] == 0, "in the marketplace every search leads to an item"
    if not sample:
        assert (clean.events["event"] == "search").sum() == (events["event"] == "search").sum()
    assert removed.get("users at inhuman rates", 0) == 10_000 * drop_robots
