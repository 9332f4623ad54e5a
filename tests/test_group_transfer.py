"""The run over target sizes: what is chosen on whom, and what the methods get to see."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interest_lib.group_ease import ease_methods
from interest_lib.group_gains import crossover, gains_over_pooled, negative_transfer, size_gains, size_scores
from interest_lib.group_labels import group_splits, shuffled_labels
from interest_lib.group_market import planted_groups
from interest_lib.group_transfer import (
    ALONE,
    CHOSEN,
    Method,
    Scorer,
    draw_scores,
    held_out_task,
    transfer_scores,
)
from interest_lib.groups import GroupTask, ndcg, with_validation
from interest_lib.schema import InputError

QUICK = partial(ease_methods, half_lives=(None,))


@pytest.fixture(scope="module")
def shop() -> tuple[pd.DataFrame, pd.Series]:
    return planted_groups(n_users=500, n_items=120, seed=5)


@pytest.fixture(scope="module")
def task(shop: tuple[pd.DataFrame, pd.Series]) -> GroupTask:
    return held_out_task(*shop, seed=1)


@pytest.fixture(scope="module")
def scores(shop: tuple[pd.DataFrame, pd.Series]) -> pd.DataFrame:
    runs = [draw_scores(*shop, QUICK, [25, 50], seed)[0].assign(seed=seed) for seed in (1, 2)]
    return pd.concat(runs).assign(dataset="marketplace", split="gender")


def _oracle(seen: list[Any]) -> Method:
    """Ranks at random for setting 0 and by the truth for setting 1, and notes what it was asked."""

    def fit(task: GroupTask, n_target: int, setting: Any, seed: int) -> Scorer:
        def score(rows: np.ndarray) -> np.ndarray:
            seen.append((n_target, setting, seed, task, tuple(rows)))
            truth = (task.wanted[rows].toarray() > 0).astype(float)
            return truth if setting else np.random.default_rng(0).random(truth.shape)

        return score

    return Method(fit, settings=(0, 1))


def test_settings_are_chosen_on_validation_and_the_test_is_scored_once(task: GroupTask) -> None:
    seen: list[Any] = []
    found, trials, seconds = transfer_scores(task, {"oracle": _oracle(seen)}, [25, 10_000], seed=9)
    assert (found["ndcg"] == 1.0).all()
    assert list(trials.groupby(["size", "setting"], sort=False).size()) == [1, 1, 1, 1]
    asked = [(n, setting, rows == tuple(task.test)) for n, setting, _, _, rows in seen]
    n_all, n_final = len(task.target), len(task.target) + len(task.validation)
    assert asked == [
        *[(25, 0, False), (25, 1, False), (25, 1, True)],
        *[(n_all, 0, False), (n_all, 1, False), (n_final, 1, True)],
    ]
    assert {seed for _, _, seed, _, _ in seen} == {9}
    assert [part.validation.size == 0 for _, _, _, part, _ in seen] == [False] * 5 + [True]
    assert set(seconds) == {"oracle"} and 0 < seconds["oracle"] < 60


def test_what_was_fitted_for_the_trials_is_not_fitted_again(task: GroupTask) -> None:
    fitted: list[tuple[int, Any]] = []

    def fit(part: GroupTask, n_target: int, setting: Any, seed: int) -> Scorer:
        fitted.append((n_target, setting))
        return lambda rows: np.random.default_rng([setting, *rows[:1]]).random((len(rows), 30))

    n_all, n_final = len(task.target), len(task.target) + len(task.validation)
    found, trials, _ = transfer_scores(task, {"random": Method(fit, settings=(0, 1, 2))}, [25])
    tried = [(n, setting) for n in (25, n_all) for setting in (0, 1, 2)]
    assert sorted(fitted[:-1]) == tried
    liked = trials.set_index("size")["ndcg"].groupby(level=0, sort=False).agg(np.argmax)
    assert fitted[-1] == (n_final, liked["all"])
    of_few = found[(found["size"] == "25") & (found["method"] == "random")].set_index("user_id")["ndcg"]
    again = np.random.default_rng([liked["25"], *task.test[:1]]).random((len(task.test), 30))
    wide = np.full((len(task.test), len(task.item_ids)), -1.0)
    wide[:, :30] = again
    np.testing.assert_array_equal(of_few, ndcg(task, task.test, wide))


def test_the_chosen_transfer_is_a_method_that_uses_both(scores: pd.DataFrame) -> None:
    for _, part in scores[scores["size"] != "0"].groupby(["seed", "size"]):
        table = part.pivot(index="user_id", columns="method", values="ndcg")
        assert any(table[CHOSEN].equals(table[name]) for name in ("pooled", "weighted", "fine_tuned"))
    assert set(scores.loc[scores["size"] == "0", "method"]) == {"source_only"}


def test_transfer_helps_most_where_there_are_few_target_users(scores: pd.DataFrame) -> None:
    gains = size_gains(scores, seed=1)
    assert gains.index.tolist() == ["25", "50", "all"]
    assert gains["value"].is_monotonic_decreasing
    assert gains.loc["25", "low"] > 0.2


def test_every_target_user_helps_the_target_alone(scores: pd.DataFrame) -> None:
    alone = size_scores(scores, seed=1)["value"].xs(ALONE, level="method")
    assert alone.is_monotonic_increasing
    assert alone.iloc[0] < alone.iloc[-1] - 0.03
    crossed = crossover(scores)
    assert crossed is None or crossed > 25


def test_the_planted_difference_is_found_and_vanishes_with_shuffled_labels() -> None:
    events, is_source = planted_groups(n_users=500, n_items=120, log_odds=5.0, seed=7)
    tables = {}
    for kind in ("real", "shuffled"):
        labels = [is_source if kind == "real" else shuffled_labels(is_source, seed) for seed in (1, 2)]
        runs = [draw_scores(events, part, QUICK, [50], seed)[0] for seed, part in enumerate(labels, start=1)]
        tables[kind] = pd.concat(runs)
    assert (gains_over_pooled(tables["shuffled"], seed=1)["low"] <= 0).all()
    # what the others do is worth less where they differ
    means = {kind: table.groupby("method")["ndcg"].mean() for kind, table in tables.items()}
    of_pooled = {kind: mean["source_only"] / mean["pooled"] for kind, mean in means.items()}
    assert of_pooled["real"] < of_pooled["shuffled"] - 0.05


def test_source_only_never_sees_the_target(task: GroupTask) -> None:
    method = ease_methods(task)["source_only"]
    setting = (100.0, None, None)
    few, many = (method.fit(task, n, setting, 0)(task.test) for n in (1, len(task.target)))
    np.testing.assert_array_equal(few, many)
    assert not method.needs_target


def test_a_sample_of_the_target_is_all_that_is_seen(task: GroupTask) -> None:
    blind = task.met.tolil()
    blind[task.target[25:], :] = 0
    hidden = GroupTask(**{**vars(task), "met": blind.tocsr()})
    for name in (ALONE, "pooled", "weighted", "fine_tuned"):
        setting = (100.0, None if name in (ALONE, "pooled") else 0.5, 5.0)
        seen, unseen = (
            ease_methods(part)[name].fit(part, 25, setting, 0)(task.test) for part in (task, hidden)
        )
        np.testing.assert_allclose(seen, unseen)


def test_models_kept_from_the_last_fit_are_those_asked_for(task: GroupTask) -> None:
    full, shared = with_validation(task), ease_methods(task)
    for part, n in ((task, 25), (task, 50), (full, len(full.target)), (task, 25)):
        for name in (ALONE, "pooled"):
            for setting in ((100.0, None, None), (300.0, None, None), (300.0, None, 5.0)):
                kept = shared[name].fit(part, n, setting, 0)(task.test)
                fresh = ease_methods(task)[name].fit(part, n, setting, 0)(task.test)
                np.testing.assert_array_equal(kept, fresh)


def test_late_items_count_more_with_a_half_life(task: GroupTask) -> None:
    fit = ease_methods(task)["source_only"].fit
    row = task.test[[int(task.met[task.test].getnnz(axis=1).argmax())]]
    latest = task.met[row].indices[task.met[row].data.argmax()]
    only = task.met.tolil()
    only[row[0], :] = 0
    only[row[0], latest] = 1
    only = only.tocsr()
    alone = GroupTask(**{**vars(task), "met": only})
    short, one = fit(task, 0, (100.0, None, 0.05), 0)(row), fit(alone, 0, (100.0, None, None), 0)(row)
    np.testing.assert_allclose(short, one, atol=1e-4)


def test_items_outside_the_regression_come_last_in_the_order_of_popularity(task: GroupTask) -> None:
    """Or have no scores at all, where a list cannot reach so far."""
    found = ease_methods(task, n_items=40)["pooled"].fit(task, 25, (100.0, None, None), 0)(task.test)
    assert found.shape[1] == len(task.item_ids)
    n_given = task.met[task.test][:, :110].getnnz(axis=1)
    assert n_given.min() <= 10 < n_given.max()
    for rows, n_scored in ((task.test[n_given <= 10], 110), (task.test, len(task.item_ids))):
        wide = ease_methods(task, n_items=110)["pooled"].fit(task, 25, (100.0, None, None), 0)(rows)
        assert wide.shape == (len(rows), n_scored)
    assert found[:, :40].min() > found[:, 40:].max()
    assert len(np.unique(found[:, 40:])) == 1
    assert ndcg(task, task.test, found).mean() > 0


def test_cells_with_negative_transfer_are_counted(scores: pd.DataFrame) -> None:
    worse = scores.assign(ndcg=np.where(scores["method"] == "pooled", 0.0, scores["ndcg"]))
    table = negative_transfer(worse, seed=1)
    assert table.loc["pooled"].tolist() == [1.0, 1.0, 6.0]
    assert table.loc["weighted", "rate"] < 0.5


def test_splits_fall_back_to_what_the_log_knows() -> None:
    users = pd.DataFrame(
        {
            "user_id": range(100),
            "age": ["old", "young"] * 50,
            "few": [None] * 90 + list("ab") * 5,
            "shop": "a",
        }
    ).assign(shop="a")
    assert list(group_splits(users, ["age", "income"], min_users=50)) == ["age"]
    assert list(group_splits(users, ["income"], min_users=5)) == ["age", "few"]
    assert group_splits(users[["user_id"]]) == {}


def test_shuffled_labels_keep_the_sizes_and_mix_the_groups() -> None:
    labels = pd.Series([True] * 60 + [False] * 40)
    drawn = shuffled_labels(labels, seed=1)
    assert drawn.sum() == 60
    assert 20 < (drawn & labels).sum() < 50
    assert drawn.equals(shuffled_labels(labels, seed=1))


def test_small_groups_hold_out_fewer_and_too_small_ones_say_so(shop: tuple[pd.DataFrame, pd.Series]) -> None:
    events, is_source = shop
    small = is_source[is_source].iloc[:50].index.union(is_source[~is_source].iloc[:120].index)
    task = held_out_task(events, is_source[small])
    assert (30 <= len(task.test) <= 36) and (14 <= len(task.validation) <= 18)
    with pytest.raises(InputError, match="split the users by another attribute"):
        held_out_task(events, is_source[is_source[~is_source].iloc[:40].index.union(small[:3])])


def test_planted_log_odds_are_there_and_zero_plants_nothing() -> None:
    for log_odds, low, high in ((0.0, 0.0, 0.4), (4.0, 0.6, 2.0)):
        events, is_source = planted_groups(n_users=400, log_odds=log_odds, n_items=80)
        by_group = pd.crosstab(events["item_id"], events["user_id"].map(is_source), normalize="columns")
        assert low <= (by_group[True] - by_group[False]).abs().sum() <= high
