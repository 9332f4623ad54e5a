"""Leading interests, and what foretells them."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.leaders import GUESSES, chain_gains, leader_scores, leading_interests
from interest_lib.schema import InputError


def wandering(matrix: np.ndarray, n_users: int, n_periods: int, noise: int, seed: int) -> np.ndarray:
    """Counts of users whose interest follows a chain; of each period's ten purchases some are anything."""
    rng = np.random.default_rng(seed)
    width = len(matrix)
    state = rng.integers(0, width, n_users)
    counts = np.zeros((n_periods, n_users, width))
    for period in range(n_periods):
        counts[period] = rng.multinomial(noise, np.full(width, 1 / width), size=n_users)
        counts[period, np.arange(n_users), state] += 10 - noise
        state = (rng.random(n_users)[:, None] > matrix[state].cumsum(axis=1)).sum(axis=1)
    return counts


def test_ties_go_to_what_is_common_before_the_last_period() -> None:
    counts = np.zeros((2, 3, 3))
    counts[0] = [[1, 1, 0], [0, 2, 0], [0, 2, 1]]
    counts[1] = [[9, 0, 9], [1, 0, 1], [0, 1, 1]]
    assert leading_interests(counts).tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_chain_beats_both_where_interest_moves_along_one() -> None:
    matrix = 0.1 / 5 + 0.9 * np.roll(np.eye(5), 1, axis=1)
    scores = leader_scores(wandering(matrix, 400, 4, noise=2, seed=1)).mean()
    for over in GUESSES[:3]:
        assert scores["chain", "top1"] > scores[over, "top1"] + 0.4
        assert scores["chain", "log_likelihood"] > scores[over, "log_likelihood"] + 0.5
        assert scores["chain", "brier"] < scores[over, "brier"] - 0.3


def test_the_longer_look_beats_a_chain_where_nothing_moves() -> None:
    scores = leader_scores(wandering(np.eye(5), 600, 5, noise=8, seed=2)).mean()
    assert scores["longer look", "log_likelihood"] > scores["chain", "log_likelihood"] + 0.02
    assert abs(scores["chain", "log_likelihood"] - scores["staying", "log_likelihood"]) < 0.02


def test_the_last_period_is_not_learned_from() -> None:
    counts = wandering(np.eye(4), 300, 4, noise=5, seed=3)
    other = counts.copy()
    other[-1, 0] = other[-1, 0][::-1]
    first, second = leader_scores(counts), leader_scores(other)
    pd.testing.assert_frame_equal(first.iloc[1:], second.iloc[1:])
    with pytest.raises(InputError, match="three or more"):
        leader_scores(counts[:2])


def test_gains_are_the_mean_differences_of_the_scores() -> None:
    rng = np.random.default_rng(4)
    n = 6000
    log = pd.DataFrame({"user_id": rng.integers(0, 60, n), "basket_id": np.arange(n)})
    log["timestamp"] = pd.Timestamp("2017-01-01") + pd.to_timedelta(rng.uniform(0, 112, n), unit="D")
    log["category"] = rng.choice(list("abcd"), n)
    end = pd.Timestamp("2017-01-01") + pd.Timedelta(days=112)
    gains = chain_gains(log, [end, end - pd.Timedelta(days=28)], 28, seed=1, n_periods=3, n_resamples=50)
    assert gains.index.names == ["guess", "over", "score"] and (gains["n"] == 60).all()
    assert (gains["low"] <= gains["value"]).all() and (gains["value"] <= gains["high"]).all()
    only = chain_gains(log, [end], 28, seed=1, n_periods=3, n_resamples=50)
    assert not np.allclose(only["value"], gains["value"])
