"""LightGCN: the graph it smooths over, its gradients, and what it learns."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from interest_lib.history import History, history_before
from interest_lib.light_gcn import LightGCN, _Along, _graph


@pytest.fixture(scope="module")
def history(shop: pd.DataFrame) -> History:
    return history_before(shop, pd.Timestamp("2017-05-20"))


def test_an_edge_counts_by_the_roots_of_the_sums_at_both_ends() -> None:
    graph = _graph(sp.csr_matrix([[1.0, 3.0], [0.0, 1.0]])).toarray()
    expected = np.array([[1 / np.sqrt(4 * 1), 3 / np.sqrt(4 * 4)], [0.0, 1 / np.sqrt(1 * 4)]])
    np.testing.assert_allclose(graph[:2, 2:], expected, rtol=1e-6)
    np.testing.assert_allclose(graph[2:, :2], expected.T, rtol=1e-6)
    assert not graph[:2, :2].any() and not graph[2:, 2:].any()


def test_gradients_go_back_along_the_edges() -> None:
    graph = _graph(sp.csr_matrix([[1.0, 2.0, 0.0], [0.0, 1.0, 5.0]]))
    vectors = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    by_hand = vectors.detach().clone().requires_grad_()
    (_Along.apply(vectors, graph) ** 3).sum().backward()
    ((torch.from_numpy(graph.toarray()) @ by_hand) ** 3).sum().backward()
    torch.testing.assert_close(vectors.grad, by_hand.grad)


def test_scores_are_products_of_means_over_the_layers(history: History) -> None:
    model = LightGCN(n_factors=4, n_layers=2, n_updates=1, learning_rate=0.0, random_state=3).fit(history)
    torch.manual_seed(3)
    first = 0.1 * torch.randn(sum(history.shape), 4).numpy()
    had = np.zeros(history.shape)
    had[history.rows, history.cols] = 1.0
    graph = _graph(sp.csr_matrix(had)).toarray()
    mean = (first + graph @ first + graph @ graph @ first) / 3
    n_users = history.shape[0]
    np.testing.assert_allclose(model._scores(np.arange(5)), mean[:5] @ mean[n_users:].T, rtol=1e-3, atol=1e-6)


def test_training_lowers_the_loss_and_gives_the_same_twice(history: History) -> None:
    settings = {"n_factors": 8, "n_updates": 80, "batch_size": 512}
    model, again = (LightGCN(**settings, random_state=2).fit(history) for _ in range(2))
    assert np.mean(model.losses_[-10:]) < 0.95 * np.mean(model.losses_[:10])
    np.testing.assert_array_equal(model.item_factors_, again.item_factors_)
    other = LightGCN(**settings, random_state=1).fit(history)
    assert not np.array_equal(model.item_factors_, other.item_factors_)


def test_edges_fade_only_where_they_may(history: History) -> None:
    settings = {"n_factors": 8, "n_updates": 20, "batch_size": 512, "weights": "counts"}
    counted, endless, fading = (
        LightGCN(**settings, half_life_days=h).fit(history).item_factors_ for h in (None, 1e12, 10.0)
    )
    np.testing.assert_allclose(counted, endless, atol=1e-5)
    assert np.abs(counted - fading).max() > 1e-3
