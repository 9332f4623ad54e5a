"""Equal budgets for the next basket of Ta-Feng: settings tried on one half of the users, for the other half.

    python benchmarks/tune_baskets.py [--trials 30] [--seed 2017] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pandas as pd
import tuning
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from interest_lib import datasets, engine, next_basket, prepare
from interest_lib.curves import CURVES
from interest_lib.schema import InputError

RESULTS = Path(__file__).parent / "results"
K = 10

NEIGHBOURS = IntDistribution(30, 1000, log=True)
MODEL_SPACES: dict[str, dict[str, BaseDistribution]] = {
    "tifuknn": {
        "n_groups": IntDistribution(2, 15),
        "within_decay_rate": FloatDistribution(0.5, 1.0),
        "group_decay_rate": FloatDistribution(0.3, 1.0),
        "n_neighbours": NEIGHBOURS,
        "alpha": FloatDistribution(0.02, 0.98),
    },
    "upcf": {
        "recency": IntDistribution(1, 100, log=True),
        "locality": FloatDistribution(0.5, 20.0, log=True),
        "alpha": FloatDistribution(0.0, 1.0),
        "n_neighbours": NEIGHBOURS,
    },
    "paced_frequency": {
        "fade_per_basket": FloatDistribution(0.7, 1.0),
        "propensity_baskets": FloatDistribution(10.0, 500.0, log=True),
        "propensity_power": FloatDistribution(0.0, 1.2),
        "pace_baskets": FloatDistribution(10.0, 1000.0, log=True),
        "neighbour_weight": FloatDistribution(0.05, 3.0, log=True),
        "n_neighbours": NEIGHBOURS,
        "follower_weight": FloatDistribution(0.005, 1.0, log=True),
        "popularity_weight": FloatDistribution(0.01, 3.0, log=True),
    },
    "nearest_users": {
        "half_life_baskets": FloatDistribution(1.0, 100.0, log=True),
        "n_neighbours": NEIGHBOURS,
        "own_weight": FloatDistribution(0.02, 0.98),
    },
    "personal_frequency": {
        "half_life_baskets": FloatDistribution(1.0, 1000.0, log=True),
        "curve": CategoricalDistribution(CURVES),
    },
}
# the published settings, or the defaults: every contender's first trial
FIRST: dict[str, tuning.Row] = {
    "nearest_users": {"half_life_baskets": 10.0, "n_neighbours": 100, "own_weight": 0.8},
    "personal_frequency": {"half_life_baskets": 10.0, "curve": "exponential"},
} | {name: next_basket.MODELS[name]().get_params() for name in ("tifuknn", "upcf", "paced_frequency")}

# a half of the users is a contender of its own, so that nothing about the other half leads its search
CONTENDERS = {f"{name}.{half}": (name, half) for name in MODEL_SPACES for half in next_basket.HALVES}
SEARCH = tuning.Search(
    {contender: MODEL_SPACES[name] for contender, (name, _) in CONTENDERS.items()},
    {contender: FIRST[name] for contender, (name, _) in CONTENDERS.items()},
    judged_by=f"recall{K}",
    maximise=True,
)


def tune(events: pd.DataFrame, n_trials: int, seed: int, path: Path) -> list[tuning.Row]:
    """Trials of all contenders, the same number of each."""
    fold = next_basket.last_basket_fold(events)
    halves = next_basket.halves(fold.user_ids, seed)

    def judge(turn: tuning.Turn) -> Iterator[tuple[str, tuning.Row]]:
        for contender, settings in turn.items():
            name, half = CONTENDERS[contender]
            mean = next_basket.scored(fold, next_basket.MODELS[name](**settings), halves[half], K).mean()
            yield contender, {f"recall{K}": round(mean["recall"], 6), f"ndcg{K}": round(mean["ndcg"], 6)}

    return tuning.take_turns(SEARCH, judge, n_trials, seed, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--trials", type=int, default=30, help="of each contender and half, with earlier starts"
    )
    seed = next_basket.HALVES_SEED
    parser.add_argument("--seed", type=int, default=seed, help="of the search and of the halves")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where tune_baskets.csv is kept")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        log = prepare.clean(datasets.load(engine.connect(), "tafeng_baskets"))
        rows = tune(log.events, given.trials, given.seed, given.folder / "tune_baskets.csv")
        tuning.summary(SEARCH, rows)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
