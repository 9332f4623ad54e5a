"""What the ranker is told: counted again by hand, and from nothing that came later."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib.ease import EASE
from interest_lib.history import History, history_before
from interest_lib.ranker_candidates import choose, owned
from interest_lib.ranker_features import pair_features, user_features
from interest_lib.ranker_interests import kind_features
from interest_lib.ranker_item_features import item_features
from interest_lib.ranker_models import neighbours_mean, shallow_autoencoder
from interest_lib.ranker_moments import earlier, fingerprint
from interest_lib.ranker_promotions import promotion_features
from interest_lib.ranker_tables import simple_models, table_of
from interest_lib.recommend import NearestUsers
from interest_lib.split import fold_at

ORIGIN = pd.Timestamp("2017-05-20")
MONTH = pd.Timedelta(days=28)


@pytest.fixture(scope="module")
def history(shop: pd.DataFrame) -> History:
    return history_before(shop, ORIGIN)


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return pd.DataFrame({"item_id": np.arange(60), "category": [f"kind {code % 6}" for code in range(60)]})


def pairs_of(history: History) -> tuple[np.ndarray, np.ndarray]:
    return owned(history).nonzero()


def test_an_earlier_moment_is_the_history_before_it(shop: pd.DataFrame, history: History) -> None:
    moment = earlier(history, 28)
    then = fold_at(shop, ORIGIN - MONTH)
    assert fingerprint(moment.history) == fingerprint(earlier(then.history).history)
    assert moment.history.item_ids.tolist() == then.history.item_ids.tolist()
    assert moment.history.last_seen == then.history.last_seen
    targets = then.targets.sort_values(["user_id", "item_id"])
    found = pd.DataFrame(
        {
            "user_id": moment.history.user_ids[moment.rows],
            "item_id": moment.history.item_ids[moment.cols],
        }
    ).sort_values(["user_id", "item_id"])
    assert found.to_numpy().tolist() == targets[["user_id", "item_id"]].to_numpy().tolist()


def test_features_of_a_moment_know_nothing_of_what_came_after(history: History, items: pd.DataFrame) -> None:
    assert history.age_days is not None
    later = history.age_days <= 28
    drawn = np.random.default_rng(2).integers(0, history.shape[1], int(later.sum()))
    corrupted = replace(history, cols=np.where(later, 0, history.cols))
    corrupted.cols[later] = drawn
    tables = [table_of(earlier(given, 28).history, items) for given in (history, corrupted)]
    np.testing.assert_array_equal(tables[0].features, tables[1].features)
    np.testing.assert_array_equal(tables[0].cols, tables[1].cols)
    assert earlier(history, 28).cols.tolist() != earlier(corrupted, 28).cols.tolist()


def test_rhythm_is_what_counting_visits_one_by_one_gives(shop: pd.DataFrame, history: History) -> None:
    rows, cols = pairs_of(history)
    found = pair_features(history, rows, cols)
    for place in range(0, len(rows), 97):
        mine = shop[
            (shop["user_id"] == history.user_ids[rows[place]])
            & (shop["item_id"] == history.item_ids[cols[place]])
            & (shop["timestamp"] < ORIGIN)
        ]
        age = np.unique((ORIGIN - mine["timestamp"]).dt.total_seconds() / 86_400)[::-1]
        assert found["decay: visits"][place] == len(age)
        assert found["decay: days since the last"][place] == pytest.approx(age[-1], abs=0.05)
        assert found["decay: visits in 28 days"][place] == (age < 28).sum()
        faded = (0.5 ** ((ORIGIN - mine["timestamp"]).dt.total_seconds() / 86_400 / 30)).sum()
        assert found["decay: purchases, half-life 30 days"][place] == pytest.approx(faded, rel=1e-4)
        if len(age) > 1:
            gaps = -np.diff(age)
            assert found["decay: mean gap in days"][place] == pytest.approx(gaps.mean(), rel=1e-4)
            assert found["decay: spread of gaps in days"][place] == pytest.approx(gaps.std(), abs=1e-2)
            assert found["decay: last gap in days"][place] == pytest.approx(gaps[-1], rel=1e-4)
        visits = shop[
            (shop["user_id"] == history.user_ids[rows[place]])
            & (shop["timestamp"] < ORIGIN)
            & (shop["timestamp"] >= mine["timestamp"].min())
        ]["timestamp"].nunique()
        share = found["decay: share of visits since the first"][place]
        assert share == pytest.approx(len(age) / visits, rel=1e-5)


def test_what_is_new_to_a_user_is_counted_once(shop: pd.DataFrame, history: History) -> None:
    known = shop[shop["timestamp"] < ORIGIN]
    first = known.drop_duplicates(["user_id", "item_id"])
    since = ORIGIN - 3 * MONTH
    expected = (
        first[first["timestamp"] > since].groupby("user_id").size()
        / known[known["timestamp"] > since].groupby("user_id").size()
    ).reindex(history.user_ids, fill_value=0.0)
    found = user_features(history, np.arange(history.shape[0]))["context: share that is new"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_items_count_their_users_and_those_who_come_back(shop: pd.DataFrame, history: History) -> None:
    known = shop[shop["timestamp"] < ORIGIN]
    recent = known[known["timestamp"] > ORIGIN - MONTH]
    found = item_features(history, np.arange(history.shape[1]))
    expected = recent.groupby("item_id")["user_id"].nunique().reindex(history.item_ids, fill_value=0)
    assert found["facts: users in 28 days"].tolist() == expected.tolist()
    days = known.groupby(["item_id", "user_id"])["timestamp"].nunique()
    twice = (days > 1).groupby("item_id").sum().reindex(history.item_ids)
    n_users = days.groupby("item_id").size().reindex(history.item_ids)
    share = found["facts: share of users who come back"]
    np.testing.assert_allclose(share, (twice + 1) / (n_users + 4), rtol=1e-5)


def test_shares_of_categories_add_up(history: History, items: pd.DataFrame) -> None:
    rows, cols = pairs_of(history)
    found = kind_features(history, items, rows, cols)
    table = pd.DataFrame({"row": rows, "kind": history.item_ids[cols] % 6})
    table["share"] = found["mining: share of the category, ever"]
    assert table.drop_duplicates(["row", "kind"]).groupby("row")["share"].sum().to_numpy() == pytest.approx(1)


def test_simple_models_are_those_of_the_study(history: History) -> None:
    everybody = np.arange(history.shape[0])
    ease = EASE(ridge=50.0, half_life_days=30.0).fit(history)._scores(everybody)
    np.testing.assert_allclose(shallow_autoencoder(history, 30.0, 50.0)(everybody), ease, atol=1e-5)
    borrowed = NearestUsers(30.0, n_neighbours=10, own_weight=0.0).fit(history)._scores(everybody)
    np.testing.assert_allclose(neighbours_mean(history, 30.0, 10)(everybody), borrowed, atol=1e-5)


def test_candidates_are_own_items_and_the_best_new_ones(history: History) -> None:
    models = simple_models(history, None, 0)
    pairs = choose(history, models, {"popularity": 5}, n_own=3)
    had = owned(history)
    assert (np.asarray(had[pairs.rows, pairs.cols]).ravel() > 0).tolist() == pairs.own.tolist()
    new = pd.DataFrame({"row": pairs.rows, "col": pairs.cols})[~pairs.own]
    assert new.groupby("row").size().between(1, 5).all()
    place = pairs.scores["place: popularity"].to_numpy()
    assert place[~pairs.own].max() <= 5
    assert (pd.Series(pairs.own).groupby(pairs.rows).sum() <= 9).all()


def test_a_plan_is_read_up_to_its_end_and_no_further(shop: pd.DataFrame, history: History) -> None:
    weeks = pd.date_range(ORIGIN - 2 * MONTH, ORIGIN + 2 * MONTH, freq="7D")
    plan = pd.DataFrame({"item_id": 7, "start": weeks, "mailer": np.arange(len(weeks), dtype=float)})
    place = np.array([history.item_ids.get_loc(7)])
    found = promotion_features(history, plan, np.array([0]), place)
    assert found["promotions: mailer, next 28 days"][0] == np.mean([8, 9, 10, 11])
    assert found["promotions: mailer, next 7 days"][0] == 8
    assert found["promotions: mailer, last 28 days"][0] == np.mean([4, 5, 6, 7])
    assert found["promotions: mailer, usual"][0] == np.mean(range(8))
    names = table_of(earlier(history).history, promotions=plan).names
    assert "promotions: mailer, change" in names


def bought(days_ago: list[tuple[str, str, float]]) -> History:
    """What users bought, and how many days before the moment, a Monday."""
    log = pd.DataFrame(days_ago, columns=["user_id", "item_id", "days"])
    log["timestamp"] = pd.Timestamp("2017-05-22") - pd.to_timedelta(log.pop("days"), "D")
    log = log.sort_values("timestamp", ignore_index=True)
    return history_before(log, pd.Timestamp("2017-05-22"), min_users_per_item=1)


def test_who_buys_an_item_when_it_is_promoted_is_told() -> None:
    # cola is in the mailer two weeks ago and will be next week; bread and salt never are
    starts = pd.Timestamp("2017-05-22") + pd.to_timedelta([-28, -21, -14, -7, 0], "D")
    plan = pd.DataFrame({"item_id": "cola", "start": starts, "mailer": [0.0, 0.0, 1.0, 0.0, 1.0]})
    h = bought(
        [("hunter", "cola", 10.0), ("hunter", "bread", 10.0), ("habit", "cola", 3.0), ("habit", "salt", 3.0)]
    )
    pairs = [("hunter", "cola"), ("habit", "cola"), ("hunter", "salt"), ("habit", "bread")]
    rows, cols = (
        index.get_indexer(names)
        for index, names in zip((h.user_ids, h.item_ids), zip(*pairs, strict=True), strict=True)
    )
    items = pd.DataFrame({"item_id": ["cola", "bread", "salt"], "category": ["drinks", "food", "food"]})
    told = {
        name.removeprefix("promotions: mailer, "): values
        for name, values in promotion_features(h, plan, rows, cols, items).items()
    }
    user_mean = np.array([0.5, 0.0, 0.5, 0.0])  # of two purchases on one day
    np.testing.assert_allclose(told["purchases of the user"], user_mean, rtol=1e-6)
    np.testing.assert_allclose(told["usual"], [0.25, 0.25, 0, 0])
    np.testing.assert_allclose(
        told["purchases of the user, over usual"], [0.375, -0.125, 0.375, -0.125], rtol=1e-6
    )
    weight = 2 ** (-np.array([10.0, 3.0]) / 120)
    own = (weight * [1, 0] + user_mean[:2] / 2) / (weight + 0.5)
    np.testing.assert_allclose(told["own purchases of it"], [*own, np.nan, np.nan], rtol=1e-6)
    np.testing.assert_allclose(told["next 28 days over own purchases"][:2], 0.25 - own, rtol=1e-6)
    response = weight @ np.array([0.75, -0.25]) / (weight.sum() + 1)
    np.testing.assert_allclose(told["response of the item"], [response, response, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(told["change of its category"], 0.0, atol=1e-7)


def test_of_purchases_before_the_first_plan_nothing_is_said() -> None:
    h = bought([("early", "cola", 40.0), ("late", "cola", 3.0)])
    starts = pd.Timestamp("2017-05-22") + pd.to_timedelta([-7, 0], "D")
    plan = pd.DataFrame({"item_id": "cola", "start": starts, "mailer": [0.5, 0.0]})
    rows = h.user_ids.get_indexer(["early", "late"])
    own = promotion_features(h, plan, rows, np.zeros(2, int))["promotions: mailer, own purchases of it"]
    np.testing.assert_allclose(own, [np.nan, 0.5])


def test_places_compare_the_items_of_one_user(history: History) -> None:
    table = table_of(earlier(history).history)
    wanted = NearestUsers(90.0, n_neighbours=100).fit(earlier(history).history)
    blend = table.features[:, table.names.index("combined: own and nearest users, half-life 90")]
    scores = np.vstack([wanted._scores(np.array([user])) for user in range(5)])
    few = table.rows < 5
    np.testing.assert_allclose(blend[few], scores[table.rows[few], table.cols[few]], rtol=1e-4, atol=1e-5)
    place = table.features[:, table.names.index("combined: place by own and nearest users, half-life 90")]
    first = pd.DataFrame({"row": table.rows, "blend": blend, "place": place})
    assert (first[first["place"] == 1].set_index("row")["blend"] == first.groupby("row")["blend"].max()).all()
