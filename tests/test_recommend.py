"""Recommenders: what they must rank first, what they must never show, and what they must not see."""

import numpy as np
import pandas as pd
import pytest

from interest_lib import metrics, recommend
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at

ORIGIN = pd.Timestamp("2017-05-20")
MODELS: dict[str, recommend.Recommender] = {
    "recent_popularity": recommend.RecentPopularity(),
    "personal": recommend.PersonalFrequency(),
    "personal_hl30": recommend.PersonalFrequency(30.0),
    "neighbours": recommend.NearestUsers(30.0, n_neighbours=10),
    "ease": recommend.EASE(ridge=10.0, half_life_days=30.0, n_items=40),
    "als": recommend.ALS(n_factors=8, random_state=1),
    "als_decay": recommend.ALS(n_factors=8, weights="counts", half_life_days=30.0, random_state=1),
    "lightfm": recommend.LightFMWarp(n_factors=8, n_epochs=3, random_state=1),
    "lightfm_decay": recommend.LightFMWarp(
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
    for model in ("personal", "personal_hl30", "neighbours", "ease"):
        assert score[model] > 1.5 * score["recent_popularity"], model


@pytest.mark.parametrize("model", ["ease", "als", "lightfm", "lightfm_decay"])
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


def test_ease_solves_its_ridge_regression(fold: Fold) -> None:
    model = recommend.EASE(ridge=7.0, half_life_days=None, n_items=30).fit(fold.history)
    x, weights = model.input_.toarray(), model.weights_
    assert np.abs(np.diag(weights)).max() == 0
    # at the optimum the gradient vanishes everywhere but on the diagonal, which is held at zero
    gradient = x.T @ (x @ weights - x) + 7.0 * weights
    np.fill_diagonal(gradient, 0.0)
    assert np.abs(gradient).max() < 1e-8


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


@pytest.mark.parametrize("kind", [recommend.ALS, recommend.LightFMWarp])
def test_a_gain_from_fading_vanishes_when_nothing_fades(kind: type, fold: Fold) -> None:
    """Counts that fade within a thousand years are the counts themselves, so the lists are the same."""
    endless = kind(weights="counts", half_life_days=1e12).fit(fold.history).recommend(fold.user_ids)
    counted = kind(weights="counts").fit(fold.history).recommend(fold.user_ids)
    fading = kind(weights="counts", half_life_days=20.0).fit(fold.history).recommend(fold.user_ids)
    pd.testing.assert_frame_equal(endless[["item_id", "rank"]], counted[["item_id", "rank"]])
    assert not fading["item_id"].equals(counted["item_id"])


def test_ones_cannot_fade(fold: Fold) -> None:
    with pytest.raises(InputError, match="have no half-life"):
        recommend.ALS(half_life_days=3.0).fit(fold.history)


def test_two_fits_and_two_processes_give_the_same_lists(fold: Fold, lists: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(lists, recommend.recommend_all(MODELS, fold, n_jobs=2))
