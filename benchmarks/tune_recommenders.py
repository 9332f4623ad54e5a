"""Equal budgets for the recommenders of notebook 06: settings tried on the origin before the test origin.

    python benchmarks/tune_recommenders.py [--trials 8] [--jobs 2] [--seed 2017] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import joblib
import optuna
import pandas as pd
import tuning
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from interest_lib import datasets, engine, prepare
from interest_lib.contenders import SLICES, Maker, contenders
from interest_lib.curves import CURVES
from interest_lib.layout import scratch_folder
from interest_lib.metrics import ndcg_at_k
from interest_lib.ranker import START, Ranker
from interest_lib.ranker_promotions import complete_journey_promotions
from interest_lib.ranker_tables import KeptTables
from interest_lib.schema import InputError
from interest_lib.split import Fold, fold_at, rolling_origins

RESULTS = Path(__file__).parent / "results"
HORIZON_DAYS, K = 28, 10
TEST = "2017-12-04"  # the test origin of Complete Journey
HALF_LIFE = {"half_life_days": 90.0}  # as chosen in notebook 03


def magnitude(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


def share(low: float = 0.0, high: float = 1.0) -> FloatDistribution:
    return FloatDistribution(low, high)


def count(low: int, high: int) -> IntDistribution:
    return IntDistribution(low, high, log=True)


FADING: dict[str, BaseDistribution] = {
    "half_life_days": magnitude(20, 1000)
}  # the end is as good as no fading
ALS: dict[str, BaseDistribution] = {
    "n_factors": count(8, 128),
    "alpha": magnitude(0.1, 40),
    "regularization": magnitude(1e-3, 10),
}
LIGHTFM: dict[str, BaseDistribution] = {
    "n_factors": count(8, 96),
    "n_epochs": count(2, 15),
    "learning_rate": magnitude(0.01, 0.1),
}
STATIC: dict[str, BaseDistribution] = {
    "half_life_days": magnitude(30, 400),
    "strength": magnitude(5, 200),
    "item_half_life_days": magnitude(30, 400),
    "popular_purchases": magnitude(0.1, 10),
}
STATIC_FACTORS: dict[str, BaseDistribution] = {"n_factors": count(8, 128), **FADING}
SPACES: dict[str, dict[str, BaseDistribution]] = {
    "personal_tuned": {"curve": CategoricalDistribution(CURVES), **FADING},
    "paced": {
        "fade_per_basket": share(0.6),
        "propensity_power": share(),
        "pace_baskets": magnitude(5, 500),
        "neighbour_weight": share(0.0, 2.0),
        "n_neighbours": count(20, 1000),
        "follower_weight": share(0.0, 0.5),
        "popularity_weight": share(0.0, 0.5),
    },
    "up_cf": {
        "recency": count(1, 120),
        "locality": magnitude(0.5, 50),
        "alpha": share(),
        "n_neighbours": count(20, 1000),
    },
    "tifu_knn": {
        "n_groups": count(1, 30),
        "within_decay_rate": share(0.5),
        "group_decay_rate": share(0.3),
        "n_neighbours": count(20, 1000),
        "alpha": share(),
    },
    "neighbours": {**FADING, "n_neighbours": count(20, 1000), "own_weight": share()},
    "item_neighbours": {
        **FADING,
        "weighting": CategoricalDistribution(("cosine", "bm25")),
        "n_neighbours": count(10, 500),
        "binary": CategoricalDistribution((True, False)),
    },
    "ease": {**FADING, "ridge": magnitude(10, 3000)},
    "als": ALS,
    "als_decay": {**ALS, **FADING},
    "bpr": {
        "n_factors": count(8, 128),
        "n_iterations": count(20, 200),
        "learning_rate": magnitude(0.01, 0.2),
        "regularization": magnitude(1e-4, 0.1),
    },
    "lightfm": LIGHTFM,
    "lightfm_decay": {**LIGHTFM, **FADING},
    "lightfm_hybrid": {**LIGHTFM, **FADING},
    "light_gcn": {
        **FADING,
        "n_layers": IntDistribution(1, 3),
        "n_updates": count(50, 300),
        "learning_rate": magnitude(0.003, 0.1),
        "penalty": magnitude(1e-5, 1e-1),
    },
    "transformer": {
        "n_hidden": IntDistribution(32, 96, step=8),
        "length": count(50, 200),
        "reach": count(20, 100),
        "learning_rate": magnitude(1e-3, 1e-2),
        "dropout": share(0.0, 0.5),
    },
    "static": STATIC,
    "migrated": {**STATIC, "n_moves": IntDistribution(1, 6)},
    "static_factors": STATIC_FACTORS,
    "migrated_factors": {**STATIC_FACTORS, "ridge": magnitude(1, 10_000), "n_moves": IntDistribution(1, 6)},
    "content": {
        **FADING,
        "encoder": CategoricalDistribution(("sentences", "terms")),
        "popularity_weight": magnitude(0.001, 1),
    },
    "blend": {"ease": magnitude(0.03, 30), "popularity": magnitude(0.003, 3), "ridge": magnitude(10, 3000)},
    "ranker": {
        "n_trees": count(100, 300),
        "learning_rate": magnitude(0.02, 0.15),
        "num_leaves": count(15, 63),
        "feature_fraction": share(0.2),
        "min_data_in_leaf": count(20, 500),
        "lambda_l2": magnitude(0.1, 100),
        "negative_share": magnitude(0.1, 0.5),
    },
}


def untuned(make: Maker, space: dict[str, BaseDistribution]) -> tuning.Row:
    """What a contender starts from: the settings that it has without being told any."""
    told = inspect.signature(make).parameters
    return {name: told[name].default for name in space}


def ranker_of(
    items: pd.DataFrame,
    users: pd.DataFrame,
    tables: KeptTables,
    seed: int,
    n_trees: int = START["n_trees"],
    learning_rate: float = START["learning_rate"],
    num_leaves: int = START["num_leaves"],
    feature_fraction: float = START["feature_fraction"],
    min_data_in_leaf: int = START["min_data_in_leaf"],
    lambda_l2: float = START["lambda_l2"],
    negative_share: float = START["negative_share"],
) -> Ranker:
    """The study's ranker, with the same settings of both its models and one draw of each."""
    settings = {
        "n_trees": n_trees,
        "learning_rate": learning_rate,
        "num_leaves": num_leaves,
        "feature_fraction": feature_fraction,
        "min_data_in_leaf": min_data_in_leaf,
        "lambda_l2": lambda_l2,
        "negative_share": negative_share,
    }
    return Ranker(
        items,
        users,
        complete_journey_promotions(),
        settings={"all": settings, "novel": settings},
        n_seeds=1,
        random_state=seed,
        tables=tables,
    )


