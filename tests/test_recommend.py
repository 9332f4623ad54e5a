"""Recommenders: what they must rank first, what they must never show, and what they must not see."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interest_lib import metrics, recommend
from interest_lib.basket_models import TIFUKNN, UPCF
from interest_lib.blends import Blend
from interest_lib.content import ContentInterest
from interest_lib.ease import EASE
from interest_lib.factorisation import ALS, BPR, LightFMWarp
from interest_lib.history import History
from interest_lib.item_neighbours import ItemNeighbours
from interest_lib.light_gcn import LightGCN
from interest_lib.migrated import MigratedInterest
from interest_lib.migrated_factors import MigratedFactors
from interest_lib.paced_frequency import PacedFrequency
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at
from interest_lib.transformer_recommender import SequenceRecommender

ORIGIN = pd.Timestamp("2017-05-20")
KIND = pd.Series(np.arange(60) % 12, name="category").rename_axis("item_id").map("kind {}".format)
LABELS = KIND.reset_index()
AGES = pd.DataFrame({"user_id": range(70), "age": np.where(np.arange(70) % 2, "old", "young")})
MODELS: dict[str, recommend.Recommender] = {
    "recent_popularity": recommend.RecentPopularity(),
    "personal": recommend.PersonalFrequency(),
    "personal_hl30": recommend.PersonalFrequency(30.0),
    "neighbours": recommend.NearestUsers(30.0, n_neighbours=10),
    "ease": EASE(ridge=10.0, half_life_days=30.0, n_items=40),
    "als": ALS(n_factors=8, random_state=1),
    "als_decay": ALS(n_factors=8, weights="counts", half_life_days=30.0, random_state=1),
    "bpr": BPR(n_factors=8, n_iterations=20, random_state=1),
    "light_gcn": LightGCN(n_factors=8, n_updates=60, batch_size=512, random_state=1),
    "content": ContentInterest(KIND + " " + KIND.index.astype(str), "terms", half_life_days=30.0),
    "migrated": MigratedInterest(KIND, strength=5.0, stay_strength=100.0),
    "migrated_factors": MigratedFactors(n_factors=8),
    "transformer": SequenceRecommender(n_items=40, n_hidden=8, length=20, reach=10, n_updates=5),
    "lightfm": LightFMWarp(n_factors=8, n_epochs=3, random_state=1),
    "hybrid": LightFMWarp(n_factors=8, n_epochs=3, random_state=1, items=LABELS, users=AGES),
    "lightfm_decay": LightFMWarp(
        n_factors=8, n_epochs=3, weights="counts", half_life_days=30.0, random_state=1
    ),
}


@pytest.fixture(scope="module")
def fold(shop: pd.DataFrame) -> Fold:
    return fold_at(shop, ORIGIN)


@pytest.fixture(scope="module")
def lists(fold: Fold) -> pd.DataFrame:
    return recommend.recommend_all(MODELS, fold, n_jobs=1)


def test_every_list_is_complete_ranked_and_without_repetition(fold: Fold, lists: pd.DataFrame) -> None:
    groups = lists.groupby(["model", "slice", "user_id"])
    assert len(groups) == len(MODELS) * 2 * len(fold.user_ids)
    assert (groups["rank"].apply(list).map(lambda ranks: ranks == list(range(1, 11)))).all()
    assert not lists.duplicated(["model", "slice", "user_id", "item_id"]).any()
    assert (groups["score"].diff().fillna(-1) <= 1e-6).all()


def test_novel_lists_hold_nothing_that_was_bought_before(shop: pd.DataFrame, lists: pd.DataFrame) -> None:
    bought = shop.loc[shop["timestamp"] < ORIGIN, ["user_id", "item_id"]].drop_duplicates()
    assert lists[lists["slice"] == "novel"].merge(bought).empty
    assert not lists[lists["slice"] == "all"].merge(bought).empty


def test_models_of_own_history_beat_popularity_where_people_have_favourites(
    fold: Fold, lists: pd.DataFrame
) -> None:
    score = metrics.ndcg_by_slice(lists, fold).mean()["all"]
    for model in ("personal", "personal_hl30", "neighbours", "ease", "migrated"):
        assert score[model] > 1.5 * score["recent_popularity"], model


@pytest.mark.parametrize(
    "model", ["ease", "als", "bpr", "light_gcn", "migrated_factors", "lightfm", "lightfm_decay"]
)
def test_models_that_generalise_find_the_half_of_the_shop_that_a_user_likes(model: str) -> None:
    """Even users buy even items only, so that what is new to them must be even, too."""
    rng = np.random.default_rng(4)
    user = rng.integers(0, 100, 4000)
    item = 2 * rng.integers(0, 30, 4000) + user % 2
    times = pd.date_range("2017-01-01", periods=4000, freq="47min")
    fold = fold_at(
        pd.DataFrame({"user_id": user, "item_id": item, "timestamp": times}), pd.Timestamp("2017-05-01")
    )
    lists = recommend.recommend_all({model: MODELS[model]}, fold, ["novel"], k=3, n_jobs=1)
    assert (lists["item_id"] % 2 == lists["user_id"] % 2).mean() > 0.9


def test_personal_frequency_counts_and_breaks_ties_by_recent_popularity(fold: Fold) -> None:
    history = fold.history
    lists = recommend.PersonalFrequency().fit(history).recommend(history.user_ids[:5], k=60)
    for user, own in lists.groupby("user_id"):
        row = history.user_ids.get_loc(user)
        counts = np.bincount(history.cols[history.rows == row], minlength=len(history.item_ids))
        expected = history.item_ids[np.lexsort((np.arange(60), -counts))]
        assert own["item_id"].tolist() == expected.tolist()


def test_a_user_without_history_gets_what_is_popular(fold: Fold) -> None:
    for name, model in MODELS.items():
        unknown = model.fit(fold.history).recommend(["nobody"], k=5, exclude_seen=True)
        assert unknown["item_id"].tolist() == fold.history.item_ids[:5].tolist(), name


def test_neighbours_with_all_weight_on_the_own_history_are_personal(fold: Fold) -> None:
    own = recommend.NearestUsers(30.0, own_weight=1.0).fit(fold.history).recommend(fold.user_ids)
    personal = recommend.PersonalFrequency(30.0).fit(fold.history).recommend(fold.user_ids)
    pd.testing.assert_frame_equal(own, personal)


def test_corrupting_every_event_from_the_origin_on_changes_no_recommendation(
    shop: pd.DataFrame, fold: Fold
) -> None:
    """Only the users to score are taken from the targets, and they stay the same."""
    rng = np.random.default_rng(0)
    later = shop["timestamp"] >= ORIGIN
    corrupted = shop.copy()
    corrupted.loc[later, "item_id"] = rng.choice(fold.history.item_ids, int(later.sum()))
    corrupted.loc[later, "timestamp"] += pd.to_timedelta(rng.integers(0, 5, int(later.sum())), unit="D")
    other = fold_at(corrupted.sort_values("timestamp", kind="stable"), ORIGIN, horizon_days=100)
    assert other.user_ids.equals(fold.user_ids) and not other.targets.equals(fold.targets)
    for name, model in MODELS.items():
        before = recommend.recommend_all({name: model}, fold, n_jobs=1)
        after = recommend.recommend_all({name: model}, other, n_jobs=1)
        pd.testing.assert_frame_equal(before, after, obj=name)


def test_the_corruption_check_can_fail(shop: pd.DataFrame, fold: Fold) -> None:
    corrupted = shop.assign(
        item_id=shop["item_id"].where(shop["timestamp"] < ORIGIN - pd.Timedelta(days=20), 7)
    )
    other = fold_at(corrupted, ORIGIN)
    model = {"personal": recommend.PersonalFrequency()}
    assert not recommend.recommend_all(model, fold, n_jobs=1).equals(
        recommend.recommend_all(model, other, n_jobs=1)
    )


def test_two_fits_and_two_processes_give_the_same_lists(fold: Fold, lists: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(lists, recommend.recommend_all(MODELS, fold, n_jobs=2))


def test_what_every_model_consumed_and_cost_is_told_for_every_origin(shop: pd.DataFrame) -> None:
    models = {name: MODELS[name] for name in ("personal", "neighbours")}
    folds = [fold_at(shop, ORIGIN), fold_at(shop, ORIGIN - pd.Timedelta(days=28))]
    found = recommend.compare_models(models, folds, n_jobs=1)
    newest = [str(shop.loc[shop["timestamp"] < pd.Timestamp(f.label), "timestamp"].max()) for f in folds]
    assert found.costs["last_seen"].tolist() == [newest[0], newest[0], newest[1], newest[1]]
    assert found.costs["n_events"].tolist() == [len(fold.history.rows) for fold in folds for _ in models]
    assert (found.costs[["fit_seconds", "recommend_seconds"]] >= 0).all(axis=None)
    parts = [recommend.recommend_all(models, fold, n_jobs=1) for fold in folds]
    pd.testing.assert_frame_equal(found.lists, pd.concat(parts, ignore_index=True))


class Forgetful(recommend.PersonalFrequency):
    """Leaves out the newest event."""

    def fit(self, history: History) -> "Forgetful":
        kept = np.arange(len(history.rows) - 1)
        columns = ("rows", "cols", "weights", "is_goal", "age_days")
        parts = {name: getattr(history, name)[kept] for name in columns}
        return super().fit(replace(history, **parts))


def test_a_comparison_of_models_that_saw_different_events_is_refused(fold: Fold) -> None:
    models = {"personal": recommend.PersonalFrequency(), "forgetful": Forgetful()}
    with pytest.raises(InputError, match="fit the models to compare on the same history"):
        recommend.recommend_all(models, fold, n_jobs=1)
    earlier = replace(fold.history, last_seen="2017-05-01 00:00:00")
    fitted = {"personal": models["personal"], "other": recommend.RecentPopularity().fit(earlier)}
    with pytest.raises(InputError, match=r"other .* until 2017-05-01"):
        recommend.last_seen(fitted)
    fitted["other"] = recommend.RecentPopularity().fit(fold.history)
    assert recommend.last_seen(fitted) == fold.history.last_seen


def random_history(n_users: int, n_items: int, n_events: int) -> History:
    rng = np.random.default_rng(0)
    user = np.append(np.arange(n_users), rng.integers(0, n_users, n_events - n_users))
    item = np.append(np.arange(n_items), rng.integers(0, n_items, n_events - n_items))
    return History(
        label="2017-05-20",
        user_ids=pd.RangeIndex(n_users, name="user_id"),
        item_ids=pd.RangeIndex(n_items, name="item_id"),
        popularity=np.linspace(9, 0, n_items),
        rows=user,
        cols=item,
        weights=np.ones(n_events),
        is_goal=np.ones(n_events, dtype=bool),
        age_days=np.linspace(300, 0, n_events),
        age_baskets=None,
        last_seen="2017-05-19 23:59:59",
    )


def peak_bytes(model: recommend.Recommender, history: History) -> int:
    tracemalloc.start()
    model.fit(history).recommend(history.user_ids, exclude_seen=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


SPARSE = MODELS | {
    "item_neighbours": ItemNeighbours("bm25", 50, half_life_days=30.0),
    "up_cf": UPCF(),
    "tifu_knn": TIFUKNN(),
    "paced": PacedFrequency(),
    "blend": Blend(
        {"neighbours": MODELS["neighbours"], "popularity": recommend.RecentPopularity()}, depth=20
    ),
}


@pytest.mark.parametrize("model", sorted(set(SPARSE) - {"bpr", "lightfm_decay", "hybrid", "als_decay"}))
def test_memory_grows_with_events_and_not_with_users_times_items(model: str) -> None:
    """Eight times the users with the same events: a dense matrix would take 75 MB more at least."""
    few, many = (peak_bytes(SPARSE[model], random_history(n, 3000, 20_000)) for n in (500, 4000))
    assert many - few < 25_000_000


class Dense(recommend.PersonalFrequency):
    """The same scores by the way that ranks every item."""

    def _sparse_scores(self) -> None:
        return None


@pytest.mark.parametrize("k", [1, 10, 70])
def test_new_items_are_ranked_alike_with_and_without_zeros(k: int, fold: Fold) -> None:
    """Half of the events are views, so that something new has a score."""
    half = np.arange(len(fold.history.rows)) % 2 == 0
    history = replace(fold.history, is_goal=half)
    users = [*history.user_ids, "nobody"]
    few, all_items = (kind(30.0).fit(history) for kind in (recommend.PersonalFrequency, Dense))
    found = few.recommend(users, k, exclude_seen=True)
    assert (found["score"] > 0).any()
    pd.testing.assert_frame_equal(found, all_items.recommend(users, k, exclude_seen=True))
