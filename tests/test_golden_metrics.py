"""Metrics against RecTools, ranx and scikit-learn, whose values benchmarks/golden_metrics.py wrote down."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interest_lib import exposure, list_quality, metrics
from interest_lib.history import History, history_before
from interest_lib.ranking_metrics import accuracy_table, squared_errors

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "benchmarks/results/golden_metrics.json").read_text(encoding="utf-8")
)
N_ITEMS = len(GOLDEN["catalogue"])

# Whose metric it is, what they call it: our column, and which list it takes for the ideal one.
SAME = {
    ("rectools", "Precision"): ("precision", "reachable"),
    ("rectools", "Recall"): ("recall", "reachable"),
    ("rectools", "F1Beta"): ("f1", "reachable"),
    ("rectools", "HitRate"): ("hit_rate", "reachable"),
    ("rectools", "MRR"): ("mrr", "reachable"),
    ("rectools", "MAP"): ("map", "targets"),
    ("rectools", "MAP(divide_by_k=True)"): ("map", "k"),
    ("rectools", "NDCG"): ("ndcg", "k"),
    ("rectools", "NDCG(divide_by_achievable=True)"): ("ndcg", "reachable"),
    ("ranx", "precision"): ("precision", "reachable"),
    ("ranx", "recall"): ("recall", "reachable"),
    ("ranx", "f1"): ("f1", "reachable"),
    ("ranx", "hit_rate"): ("hit_rate", "reachable"),
    ("ranx", "mrr"): ("mrr", "reachable"),
    ("ranx", "map"): ("map", "targets"),
    ("ranx", "ndcg"): ("ndcg", "reachable"),
    ("sklearn", "ndcg_score"): ("ndcg", "reachable"),
    ("sklearn", "f1_score"): ("f1", "reachable"),
    ("sklearn", "accuracy_score"): ("accuracy", "reachable"),
}


def frames(case: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        pd.DataFrame(case["lists"], columns=["user_id", "item_id", "rank"]),
        pd.DataFrame(case["targets"], columns=["user_id", "item_id"]),
    )


def before() -> History:
    """What everybody had; an item that nobody had is not in the vocabulary."""
    log = pd.DataFrame(GOLDEN["before"], columns=["user_id", "item_id"])
    log["timestamp"] = pd.Timestamp("2017-01-01")
    return history_before(log, pd.Timestamp("2017-01-02"), min_users_per_item=1)


def assert_same(ours: pd.Series, theirs: dict[str, float]) -> None:
    assert theirs, "nothing to compare with"
    np.testing.assert_allclose([ours[int(user)] for user in theirs], list(theirs.values()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_accuracy_is_that_of_the_peers(name: str) -> None:
    case = GOLDEN["cases"][name]
    lists, targets = frames(case)
    tables = {ideal: accuracy_table(lists, targets, case["k"], N_ITEMS, ideal) for _, ideal in SAME.values()}
    for (peer, theirs), (column, ideal) in SAME.items():
        values = case[peer][theirs]
        if not values and peer == "sklearn":
            continue  # it knows full lists only
        assert_same(tables[ideal][column], values)
        if peer != "sklearn":
            assert {int(user) for user in values} == set(tables[ideal].index)


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_full_lists_have_the_accuracy_of_rectools(name: str) -> None:
    case = GOLDEN["cases"][name]
    lists, targets = frames(case)
    length = lists.groupby("user_id").size().reindex(targets["user_id"].unique(), fill_value=0)
    if (length >= case["k"]).all():
        ours = accuracy_table(lists, targets, case["k"], N_ITEMS)["accuracy"]
        assert_same(ours, case["rectools"]["Accuracy"])


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_the_short_ways_to_ndcg_recall_and_precision_agree(name: str) -> None:
    case = GOLDEN["cases"][name]
    lists, targets = frames(case)
    assert_same(metrics.ndcg_at_k(lists, targets, case["k"]), case["ranx"]["ndcg"])
    assert_same(metrics.recall_at_k(lists, targets, case["k"]), case["ranx"]["recall"])
    assert_same(metrics.precision_at_k(lists, targets, case["k"]), case["ranx"]["precision"])


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_novelty_popularity_diversity_and_coverage_are_those_of_rectools(name: str) -> None:
    case = GOLDEN["cases"][name]
    lists, _ = frames(case)
    k, theirs = case["k"], case["rectools"]
    assert_same(exposure.novelty(lists, before(), k), theirs["MeanInvUserFreq"])
    assert_same(exposure.popularity(lists, before(), k), theirs["AvgRecPopularity"])
    assert_same(
        list_quality.diversity(lists, pd.Series(GOLDEN["categories"]), k), theirs["IntraListDiversity"]
    )
    shown = exposure.exposure(lists, pd.Index(GOLDEN["catalogue"]), k)
    assert exposure.coverage(shown) == pytest.approx(theirs["CatalogCoverage"]["everybody"], abs=1e-9)


def test_errors_of_probabilities_are_those_of_scikit_learn() -> None:
    golden = GOLDEN["probabilities"]
    said = pd.DataFrame(golden["pairs"], columns=["user_id", "item_id", "probability"])
    table = squared_errors(said, pd.DataFrame(golden["targets"], columns=["user_id", "item_id"]))
    mse = np.average(table["mse"], weights=table["n"])
    assert mse == pytest.approx(golden["mean_squared_error"], abs=1e-9)
    assert np.sqrt(mse) == pytest.approx(golden["root_mean_squared_error"], abs=1e-9)
    np.testing.assert_allclose(table["rmse"] ** 2, table["mse"], atol=1e-12)


def test_the_cases_are_awkward_enough_to_tell_the_definitions_apart() -> None:
    differ = dict.fromkeys(["ndcg", "map"], 0)
    for case in GOLDEN["cases"].values():
        lists, targets = frames(case)
        of = {ideal: accuracy_table(lists, targets, case["k"], ideal=ideal) for ideal in ("reachable", "k")}
        over_all = accuracy_table(lists, targets, case["k"], ideal="targets")
        for column in differ:
            three = [of["reachable"][column], of["k"][column], over_all[column]]
            differ[column] += sum(not np.allclose(a, b) for a, b in pairwise(three))
    assert min(differ.values()) >= 4
    assert len(GOLDEN["cases"]) >= 11
