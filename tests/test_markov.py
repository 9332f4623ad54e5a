"""Markov chains over interests: what they learn, and what they must not."""

import numpy as np
import pytest

from interest_lib.markov import MarkovChain
from interest_lib.migration import shares
from interest_lib.schema import InputError

WIDTH = 6


def drawn(matrix: np.ndarray, before: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(len(before))[:, None] > matrix[before].cumsum(axis=1)).sum(axis=1)


def test_the_planted_matrix_comes_out_with_its_long_run_and_sojourns() -> None:
    rng = np.random.default_rng(1)
    truth = rng.dirichlet(np.full(WIDTH, 0.7), size=WIDTH)
    before = rng.integers(0, WIDTH, 60_000)
    chain = MarkovChain().fit(before, drawn(truth, before, rng))
    np.testing.assert_allclose(chain.transition_, truth, atol=0.02)
    np.testing.assert_allclose(chain.stationary_ @ chain.transition_, chain.stationary_, atol=1e-12)
    assert chain.stationary_.sum() == pytest.approx(1) and (chain.stationary_ > 0).all()
    np.testing.assert_allclose(chain.stationary_, np.linalg.matrix_power(truth, 200)[0], atol=0.01)
    np.testing.assert_allclose(chain.sojourn_periods_, 1 / (1 - truth.diagonal()), rtol=0.05)


@pytest.mark.parametrize("strength", [2.0, 30.0])
def test_the_learned_strengths_are_those_that_rows_were_drawn_with(strength: float) -> None:
    rng = np.random.default_rng(2)
    width = 60
    destinations = rng.dirichlet(np.full(width, 5.0))
    rows = rng.dirichlet(strength * destinations, size=width)
    before = rng.integers(0, width, 30_000)
    chain = MarkovChain().fit(before, drawn(rows, before, rng), width)
    assert strength / 1.5 < chain.strength_ < strength * 1.5
    assert strength / 2.5 < chain.stay_strength_ < strength * 2.5


def test_where_the_origin_says_nothing_rows_are_alike() -> None:
    rng = np.random.default_rng(3)
    destinations = rng.dirichlet(np.ones(WIDTH))
    before = rng.integers(0, WIDTH, 3000)
    chain = MarkovChain().fit(before, drawn(np.tile(destinations, (WIDTH, 1)), before, rng))
    assert chain.strength_ > 300
    np.testing.assert_allclose(chain.transition_, np.tile(destinations, (WIDTH, 1)), atol=0.04)
    assert set(chain.roles(list("abcdef"))["role"]) <= {"open"}


def test_the_learned_numbers_have_the_highest_evidence() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.integers(0, WIDTH, (2, 400))
    after[:150] = before[:150]
    best = MarkovChain().fit(before, after)
    for factor in (0.5, 2.0):
        for changed in (
            (best.strength_ * factor, best.stay_, best.stay_strength_),
            (best.strength_, best.stay_ * min(factor, 1.5), best.stay_strength_),
            (best.strength_, best.stay_, best.stay_strength_ * factor),
        ):
            assert MarkovChain(*changed).fit(before, after).log_evidence_ <= best.log_evidence_ + 1e-3


def test_roles_tell_the_sticky_the_gateway_and_the_passed_through() -> None:
    rng = np.random.default_rng(5)
    truth = np.full((WIDTH, WIDTH), 0.02)
    truth[:, 0] += 0.6  # nearly everybody goes to the first, which keeps them
    truth[np.arange(2, WIDTH), np.arange(2, WIDTH)] += 0.3
    truth[1] = [0.1, 0.1, 0.2, 0.2, 0.2, 0.2]  # and from the second, everywhere
    truth[5] = [0.98, 0.004, 0.004, 0.004, 0.004, 0.004]
    truth = shares(truth)
    before = rng.integers(0, WIDTH, 20_000)
    roles = MarkovChain().fit(before, drawn(truth, before, rng)).roles(list("abcdef"))
    assert roles.loc[["b", "c", "f"], "role"].tolist() == ["gateway", "sticky", "passing through"]
    assert ((roles["low"] < roles["stays"]) & (roles["stays"] < roles["high"])).all()
    assert roles.loc["b", "onward"] > 1.3 * roles.loc["b", "onward_by_chance"]
    np.testing.assert_allclose(roles["stays"], truth.diagonal(), atol=0.03)


def test_soft_states_do_not_take_a_mixed_taste_for_a_move() -> None:
    """Users who never change: every pair of shares says that everything moves, the likelihood does not."""
    rng = np.random.default_rng(6)
    before = rng.dirichlet(np.full(WIDTH, 0.5), size=4000)
    after = np.stack([rng.multinomial(30, row) for row in before]).astype(float)
    found = MarkovChain(strength=1.0, stay=0.5, stay_strength=1.0).fit(before, after).transition_
    assert found.diagonal().min() > 0.9
    assert shares(before.T @ after).diagonal().max() < 0.7


def test_soft_states_find_a_planted_move() -> None:
    rng = np.random.default_rng(7)
    truth = 0.5 * np.eye(WIDTH) + 0.5 * np.roll(np.eye(WIDTH), 1, axis=1)
    before = rng.dirichlet(np.full(WIDTH, 0.5), size=4000)
    after = np.stack([rng.multinomial(30, row) for row in before @ truth]).astype(float)
    found = MarkovChain(strength=1.0, stay=0.5, stay_strength=1.0).fit(before, after).transition_
    np.testing.assert_allclose(found, truth, atol=0.05)


def test_states_of_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="shapes"):
        MarkovChain().fit(np.array([0, 1]), np.array([0]))
    with pytest.raises(InputError, match="at least one"):
        MarkovChain().fit(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
