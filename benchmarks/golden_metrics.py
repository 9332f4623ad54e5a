"""What RecTools, ranx and scikit-learn say of a few awkward lists; the tests compare the library with it.

    benchmarks/.venv/bin/python benchmarks/golden_metrics.py

Runs in the environment of the peers (requirements-peers.lock); the library is not imported.
"""

import json
import math
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import ranx
from rectools import metrics as rm
from sklearn import metrics as sk

RESULTS = Path(__file__).parent / "results" / "golden_metrics.json"
CATALOGUE = list("abcdefghijklmnop")
CATEGORIES = {item: ["tea", "milk", "bread", "soap"][number % 4] for number, item in enumerate(CATALOGUE)}
# Who had what before, once for each time: some items are popular, some had by one user, some by nobody.
BEFORE = [(user, item) for user in range(1, 7) for item in "aab" + "bcdefg"[:user] + "h" * (user % 2)]

Case = tuple[int, dict[int, str], dict[int, str]]  # k, the list of each user, the targets of each user
CASES: dict[str, Case] = {
    "plain": (5, {1: "abcde", 2: "fghij"}, {1: "bdk", 2: "fgh"}),
    "fewer targets than k": (5, {1: "abcde", 2: "bacde"}, {1: "b", 2: "b"}),
    "more targets than k": (3, {1: "abc", 2: "dab"}, {1: "abcdef", 2: "abcefg"}),
    "exactly k targets": (4, {1: "abcd", 2: "efgh"}, {1: "cdkl", 2: "efgh"}),
    "short list": (5, {1: "ab", 2: "c"}, {1: "bdk", 2: "c"}),
    "no list": (5, {1: "abcde"}, {1: "a", 2: "b"}),
    "no hit": (4, {1: "abcd", 2: "aefg"}, {1: "ij", 2: "a"}),
    "all right": (3, {1: "abc", 2: "cba"}, {1: "abc", 2: "abc"}),
    "list longer than k": (2, {1: "abcdef", 2: "fedcba"}, {1: "cf", 2: "fa"}),
    "one item": (1, {1: "a", 2: "b"}, {1: "a", 2: "a"}),
    "nobody asked for": (3, {1: "abc", 9: "abc"}, {1: "c"}),
    "hit at the last place": (5, {1: "jklma", 2: "cbdea"}, {1: "a", 2: "abdefgh"}),
    "unknown items": (4, {1: "onpa", 2: "monp"}, {1: "oa", 2: "mz"}),
}


def by_user(values: pd.Series) -> dict[str, float]:
    return {str(user): float(value) for user, value in values.items()}


def rectools_values(k: int, lists: pd.DataFrame, targets: pd.DataFrame, before: pd.DataFrame) -> dict:
    """Metrics of RecTools, by the names of its classes and what was set."""
    about_hits = {
        "Precision": rm.Precision(k),
        "Recall": rm.Recall(k),
        "F1Beta": rm.F1Beta(k),
        "HitRate": rm.HitRate(k),
        "MRR": rm.MRR(k),
        "MAP": rm.MAP(k),
        "MAP(divide_by_k=True)": rm.MAP(k, divide_by_k=True),
        "NDCG": rm.NDCG(k),
        "NDCG(divide_by_achievable=True)": rm.NDCG(k, divide_by_achievable=True),
    }
    found = {name: by_user(m.calc_per_user(lists, targets)) for name, m in about_hits.items()}
    # RecTools takes every list for a full one
    found["Accuracy"] = by_user(rm.Accuracy(k).calc_per_user(lists, targets, CATALOGUE))
    kinds = pd.DataFrame({"category": pd.Series(CATEGORIES).astype("category").cat.codes}, index=CATALOGUE)
    distance = rm.PairwiseHammingDistanceCalculator(kinds)
    found["IntraListDiversity"] = by_user(rm.IntraListDiversity(k, distance).calc_per_user(lists))
    found["MeanInvUserFreq"] = by_user(rm.MeanInvUserFreq(k).calc_per_user(lists, before))
    found["AvgRecPopularity"] = by_user(rm.AvgRecPopularity(k).calc_per_user(lists, before))
    found["CatalogCoverage"] = {
        "everybody": rm.CatalogCoverage(k, normalize=True).calc(lists, catalog=CATALOGUE)
    }
    return found


