"""Migrated interest: planted migration is found and followed, and nothing after the origin is read."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.history import History, history_before
from interest_lib.migrated import MigratedInterest
from interest_lib.migrated_factors import MigratedFactors
from interest_lib.schema import InputError

ORIGIN = pd.Timestamp("2017-07-01")
N_KINDS, PER_KIND = 4, 6
KIND = pd.Series(np.arange(N_KINDS * PER_KIND) // PER_KIND).rename_axis("item_id")


def wandering(moves: bool, seed: int = 0) -> pd.DataFrame:
    """200 users buy items of one kind; every 28 days before the origin they move on to the next, or stay."""
    rng = np.random.default_rng(seed)
    user, period = np.meshgrid(np.arange(200), np.arange(6), indexing="ij")
    kind = (user + (period if moves else 0)) % N_KINDS
    rows = []
    for _ in range(12):
        age = 28 * (6 - period) - rng.uniform(0.5, 27.5, user.shape)
        item = kind * PER_KIND + rng.integers(0, PER_KIND, user.shape)
        times = ORIGIN - pd.to_timedelta(age.ravel(), "D")
        rows.append(pd.DataFrame({"user_id": user.ravel(), "item_id": item.ravel(), "timestamp": times}))
    return pd.concat(rows).sort_values(["timestamp", "user_id"], ignore_index=True)


def next_kind_share(model: MigratedInterest | MigratedFactors, history: History) -> float:
    """Share of the first items that are of the kind that comes after the users' last."""
    lists = model.fit(history).recommend(history.user_ids, k=3)
    return float((KIND[lists["item_id"]].to_numpy() == (lists["user_id"] + 6) % N_KINDS).mean())


@pytest.fixture(scope="module")
def history() -> History:
    return history_before(wandering(moves=True), ORIGIN)


@pytest.mark.parametrize("migration", ["markov", "softmax"])
def test_planted_migration_is_followed(migration: str, history: History) -> None:
    learned = {"half_life_days": 7.0, "strength": 1.0, "stay_strength": None, "popular_purchases": 50.0}
    assert next_kind_share(MigratedInterest(KIND, migration, **learned), history) > 0.9
    assert next_kind_share(MigratedInterest(KIND, "none", **learned), history) < 0.2


def test_planted_migration_is_followed_among_factors(history: History) -> None:
    settings = {"n_factors": 8, "half_life_days": 7.0, "ridge": 0.01}
    assert next_kind_share(MigratedFactors(**settings), history) > 0.9
    assert next_kind_share(MigratedFactors(**settings, migrates=False), history) < 0.2


def test_where_nobody_moves_migration_changes_nothing() -> None:
    """Users stay with their kind, and so does the chain."""
    still = history_before(wandering(moves=False), ORIGIN)
    model = MigratedInterest(KIND, "markov", half_life_days=7.0, strength=0.0, stay_strength=None).fit(still)
    assert model.chain_.transition_.diagonal().min() > 0.95
    assert next_kind_share(model, still) < 0.1


def test_the_static_twin_is_a_factorisation_and_a_strong_pull_leads_back_to_it(history: History) -> None:
    static = MigratedFactors(n_factors=8, migrates=False).fit(history)
    pulled = MigratedFactors(n_factors=8, ridge=1e12).fit(history)
    ratio = pulled.q_ / pulled.q_[0, 0]
    np.testing.assert_allclose(ratio, np.eye(8), atol=1e-6)
    pd.testing.assert_frame_equal(
        static.recommend(history.user_ids)[["user_id", "item_id", "rank"]],
        pulled.recommend(history.user_ids)[["user_id", "item_id", "rank"]],
    )


def test_a_score_is_the_share_of_the_interest_times_the_part_of_the_item() -> None:
    rows = [(1, 0, "2017-06-01"), (1, 1, "2017-06-11"), (2, 1, "2017-06-29"), (2, 6, "2017-06-30")]
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    log["timestamp"] = pd.to_datetime(log["timestamp"])
    known = history_before(log, ORIGIN, min_users_per_item=1)
    model = MigratedInterest(
        KIND, "none", half_life_days=None, strength=4.0, item_half_life_days=None, popular_purchases=2.0
    ).fit(known)
    scores = model.recommend([1], k=3).set_index("item_id")["score"]
    # two purchases of the kind and four times the average user's 3/4; items: one own each, popular 0 and 2
    share = (2 + 4 * 3 / 4) / (2 + 4)
    assert scores[1] == pytest.approx(share * (1 + 2) / (2 + 2), rel=1e-2)
    assert scores[0] == pytest.approx(share * 1 / (2 + 2), rel=1e-2)
    assert scores[6] == pytest.approx((1 - share) * 1.0, rel=1e-2)


def test_items_without_an_interest_score_zero(history: History) -> None:
    model = MigratedInterest(KIND[KIND != 2], "none").fit(history)
    scores = model.recommend(history.user_ids[:3], k=24)
    assert (scores.loc[KIND[scores["item_id"]].to_numpy() == 2, "score"] == 0).all()


def test_what_cannot_be_done_is_said(history: History) -> None:
    with pytest.raises(InputError, match="migration is 'far'"):
        MigratedInterest(KIND, "far").fit(history)
    with pytest.raises(InputError, match="No item of the history has an interest"):
        MigratedInterest(KIND.rename(lambda item: f"other {item}")).fit(history)
    with pytest.raises(InputError, match="no move to learn from"):
        MigratedInterest(KIND, period_days=400).fit(history)
    with pytest.raises(InputError, match="no move to learn from"):
        MigratedFactors(period_days=400).fit(history)
