"""Equal budgets for the models of rates: settings tried on the two newest origins before the test origin.

    python benchmarks/tune_rates.py [--trials 8] [--seed 2017] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import tuning
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from interest_lib import datasets, engine, prepare
from interest_lib.category_rates import CategoryDecay
from interest_lib.curves import CURVES
from interest_lib.dynamic import DynamicDecay
from interest_lib.metrics import ndcg_at_k
from interest_lib.recommend import PersonalFrequency, Recommender
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at, rolling_origins

RESULTS = Path(__file__).parent / "results"
HORIZON_DAYS, N_EARLIER, K = 28, 2, 10
HALF_LIFE_DAYS = 90.0  # for all events where the rate is not learned, as chosen in notebook 03
TEST = "2017-12-04"  # the test origin of Complete Journey

NETWORK: dict[str, BaseDistribution] = {
    "n_origins": IntDistribution(1, 6),
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "n_hidden": CategoricalDistribution((16, 32, 64, 128)),
    "n_embedding": IntDistribution(2, 16),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "batch_size": CategoricalDistribution((2048, 8192, 16384)),
    "n_epochs": IntDistribution(2, 8),
}
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "global": {
        "curve": CategoricalDistribution(CURVES),
        "half_life_days": FloatDistribution(20, 400, log=True),
    },
    "category": {
        "n_origins": IntDistribution(1, 6),
        "pooling_returns": FloatDistribution(5, 500, log=True),
        "weights": CategoricalDistribution((True, False)),
        "background": CategoricalDistribution((True, False)),
    },
    "dynamic_weights": NETWORK,
    "dynamic": NETWORK,
}
# what the study took before anything was tuned; it is every contender's first trial
UNTUNED_NETWORK = {
    "n_origins": 3,
    "learning_rate": 3e-3,
    "n_hidden": 64,
    "n_embedding": 8,
    "weight_decay": 1e-5,
    "batch_size": 8192,
    "n_epochs": 4,
}
UNTUNED: dict[str, tuning.Row] = {
    "global": {"curve": "exponential", "half_life_days": HALF_LIFE_DAYS},
    "category": {"n_origins": 3, "pooling_returns": 50.0, "weights": True, "background": True},
    "dynamic_weights": UNTUNED_NETWORK,
    "dynamic": UNTUNED_NETWORK,
}
SEARCH = tuning.Search(SPACES, UNTUNED, judged_by="mean", maximise=True)


def model(contender: str, item_category: pd.Series, seed: int, **settings: Any) -> Recommender:
    if contender == "global":
        return PersonalFrequency(**settings)
    if contender == "category":
        return CategoryDecay(item_category, **settings)
    if contender == "dynamic_weights":
        settings |= {"rates": False, "half_life_days": HALF_LIFE_DAYS}
    return DynamicDecay(item_category, random_state=seed, **settings)


def earlier_folds(events: pd.DataFrame) -> list[Fold]:
    """The newest origins before the test origin; nothing from the test origin on is left in the log."""
    test, *earlier = rolling_origins(events, HORIZON_DAYS, 1 + N_EARLIER)
    assert str(test.date()) == TEST, "the test origin has moved"
    known = events[events["timestamp"] < test]
    folds = [fold_at(known, origin, HORIZON_DAYS) for origin in earlier]
    assert len(folds) == N_EARLIER
    assert all(origin + pd.Timedelta(days=HORIZON_DAYS) <= test for origin in earlier)
    return folds


def scored(folds: list[Fold], make: Callable[[], Recommender]) -> dict[str, float]:
    """Mean NDCG of a model at every origin, and of all origins."""
    found = {}
    for fold in folds:
        assert fold.label < TEST
        lists = make().fit(fold.history).recommend(fold.user_ids, K)
        found[f"ndcg{K}.{fold.label}"] = round(float(ndcg_at_k(lists, fold.targets, K).mean()), 6)
    return found | {"mean": round(sum(found.values()) / len(found), 6)}


def tune(log: prepare.CleanLog, n_trials: int, seed: int, path: Path) -> list[tuning.Row]:
    """Trials of all contenders, the same number of each."""
    folds = earlier_folds(log.events)
    item_category = log.items.set_index("item_id")["category"]

    def judge(turn: tuning.Turn) -> Iterator[tuple[str, tuning.Row]]:
        for name, settings in turn.items():
            yield name, scored(folds, lambda n=name, s=settings: model(n, item_category, seed, **s))

    return tuning.take_turns(SEARCH, judge, n_trials, seed, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=8, help="of each contender, with earlier starts")
    parser.add_argument("--seed", type=int, default=2017, help="of the search and of the networks")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where tune_rates.csv is kept")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        log = prepare.clean(datasets.load(engine.connect()))
        rows = tune(log, given.trials, given.seed, given.folder / "tune_rates.csv")
        tuning.summary(SEARCH, rows)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
