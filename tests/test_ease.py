"""EASE: the regression it solves."""

import numpy as np
import pandas as pd

from interest_lib.ease import EASE
from interest_lib.history import history_before

ORIGIN = pd.Timestamp("2017-05-20")


def test_ease_solves_its_ridge_regression(shop: pd.DataFrame) -> None:
    model = EASE(ridge=7.0, half_life_days=None, n_items=30).fit(history_before(shop, ORIGIN))
    x, weights = model.input_.toarray(), model.weights_
    assert np.abs(np.diag(weights)).max() == 0
    # at the optimum the gradient vanishes everywhere but on the diagonal, which is held at zero
    gradient = x.T @ (x @ weights - x) + 7.0 * weights
    np.fill_diagonal(gradient, 0.0)
    assert np.abs(gradient).max() < 1e-8


def test_it_is_the_same_regression_among_users_and_among_items(shop: pd.DataFrame) -> None:
    """Of 80 users and 60 items the items are fewer; of 25 users and 60 items the users."""
    history = history_before(shop[shop["user_id"] < 25], ORIGIN, min_users_per_item=1)
    model = EASE(ridge=7.0, half_life_days=30.0).fit(history)
    assert model.among_users_ and not EASE().fit(history_before(shop, ORIGIN)).among_users_
    rows = np.arange(len(history.user_ids))
    np.testing.assert_allclose(model._solved_among_items(), model.weights_, atol=1e-10)
    np.testing.assert_allclose(model._scores(rows), model.input_ @ model.weights_, atol=1e-10)


def test_only_the_items_with_most_users_are_scored(shop: pd.DataFrame) -> None:
    history = history_before(shop, ORIGIN)
    model = EASE(n_items=20).fit(history)
    users = pd.Series(history.rows).groupby(history.cols).nunique()
    left_out = np.setdiff1d(np.arange(history.shape[1]), model.columns_)
    assert len(model.columns_) == 20 and users[model.columns_].min() >= users[left_out].max()
    scores = model.recommend(history.user_ids[:3], k=60).set_index("item_id")["score"]
    assert (scores[history.item_ids[left_out]] == 0).all()
    assert (scores[history.item_ids[model.columns_]] != 0).any()
