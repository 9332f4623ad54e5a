"""Rows for learned forecasts of shares."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from interest_lib.features import feature_table
from interest_lib.forecasts import ShrunkShares
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.share_columns import HISTORY_DAYS
from interest_lib.share_features import LINEAR, WHERE_MISSING
from interest_lib.share_models import ShareRegression
from interest_lib.share_rows import MOST_KEPT, SHARE_FEATURES, ShareRowStore, lesson, share_rows

BASE = ShrunkShares(half_life_days=60, strength=20)


@pytest.fixture(scope="module")
def log(shop: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return shop.assign(
        category="c" + (shop["item_id"] % 12).astype(str).str.zfill(2),
        department="d" + (shop["item_id"] % 3).astype(str),
        quantity=rng.integers(1, 4, len(shop)),
        value=rng.uniform(1, 9, len(shop)),
        event=np.where(rng.random(len(shop)) < 0.3, "view", "purchase"),
        weight=1.0,
    )


@pytest.fixture(scope="module")
def move(log: pd.DataFrame) -> Move:
    return move_at(log, log["timestamp"].min() + pd.Timedelta(days=112, hours=5), 28)


@pytest.fixture(scope="module")
def table(move: Move) -> pd.DataFrame:
    rows = share_rows(move, BASE.predict(move))
    index = pd.MultiIndex.from_product([move.user_ids, move.interests])
    return pd.DataFrame(rows.inputs, index=index, columns=list(SHARE_FEATURES))


def test_every_column_is_explained_and_finite(table: pd.DataFrame) -> None:
    assert np.isfinite(table.to_numpy()).all()
    assert all(len(meaning) > 10 for meaning in SHARE_FEATURES.values())
    assert (table.drop(columns="user_largest_basket").nunique() > 1).all()  # baskets of the shop hold four
    assert set(table.columns[(table < 0).any()]) <= LINEAR  # what is read as a logarithm is not negative


def test_columns_equal_what_they_say(log: pd.DataFrame, move: Move, table: pd.DataFrame) -> None:
    at = log["timestamp"].min() + pd.Timedelta(days=112, hours=5)
    user, interest = move.user_ids[3], table.loc[move.user_ids[3], "count"].idxmax()
    known = log[(log["timestamp"] < at) & (log["user_id"] == user)]
    own = known[known["category"] == interest]
    age = (at - own["timestamp"]) / pd.Timedelta(days=1)
    row = table.loc[(user, interest)]
    sizes = known.groupby("basket_id")["category"].nunique()
    expected = {
        "count": own["basket_id"].nunique(),
        "events": len(own),
        "items": own["item_id"].nunique(),
        "most_repeated": own["item_id"].value_counts().iloc[0],
        "since_days": age.min(),
        "weeks": (age // 7).nunique(),
        "quantity": own["quantity"].mean(),
        "value": own["value"].mean(),
        "other_events": (0.5 ** (age[own["event"] == "view"] / 14)).sum(),
        "basket_size": sizes[own["basket_id"].unique()].mean(),
        "user_baskets": len(sizes),
        "user_basket_size": sizes.mean(),
        "user_largest_basket": sizes.max(),
        "user_baskets_35": known.loc[known["timestamp"] >= at - pd.Timedelta(days=35), "basket_id"].nunique(),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-5), name


def test_columns_of_the_feature_table_are_its_own(log: pd.DataFrame, move: Move, table: pd.DataFrame) -> None:
    at = log["timestamp"].min() + pd.Timedelta(days=112, hours=5)
    original = feature_table(log, at).loc[list(move.user_ids)]
    for name, missing in WHERE_MISSING.items():
        joined, alone = original[name].fillna(missing), table[name].reindex(original.index)
        np.testing.assert_allclose(alone, joined, rtol=1e-4, atol=1e-6, err_msg=name)
        never = table.index.difference(original.index)
        assert (table.loc[never, name] == missing).all()
    of_user = original.groupby(level=0)[["user_interests", "user_recency_days"]].max()
    for name in of_user:
        assert table[name].groupby(level=0).nunique().eq(1).all()
        np.testing.assert_allclose(table[name].groupby(level=0).first(), of_user[name], rtol=1e-5)


def test_what_the_users_table_says_stands_in_all_rows_of_a_user(move: Move) -> None:
    known = move.user_ids[:-1]
    users = pd.DataFrame({"user_id": known, "age": np.where(np.arange(len(known)) % 2, "old", "young")})
    users["code"] = np.arange(len(users)).astype(str)  # every value rare: no column each
    users.loc[0, "age"] = None
    told = share_rows(move, BASE.predict(move), users)
    assert list(told.names) == [*SHARE_FEATURES, "age=old", "age=young"]
    cells = told.inputs[:, -2:].reshape(*move.shape, 2)
    assert (cells == cells[:, :1]).all()
    assert cells[[0, 1, 2, len(known)], 0].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    plain = share_rows(move, BASE.predict(move))
    np.testing.assert_array_equal(told.inputs[:, :-2], plain.inputs)
    np.testing.assert_array_equal(told.base, plain.base)
    assert list(ShareRowStore(BASE, users).rows(move).names) == list(told.names)


def test_a_lesson_leaves_out_what_teaches_nothing(move: Move) -> None:
    store = ShareRowStore(BASE)
    silent = replace(move, future=move.future * (np.arange(len(move.user_ids)) > 0)[:, None])
    store.rows(silent).base[3, :2] = 1e-9
    given = lesson([silent, silent], store)
    n_interests = len(move.interests)
    assert len(given.ratio) == 2 * ((len(move.user_ids) - 1) * n_interests - 2)
    assert given.weight.mean() == pytest.approx(1)
    assert set(given.user) == set(range(2 * len(move.user_ids))) - {0, len(move.user_ids)}
    row = np.flatnonzero(given.user == 5)[2]
    expected = move.next_shares[5, 2] / store.rows(silent).base[5, 2]
    assert given.ratio[row] == pytest.approx(expected)
    few = given.drawn(50, 1)
    assert len(few.ratio) == 50 and few.weight.mean() == pytest.approx(1)
    assert given.drawn(None, 1) is given
    np.testing.assert_array_equal(few.inputs, given.drawn(50, 1).inputs)
    assert not np.array_equal(few.inputs, given.drawn(50, 2).inputs)
    with pytest.raises(InputError, match="with a future"):
        lesson([replace(move, future=None)], store)


def test_rows_read_nothing_that_came_after(log: pd.DataFrame, move: Move, table: pd.DataFrame) -> None:
    at = log["timestamp"].min() + pd.Timedelta(days=112, hours=5)
    spoilt, late = log.copy(), log["timestamp"] >= at
    spoilt.loc[late, ["category", "department", "event"]] = ["c00", "d9", "purchase"]
    spoilt.loc[late, ["quantity", "weight", "value"]] = [99, 50.0, 999.0]
    other = move_at(spoilt, at, 28, move.user_ids, move.interests)
    for later in (replace(move, future=None), other):
        np.testing.assert_array_equal(share_rows(later, BASE.predict(later)).inputs, table.to_numpy())


def test_counts_reach_no_further_back_than_they_say(move: Move, table: pd.DataFrame) -> None:
    older = [t.assign(age_days=t["age_days"] + HISTORY_DAYS + 1) for t in (move.events, move.signs)]
    old = replace(move, events=older[0], signs=older[1])
    rows = share_rows(old, BASE.predict(move))
    seen = pd.DataFrame(rows.inputs, columns=list(SHARE_FEATURES))
    assert (seen[["count", "events", "items", "weeks", "user_baskets", "other_events"]] == 0).all(axis=None)
    assert (seen["since_days"] == 200).all()
    assert all((seen[name] == missing).all() for name, missing in WHERE_MISSING.items())
    assert (seen["user_recency_days"] == 200).all()


def test_a_log_without_departments_and_values_has_the_same_columns(move: Move) -> None:
    bare = replace(move, events=move.events.drop(columns=["department", "quantity", "value", "event"]))
    rows = share_rows(bare, BASE.predict(bare))
    seen = pd.DataFrame(rows.inputs, columns=list(SHARE_FEATURES))
    assert np.isfinite(rows.inputs).all()
    assert (seen["department"] == 1).all()
    assert (seen[["quantity", "value", "other_events", "discount_share"]] == 0).all(axis=None)
    assert (seen["price_level"] == 1).all()


def test_an_interest_nobody_has_does_not_divide_by_zero(move: Move) -> None:
    wider = replace(move, interests=move.interests.append(pd.Index(["never"])), future=None)
    assert np.isfinite(share_rows(wider, ShrunkShares().predict(wider)).inputs).all()


def test_rows_are_made_once_for_all_copies_of_a_model(move: Move) -> None:
    store = ShareRowStore(BASE)
    rows = store.rows(move)
    copy = clone(ShareRegression("ridge", store=store))
    assert copy.store is store
    assert copy.store.rows(move) is rows
    np.testing.assert_array_equal(rows.base, BASE.predict(move))
    assert store.rows(replace(move)) is not rows


def test_the_store_goes_to_another_process_empty_and_forgets_the_oldest(move: Move) -> None:
    store = ShareRowStore(BASE)
    rows = store.rows(move)
    there, asked = pickle.loads(pickle.dumps((store, move)))
    np.testing.assert_array_equal(there.rows(asked).inputs, rows.inputs)
    assert len(there._kept) == 1, "rows of a move that is nowhere would be found by its old place in memory"
    for _ in range(MOST_KEPT):
        last = replace(move)
        store.rows(last)
    assert len(store._kept) == MOST_KEPT and store.rows(last) is store.rows(last)
    assert store.rows(move) is not rows
