"""What the inputs of the LSTM are worth: each group of them left out in turn, on earlier quarters alone.

    python benchmarks/visit_inputs.py [--seeds 3] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from sklearn.base import clone

from interest_lib import datasets, engine, prepare
from interest_lib.forecasts import Forecaster, ShrunkShares, tuned
from interest_lib.layout import written_whole
from interest_lib.market_moves import marketplace_moves
from interest_lib.marketplace import generate
from interest_lib.marketplace_settings import Marketplace
from interest_lib.metrics import bootstrap_mean
from interest_lib.migration import forecast_errors, period_counts, perplexity
from interest_lib.moves import Move, move_at
from interest_lib.schema import InputError
from interest_lib.split import quarters
from interest_lib.visit_sequence import VisitForecast
from interest_lib.visit_table import INPUTS

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
PERIOD_DAYS, ACTIVE = 91, [5, 5, 5, 20]  # as in notebook 04
TEST = "2017-10-01"  # the quarter on which notebook 04 tests; nothing from that day on is read
NEAR = ShrunkShares(half_life_days=120, n_neighbours=200, strength=80, neighbour_share=0.9)
SHORT = {"half_life_days": [3, 5, 7, 14, 28, 56], "strength": [1, 2, 5, 10, 40]}  # regimes last for days


def quarters_of_journey() -> tuple[list[Move], Move]:
    """The move from the first quarter to the second, to learn from, and that to the third, to judge on."""
    log = prepare.clean(datasets.load(engine.connect()))
    items = log.items[log.items["department"] != "COUPON"]
    events = log.events.merge(items[["item_id", "category"]], on="item_id").assign(weight=1.0)
    buying = events.dropna(subset=["category"])
    counts = period_counts(buying, quarters(buying["timestamp"], PERIOD_DAYS, n_periods=4), ACTIVE)
    first = buying["timestamp"].min()
    test = first + pd.Timedelta(days=3 * PERIOD_DAYS)
    assert f"{test:%Y-%m-%d}" == TEST, "the test quarter has moved"
    told = events[events["timestamp"].between(first, test, "left")]
    moments = [first + pd.Timedelta(days=n * PERIOD_DAYS) for n in (1, 2)]
    learned, judge = (move_at(told, at, PERIOD_DAYS, *counts[1:]) for at in moments)
    return [learned], judge


def months_of_marketplace() -> tuple[list[Move], Move]:
    """Months of a simulated shop in which interest migrates: two to learn from, the next one to judge on."""
    shop = Marketplace(generator="regimes", global_change_at=1.0, n_users=300, seed=2018)
    with TemporaryDirectory() as folder:
        *learned, judge, _ = marketplace_moves(generate(shop, Path(folder) / "shop", n_jobs=1), n_moves=4)
    return learned, judge


def losses(known: list[Move], judge: Move, model: Forecaster, seeds: int) -> pd.DataFrame:
    """Errors of every user, a mean over seeds, with a column of their squared errors for every seed."""
    by_seed = []
    for seed in range(seeds):
        if isinstance(model, VisitForecast):
            model.set_params(random_state=seed)
        by_seed.append(forecast_errors(model.fit(known).predict(judge), judge.future))
    mean = sum(by_seed[1:], start=by_seed[0]) / seeds
    return mean.assign(**{f"seed {n}": each["squared_error"] for n, each in enumerate(by_seed)})


def worth(log: str, known: list[Move], judge: Move, whole: VisitForecast, seeds: int) -> list[Row]:
    """What is lost without each group of inputs, without all of them, and without the network."""
    without = {"nothing": (), **{group: (group,) for group in INPUTS}, "all inputs": tuple(INPUTS)}
    models: dict[str, Forecaster] = {
        name: clone(whole).set_params(without=groups) for name, groups in without.items()
    }
    models["the LSTM"] = whole.base
    rows, best = [], None
    for name, model in models.items():
        errors = losses(known, judge, model, seeds)
        best = errors if best is None else best
        lost = 1000 * (errors - best)
        saved = bootstrap_mean(lost["squared_error"], 0)
        row = {
            "log": log,
            "without": name,
            "sse1000": float(1000 * errors["squared_error"].mean()),
            "perplexity": perplexity(errors),
            "sse1000_lost": saved.value,
            "low": saved.low,
            "high": saved.high,
            "lost_by_seed": " ".join(f"{lost[f'seed {seed}'].mean():.3f}" for seed in range(seeds)),
        }
        print(", ".join(f"{x:.3f}" if isinstance(x, float) else str(x) for x in row.values()), flush=True)
        rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of the networks, averaged over")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where visit_inputs.csv is kept")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        learned, judge = months_of_marketplace()
        base, _ = tuned(ShrunkShares(), SHORT, [], learned[-1], n_tries=30)
        lstm = VisitForecast(base, n_last=40, rank=32, n_networks=1)
        rows = worth("marketplace", learned, judge, lstm, given.seeds)
        lstm = VisitForecast(NEAR, n_networks=1)
        rows += worth("complete_journey", *quarters_of_journey(), lstm, given.seeds)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    with written_whole(given.folder / "visit_inputs.csv") as beside:
        pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.4f", lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
