"""Hidden regimes of interest."""

import numpy as np
import pandas as pd
import pytest

from interest_lib.regimes import RegimeModel
from interest_lib.visits import Visits

WIDTH = 8
MATRIX = 0.8 * np.roll(np.eye(WIDTH), 3, axis=1) + 0.2 * np.roll(np.eye(WIDTH), 1, axis=1)


def walk(n_users: int = 300, days: float = 200, seed: int = 1) -> tuple[Visits, pd.DataFrame]:
    """Visits and moments of change: sojourns of 20 days, half of the changes by the matrix."""
    rng = np.random.default_rng(seed)
    tastes = rng.dirichlet(np.full(WIDTH, 0.5), size=2)
    user, interest, day, changes = [], [], [], []
    for who in range(n_users):
        now, state = 0.0, rng.choice(WIDTH, p=tastes[who % 2])
        while now < days:
            end = min(now + rng.exponential(20), days)
            times = np.sort(rng.uniform(now, end, rng.poisson((end - now) * 0.5)))
            stray = rng.random(len(times)) > 0.8
            user += [who] * len(times)
            day += times.tolist()
            interest += np.where(stray, rng.choice(WIDTH, len(times), p=tastes[who % 2]), state).tolist()
            by_matrix = rng.random() < 0.5
            state = rng.choice(WIDTH, p=MATRIX[state] if by_matrix else tastes[who % 2])
            now = end
            changes.append((who, end))
    found = np.unique(user, return_inverse=True)
    names = pd.Index([f"c{i}" for i in range(WIDTH)])
    visits = Visits(
        pd.Index(found[0]), names, found[1], np.array(interest), np.array(day), pd.Timestamp("2024-01-01")
    )
    return visits, pd.DataFrame(changes, columns=["user", "day"])


@pytest.fixture(scope="module")
def fitted() -> tuple[Visits, RegimeModel]:
    visits, _ = walk()
    return visits, RegimeModel(n_groups=2, n_iterations=15).fit(visits)


def test_what_is_planted_comes_out(fitted: tuple[Visits, RegimeModel]) -> None:
    _, model = fitted
    assert np.abs(model.transition_ - MATRIX).mean() < 0.03
    assert model.regime_share_ == pytest.approx(0.8, abs=0.03)
    assert model.transition_share_ == pytest.approx(0.5, abs=0.12)
    assert model.sojourn_days_ == pytest.approx(20, rel=0.25)
    np.testing.assert_allclose(model.tastes_.sum(axis=1), 1)


def test_steps_make_the_visits_more_likely(fitted: tuple[Visits, RegimeModel]) -> None:
    """Tastes are pulled to those of their group, so a step may lose a little at the end."""
    gains = np.diff(fitted[1].log_likelihood_)
    assert gains[0] > 100 and gains.min() > -0.001 * abs(fitted[1].log_likelihood_[0])


def test_forward_and_backward_agree_with_every_path_summed() -> None:
    """Three visits of one user: all 8 x 8 x 8 paths by hand."""
    visits, _ = walk(20)
    model = RegimeModel(n_groups=1, n_iterations=3).fit(visits)
    names = visits.interests
    one = Visits(
        pd.Index([0]), names, np.zeros(3, int), np.array([2, 5, 5]), np.array([0.0, 9.0, 30.0]), visits.start
    )
    model = model.adapted(one, n_iterations=0)
    taste, m, r = model.tastes_[0], model.transition_share_, model.regime_share_
    step = m * model.transition_ + (1 - m) * taste
    joint = taste.copy()[:, None, None] * np.ones((WIDTH, WIDTH, WIDTH))
    for t, gap in ((1, 9.0), (2, 21.0)):
        h = 1 - np.exp(-gap / model.sojourn_days_)
        move = (1 - h) * np.eye(WIDTH) + h * step
        joint = joint * (move[:, :, None] if t == 1 else move[None])
    for t, seen in enumerate(one.interest):
        likely = (1 - r) * taste[seen] + r * (np.arange(WIDTH) == seen)
        joint = joint * likely.reshape([-1 if axis == t else 1 for axis in range(3)])
    found = model._expected(one)
    assert found.log_likelihood == pytest.approx(np.log(joint.sum()), abs=1e-4)
    paths = joint / joint.sum()
    np.testing.assert_allclose(found.last[0], paths.sum(axis=(0, 1)), atol=1e-4)
    stays = r / (r + (1 - r) * taste[one.interest])
    own = [paths.sum(axis=tuple({0, 1, 2} - {t}))[seen] for t, seen in enumerate(one.interest)]
    np.testing.assert_allclose(found.strays, 1 - stays * own, atol=1e-4)
    h = 1 - np.exp(-np.array([9.0, 21.0]) / model.sojourn_days_)
    moved = 0.0
    for pair, hazard in ((paths.sum(axis=2), h[0]), (paths.sum(axis=0), h[1])):
        moved = moved + pair * hazard * step / ((1 - hazard) * np.eye(WIDTH) + hazard * step)
    np.testing.assert_allclose(found.moves, moved, atol=1e-4)
    np.testing.assert_allclose(found.jumps.sum() + found.taste_jumps.sum(), found.moves.sum(), rtol=1e-4)


def test_changes_are_found_near_their_moment(fitted: tuple[Visits, RegimeModel]) -> None:
    visits, model = fitted
    _, planted = walk()
    regimes = model.regimes(visits).dropna(subset=["before"])
    assert (regimes["interest"] != regimes["before"]).all()
    day = (regimes["changed"] - visits.start) / pd.Timedelta(days=1)
    near = [
        np.abs(planted.loc[planted["user"] == u, "day"] - d).min() < 5
        for u, d in zip(regimes["user_id"], day, strict=True)
    ]
    assert np.mean(near) > 0.8
    assert 0.5 * len(planted) < len(regimes) < len(planted)


def test_the_same_visits_give_the_same_numbers() -> None:
    visits, _ = walk(60)
    first, second = (RegimeModel(n_groups=2, n_iterations=2).fit(visits) for _ in range(2))
    assert first.transition_.tobytes() == second.transition_.tobytes()


def test_a_later_visit_changes_the_tastes_and_no_other_number(fitted: tuple[Visits, RegimeModel]) -> None:
    visits, model = fitted
    other = model.adapted(walk(30, seed=5)[0])
    assert other.transition_ is model.transition_ and len(other.tastes_) <= 30
    assert len(model.tastes_) == len(visits.user_ids)
