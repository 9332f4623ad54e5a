"""Factorisation: what fades, what labels say, and who decides."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.factorisation import ALS, BPR, LightFMWarp, label_features, pair_weights
from interest_lib.history import history_before
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at

ORIGIN = pd.Timestamp("2017-05-20")


@pytest.fixture(scope="module")
def fold(shop: pd.DataFrame) -> Fold:
    return fold_at(shop, ORIGIN)


@pytest.mark.parametrize("kind", [ALS, LightFMWarp])
def test_a_gain_from_fading_vanishes_when_nothing_fades(kind: type, fold: Fold) -> None:
    """Counts that fade within a thousand years are the counts themselves, so the lists are the same."""
    endless = kind(weights="counts", half_life_days=1e12).fit(fold.history).recommend(fold.user_ids)
    counted = kind(weights="counts").fit(fold.history).recommend(fold.user_ids)
    fading = kind(weights="counts", half_life_days=20.0).fit(fold.history).recommend(fold.user_ids)
    pd.testing.assert_frame_equal(endless[["item_id", "rank"]], counted[["item_id", "rank"]])
    assert not fading["item_id"].equals(counted["item_id"])


def test_ones_cannot_fade(fold: Fold) -> None:
    with pytest.raises(InputError, match="have no half-life"):
        ALS(half_life_days=3.0).fit(fold.history)


def test_scores_of_bpr_put_what_users_had_above_what_they_had_not(fold: Fold) -> None:
    model = BPR(n_factors=16, n_iterations=40).fit(fold.history)
    scores = model._scores(np.arange(fold.history.shape[0]))
    had = np.zeros(fold.history.shape, dtype=bool)
    had[fold.history.rows, fold.history.cols] = True
    above = [(row[own][:, None] > row[~own]).mean() for row, own in zip(scores, had, strict=True)]
    assert np.nanmean(above) > 0.8


def test_what_all_like_is_added_to_the_scores_of_bpr(fold: Fold) -> None:
    plain = BPR(n_factors=4, n_iterations=2, popularity_weight=0.0).fit(fold.history)
    model = BPR(n_factors=4, n_iterations=2, popularity_weight=0.5).fit(fold.history)
    pairs = pd.DataFrame({"user": fold.history.rows, "item": fold.history.cols}).drop_duplicates()
    added = model._scores(np.arange(3)) - plain._scores(np.arange(3))
    expected = 0.5 * np.log1p(pairs.groupby("item").size().to_numpy())
    np.testing.assert_allclose(added, np.tile(expected, (3, 1)))


def test_labels_of_a_newcomer_tell_what_others_with_them_buy() -> None:
    """Old users buy even items and young ones odd items; newcomers had nothing but item 50, as everybody."""
    rng = np.random.default_rng(3)
    user = np.concatenate([rng.integers(0, 60, 3000), np.arange(80)])
    item = np.where(np.arange(len(user)) < 3000, 2 * rng.integers(0, 20, len(user)) + user % 2, 50)
    times = pd.date_range("2017-01-01", periods=len(user), freq="37min")
    log = pd.DataFrame({"user_id": user, "item_id": item, "timestamp": times})
    users = pd.DataFrame({"user_id": range(80), "age": np.where(np.arange(80) % 2, "young", "old")})
    history = history_before(log, pd.Timestamp("2017-06-01"))

    def share_right(labels: pd.DataFrame | None) -> float:
        model = LightFMWarp(n_factors=8, n_epochs=6, users=labels).fit(history)
        lists = model.recommend(range(60, 80), k=5, exclude_seen=True)
        return float((lists["item_id"] % 2 == lists["user_id"] % 2).mean())

    assert share_right(users) > 0.9
    assert share_right(None) < 0.8


def test_a_label_that_is_missing_and_an_id_without_a_row_tell_nothing() -> None:
    table = pd.DataFrame({"item_id": ["a", "b"], "kind": ["x", None], "brand": ["m", "n"]})
    table["price"] = [1.5, 2.0]
    features = label_features(pd.Index(["b", "c", "a"], name="item_id"), table, min_sharing=1).toarray()
    assert features.tolist() == [[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0]]
    several = pd.DataFrame({"item_id": range(7), "kind": list("xxxxxyy")})
    assert label_features(pd.RangeIndex(7, name="item_id"), several).sum(axis=0).tolist() == [[1] * 7 + [5]]
    assert label_features(pd.Index(["b"], name="item_id"), None).toarray().tolist() == [[1]]


def test_other_weights_are_refused(fold: Fold) -> None:
    with pytest.raises(InputError, match="give 'ones', 'counts' or 'logs'"):
        ALS(weights="some").fit(fold.history)
    assert isinstance(ALS(weights="counts", n_factors=2).fit(fold.history), ALS)


def test_logarithms_are_of_the_decayed_counts_and_one_more(fold: Fold) -> None:
    counts = pair_weights(fold.history, "counts", half_life_days=30.0)
    logs = pair_weights(fold.history, "logs", half_life_days=30.0)
    assert 0 < logs.sum() < counts.sum()
    np.testing.assert_allclose(np.expm1(logs.toarray()), counts.toarray(), atol=1e-12)
