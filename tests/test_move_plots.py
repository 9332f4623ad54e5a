"""Transition maps in blocks, trajectories, floors."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from interest_lib.move_plots import block_order, floor_band, lift_map, log_lift, trajectories
from interest_lib.plots import interval_dots


@pytest.fixture
def ax() -> Iterator[Axes]:
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def blocks(n_blocks: int = 4, size: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Moves counted where everybody stays in a block, in an order that hides it; the block of each state."""
    rng = np.random.default_rng(0)
    block = rng.permutation(np.repeat(np.arange(n_blocks), size))
    rate = np.where(block[:, None] == block[None, :], 20.0, 8.0) * rng.uniform(0.3, 3, len(block))
    return rng.poisson(rate).astype(float), block


def test_lift_is_zero_by_chance_and_rare_moves_say_little() -> None:
    by_chance = np.outer([10.0, 30.0], [4.0, 36.0])
    np.testing.assert_allclose(log_lift(by_chance), 0, atol=1e-12)
    rare = np.array([[0.0, 1.0], [1.0, 98.0]])
    assert log_lift(rare)[0, 0] > -0.1
    assert log_lift(rare, 1e-9)[0, 0] < -10


def test_states_that_exchange_users_stand_together_whatever_the_diagonal() -> None:
    moves, block = blocks()
    lift = log_lift(moves)
    for diagonal in (0.0, 9.0):
        np.fill_diagonal(lift, diagonal)
        order = block_order(lift)
        assert sorted(order) == list(range(len(block)))
        assert (np.diff(block[order]) != 0).sum() == 3  # each block in one piece


def test_few_states_need_no_order() -> None:
    assert block_order(np.eye(2)).tolist() == [0, 1]


def test_colours_lie_evenly_around_chance(ax: Axes) -> None:
    lift = log_lift(blocks()[0])
    lift_map(ax, lift, [f"state {n}" for n in range(len(lift))])
    low, high = ax.images[0].get_clim()
    assert low == -high
    beside = np.abs(lift[~np.eye(len(lift), dtype=bool)])
    assert 0.9 < (beside <= high).mean() <= 1
    bar = ax.figure.axes[1]
    assert "1" in [text.get_text() for text in bar.get_yticklabels()]
    np.testing.assert_array_equal(ax.images[0].get_array(), lift)


def test_a_trajectory_shows_what_was_seen_its_noise_and_the_forecast(ax: Axes) -> None:
    counts = np.array([[8.0, 2, 0], [5, 5, 0], [2, 8, 0]])
    trajectories(ax, counts, np.array([0.3, 0.6, 0.1]), np.array([0.0, 4, 0]), list("abc"), list("1234"), 2)
    (points, _, (bars,)) = ax.containers[0]  # the interest with most of the past, the second on equal terms
    np.testing.assert_allclose(points.get_ydata(), [0.8, 0.5, 0.2, 0.0])
    lengths = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    assert lengths[1] == pytest.approx(np.sqrt(0.25 / 10), rel=0.01)
    assert lengths[3] > 0  # nothing bought is no certainty
    diamonds = [line.get_ydata() for line in ax.lines if line.get_marker() == "D"]
    assert np.concatenate(diamonds).tolist() == [0.3, 0.6]
    assert [text.get_text() for text in ax.texts] == ["a", "b"]


def test_a_trajectory_needs_no_future(ax: Axes) -> None:
    trajectories(ax, np.eye(3), np.full(3, 1 / 3), None, list("abc"), list("1234"))
    assert len(ax.containers[0][0].get_ydata()) == 3


def test_the_floor_stays_in_sight(ax: Axes) -> None:
    table = pd.DataFrame({"value": [15.0, 20], "low": [14.0, 19], "high": [16.0, 21]}, index=["new", "old"])
    floor_band(interval_dots(ax, table), 10, 9.5, 10.5)
    assert ax.get_xlim()[0] < 9.5
    assert ax.get_xlim()[1] > 21
    assert ax.texts[-1].get_text() == "sampling noise"
