"""Metrics against hand-computed values and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel
from sklearn.metrics import ndcg_score

from interest_lib import metrics
from interest_lib.schema import InputError
from interest_lib.split import fold_at


def lists(*items: str, user: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user, "item_id": list(items), "rank": np.arange(1, len(items) + 1)})


def truth(*items: str, user: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user, "item_id": list(items)})


def test_ndcg_by_hand() -> None:
    # hits at ranks 1 and 3, two targets: (1 + 1/2) / (1 + 1/log2(3))
    score = metrics.ndcg_at_k(lists("a", "x", "b"), truth("a", "b")).iloc[0]
    assert score == pytest.approx(1.5 / (1 + 1 / np.log2(3)))


def test_more_targets_than_places_can_still_score_one() -> None:
    assert metrics.ndcg_at_k(lists("a", "b"), truth("a", "b", "c", "d"), k=2).iloc[0] == pytest.approx(1.0)


def test_ndcg_equals_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    relevance = rng.random((50, 30)) < 0.2
    relevance[:, 0] |= ~relevance.any(axis=1)
    scores = rng.random((50, 30))
    ranks = (-scores).argsort(axis=1).argsort(axis=1) + 1
    user, item = np.nonzero(ranks > 0)
    recommendations = pd.DataFrame({"user_id": user, "item_id": item, "rank": ranks[user, item]})
    user, item = np.nonzero(relevance)
    ours = metrics.ndcg_at_k(recommendations, pd.DataFrame({"user_id": user, "item_id": item}), k=10)
    theirs = [ndcg_score(r[None], s[None], k=10) for r, s in zip(relevance.astype(int), scores, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_users_without_a_list_score_zero_and_users_without_a_target_are_not_scored() -> None:
    recommendations = pd.concat([lists("a", user=1), lists("a", user=9)])
    targets = pd.concat([truth("a", user=1), truth("a", user=2)])
    scores = metrics.ndcg_at_k(recommendations, targets)
    assert scores.to_dict() == {1: 1.0, 2: 0.0}


def test_precision_and_recall_look_no_further_than_k() -> None:
    assert metrics.precision_at_k(lists("x", "a", "b"), truth("a", "b", "c"), k=2).iloc[0] == 0.5
    assert metrics.recall_at_k(lists("x", "a", "b"), truth("a", "b", "c"), k=2).iloc[0] == pytest.approx(
        1 / 3
    )


def test_no_targets_is_bad_input() -> None:
    with pytest.raises(InputError, match="no targets"):
        metrics.ndcg_at_k(lists("a"), truth())


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        interval = metrics.bootstrap_mean(rng.normal(0.3, 1.0, 120), seed=trial, n_resamples=200)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_bootstrap_is_seeded() -> None:
    values = np.random.default_rng(0).random(50)
    assert metrics.bootstrap_mean(values, seed=1) == metrics.bootstrap_mean(values, seed=1)
    assert metrics.bootstrap_mean(values, seed=1) != metrics.bootstrap_mean(values, seed=2)


def test_relative_gain_is_the_ratio_of_means_and_its_interval_is_paired() -> None:
    rng = np.random.default_rng(3)
    base = rng.random(300)
    gain = metrics.relative_gain(1.1 * base, base, seed=1)
    assert gain.value == pytest.approx(0.1) and gain.high - gain.low < 1e-9
    noisy = metrics.relative_gain(base + rng.normal(0.05, 0.2, 300), base, seed=1)
    assert noisy.low < noisy.value < noisy.high


def test_novel_slice_scores_only_what_was_never_bought() -> None:
    events = pd.DataFrame(
        [(1, "a", "2017-01-01"), (2, "b", "2017-01-01"), (1, "a", "2017-01-06"), (1, "b", "2017-01-06")],
        columns=["user_id", "item_id", "timestamp"],
    ).assign(timestamp=lambda t: pd.to_datetime(t["timestamp"]))
    fold = fold_at(events, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    both = [lists("a").assign(model="m", slice=which) for which in ("all", "novel")]
    scores = metrics.ndcg_by_slice(pd.concat(both), fold)
    assert scores["all", "m"].iloc[0] > 0
    assert scores["novel", "m"].iloc[0] == 0


def test_comparisons_are_paired_and_corrected_for_their_number() -> None:
    rng = np.random.default_rng(0)
    base = pd.Series(rng.uniform(0.1, 0.9, 200))
    scores = pd.DataFrame(
        {
            "base": base,
            "better": base + rng.normal(0.02, 0.05, 200),
            "likely": base + rng.normal(0.008, 0.05, 200),
            "noise": base + rng.normal(0.0, 0.05, 200),
        }
    )
    pairs = [(method, "base") for method in ("noise", "better", "likely")]
    table = metrics.compare(scores, pairs, seed=1)
    assert list(table.index) == pairs
    p = table["p"].to_numpy()
    for (method, over), row in table.iterrows():
        assert row["p"] == pytest.approx(ttest_rel(scores[method], scores[over]).pvalue)
        gain = metrics.relative_gain(scores[method], scores[over], seed=1)
        assert row[["value", "low", "high"]].tolist() == [gain.value, gain.low, gain.high]
    in_order = np.sort(p)
    expected = np.maximum.accumulate(in_order * [3, 2, 1]).clip(max=1)
    assert np.sort(table["p_holm"].to_numpy()).tolist() == pytest.approx(expected.tolist())
    assert table["p_holm"].to_numpy().argsort().tolist() == p.argsort().tolist()
    assert metrics.compare(scores, pairs[1:2], seed=1)["p_holm"].iloc[0] == pytest.approx(p[1])


def test_means_of_columns_are_resampled_alike_and_without_what_is_missing() -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"a": rng.random(60), "b": rng.random(60)})
    table["c"] = table["a"] + 1
    table.loc[5, "b"] = np.nan
    found = metrics.mean_intervals(table, seed=2)
    for name, row in found.iterrows():
        known = table[name].dropna()
        assert row.to_dict() == vars(metrics.bootstrap_mean(known, 2)), name
    np.testing.assert_allclose(found.loc["c", ["low", "high"]], found.loc["a", ["low", "high"]] + 1)
    assert found["n"].tolist() == [60, 59, 60]


def test_differences_are_paired_and_skip_whom_a_method_is_silent_about() -> None:
    rng = np.random.default_rng(4)
    base = pd.Series(rng.uniform(0.1, 0.9, 150))
    scores = pd.DataFrame({"base": base, "better": base + rng.normal(0.02, 0.05, 150), "zero": 0.0})
    scores.loc[:9, "better"] = np.nan
    pairs = [("better", "base"), ("base", "zero"), ("base", "base")]
    table = metrics.compare_differences(scores, pairs, seed=1)
    known = scores.dropna()
    assert table["n"].tolist() == [140, 150, 150]
    assert table["p"].iloc[0] == pytest.approx(ttest_rel(known["better"], known["base"]).pvalue)
    expected = metrics.bootstrap_mean(known["better"] - known["base"], seed=1)
    assert table.iloc[0][["value", "low", "high"]].tolist() == [expected.value, expected.low, expected.high]
    assert table["p_holm"].tolist() == pytest.approx([2 * table["p"].iloc[0], 3 * table["p"].iloc[1], 1.0])
    with pytest.raises(InputError, match="nothing to be relative to"):
        metrics.compare(scores, [("base", "zero")], seed=1)


def test_no_gain_over_nothing() -> None:
    nothing, something = pd.Series([0.0, 0.0, 0.0]), pd.Series([0.1, 0.2, 0.3])
    assert metrics.gain_or_none(something, nothing) is None
    gain = metrics.gain_or_none(2 * something, something)
    assert gain is not None and gain.value == pytest.approx(1.0)
