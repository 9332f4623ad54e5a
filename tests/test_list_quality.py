"""Variety, fit, novelty and popularity of lists, by hand and by brute force."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import pdist
from scipy.stats import entropy

from interest_lib import exposure, list_quality
from interest_lib.history import History, history_before
from interest_lib.schema import InputError

KINDS = pd.Series({"a": "tea", "b": "tea", "c": "milk", "d": "milk", "e": "soap"})


def known(*events: tuple[int, str]) -> History:
    log = pd.DataFrame(events, columns=["user_id", "item_id"]).assign(timestamp=pd.Timestamp("2017-01-01"))
    return history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)


def lists(**of_user: str) -> pd.DataFrame:
    rows = [
        (int(user[1:]), item, rank) for user, items in of_user.items() for rank, item in enumerate(items, 1)
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])


def test_gini_is_half_the_mean_difference_over_the_mean() -> None:
    shown = np.random.default_rng(0).integers(0, 20, 40)
    differences = np.abs(shown[:, None] - shown[None]).mean()
    assert exposure.gini(shown) == pytest.approx(differences / (2 * shown.mean()))
    assert np.isnan(exposure.gini(np.zeros(3)))


def test_exposure_counts_lists_down_to_k_and_the_whole_catalogue() -> None:
    shown = exposure.exposure(lists(u1="abc", u2="az"), pd.Index(list("abcd")), k=2)
    assert shown.tolist() == [2, 1, 0, 0]
    assert exposure.coverage(shown) == 0.5


def test_novelty_counts_users_and_popularity_counts_events() -> None:
    history = known((1, "a"), (1, "a"), (2, "a"), (2, "b"), (3, "c"), (4, "c"))
    shown = lists(u1="ab", u2="z")
    assert exposure.novelty(shown, history).tolist() == pytest.approx([(1 + 2) / 2, 2])
    assert exposure.popularity(shown, history).tolist() == pytest.approx([2.0, 0.0])
    assert exposure.profile_popularity(history).tolist() == pytest.approx([3, 2, 2, 2])


def test_only_goal_events_make_an_item_popular_or_known() -> None:
    events = pd.DataFrame(
        [(1, "a", "view"), (2, "a", "purchase"), (2, "b", "view"), (3, "b", "view")],
        columns=["user_id", "item_id", "event"],
    ).assign(timestamp=pd.Timestamp("2017-01-01"))
    history = history_before(events, pd.Timestamp("2017-01-02"), min_users_per_item=1)
    assert exposure.popularity(lists(u1="ab"), history)[1] == 0.5
    assert exposure.novelty(lists(u1="ab"), history)[1] == pytest.approx(np.log2(3))
    assert np.isnan(exposure.profile_popularity(history)[1])


def test_diversity_is_the_share_of_pairs_that_differ() -> None:
    shown = lists(u1="abcde", u2="ab", u3="a", u4="axy")
    found = list_quality.diversity(shown, KINDS, k=4)
    pairs = list(combinations("abcd", 2))
    expected = sum(KINDS[i] != KINDS[j] for i, j in pairs) / len(pairs)
    assert found.tolist() == pytest.approx([expected, 0, 0, 2 / 3])  # x and y have no category: one kind


def test_vector_diversity_is_the_mean_cosine_distance() -> None:
    rng = np.random.default_rng(1)
    items, vectors = pd.Index(list("abcde")), rng.normal(size=(5, 3))
    found = list_quality.vector_diversity(lists(u1="cabe", u2="d", u3="da"), vectors, items, k=3)
    expected = [pdist(vectors[[2, 0, 1]], "cosine").mean(), 0, pdist(vectors[[3, 0]], "cosine").mean()]
    assert found.tolist() == pytest.approx(expected)
    blank = np.vstack([vectors[:4], np.zeros(3)])
    assert list_quality.vector_diversity(lists(u1="ez", u2="ae"), blank, items).tolist() == [1, 1]


def test_miscalibration_is_the_divergence_of_the_mixed_shares() -> None:
    history = known((1, "a"), (1, "a"), (1, "b"), (1, "c"), (2, "e"))
    found = list_quality.miscalibration(lists(u1="cde", u2="ab", u9="a"), history, KINDS, k=2)
    p, q = np.array([3, 1, 0]) / 4, np.array([0, 1, 0])
    assert found[1] == pytest.approx(entropy(p, 0.99 * q + 0.01 * p))
    assert found[2] == pytest.approx(-np.log(0.01))
    assert np.isnan(found[9])
    assert list_quality.miscalibration(lists(u1="abac"), history, KINDS)[1] == pytest.approx(0)
    with pytest.raises(InputError, match="alpha"):
        list_quality.miscalibration(lists(u1="a"), history, KINDS, alpha=0)


def test_interests_can_be_weighted() -> None:
    history = known((1, "a"), (1, "c"))
    faded = sp.csr_matrix([[3.0, 1.0]])
    found = list_quality.miscalibration(lists(u1="ac"), history, KINDS, interest=faded)[1]
    assert found == pytest.approx(entropy([0.75, 0.25], 0.99 * 0.5 + 0.01 * np.array([0.75, 0.25])))


def test_the_table_by_model_sums_up_the_lists() -> None:
    history = known((1, "a"), (1, "c"), (2, "a"), (2, "e"))
    shown = pd.concat(
        [
            lists(u1="ab", u2="ae").assign(model="m", slice="all"),
            lists(u1="a").assign(model="m", slice="novel"),
        ]
    )
    table = list_quality.quality_by_model(shown, history, KINDS)
    per_user = list_quality.list_table(shown[shown["slice"] == "all"], history, KINDS)
    row = table.loc[("all", "m")]
    assert row["diversity"] == per_user["diversity"].mean() == 0.5
    assert row["popularity_lift"] == pytest.approx(((1 + 1.5) / 2) / 1.5 - 1)
    assert row["coverage"] == pytest.approx(2 / 3) and row["n"] == 2
    assert table.loc[("novel", "m"), "n"] == 1
    assert "diversity" not in list_quality.quality_by_model(shown, history)
