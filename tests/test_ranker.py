"""The ranker: it learns from the past alone, lists what it should, and gives its reasons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interest_lib import metrics
from interest_lib.history import History, history_before
from interest_lib.ranker import Ranker, _examples
from interest_lib.ranker_ablation import ablation
from interest_lib.ranker_checks import own_purchases_trial
from interest_lib.ranker_reasons import BASE, POPULAR, ranker_reasons
from interest_lib.ranker_tables import GROUPS, KeptTables, Table
from interest_lib.recommend import RecentPopularity
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at

ORIGIN = pd.Timestamp("2017-05-20")
SETTINGS = {kind: {"n_trees": 20, "min_data_in_leaf": 20} for kind in ("all", "novel")}


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    codes = np.arange(60)
    titles = [f"thing {code % 6} of {code % 20}" for code in codes]
    return pd.DataFrame(
        {"item_id": codes, "category": codes % 6, "department": codes % 3, "title": titles}
    ).astype({"category": str, "department": str})


@pytest.fixture(scope="module")
def users() -> pd.DataFrame:
    return pd.DataFrame({"user_id": np.arange(80), "age": np.where(np.arange(80) % 2, "young", "old")})


@pytest.fixture(scope="module")
def fold(shop: pd.DataFrame) -> Fold:
    return fold_at(shop, ORIGIN)


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {}


@pytest.fixture(scope="module")
def ranker(fold: Fold, items: pd.DataFrame, users: pd.DataFrame, tables: dict[str, Table]) -> Ranker:
    return Ranker(items, users, n_moments=2, settings=SETTINGS, tables=tables).fit(fold.history)


@pytest.mark.parametrize("novel", [False, True])
def test_lists_are_complete_and_ranked(fold: Fold, ranker: Ranker, novel: bool) -> None:
    lists = ranker.recommend(fold.user_ids, k=10, exclude_seen=novel)
    by_user = lists.groupby("user_id")
    assert (by_user["rank"].apply(list).map(lambda ranks: ranks == list(range(1, 11)))).all()
    assert len(by_user) == len(fold.user_ids)
    assert not lists.duplicated(["user_id", "item_id"]).any()
    assert (by_user["score"].diff().fillna(-1) <= 1e-6).all()


def test_novel_lists_hold_nothing_that_was_bought_before(
    shop: pd.DataFrame, fold: Fold, ranker: Ranker
) -> None:
    bought = shop.loc[shop["timestamp"] < ORIGIN, ["user_id", "item_id"]].drop_duplicates()
    for k in (
        10,
        60,
    ):  # 60 is the whole shop: what is no candidate fills the list, and what was seen does not
        assert ranker.recommend(fold.user_ids, k, exclude_seen=True).merge(bought).empty
    assert not ranker.recommend(fold.user_ids).merge(bought).empty


def test_favourites_come_first(fold: Fold, ranker: Ranker) -> None:
    by_popularity = RecentPopularity().fit(fold.history).recommend(fold.user_ids)
    popular, ranked = (
        metrics.ndcg_at_k(lists, fold.targets).mean()
        for lists in (by_popularity, ranker.recommend(fold.user_ids))
    )
    assert ranked > 1.5 * popular


def test_somebody_unknown_gets_what_is_popular(fold: Fold, ranker: Ranker) -> None:
    popular = RecentPopularity().fit(fold.history).recommend([-7])
    assert ranker.recommend([-7])["item_id"].tolist() == popular["item_id"].tolist()


def test_what_happens_later_changes_no_list(
    shop: pd.DataFrame, fold: Fold, ranker: Ranker, items: pd.DataFrame, users: pd.DataFrame
) -> None:
    later = shop["timestamp"] >= ORIGIN
    drawn = np.random.default_rng(1).permutation(shop.loc[later, "item_id"])
    corrupted = shop.assign(item_id=shop["item_id"].where(~later, 0))
    corrupted.loc[later, "item_id"] = drawn[::-1]
    again = Ranker(items, users, n_moments=2, settings=SETTINGS).fit(history_before(corrupted, ORIGIN))
    pd.testing.assert_frame_equal(again.recommend(fold.user_ids), ranker.recommend(fold.user_ids))


def test_the_same_seed_gives_the_same_lists_on_two_cores(
    fold: Fold, ranker: Ranker, items: pd.DataFrame, users: pd.DataFrame
) -> None:
    again = Ranker(items, users, n_moments=2, settings=SETTINGS, n_jobs=2).fit(fold.history)
    for novel in (False, True):
        pd.testing.assert_frame_equal(
            again.recommend(fold.user_ids, exclude_seen=novel),
            ranker.recommend(fold.user_ids, exclude_seen=novel),
        )


def test_origins_share_their_moments(
    shop: pd.DataFrame, ranker: Ranker, items: pd.DataFrame, users: pd.DataFrame, tables: dict[str, Table]
) -> None:
    assert {key[:10] for key in tables} == {"2017-05-20", "2017-04-22", "2017-03-25"}
    kept = dict(tables)
    before = history_before(shop, ORIGIN - pd.Timedelta(days=28))
    Ranker(items, users, n_moments=1, settings=SETTINGS, tables=kept).fit(before)
    assert set(kept) == set(tables)


def test_tables_in_a_folder_serve_as_well(
    tmp_path: Path, fold: Fold, ranker: Ranker, tables: dict[str, Table]
) -> None:
    kept = KeptTables(tmp_path)
    kept.update(tables)
    assert set(kept) == set(tables)
    again = Ranker(ranker.items, ranker.users, n_moments=2, settings=SETTINGS, tables=kept).fit(fold.history)
    pd.testing.assert_frame_equal(again.recommend(fold.user_ids), ranker.recommend(fold.user_ids))
    del kept[min(kept)]
    assert len(kept) == len(tables) - 1


def test_groups_of_features_can_be_left_out(fold: Fold, ranker: Ranker, tables: dict[str, Table]) -> None:
    groups = {ranker.table_.names[column].partition(":")[0] for column in ranker.columns_}
    assert groups == set(GROUPS) - {"promotions"}  # the log has no plan
    without = Ranker(
        ranker.items, ranker.users, n_moments=2, without=("decay", "text"), settings=SETTINGS, tables=tables
    ).fit(fold.history)
    left = {without.table_.names[column].partition(":")[0] for column in without.columns_}
    assert left == groups - {"decay", "text", "combined"}  # what is worked out from decay goes with it
    with pytest.raises(InputError, match="no group of features 'texts'"):
        Ranker(without=("texts",)).fit(fold.history)


def test_a_log_of_ids_and_times_alone_will_do(fold: Fold) -> None:
    ranker = Ranker(n_moments=1, settings=SETTINGS).fit(fold.history)
    groups = {name.partition(":")[0] for name in ranker.table_.names}
    assert groups == {"combined", "decay", "transfer", "peers", "facts", "context"}
    assert ranker.recommend(fold.user_ids).groupby("user_id").size().eq(10).all()


def test_it_needs_times_and_an_earlier_moment(shop: pd.DataFrame, fold: Fold) -> None:
    timeless: History = replace(fold.history, age_days=None)
    with pytest.raises(InputError, match="needs times"):
        Ranker().fit(timeless)
    short = history_before(shop, shop["timestamp"].min() + pd.Timedelta(days=40), min_users_per_item=1)
    with pytest.raises(InputError, match="learns from 28 days ago"):
        Ranker().fit(short)


@pytest.mark.parametrize("novel", [False, True])
def test_reasons_add_up_to_the_score(fold: Fold, ranker: Ranker, novel: bool) -> None:
    lists = ranker.recommend([*fold.user_ids[:20], -7], k=10, exclude_seen=novel)
    reasons = ranker_reasons(ranker, lists, novel)
    total = reasons.groupby(["user_id", "item_id"])["amount"].sum()
    told = lists.set_index(["user_id", "item_id"])["score"]
    np.testing.assert_allclose(total.reindex(told.index), told, atol=1e-9)
    assert set(reasons["reason"][reasons["user_id"] == -7]) == {POPULAR}
    assert (reasons["reason"] == BASE).sum() == (len(lists) - 10)


def test_reasons_tell_what_happened(shop: pd.DataFrame, fold: Fold, ranker: Ranker) -> None:
    lists = ranker.recommend(fold.user_ids[:5], k=3)
    reasons = ranker_reasons(ranker, lists)
    bought = reasons[reasons["reason"] == "bought before"].iloc[0]
    mine = shop[(shop["user_id"] == bought["user_id"]) & (shop["item_id"] == bought["item_id"])]
    mine = mine[mine["timestamp"] < ORIGIN]
    ago = (ORIGIN - mine["timestamp"].max()).total_seconds() / 86_400
    n_visits = mine["timestamp"].nunique()
    assert bought["detail"].startswith(f"bought on {n_visits} visits, last {ago:.0f} days ago")
    new = ranker_reasons(ranker, ranker.recommend(fold.user_ids[:5], k=3, exclude_seen=True), novel=True)
    assert set(new.loc[new["reason"] == "bought before", "detail"]) == {"never bought"}


def test_the_ablation_tells_what_is_missed(fold: Fold, ranker: Ranker, tables: dict[str, Table]) -> None:
    weak = Ranker(ranker.items, ranker.users, n_moments=2, settings=SETTINGS, tables=tables)
    table = ablation(weak, fold, groups=["decay", "text", "combined"], n_resamples=50)
    assert table.index.names == ["slice", "group", "way"]
    assert len(table) == 2 * (2 * 2 + 1)  # what is worked out from others is never alone
    full = table["ndcg"] - table["value"]
    scored = metrics.ndcg_at_k(ranker.recommend(fold.user_ids), fold.targets).mean()
    assert full["all"].to_numpy() == pytest.approx(scored)
    assert table.loc[("all", "decay", "alone"), "ndcg"] > table.loc[("all", "text", "alone"), "ndcg"]


def test_of_what_did_not_come_true_only_a_share_is_learned_from(fold: Fold, ranker: Ranker) -> None:
    moments = ranker._moments(fold.history)
    learned = list(zip(moments[1:], ranker._tables(moments)[1:], strict=True))
    columns = range(len(ranker.table_.names))
    whole, half, again = (
        _examples(learned, True, columns, share, 1).construct() for share in (1.0, 0.5, 0.5)
    )
    assert half.get_label().sum() == whole.get_label().sum() > 0
    left = (1 - half.get_label()).sum() / (1 - whole.get_label()).sum()
    assert 0.4 < left < 0.6
    assert half.get_group().sum() == len(half.get_label())
    np.testing.assert_array_equal(half.get_group(), again.get_group())


def test_without_its_purchases_a_product_loses_its_place(fold: Fold, ranker: Ranker) -> None:
    lists = ranker.recommend(fold.user_ids)
    cases = own_purchases_trial(ranker, lists, n_cases=60)
    assert cases["user_id"].is_unique and len(cases) > 30
    listed = lists.set_index(["user_id", "item_id"])["score"]
    assert (
        listed.loc[list(zip(cases["user_id"], cases["item_id"], strict=True))].tolist()
        == cases["score"].tolist()
    )
    assert cases["listed_other"].mean() > 0.8 > cases["listed_named"].mean() + 0.2
    fall = (cases["score"] - cases["score_named"]).dropna()
    assert (fall > 0).mean() > 0.9
    assert (cases["score"] - cases["score_other"]).abs().median() < fall.median() / 3
