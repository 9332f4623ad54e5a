"""What the luck of a seed is worth: models whose training draws numbers, trained several times.

    python benchmarks/seed_spread.py [--seeds 3] [--only CONTENDER ...] [--jobs 2] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import joblib
import pandas as pd
from tune_recommenders import HALF_LIFE, K, ranker_of, validation_fold

from interest_lib import datasets, engine, prepare
from interest_lib.contenders import CHANCE, SLICES, Maker, Settings, contenders, winners
from interest_lib.layout import scratch_folder
from interest_lib.metrics import ndcg_by_slice
from interest_lib.ranker_tables import KeptTables
from interest_lib.recommend import recommend_all
from interest_lib.schema import InputError
from interest_lib.split import Fold

RESULTS = Path(__file__).parent / "results"


def score(name: str, which: str, make: Maker, settings: Settings, seed: int, fold: Fold) -> dict[str, object]:
    """NDCG of one training with the settings that won on a slice."""
    lists = recommend_all({name: make(**settings)}, fold, (which,), K, n_jobs=1)
    ndcg = float(ndcg_by_slice(lists, fold, K)[which, name].mean())
    return {"contender": name, "slice": which, "seed": seed, f"ndcg{K}": round(ndcg, 6)}


def table(
    log: prepare.CleanLog, seeds: range, n_jobs: int, tuned: Path, only: Sequence[str] = ()
) -> pd.DataFrame:
    """A row for each training, on the origin before the test origin."""
    fold, won = validation_fold(log.events), winners(tuned)
    tasks = []
    for seed in seeds:
        kept = KeptTables(scratch_folder(f"ranker-{seed}"))  # features are drawn, too
        makers = contenders(log.items, log.users, HALF_LIFE, seed=seed)
        found = {name: makers[name] for name in CHANCE if name in makers}
        found["ranker"] = partial(ranker_of, log.items, log.users, kept, seed)
        found = {name: make for name, make in found.items() if not only or name in only}
        tasks += [(n, w, make, won[w].get(n, {}), seed, fold) for n, make in found.items() for w in SLICES]
    tasks.sort(key=lambda task: SLICES.index(task[1]))  # the ranker's tables are made for the first slice
    rows = joblib.Parallel(n_jobs, batch_size=1)(joblib.delayed(score)(*task) for task in tasks)
    return pd.DataFrame(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    parser.add_argument("--only", nargs="+", default=[], choices=[*CHANCE, "ranker"], help="the others stay")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at the same time")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where seed_spread.csv is kept")
    given = parser.parse_args()
    try:
        log = prepare.clean(datasets.load(engine.connect()))
        seeds = range(2017, 2017 + given.seeds)
        found = table(log, seeds, given.jobs, RESULTS / "tune_recommenders.csv", given.only)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "seed_spread.csv"
    if given.only and path.is_file():
        before = pd.read_csv(path)
        found = pd.concat([before[~before["contender"].isin(given.only)], found])
    found = found.sort_values(["contender", "slice", "seed"], ignore_index=True)
    found.to_csv(path, index=False)
    print(found.groupby(["slice", "contender"])[f"ndcg{K}"].agg(["mean", "std", "min", "max"]).round(4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