def ranx_values(k: int, lists: dict[int, str], targets: dict[int, str]) -> dict:
    """Metrics of ranx, which compares users by name and ranks by score."""
    wanted = ranx.Qrels({str(user): dict.fromkeys(items, 1) for user, items in targets.items()})
    run = {
        str(user): {item: 1.0 - place / 100 for place, item in enumerate(lists.get(user, ""))}
        for user in targets
    }
    run = {user: items or {"nothing": 1.0} for user, items in run.items()}  # ranx takes no empty list
    names = ["precision", "recall", "f1", "hit_rate", "mrr", "map", "ndcg"]
    result = ranx.Run(run)
    ranx.evaluate(wanted, result, [f"{name}@{k}" for name in names])
    scores = {name: result.scores[f"{name}@{k}"] for name in names}
    return {name: {user: float(value) for user, value in of.items()} for name, of in scores.items()}


def sklearn_values(k: int, lists: dict[int, str], targets: dict[int, str]) -> dict:
    """Metrics of scikit-learn over the whole catalogue; only full lists say the same there."""
    found: dict[str, dict[str, float]] = {"ndcg_score": {}, "f1_score": {}, "accuracy_score": {}}
    for user, items in targets.items():
        if not set(items) <= set(CATALOGUE):
            continue
        wanted = np.array([int(item in items) for item in CATALOGUE])
        top = lists.get(user, "")[:k]
        shown = np.array([int(item in top) for item in CATALOGUE])
        found["accuracy_score"][str(user)] = float(sk.accuracy_score(wanted, shown))
        if len(top) == k:
            found["f1_score"][str(user)] = float(sk.f1_score(wanted, shown))
            scores = [-lists[user].index(item) if item in lists[user] else -99 for item in CATALOGUE]
            found["ndcg_score"][str(user)] = float(sk.ndcg_score([wanted], [scores], k=k))
    return found


def probability_values() -> dict:
    """Probabilities of some pairs, what happened, and the error that scikit-learn finds."""
    random = np.random.default_rng(1)
    said = pd.DataFrame({"user_id": np.repeat([1, 2, 3], [4, 1, 7]), "item_id": list("abcdaabcdefg")})
    said["probability"] = random.random(len(said)).round(3)
    happened = random.random(len(said)) < said["probability"]
    return {
        "pairs": said.values.tolist(),
        "targets": said.loc[happened, ["user_id", "item_id"]].values.tolist(),
        "mean_squared_error": float(sk.mean_squared_error(happened.astype(float), said["probability"])),
        "root_mean_squared_error": float(
            sk.root_mean_squared_error(happened.astype(float), said["probability"])
        ),
    }


def case_values(k: int, lists: dict[int, str], targets: dict[int, str]) -> dict:
    rows = [(user, item, rank) for user, items in lists.items() for rank, item in enumerate(items, start=1)]
    shown = pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])
    wanted = pd.DataFrame(
        [(u, item) for u, items in targets.items() for item in items], columns=["user_id", "item_id"]
    )
    before = pd.DataFrame(BEFORE, columns=["user_id", "item_id"])
    return {
        "k": k,
        "lists": rows,
        "targets": wanted.values.tolist(),
        "rectools": rectools_values(k, shown, wanted, before),
        "ranx": ranx_values(k, lists, targets),
        "sklearn": sklearn_values(k, lists, targets),
    }


def main() -> None:
    content = {
        "versions": {name: version(name) for name in ("rectools", "ranx", "scikit-learn", "numpy")},
        "catalogue": CATALOGUE,
        "categories": CATEGORIES,
        "before": BEFORE,
        "cases": {name: case_values(*case) for name, case in CASES.items()},
        "probabilities": probability_values(),
    }
    assert all(math.isfinite(v) for v in _numbers(content)), "a peer gave no number"
    RESULTS.parent.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    n_values = sum(len(of) for case in content["cases"].values() for of in _metrics(case))
    print(f"{len(CASES)} cases, {n_values} values")


def _metrics(case: dict) -> list[dict]:
    return [of for peer in ("rectools", "ranx", "sklearn") for of in case[peer].values()]


def _numbers(content: dict) -> list[float]:
    return [v for case in content["cases"].values() for of in _metrics(case) for v in of.values()]


if __name__ == "__main__":
    main()
