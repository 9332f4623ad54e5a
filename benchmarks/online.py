"""The online state on Complete Journey: events a second, beside working interests out anew with pandas.

    python benchmarks/online.py

See README.md beside this file.
"""

import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from interest_lib import datasets, engine
from interest_lib.layout import write_json
from interest_lib.online import InterestState

RESULTS = Path(__file__).parent / "results" / "online.json"
UNTIL, AT = pd.Timestamp("2018-02-01"), datetime(2018, 2, 1)
HALF_LIFE_DAYS, REPEATS, N_SINGLE = 90, 5, 200_000
AXES = {"category": "category", "product": "item_id"}
BOUNDS = {"bulk": 1e6, "single": 1e5}


def purchases() -> pd.DataFrame:
    """All purchases with a category, in the order of time."""
    log = datasets.complete_journey(engine.connect())
    assert log.items is not None
    named = log.events.inner_join(log.items.select("item_id", "category"), "item_id")
    events = named.select("user_id", "item_id", "category", "timestamp").to_pandas()
    events = events[events["category"].notna() & (events["timestamp"] < UNTIL)]
    return events.sort_values("timestamp", kind="stable", ignore_index=True)


def by_pandas(events: pd.DataFrame, by: str) -> pd.DataFrame:
    """One reading as a competent user of pandas writes it: all events so far, weighted and summed up."""
    age_days = (AT - events["timestamp"]) / pd.Timedelta(days=1)
    weighted = events[["user_id", by]].assign(weight=0.5 ** (age_days / HALF_LIFE_DAYS))
    profile = weighted.groupby(["user_id", by], as_index=False)["weight"].agg(events="size", weight="sum")
    profile["share"] = profile["weight"] / profile.groupby("user_id")["weight"].transform("sum")
    return profile


def in_bulk(events: pd.DataFrame, by: str) -> InterestState:
    state = InterestState(HALF_LIFE_DAYS, by)
    state.update_events(events)
    return state


def one_by_one(state: InterestState, rows: list[tuple[Any, Any, datetime]]) -> None:
    for user, interest, moment in rows:
        state.update(user, interest, moment)


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    kept = work()  # to free what was made is not part of the work
    took = time.perf_counter() - begin
    del kept
    return took


def measured(events: pd.DataFrame, by: str) -> dict[str, float]:
    """Figures of one axis; both sides take turns, and the median of each counts."""
    state = in_bulk(events, by)
    pd.testing.assert_frame_equal(
        state.table(AT), by_pandas(events, by), check_dtype=False, rtol=1e-9, atol=0
    )
    last = events.tail(N_SINGLE)
    times = last["timestamp"].dt.to_pydatetime()
    rows = list(zip(last["user_id"].tolist(), last[by].tolist(), times, strict=True))
    user = rows[-1][0]
    before = events.iloc[: -len(last)]
    figures = []
    for _ in range(REPEATS):
        started = in_bulk(before, by)
        figures.append(
            {
                "bulk": seconds(lambda: in_bulk(events, by)) / len(events),
                "single": seconds(partial(one_by_one, started, rows)) / len(rows),
                "read_user": seconds(lambda: state.interests(user, AT)),
                "read_all": seconds(lambda: state.table(AT)),
                "pandas": seconds(lambda: by_pandas(events, by)),
            }
        )
    return {name: statistics.median(run[name] for run in figures) for name in figures[0]}


def main() -> int:
    events = purchases()
    found: dict[str, float] = {}
    took: dict[str, float] = {}
    for axis, by in AXES.items():
        figures = measured(events, by)
        for name in BOUNDS:
            found[f"events_per_second.{axis}.{name}"] = 1 / figures[name]
        # what one more event costs until it can be read: an update and a reading, or all events anew
        event = figures["single"] + figures["read_user"]
        found[f"pandas_over_online.{axis}.one_user"] = figures["pandas"] / event
        found[f"pandas_over_online.{axis}.all_users"] = figures["pandas"] / (
            figures["single"] + figures["read_all"]
        )
        took |= {f"{axis}.{name}": figures[name] for name in ("read_user", "read_all", "pandas")}
    bounds = {name: BOUNDS[name.split(".")[-1]] for name in found if name.startswith("events_per_second")}
    RESULTS.parent.mkdir(exist_ok=True)
    content = {"bounds": bounds, "found": found, "seconds": took, "repeats": REPEATS, "events": len(events)}
    write_json(RESULTS, content)
    for name, bound in bounds.items():
        print(f"{name} {found[name]:,.0f}, at least {bound:,.0f}: {_verdict(found[name], bound)}")
    for name in sorted(set(found) - set(bounds)):
        print(f"{name} {found[name]:,.1f}")
    return int(not all(found[name] >= bound for name, bound in bounds.items()))


def _verdict(found: float, bound: float) -> str:
    return "met" if found >= bound else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
