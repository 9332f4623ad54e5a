"""Axes of interest on one task."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from interest_lib import axes, migration
from interest_lib.schema import InputError

ORIGIN = pd.Timestamp("2017-05-01")
INTERESTS = pd.Index([f"c{n:02d}" for n in range(20)], name="category")


def log(seed: int = 3, n_users: int = 200) -> pd.DataFrame:
    """Users of four groups who buy in their own five categories, at random times over half a year."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, 8000)
    own = user % 4 * 5 + rng.integers(0, 5, len(user))
    place = np.where(rng.random(len(user)) < 0.8, own, rng.integers(0, 20, len(user)))
    times = pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.uniform(0, 170, len(user)), unit="D")
    return pd.DataFrame(
        {"user_id": user, "basket_id": np.arange(len(user)), "category": INTERESTS[place], "timestamp": times}
    )


AXES = {
    "taxonomy": axes.taxonomy_shares,
    "kmeans": axes.group_shares,
    "svd": axes.latent_shares,
    "text": partial(axes.text_shares, vectors=np.repeat(np.eye(4), 5, axis=0)),
}


@pytest.mark.parametrize("name", AXES)
def test_every_axis_gives_shares_and_nothing_from_the_future(name: str) -> None:
    events = log()
    task = axes.axis_task(events, ORIGIN, INTERESTS)
    predicted = axes.foretell(AXES[name], task, 90.0, size=4, strength=5.0, population_share=0.3)
    np.testing.assert_allclose(predicted.sum(axis=1), 1.0)
    assert (predicted >= 0).all()
    later = events["timestamp"] >= ORIGIN
    corrupt = events.assign(category=events["category"].where(~later, "c00"))
    other = axes.axis_task(corrupt, ORIGIN, INTERESTS)
    assert not np.array_equal(other.future, task.future)
    again = axes.foretell(AXES[name], other, 90.0, size=4, strength=5.0, population_share=0.3)
    np.testing.assert_array_equal(again, predicted)


@pytest.mark.parametrize("name", AXES)
def test_alone_an_axis_that_fits_beats_the_population(name: str) -> None:
    task = axes.axis_task(log(), ORIGIN, INTERESTS)
    by = [
        migration.perplexity(
            migration.forecast_errors(axes.foretell(AXES[name], task, None, 4, math.inf, share), task.future)
        )
        for share in (0.1, 1.0)
    ]
    assert by[0] < 0.8 * by[1]


def test_a_purchase_counts_once_per_basket_and_new_interests_are_told() -> None:
    events = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2, 2],
            "basket_id": [1, 1, 2, 3, 4, 4],
            "category": ["c01", "c01", "c01", "c01", "c01", "c02"],
            "timestamp": ORIGIN + pd.to_timedelta([-10, -10, -5, 3, 27, 27], unit="D"),
        }
    )
    task = axes.axis_task(events, ORIGIN, INTERESTS[:4])
    assert task.counts(None).toarray().tolist() == [[0.0, 2.0, 0.0, 0.0], [0.0] * 4]
    assert task.counts(5.0)[0, 1] == pytest.approx(0.25 + 0.5)
    assert task.future[:, 1].tolist() == [1.0, 1.0] and task.future.sum() == 2 and task.n_dropped == 1
    assert axes.axis_task(events, ORIGIN, INTERESTS[:4], horizon_days=20).future.sum() == 1
    with pytest.raises(InputError, match="No category is bought both before and after 2016-01-01"):
        axes.axis_task(events, pd.Timestamp("2016-01-01"), INTERESTS)


@pytest.mark.parametrize("name", AXES)
def test_of_a_user_without_a_past_the_population_speaks(name: str) -> None:
    events = log()
    known = events[(events["user_id"] != 7) | (events["timestamp"] >= ORIGIN)]
    task = axes.axis_task(known, ORIGIN, INTERESTS)
    population = migration.shares(np.asarray(task.counts(30.0).sum(axis=0)))
    for strength in (3.0, math.inf):
        predicted = axes.foretell(AXES[name], task, 30.0, 4, strength, population_share=0.0)
        np.testing.assert_allclose(predicted[list(task.user_ids).index(7)], population[0])


def test_groups_share_what_their_members_buy() -> None:
    counts = axes.axis_task(log(), ORIGIN, INTERESTS).counts(None)
    found = axes.group_shares(counts, 4)
    assert len(np.unique(found.round(12), axis=0)) == 4
    first = (np.abs(found - found[0]).max(axis=1)) < 1e-12
    np.testing.assert_allclose(found[0], migration.shares(np.asarray(counts[first].sum(axis=0)))[0])


def test_all_latent_axes_give_the_counts_back_and_text_without_sharpness_the_population() -> None:
    counts = axes.axis_task(log(), ORIGIN, INTERESTS).counts(None)
    found = axes.latent_shares(counts, 19)
    assert np.abs(found - axes.taxonomy_shares(counts)).mean() < 0.01
    flat = axes.text_shares(counts, 0.0, np.eye(20))
    np.testing.assert_allclose(
        flat, np.tile(migration.shares(np.asarray(counts.sum(axis=0))), (len(flat), 1))
    )


def test_text_spreads_interest_to_like_categories() -> None:
    counts = sp.csr_matrix([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = axes.text_shares(100 * counts, 3.0, vectors)
    assert found[0, 1] > 2 * found[0, 2] and found[1, 2] > 2 * found[1, 1]
    few = axes.text_shares(counts / 100, 20.0, vectors)
    assert few[0, 1] < 1.2 * few[0, 2]  # of so little history the population speaks


def test_tuning_tries_as_many_and_tells_what_foretelling_gives() -> None:
    events = log()
    tasks = [axes.axis_task(events, ORIGIN - pd.Timedelta(days=d), INTERESTS) for d in (28, 56)]
    trials = axes.tune_axis(axes.group_shares, [2, 4], tasks, n_trials=12, seed=0)
    assert len(trials.drop_duplicates(["half_life_days", "size", "strength", "population_share"])) == 12
    assert trials["perplexity"].is_monotonic_increasing
    pd.testing.assert_frame_equal(
        trials, axes.tune_axis(axes.group_shares, [2, 4], tasks, n_trials=12, seed=0)
    )
    settings = trials.iloc[0].drop("perplexity").to_dict()
    errors = [
        migration.forecast_errors(axes.foretell(axes.group_shares, t, **settings), t.future) for t in tasks
    ]
    assert migration.perplexity(pd.concat(errors)) == pytest.approx(trials["perplexity"][0])
