"""What a visit tells: coupons, campaigns and kinds of events, and groups of inputs that are left out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from interest_lib.forecasts import ShrunkShares
from interest_lib.marketplace import generate
from interest_lib.marketplace_settings import Marketplace
from interest_lib.move_rows import rows_of
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.visit_network import VisitData, VisitNetwork
from interest_lib.visit_table import INPUTS, VISIT_FEATURES, Visits, kinds_of, visits_of

KINDS = ["cart", "purchase", "return", "review", "search", "view"]
CALM = {"discount_value": 0.0, "coupon_value": 0.0, "n_campaigns": 0.0}


def move_of(log: pd.DataFrame, at: str = "2020-01-10") -> Move:
    users = pd.Index(np.sort(log["user_id"].unique()))
    return move_at(log.assign(weight=1.0), pd.Timestamp(at), 0, users)


def couponed() -> Move:
    """A user with two visits: an offer, a coupon and both at the first; at the second nothing is known."""
    log = pd.DataFrame(
        {
            "user_id": 1,
            "basket_id": [1, 1, 1, 1, 2],
            "item_id": [7, 7, 8, 8, 7],
            "category": ["tea", "tea", "milk", "milk", "tea"],
            "event": ["purchase", "purchase", "purchase", "view", "purchase"],
            "timestamp": pd.to_datetime(["2020-01-06 06:00"] * 4 + ["2020-01-09 12:00"]),
            "quantity": 1.0,
            "value": [3.0, 2.0, 1.0, np.nan, 4.0],
            "discount_value": [1.0, 0.0, 0.5, np.nan, np.nan],
            "coupon_value": [0.0, 2.0, 0.5, np.nan, np.nan],
            "n_campaigns": [2.0, 2.0, 2.0, 2.0, 1.0],
        }
    )
    return move_of(log)


def features(visits: Visits, kinds: list[str]) -> pd.DataFrame:
    return pd.DataFrame(visits.features, columns=[*VISIT_FEATURES, *kinds])


def test_what_offers_and_coupons_took_off_and_campaigns_are_told() -> None:
    move = couponed()
    table = features(visits_of(move, 10, kinds_of([move])), kinds_of([move]))
    assert np.expm1(table["saved"]).round(6).tolist() == [4, 0]
    assert table["coupons"].tolist() == [0.5, 0], "two of four events, the view among them"
    assert np.expm1(table["campaigns"]).round(6).tolist() == [2, 1]


def test_a_log_without_coupons_has_zeros_and_all_else_as_before() -> None:
    move = couponed()
    known = features(visits_of(move, 10, ["purchase"]), ["purchase"])
    plain = replace(move, events=move.events.drop(columns=list(CALM)))
    found = features(visits_of(plain, 10, ["purchase"]), ["purchase"])
    assert (found[list(INPUTS["coupons"])] == 0).all(axis=None)
    others = found.columns.difference(INPUTS["coupons"])
    pd.testing.assert_frame_equal(found[others], known[others])


@pytest.mark.parametrize("group", INPUTS)
def test_a_group_that_is_left_out_says_nothing_and_the_others_stay(group: str) -> None:
    move = couponed()
    kinds = kinds_of([move])
    whole, less = (visits_of(move, 10, kinds, without) for without in ((), (group,)))
    before, after = features(whole, kinds), features(less, kinds)
    assert all((after[name] == 0).all() for name in INPUTS[group])
    kept = before.columns.difference([*INPUTS[group], *kinds])
    pd.testing.assert_frame_equal(after[kept], before[kept])
    counts = np.expm1(after[kinds]).round(6).to_numpy().tolist()
    told = {"kinds": [[4, 0], [1, 0]], "amounts": [[1, 1], [1, 0]]}
    assert counts == told.get(group, [[3, 1], [1, 0]])
    assert set(less.kind) == ({0} if group == "kinds" else {0, 1})
    assert set(np.expm1(less.amount).round(6)) == ({1} if group == "amounts" else {1, 2})
    assert set(less.interest) == set(whole.interest) and less.length.tolist() == whole.length.tolist()


def test_an_unknown_group_is_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match=r"no inputs coupon; did you mean coupons\?$"):
        visits_of(couponed(), 10, ["purchase"], ["coupon"])


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Move:
    """The marketplace, where users search, view, put into the cart, buy, review and send back."""
    folder = tmp_path_factory.mktemp("shop")
    generate(Marketplace(n_users=60, n_items=200, events_per_user=150, seed=3), folder, n_jobs=1)
    events, items = (pd.read_parquet(folder / name) for name in ("events", "items.parquet"))
    log = events.merge(items[["item_id", "category"]], on="item_id").sort_values("timestamp")
    log["basket_id"] = log["user_id"].astype(str) + "/" + log["timestamp"].dt.date.astype(str)
    return move_of(log, str(log["timestamp"].max()))


def test_views_carts_purchases_and_reviews_are_counted_apart(market: Move) -> None:
    kinds = kinds_of([market])
    assert {"view", "cart", "purchase", "review"} <= set(kinds) <= set(KINDS)
    visits = visits_of(market, 10_000, kinds)
    visit = np.repeat(np.arange(len(visits.features)), np.diff(visits.cell_start))
    counts = np.expm1(visits.amount)
    for place, kind in enumerate(kinds):
        of_log = market.events["event"] == kind
        assert counts[visits.kind == place].sum() == pytest.approx(of_log.sum()) and of_log.any()
        in_visit = np.bincount(visit, counts * (visits.kind == place), len(visits.features))
        np.testing.assert_allclose(np.expm1(features(visits, kinds)[kind]), in_visit, atol=1e-9)
    paid = market.events.groupby("user")["value"].sum()
    first, length = visits.start[0], visits.length[0]
    value = np.expm1(features(visits, kinds)["value"].iloc[first : first + length]).sum()
    assert value == pytest.approx(paid[0])


def test_the_amounts_of_every_kind_reach_the_network(market: Move) -> None:
    kinds, base = kinds_of([market]), ShrunkShares(strength=5.0)
    data, rows = VisitData([visits_of(market, 40, kinds)]), rows_of([market], [base.predict(market)])
    places = np.arange(len(market.user_ids))
    visits, n_features = data[places], len(VISIT_FEATURES) + len(kinds)
    torch.manual_seed(0)
    start = torch.zeros(market.shape[1])
    made = VisitNetwork(n_features, len(kinds), start, 3, True, True, 4, 5, 0.5).eval()
    torch.nn.init.normal_(made.head.right)
    torch.nn.init.normal_(made.of_kind, std=0.1)
    read = replace(visits, amount=visits.amount.requires_grad_(), features=visits.features.requires_grad_())
    (rows.shares - made(rows[places], read)[0]).square().sum().backward()
    by_cell = read.amount.grad.abs()
    by_count = read.features.grad.abs()[:, len(VISIT_FEATURES) :]
    for place, kind in enumerate(kinds):
        assert by_cell[visits.kind == place].max() > 0 and by_count[:, place].max() > 0, kind
        assert made.of_kind.grad[place].abs() > 0, kind
