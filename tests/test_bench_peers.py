"""What is done with the lists of the peers, which run in environments that tests do not have."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interest_lib.recommend import PersonalFrequency, RecentPopularity
from interest_lib.split import Fold, fold_at

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import bench_peers
import peers_harness
import peers_study


def fold() -> Fold:
    rng = np.random.default_rng(1)
    log = pd.DataFrame({"user_id": rng.integers(0, 30, 900), "item_id": rng.zipf(1.4, 900) % 60})
    days = np.sort(rng.integers(0, 100, 900))
    log["timestamp"] = pd.Timestamp("2017-01-01") + pd.to_timedelta(days, unit="D")
    return fold_at(log, pd.Timestamp("2017-03-20"), horizon_days=20, min_users_per_item=3)


def test_what_is_exported_gives_the_same_lists_as_the_history(tmp_path: Path) -> None:
    of = fold()
    bench_peers.export(of, tmp_path)
    task = peers_harness.read(tmp_path)
    assert str(task.events["timestamp"].max()) == of.history.last_seen
    peer = peers_study.Personal(half_life_days=30.0)
    peer.fit(task)
    parts = [peer.lists(task.users, 30, which == "novel").assign(slice=which) for which in bench_peers.SLICES]
    ready = bench_peers.completed(pd.concat(parts), of.history, of.user_ids)
    ours = PersonalFrequency(half_life_days=30.0).fit(of.history)
    for which in bench_peers.SLICES:
        lists = ready[ready["slice"] == which].reset_index(drop=True)
        expected = ours.recommend(of.user_ids, bench_peers.K, which == "novel")
        pd.testing.assert_frame_equal(
            lists[["user_id", "item_id", "rank"]], expected[["user_id", "item_id", "rank"]], check_dtype=False
        )


def test_empty_places_get_what_is_popular_and_ties_are_broken_by_it() -> None:
    of = fold()
    first, second, third = of.history.item_ids[:3]
    user = of.user_ids[0]
    lists = pd.DataFrame({"user_id": user, "item_id": [third, second], "score": [1.0, 1.0], "slice": "all"})
    ready = bench_peers.completed(lists, of.history, of.user_ids)
    mine = ready[(ready["user_id"] == user) & (ready["slice"] == "all")]
    assert mine["item_id"].tolist()[:3] == [second, third, first]
    assert ready.groupby(["slice", "user_id"]).size().unique().tolist() == [bench_peers.K]
    assert not ready.duplicated(["slice", "user_id", "item_id"]).any()
    popular = RecentPopularity().fit(of.history).recommend(of.user_ids[1:2], bench_peers.K)
    other = ready[(ready["user_id"] == of.user_ids[1]) & (ready["slice"] == "all")]
    assert other["item_id"].tolist() == popular["item_id"].tolist()


def test_what_was_had_before_is_found_in_novel_lists() -> None:
    of = fold()
    history = of.history
    had = pd.DataFrame({"user_id": history.user_ids[history.rows], "item_id": history.item_ids[history.cols]})
    assert bench_peers.n_seen(had.head(1).assign(slice="novel"), history) == 1
    assert bench_peers.n_seen(had.head(1).assign(slice="all"), history) == 0


def test_pairs_are_weighted_as_asked(tmp_path: Path) -> None:
    of = fold()
    bench_peers.export(of, tmp_path)
    task = peers_harness.read(tmp_path)
    counts = task.events.groupby(["user_id", "item_id"]).size()
    assert task.pairs("counts")["weight"].tolist() == counts.tolist()
    assert task.pairs("log_counts")["weight"].tolist() == pytest.approx(np.log1p(counts).tolist())
    assert set(task.pairs("ones", 10.0)["weight"]) == {1.0}
    weights = task.events.assign(weight=0.5 ** (task.events["age_days"] / 10))
    expected = weights.groupby(["user_id", "item_id"])["weight"].sum()
    assert task.pairs("counts", 10.0)["weight"].tolist() == pytest.approx(expected.tolist())
    largest = task.largest(5)
    assert largest.events["item_id"].nunique() == 5
    n_users = task.events.groupby("item_id")["user_id"].nunique()
    kept = set(largest.events["item_id"])
    assert n_users[list(kept)].min() >= n_users.drop(list(kept)).max()


def test_what_was_left_for_another_history_is_not_taken() -> None:
    of = fold()
    less = dataclasses.replace(of.history, age_days=of.history.age_days + 1.0)
    assert bench_peers.kept_in(of) == bench_peers.kept_in(fold())
    assert bench_peers.kept_in(of) != bench_peers.kept_in(dataclasses.replace(of, history=less))


def test_every_peer_has_the_same_number_of_settings() -> None:
    assert {len(settings) for _, settings in bench_peers.TRIED.values()} == {4}


def test_peers_that_read_something_else_are_found() -> None:
    row = {"last_event": "2017-03-19", "n_events": 5}
    same = {"trials": [row], "test": {"all": row}}
    bench_peers.assert_same_history({"a": same, "b": same})
    with pytest.raises(AssertionError, match="not read the same"):
        bench_peers.assert_same_history(
            {"a": same, "b": {"trials": [row], "test": {"all": row | {"n_events": 6}}}}
        )


def test_dense_scores_are_cut_by_the_tie_rule() -> None:
    scores = np.array([[1.0, 3.0, 3.0, -np.inf], [0.0, 0.0, -np.inf, -np.inf]])
    table = peers_harness.best_of(scores, np.array([7, 8]), np.array(["a", "b", "c", "d"]), n=3)
    assert table[["user_id", "item_id"]].values.tolist() == [[7, "b"], [7, "c"], [7, "a"], [8, "a"], [8, "b"]]


def test_the_ranker_of_the_picture_is_the_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {
        which: {"value": v, "low": v - 0.1, "high": v + 0.1} for which, v in (("all", 0.4), ("novel", 0.2))
    }
    metrics = {f"recommend.2017-12-04.{which}.ndcg10.ranker": level for which, level in levels.items()}
    (tmp_path / "results").mkdir()
    recorded = {"metrics": metrics, "parameters": {"n_jobs": 3}}
    (tmp_path / "results/06_recommendation_evaluation.json").write_text(json.dumps(recorded))
    timing = {"06_recommendation_evaluation": {"recommend.seconds.ranker": 50.0}}
    (tmp_path / "timing.json").write_text(json.dumps(timing))
    monkeypatch.setattr(bench_peers, "FULL", tmp_path)
    row = bench_peers.recorded_ranker()
    assert {which: row["test"][which]["ndcg10"] for which in levels} == levels
    assert row["test"]["all"]["seconds_fit"] == 150.0  # three cores for fifty seconds
    bench_peers.picture({"study_ranker": row}, tmp_path / "peers.png")
    assert (tmp_path / "peers.png").stat().st_size > 10_000
