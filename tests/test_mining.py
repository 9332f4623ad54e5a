"""Profiles, groups and the interest formula."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from interest_lib import mining
from interest_lib.schema import InputError


def planted(n_users: int = 300, n_groups: int = 4, n_interests: int = 40) -> tuple[sp.csr_matrix, np.ndarray]:
    """Counts of users whose group shops mostly in its own ten interests; some buy much, some little."""
    rng = np.random.default_rng(2)
    group = rng.integers(0, n_groups, n_users)
    taste = np.full((n_groups, n_interests), 0.2)
    for g in range(n_groups):
        taste[g, g * 10 : g * 10 + 10] = 1.0
    size = rng.lognormal(3.0, 1.0, n_users)[:, None] + 5
    return sp.csr_matrix(rng.poisson(size * taste[group] / 5).astype(float)), group


def test_counts_leave_out_events_without_an_interest() -> None:
    log = pd.DataFrame({"user_id": [1, 1, 2], "category": ["tea", None, "tea"]})
    counts, _, _ = mining.interest_counts(log)
    assert counts.toarray().tolist() == [[1.0], [1.0]]
    with pytest.raises(InputError, match="No event has a category"):
        mining.interest_counts(log.assign(category=None))


def test_what_everybody_has_weighs_less_than_what_few_have() -> None:
    profile = mining.tfidf(sp.csr_matrix([[2.0, 2.0], [2.0, 0.0], [2.0, 0.0]])).toarray()
    assert profile[0, 1] > profile[0, 0]
    np.testing.assert_allclose(np.linalg.norm(profile, axis=1), 1.0)


def test_planted_groups_come_back_and_their_number_is_found() -> None:
    counts, group = planted()
    points = mining.interest_directions(mining.tfidf(counts), n_axes=5, random_state=0)
    evidence = mining.compare_group_counts(points, [2, 3, 4, 5, 6], random_state=0)
    assert mining.choose_group_count(evidence) == 4
    labels = mining.group_users(points, 4, random_state=0)
    assert adjusted_rand_score(group, labels) > 0.9
    assert (np.diff(np.bincount(labels)) <= 0).all()


def test_groups_are_named_by_what_was_planted() -> None:
    counts, group = planted()
    told = mining.telling_interests(
        mining.tfidf(counts), group, pd.Index([f"i{n:02d}" for n in range(40)]), n=5
    )
    for row in told.itertuples():
        assert {int(name[1:]) // 10 for name in row.telling.split(", ")} == {row.group}


def test_without_a_stable_count_the_most_stable_is_taken() -> None:
    evidence = pd.DataFrame({"n_groups": [2, 3], "silhouette": [0.1, 0.9], "stability": [0.6, 0.5]})
    assert mining.choose_group_count(evidence) == 2


def test_interest_formula_written_out() -> None:
    similarity, known = np.array([[0.2, 0.6]]), np.array([[1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(mining.interest_formula(similarity, known), [[0.25, 1.5]])


@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_interest_formula_ignores_opposites_and_borrows_nothing_from_nobody(wrap: type) -> None:
    borrowed = mining.interest_formula(wrap(np.array([[1.0, -9.0], [-1.0, -1.0]])), sp.csr_matrix(np.eye(2)))
    np.testing.assert_allclose(borrowed, [[1.0, 0.0], [0.0, 0.0]])
