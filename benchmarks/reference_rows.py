"""The published rows of protocol P1, with their settings and without any tuning: do we measure the same?

    python benchmarks/reference_rows.py [--jobs 2] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from interest_lib import datasets, engine, prepare
from interest_lib.ease import EASE
from interest_lib.factorisation import ALS, LightFMWarp
from interest_lib.item_neighbours import SAR, ItemNeighbours
from interest_lib.layout import write_json
from interest_lib.metrics import ndcg_by_slice
from interest_lib.recommend import (
    NearestUsers,
    PersonalFrequency,
    RecentPopularity,
    Recommender,
    recommend_all,
)
from interest_lib.schema import InputError
from interest_lib.split import fold_at

Maker = Callable[..., Recommender]
RESULTS = Path(__file__).parent / "results"
ORIGINS = {"validation": "2017-11-06", "test": "2017-12-04"}
TOLERANCE = 0.002
FADED = {"half_life_days": 90.0}
LOGS = {"weights": "logs", **FADED}
SEEDS = range(5)  # of those whose training draws numbers
MODELS: dict[str, Maker] = {
    "recent popularity": RecentPopularity,
    "personal": PersonalFrequency,
    **{f"personal, half-life {days} d": partial(PersonalFrequency, days) for days in (180, 90, 60, 14)},
    "nearest users": partial(NearestUsers, 90.0, n_neighbours=100, own_weight=0.8),
    "EASE, log of decayed counts": partial(EASE, 100.0, 90.0, n_items=8000),
    "item neighbours, cosine": partial(ItemNeighbours, "cosine", 50, binary=True),
    "item neighbours, BM25": partial(ItemNeighbours, "bm25", 50),
    **{f"SAR, half-life {days} d": partial(SAR, days) for days in (30.0, 90.0)},
    "SAR, no fading": SAR,
    "ALS, binary": partial(ALS, 64, 0.05, alpha=10.0),
    "ALS, decayed": partial(ALS, 64, 0.05, alpha=10.0, **LOGS),
    "LightFM, binary": partial(LightFMWarp, 64, 10, 0.05),
    "LightFM, decayed": partial(LightFMWarp, 64, 10, 0.05, **LOGS),
}
# all / novel, as printed in the protocol; None where it has no figure
PUBLISHED: Mapping[str, Mapping[str, tuple[float | None, float | None]]] = {
    "validation": {
        "recent popularity": (0.1801, 0.0397),
        "personal": (0.3842, None),
        "personal, half-life 180 d": (0.3988, None),
        "personal, half-life 90 d": (0.4045, None),
        "personal, half-life 60 d": (0.4027, None),
        "personal, half-life 14 d": (0.3450, None),
        "nearest users": (0.4106, 0.0398),
        "EASE, log of decayed counts": (0.3496, 0.0486),
        "ALS, binary": (0.1157, 0.0335),
        "ALS, decayed": (0.1660, 0.0433),
        "LightFM, binary": (0.1571, 0.0366),
        "LightFM, decayed": (0.1845, 0.0374),
    },
    "test": {
        "recent popularity": (0.1687, 0.0459),
        "personal": (0.3945, None),
        "personal, half-life 180 d": (0.4093, None),
        "personal, half-life 90 d": (0.4109, None),
        "personal, half-life 60 d": (0.4062, None),
        "nearest users": (0.4195, 0.0411),
        "EASE, log of decayed counts": (0.3597, 0.0520),
        "item neighbours, cosine": (0.1651, 0.0420),
        "item neighbours, BM25": (0.2566, 0.0347),
        "SAR, half-life 30.0 d": (0.2787, 0.0428),
        "SAR, half-life 90.0 d": (0.2717, 0.0427),
        "SAR, no fading": (0.1407, 0.0431),
    },
}


def runs_of(name: str) -> dict[str, Recommender]:
    """The model, once for every seed where training draws numbers."""
    make = MODELS[name]
    if "random_state" not in inspect.signature(make).parameters:
        return {name: make()}
    return {f"{name}, seed {seed}": make(random_state=seed) for seed in SEEDS}


def measured(log: prepare.CleanLog, period: str, n_jobs: int) -> list[dict[str, str | float | list[float]]]:
    """One row for every published figure of an origin: the mean over seeds, and what each seed gives."""
    fold = fold_at(log.events, pd.Timestamp(ORIGINS[period]))
    runs = {name: runs_of(name) for name in PUBLISHED[period]}
    models = {label: model for of_name in runs.values() for label, model in of_name.items()}
    ndcg = ndcg_by_slice(recommend_all(models, fold, n_jobs=n_jobs), fold).mean()
    rows = []
    for name, figures in PUBLISHED[period].items():
        for which, figure in zip(("all", "novel"), figures, strict=True):
            if figure is None:
                continue
            found = [round(float(ndcg[which, label]), 6) for label in runs[name]]
            row = {"origin": ORIGINS[period], "slice": which, "model": name, "published": figure}
            rows.append(row | {"measured": round(sum(found) / len(found), 6), "by_seed": found})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="models fitted at the same time")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where reference_rows.json is kept")
    given = parser.parse_args()
    try:
        log = prepare.clean(datasets.load(engine.connect()))
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    rows = [row for period in ORIGINS for row in measured(log, period, given.jobs)]
    table = pd.DataFrame(rows)
    table["off"] = (table["measured"] - table["published"]).round(4)
    print(table.to_string(index=False))
    given.folder.mkdir(parents=True, exist_ok=True)
    write_json(given.folder / "reference_rows.json", {"tolerance": TOLERANCE, "rows": rows})
    return int((table["off"].abs() > TOLERANCE).any())


if __name__ == "__main__":
    sys.exit(main())
