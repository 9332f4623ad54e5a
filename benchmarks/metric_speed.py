"""NDCG@10 and Recall@10 of 100,000 users x 10 items from DataFrames: the library, RecTools and ranx.

    python benchmarks/metric_speed.py

One run, one thread, each side in a process of its own environment. See README.md beside this file.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "metric_speed.json"
PEERS = HERE / ".venv" / "bin" / "python"
N_USERS, K, N_ITEMS, REPEATS, SEED = 100_000, 10, 20_000, 5, 2017
BOUNDS = {"rectools_over_ours": 4.0, "ranx_over_ours": 100.0}
Values = dict[str, float]


def made_up() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lists of ten for everybody, and ten targets, of which some are listed."""
    rng = np.random.default_rng(SEED)
    user = np.repeat(np.arange(N_USERS), K)
    place = np.tile(np.arange(1, K + 1), N_USERS)
    stride = N_ITEMS // K  # an item from each tenth of the catalogue: no list shows one twice
    item = rng.integers(0, stride, N_USERS * K) + (place - 1) * stride
    lists = pd.DataFrame({"user_id": user, "item_id": item, "rank": place, "score": 1.0 / place})
    wanted = np.where(rng.random(N_USERS * K) < 0.1, item, rng.integers(0, N_ITEMS, N_USERS * K))
    targets = pd.DataFrame({"user_id": user, "item_id": wanted}).drop_duplicates(ignore_index=True)
    return lists, targets


def by_ours(lists: pd.DataFrame, targets: pd.DataFrame) -> Values:
    """The whole table of eight metrics; two of its columns are compared."""
    from interest_lib.ranking_metrics import accuracy_table  # noqa: PLC0415

    table = accuracy_table(lists, targets, K)
    return {"ndcg": float(table["ndcg"].mean()), "recall": float(table["recall"].mean())}


def by_rectools(lists: pd.DataFrame, targets: pd.DataFrame) -> Values:
    from rectools.metrics import NDCG, Recall, calc_metrics  # noqa: PLC0415

    wanted = {"ndcg": NDCG(K, divide_by_achievable=True), "recall": Recall(K)}
    return calc_metrics(wanted, lists, targets)


def by_ranx(lists: pd.DataFrame, targets: pd.DataFrame) -> Values:
    """As its manual has it: ids as text, then two objects from DataFrames, then the metrics."""
    from ranx import Qrels, Run, evaluate  # noqa: PLC0415

    named = lists[["user_id", "item_id"]].astype(str).assign(score=lists["score"])
    wanted = targets.astype(str).assign(relevance=1)
    qrels = Qrels.from_df(wanted, q_id_col="user_id", doc_id_col="item_id", score_col="relevance")
    run = Run.from_df(named, q_id_col="user_id", doc_id_col="item_id", score_col="score")
    found = evaluate(qrels, run, [f"ndcg@{K}", f"recall@{K}"])
    return {"ndcg": float(found[f"ndcg@{K}"]), "recall": float(found[f"recall@{K}"])}


SIDES: dict[str, tuple[str, Callable[[pd.DataFrame, pd.DataFrame], Values], int]] = {
    "ours": (sys.executable, by_ours, REPEATS),
    "rectools": (str(PEERS), by_rectools, REPEATS),
    "ranx": (str(PEERS), by_ranx, 1),
}


def measured(side: str, folder: Path) -> dict[str, object]:
    """Values and seconds of one side, in this process; the first turn warms up and does not count."""
    lists, targets = (pd.read_parquet(folder / f"{name}.parquet") for name in ("lists", "targets"))
    _, work, repeats = SIDES[side]
    seconds = []
    for _ in range(1 + repeats):
        begin = time.process_time()
        values = work(lists, targets)
        seconds.append(time.process_time() - begin)
    return {"values": values, "seconds": statistics.median(seconds[1:]), "pandas": version("pandas")}


def in_own_environment(side: str, folder: Path) -> dict[str, dict[str, float]]:
    command = [SIDES[side][0], str(Path(__file__).resolve()), side, str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    from interest_lib.layout import write_json  # noqa: PLC0415

    with TemporaryDirectory() as name:
        for table, path in zip(made_up(), ("lists", "targets"), strict=True):
            table.to_parquet(Path(name, f"{path}.parquet"))
        found = {side: in_own_environment(side, Path(name)) for side in SIDES}
    for side, each in found.items():
        for metric, value in each["values"].items():
            assert abs(value - found["ours"]["values"][metric]) < 1e-9, (side, metric)
    ratios = {
        f"{side}_over_ours": found[side]["seconds"] / found["ours"]["seconds"]
        for side in ("rectools", "ranx")
    }
    write_json(RESULTS, {"bounds": BOUNDS, "found": ratios, "sides": found, "users": N_USERS, "items": K})
    for key, bound in BOUNDS.items():
        met = "met" if ratios[key] >= bound else "MISSED"
        print(f"{key} {ratios[key]:.1f}, at least {bound:g}: {met}")
    return int(not all(ratios[key] >= bound for key, bound in BOUNDS.items()))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]))))
    else:
        sys.exit(main())
