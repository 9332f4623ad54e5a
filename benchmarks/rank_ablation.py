"""What each notebook's features contribute to the ranker, at the newest origin before the test origin.

    python benchmarks/rank_ablation.py [--moments 3] [--jobs 2] [--folder FOLDER]

Every group of features is left out in turn, and kept alone in turn: two models of trees each time, with the
settings that `make tune` found. See README.md beside this file.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from interest_lib import datasets, engine, prepare
from interest_lib.contenders import SLICES, winners
from interest_lib.ranker import Ranker
from interest_lib.ranker_ablation import ablation
from interest_lib.ranker_promotions import complete_journey_promotions
from interest_lib.ranker_tables import KeptTables
from interest_lib.schema import InputError
from interest_lib.split import fold_at, rolling_origins

RESULTS = Path(__file__).parent / "results"
HORIZON_DAYS = 28


def table(log: prepare.CleanLog, n_moments: int, n_jobs: int, tuned: Path) -> pd.DataFrame:
    """The ablation on an origin whose targets end before the test origin; nothing later is in the log."""
    test, origin = rolling_origins(log.events, HORIZON_DAYS, 2)
    fold = fold_at(log.events[log.events["timestamp"] < test], origin, HORIZON_DAYS)
    won = winners(tuned)
    with TemporaryDirectory() as folder:
        ranker = Ranker(
            log.items,
            log.users,
            complete_journey_promotions(),
            n_moments=n_moments,
            settings={which: won[which]["ranker"] for which in SLICES},
            n_jobs=n_jobs,
            tables=KeptTables(Path(folder)),
        )
        found = ablation(ranker, fold)
    return pd.concat({fold.label: found}, names=["origin"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--moments", type=int, default=3, help="earlier moments that are learned from")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where rank_ablation.csv is kept")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        log = prepare.clean(datasets.load(engine.connect()))
        found = table(log, given.moments, given.jobs, RESULTS / "tune_recommenders.csv")
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    found.round(6).to_csv(given.folder / "rank_ablation.csv")
    print(found.round(4).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
