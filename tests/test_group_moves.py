"""Users who move from one group's taste to another's."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from interest_lib.group_moves import LIKELY, _learned, _repeated, move_recovery, moved_users
from interest_lib.history import Ints
from interest_lib.marketplace import Marketplace, generate
from interest_lib.migration import shares
from interest_lib.mining import group_users
from interest_lib.recovery import views_of
from interest_lib.schema import InputError
from interest_lib.visits import Visits, visits_to_interests

N_GROUPS, WIDTH, DAYS = 3, 9, 100.0


def drawn(
    n_users: int, n_movers: int, burst: int = 1, n_draws: int = 60, seed: int = 1
) -> tuple[Visits, Ints]:
    """Users of three groups; some move to the next group on day 60. A draw brings a burst of visits."""
    rng = np.random.default_rng(seed)
    tastes = shares(np.kron(np.eye(N_GROUPS), np.ones(3)) + 0.15)
    group = rng.integers(N_GROUPS, size=n_users)
    day = np.sort(rng.uniform(0, DAYS, (n_users, n_draws)))
    moved = (np.arange(n_users) < n_movers)[:, None] & (day > 60)
    now = (group[:, None] + moved) % N_GROUPS
    interest = (rng.random((n_users, n_draws, 1)) > tastes.cumsum(axis=1)[now]).sum(axis=2)
    user, interest, day = (
        np.repeat(table.ravel(), burst)
        for table in (np.repeat(np.arange(n_users)[:, None], n_draws, axis=1), interest, day)
    )
    visits = Visits(
        pd.Index(np.arange(n_users)),
        pd.Index(list("abcdefghi")),
        user,
        interest,
        day,
        pd.Timestamp("2024-01-01"),
    )
    return visits, group


def test_who_moved_when_and_where_to_is_found() -> None:
    visits, group = drawn(300, n_movers=40)
    found = moved_users(visits, group)
    is_found = found["probability"] > LIKELY
    assert is_found[:40].mean() > 0.9 and is_found[40:].mean() < 0.02
    assert found["probability"].sum() == pytest.approx(40, abs=6)
    hit = found[:40][is_found[:40]]
    off = (hit["moved"] - visits.start) / pd.Timedelta(days=1) - 60
    assert off.abs().median() < 3
    assert (hit["group"] == group[hit.index]).mean() > 0.95
    assert (hit["group_after"] == (group[hit.index] + 1) % N_GROUPS).mean() > 0.95


def test_the_bayes_factor_is_the_sum_over_all_moments_and_pairs() -> None:
    visits, group = drawn(12, n_movers=4, n_draws=15)
    found = moved_users(visits, group)
    tastes, repeats = _learned(visits, group[visits.user], _repeated(visits, 5))
    log_odds = np.log(tastes[:, visits.interest] + repeats)
    share = np.bincount(group) / len(group)
    for user in range(12):
        own = visits.user == user
        each, day = log_odds[:, own], visits.day[own]
        staying = logsumexp(np.log(share) + each.sum(axis=1))
        moves = {
            (k, a, b): np.log((day[k] - day[k - 1]) / (day[-1] - day[0]) * share[a] * share[b])
            + each[a, :k].sum()
            + each[b, k:].sum()
            for k, a, b in product(range(1, len(day)), range(N_GROUPS), range(N_GROUPS))
            if a != b
        }
        moving = logsumexp(list(moves.values())) - np.log(1 - (share**2).sum())
        assert found["log_bayes_factor"][user] == pytest.approx(moving - staying, abs=1e-9)
        by_pair = pd.Series(moves)
        for column, level in (("group", 1), ("group_after", 2)):
            assert found[column][user] == by_pair.groupby(level=level).agg(logsumexp).idxmax()


def test_nobody_is_found_where_nobody_moves_though_visits_come_in_bursts() -> None:
    visits, group = drawn(300, n_movers=0, burst=3, n_draws=30)
    found = [(moved_users(visits, group, memory)["probability"] > LIKELY).mean() for memory in (5, 0)]
    assert found[0] < 0.01 and found[1] > 0.2


def test_in_another_order_few_movers_are_found_and_nobody_else() -> None:
    visits, group = drawn(300, n_movers=40)
    is_found = moved_users(visits.shuffled(seed=0), group)["probability"] > LIKELY
    assert is_found[:40].mean() < 0.3 and is_found[40:].sum() <= 1


def test_a_user_with_one_visit_has_no_move() -> None:
    visits, group = drawn(50, n_movers=10)
    kept = (visits.user > 0) | (np.arange(len(visits.user)) == 0)
    few = replace(visits, user=visits.user[kept], interest=visits.interest[kept], day=visits.day[kept])
    found = moved_users(few, group)
    assert np.isfinite(found["log_bayes_factor"]).all() and found["probability"][0] < 1e-6


def test_groups_that_do_not_fit_are_refused() -> None:
    visits, group = drawn(20, n_movers=0)
    with pytest.raises(InputError, match="19 with a group"):
        moved_users(visits, group[1:])
    with pytest.raises(InputError, match="at least two"):
        moved_users(visits, np.zeros(20, dtype=np.int64))


def planted(folder: Path, **settings: float | str) -> tuple[pd.DataFrame, Visits, Ints]:
    truth = generate(
        Marketplace(n_users=400, generator="regimes", seed=9, **settings), folder / "shop", n_jobs=1
    )
    visits = visits_to_interests(views_of(truth))
    return truth.table("users"), visits, group_users(np.sqrt(shares(visits.counts)), 10, random_state=0)


def test_planted_movers_of_a_marketplace_are_found(tmp_path: Path) -> None:
    users, visits, groups = planted(tmp_path)
    found = moved_users(visits, groups)
    marks = move_recovery(users, found, groups)
    assert marks["recall"] > 0.85 and marks["precision"] > 0.85 and marks["right_group"] > 0.95
    assert marks["false_alarms"] < 0.02 and marks["days_off"] < 12
    assert move_recovery(users, moved_users(visits.shuffled(seed=0), groups), groups)["recall"] < 0.2
    nothing = move_recovery(users, found.assign(probability=0.0), groups)
    assert nothing["recall"] == 0 and np.isnan(nothing["precision"]) and np.isnan(nothing["days_off"])


def test_no_mover_is_found_in_a_marketplace_without_any(tmp_path: Path) -> None:
    users, visits, groups = planted(tmp_path, moving_user_share=0.0, takeover_share=0.0)
    assert move_recovery(users, moved_users(visits, groups), groups)["false_alarms"] < 0.005


def test_what_is_repeated_are_the_last_visits_of_the_same_user() -> None:
    user, interest = np.array([0, 0, 0, 0, 1, 1]), np.array([2, 2, 3, 2, 2, 2])
    visits = Visits(
        pd.RangeIndex(2), pd.RangeIndex(4), user, interest, np.arange(6.0), pd.Timestamp("2024-01-01")
    )
    np.testing.assert_allclose(_repeated(visits, 2), [0, 1, 0, 0.5, 0, 1])
