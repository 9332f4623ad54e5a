"""Flows between interests: sizes, order, names."""

from collections.abc import Iterator
from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from interest_lib.flow_plots import _crossings, alluvial, few_crossings, spread, top_states


@pytest.fixture
def ax() -> Iterator[Axes]:
    figure, axes = plt.subplots(figsize=(10, 6))
    yield axes
    plt.close(figure)


def lines_that_cross(moves: np.ndarray) -> float:
    """Written out: one line starts above the other and ends below it."""
    n = len(moves)
    cells = [(a, b) for a in range(n) for b in range(n)]
    return sum(moves[a, b] * moves[c, d] for a, b in cells for c, d in cells if a < c and b > d)


def test_crossings_are_counted_as_written_out() -> None:
    moves = np.random.default_rng(0).integers(0, 9, (5, 5)).astype(float)
    assert _crossings(moves) == lines_that_cross(moves)


def test_the_order_is_as_good_as_the_best_of_all_and_the_rest_stays_last() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        moves = rng.integers(0, 9, (5, 5)) * rng.integers(0, 2, (5, 5)).astype(float)
        found = few_crossings(moves)
        tried = [[*order, 4] for order in permutations(range(4))]
        best = min(lines_that_cross(moves[np.ix_(order, order)]) for order in tried)
        assert found[-1] == 4
        assert sorted(found) == list(range(5))
        assert lines_that_cross(moves[np.ix_(found, found)]) <= 1.05 * best


def test_top_states_keep_who_leads_and_put_the_rest_together() -> None:
    leading = np.random.default_rng(2).integers(0, 20, (3, 200)) // 2
    states, names = top_states(leading, [f"name {code}" for code in range(10)], 4)
    assert names[-1] == "Other"
    assert len(names) == 5
    sizes = np.bincount(states.ravel())
    assert (np.diff(sizes[:4]) <= 0).all()
    for state in range(4):
        code = int(names[state].split()[1])
        np.testing.assert_array_equal(states == state, leading == code)


def test_bands_are_as_wide_as_their_users_and_nobody_is_lost(ax: Axes) -> None:
    states = np.array([[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 1, 2]])
    alluvial(ax, states, ["tea", "milk", "Other"], ["May", "June", "July"])
    heights = np.array([[abs(bar.get_height()) for bar in group] for group in ax.containers])
    np.testing.assert_allclose(heights.sum(axis=1), 1)
    assert sorted(heights[0].round(2)) == [0, 0.25, 0.75]
    ribbons = [path.get_paths()[0].vertices for path in ax.collections]
    at_left = [np.ptp(vertices[np.isclose(vertices[:, 0], vertices[:, 0].min()), 1]) for vertices in ribbons]
    assert sum(at_left) == pytest.approx(2)  # every user once in each of two steps


def test_names_do_not_overlap(ax: Axes) -> None:
    rng = np.random.default_rng(3)
    states = rng.choice(8, p=[0.9, *[0.01] * 6, 0.04], size=(4, 500))
    alluvial(ax, states, [f"interest number {code}" for code in range(8)], list("abcd"))
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert len(boxes) == 16
    assert not [1 for i, one in enumerate(boxes) for other in boxes[:i] if one.overlaps(other)]


def test_spread_moves_no_more_than_it_has_to() -> None:
    heights = np.array([0.5, 0.1, 0.11, 0.12])
    placed = spread(heights, 0.05)
    assert np.diff(np.sort(placed)).min() >= 0.05 - 1e-12
    assert placed[0] == 0.5
    assert placed[1:].mean() == pytest.approx(heights[1:].mean())
    assert list(np.argsort(placed)) == list(np.argsort(heights))