def validation_fold(events: pd.DataFrame) -> Fold:
    """The newest origin before the test origin; nothing from the test origin on is left in the log."""
    test, validation = rolling_origins(events, HORIZON_DAYS, 2)
    assert str(test.date()) == TEST, "the test origin has moved"
    assert validation + pd.Timedelta(days=HORIZON_DAYS) <= test
    return fold_at(events[events["timestamp"] < test], validation, HORIZON_DAYS)


def scored(fold: Fold, make: Maker, settings: tuning.Row) -> tuning.Row:
    """Mean NDCG of a contender with these settings, on everything bought and on what is new."""
    assert fold.label < TEST
    model = make(**settings).fit(fold.history)
    targets = {"all": fold.targets, "novel": fold.targets[fold.targets["novel"]]}
    found = {}
    for which in SLICES:
        lists = model.recommend(fold.user_ids, K, exclude_seen=which == "novel")
        found[f"ndcg{K}.{which}"] = round(float(ndcg_at_k(lists, targets[which], K).mean()), 6)
    return found


def judged(name: str, fold: Fold, make: Maker, settings: tuning.Row) -> tuple[str, tuning.Row]:
    return name, scored(fold, make, settings)


def tune(log: prepare.CleanLog, n_trials: int, n_jobs: int, seed: int, path: Path) -> list[tuning.Row]:
    """Trials of all contenders, the same number of each; all and novel lead the search in turns."""
    fold = validation_fold(log.events)
    makers = contenders(log.items, log.users, HALF_LIFE, seed=seed)
    makers["ranker"] = partial(ranker_of, log.items, log.users, KeptTables(scratch_folder("ranker")), seed)
    search = search_of(makers)

    def judge(turn: tuning.Turn) -> Iterator[tuple[str, tuning.Row]]:
        tasks = (
            joblib.delayed(judged)(name, fold, makers[name], settings) for name, settings in turn.items()
        )
        return joblib.Parallel(n_jobs, batch_size=1, return_as="generator_unordered")(tasks)

    return tuning.take_turns(search, judge, n_trials, seed, path)


def search_of(makers: dict[str, Maker]) -> tuning.Search:
    """All contenders with settings; those that need a table which is not there are left out."""
    spaces = {name: space for name, space in SPACES.items() if name in makers}
    first = {name: untuned(makers[name], space) for name, space in spaces.items()}
    by = tuple(f"ndcg{K}.{which}" for which in SLICES)
    return tuning.Search(spaces, first, judged_by=by[0], maximise=True, guided_by=by)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=8, help="of each contender, with earlier starts")
    parser.add_argument("--jobs", type=int, default=2, help="contenders tried at the same time")
    parser.add_argument("--seed", type=int, default=2017, help="of the search and of training")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where tune_recommenders.csv is kept")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "tune_recommenders.csv"
    try:
        log = prepare.clean(datasets.load(engine.connect()))
        rows = tune(log, given.trials, given.jobs, given.seed, path)
        tuning.summary(search_of(contenders(log.items, log.users, HALF_LIFE) | {"ranker": ranker_of}), rows)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
