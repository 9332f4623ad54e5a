"""Recommenders of others on the study's split: quality, seconds and memory.

    python benchmarks/bench_peers.py [--only PEER ...] [--folder FOLDER]

Goes on where it was cut short. See README.md beside this file.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from interest_lib import datasets, engine, prepare
from interest_lib.basket_models import TIFUKNN
from interest_lib.history import History
from interest_lib.layout import write_json
from interest_lib.metrics import bootstrap_mean, ndcg_by_slice
from interest_lib.next_basket import last_basket_fold, scored
from interest_lib.ranker_moments import fingerprint
from interest_lib.recommend import RecentPopularity
from interest_lib.schema import InputError
from interest_lib.split import Fold, folds

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
RESULTS, FIGURE = HERE / "results" / "peers.json", HERE / "results" / "peers.png"
WORK = HERE.parent / "artifacts" / "peers"
FULL, NOTEBOOK = HERE.parent / "reports" / "full", "06_recommendation_evaluation"
HORIZON_DAYS, K, SEED, SLICES = 28, 10, 2017, ("all", "novel")
AT_ONCE = 2  # processes; what they cost is measured in seconds of the processor
TEST, VALIDATION = "2017-12-04", "2017-11-06"
PYTHONS = {
    "peers_models": HERE / ".venv" / "bin" / "python",
    "peers_lenskit": HERE / ".venv-lenskit" / "bin" / "python",
    "peers_study": Path(sys.executable),
}
DECAYED: dict[str, Any] = {"weights": "counts", "half_life_days": 90}
FADED: dict[str, Any] = {"weights": "log_counts", "half_life_days": 90}
Settings = dict[str, Any]

# The same number of settings for each; the first are those that its authors or the study's references take.
TRIED: dict[str, tuple[str, list[Settings]]] = {
    "recommenders_sar": (
        "peers_models",
        [
            {"similarity": "jaccard", "half_life_days": 30},
            {"similarity": "jaccard", "half_life_days": 90},
            {"similarity": "cosine", "half_life_days": 30},
            {"similarity": "lift", "half_life_days": 30},
        ],
    ),
    "rectools_ease": (
        "peers_models",
        [
            {"ridge": 500.0, "weights": "ones"},
            {"ridge": 100.0, **FADED},
            {"ridge": 300.0, **FADED},
            {"ridge": 100.0, **FADED, "turned": False},  # as it is released, see peers_models.Ease
        ],
    ),
    "rectools_itemknn": (
        "peers_models",
        [
            {"similarity": "cosine", "n_neighbours": 50, "weights": "ones"},
            {"similarity": "bm25", "n_neighbours": 50, "weights": "counts"},
            {"similarity": "cosine", "n_neighbours": 50, **FADED},
            {"similarity": "bm25", "n_neighbours": 50, **DECAYED},
        ],
    ),
    "implicit_als": (
        "peers_models",
        [
            {"n_factors": 64, "alpha": 10.0, "weights": "ones"},
            {"n_factors": 64, "alpha": 10.0, **DECAYED},
            {"n_factors": 64, "alpha": 1.0, **DECAYED},
            {"n_factors": 64, "alpha": 0.3, **DECAYED},
        ],
    ),
    "implicit_bpr": (
        "peers_models",
        [
            {"n_factors": 64, "learning_rate": 0.05, "n_iterations": 50},
            {"n_factors": 128, "learning_rate": 0.05, "n_iterations": 50},
            {"n_factors": 64, "learning_rate": 0.05, "n_iterations": 50, "regularization": 0.1},
            {"n_factors": 20, "learning_rate": 0.06, "n_iterations": 130, "regularization": 0.08},
        ],
    ),
    "lightfm_warp": (
        "peers_models",
        [
            {"n_factors": 64, "n_epochs": 10, "weights": "ones"},
            {"n_factors": 64, "n_epochs": 10, **DECAYED},
            {"n_factors": 64, "n_epochs": 20, **DECAYED},
            {"n_factors": 32, "n_epochs": 20, **DECAYED},
        ],
    ),
    "rectools_sasrec": (
        "peers_models",
        [
            {"n_factors": 64, "n_epochs": 5, "length": 100, "learning_rate": 0.001},
            {"n_factors": 64, "n_epochs": 15, "length": 100, "learning_rate": 0.001},
            {"n_factors": 64, "n_epochs": 5, "length": 100, "learning_rate": 0.005},
            {"n_factors": 32, "n_epochs": 15, "length": 50, "learning_rate": 0.003},
        ],
    ),
    "lenskit": (
        "peers_lenskit",
        [
            {"kind": "item_knn", "max_nbrs": 20},
            {"kind": "item_knn", "max_nbrs": 100},
            {"kind": "user_knn", "max_nbrs": 100},
            {"kind": "implicit_mf", "embedding_size": 50, "epochs": 10, **DECAYED},
        ],
    ),
    "study_personal": ("peers_study", [{"half_life_days": float(days)} for days in (30, 60, 90, 180)]),
    "study_neighbours": (
        "peers_study",
        [{"half_life_days": float(d), "own_weight": w} for d in (60, 90) for w in (0.7, 0.8)],
    ),
}


def kept_in(fold: Fold) -> Path:
    """The folder of what peers read and leave; another history has another one."""
    return WORK / fingerprint(fold.history)


def export(fold: Fold, folder: Path) -> None:
    """What every peer is told: history in the vocabulary, users with targets, items in tie order."""
    history = fold.history
    assert history.age_days is not None
    events = pd.DataFrame(
        {
            "user_id": history.user_ids[history.rows],
            "item_id": history.item_ids[history.cols],
            "timestamp": pd.Timestamp(fold.label) - pd.to_timedelta(history.age_days, unit="D").round("s"),
            "age_days": history.age_days,
        }
    )
    assert (events["timestamp"] < pd.Timestamp(fold.label)).all()
    folder.mkdir(parents=True, exist_ok=True)
    events.to_parquet(folder / "history.parquet")
    fold.user_ids.to_frame(index=False).to_parquet(folder / "users.parquet")
    history.item_ids.to_frame(index=False).to_parquet(folder / "items.parquet")


def stats_of(peer: str, settings: Settings, folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """One fit in a process of its own, or what an earlier start left of it: costs and lists."""
    program = TRIED[peer][0]
    name = "_".join(f"{value}" for value in settings.values())
    out = folder / peer / name
    if not (out / "stats.json").is_file():
        arguments = [str(folder), peer, json.dumps(settings), str(out)]
        begun = [str(PYTHONS[program]), str(HERE / f"{program}.py"), *arguments]
        done = subprocess.run(begun, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise InputError(f"{peer} with {settings} failed: {done.stderr.strip().splitlines()[-1:]}")
    stats = json.loads((out / "stats.json").read_text(encoding="utf-8"))
    return stats, pd.read_parquet(out / "lists.parquet")


def completed(lists: pd.DataFrame, history: History, user_ids: pd.Index, k: int = K) -> pd.DataFrame:
    """Lists of `k` by the study's tie rule; places that a peer leaves empty get what is popular."""
    popular = RecentPopularity().fit(history)
    parts = []
    for which in SLICES:
        own = lists[lists["slice"] == which]
        rest = popular.recommend(user_ids, 2 * k, which == "novel").assign(score=float("-inf"))
        both = pd.concat([own, rest], ignore_index=True)
        both = both.drop_duplicates(["user_id", "item_id"]).assign(slice=which)
        both["score"] = both["score"].astype("float32")
        both["tie"] = history.item_ids.get_indexer(pd.Index(both["item_id"]))
        both = both.sort_values(["user_id", "score", "tie"], ascending=[True, False, True])
        both["rank"] = both.groupby("user_id").cumcount() + 1
        parts.append(both[both["rank"] <= k])
    return pd.concat(parts, ignore_index=True)[["slice", "user_id", "item_id", "rank", "score"]]


def scores_of(peer: str, settings: Settings, fold: Fold, folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Costs, and NDCG of every user, a column per slice."""
    stats, lists = stats_of(peer, settings, folder)
    ready = completed(lists, fold.history, fold.user_ids).assign(model=peer)
    if n_seen(ready, fold.history):
        raise InputError(f"{peer} shows in its novel lists what the user had before.")
    return stats, ndcg_by_slice(ready, fold, K).droplevel("model", axis=1)


def n_seen(lists: pd.DataFrame, history: History) -> int:
    """How many places of the novel lists hold what the user had before."""
    had = pd.MultiIndex.from_arrays([history.user_ids[history.rows], history.item_ids[history.cols]])
    novel = lists.loc[lists["slice"] == "novel", ["user_id", "item_id"]]
    return int(pd.MultiIndex.from_frame(novel).isin(had).sum())


def bench(peer: str, of: Mapping[str, Fold]) -> dict[str, Any]:
    """All settings of a peer on the validation origin, and the winner of each slice on the test origin."""
    trials = []
    tried = TRIED[peer][1]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        scored = pool.map(
            lambda settings: scores_of(peer, settings, of[VALIDATION], kept_in(of[VALIDATION])), tried
        )
        for settings, (stats, ndcg) in zip(tried, scored, strict=True):
            means = {which: float(ndcg[which].mean()) for which in SLICES}
            trials.append({"settings": settings, "ndcg10": means, **stats})
            print(f"{peer} {settings}: " + ", ".join(f"{w} {v:.4f}" for w, v in means.items()), flush=True)
    rows = {}
    for which in SLICES:
        best = max(trials, key=lambda trial: trial["ndcg10"][which])
        stats, ndcg = scores_of(peer, best["settings"], of[TEST], kept_in(of[TEST]))
        level = vars(bootstrap_mean(ndcg[which].dropna(), SEED))
        rows[which] = {"ndcg10": level, "settings": best["settings"], **stats}
        print(f"{peer} {which} at the test: {level['value']:.4f} with {best['settings']}", flush=True)
    return {"trials": trials, "test": rows}


def tafeng() -> dict[str, Any]:
    """TIFU-KNN with its published settings on the baskets of Ta-Feng, in the reading of the library."""
    fold = last_basket_fold(prepare.clean(datasets.load(engine.connect(), "tafeng_baskets")).events)
    recall = scored(fold, TIFUKNN(), fold.user_ids, K)["recall"]
    return {"recall10": vars(bootstrap_mean(recall, SEED)), "published": 0.1301}


def assert_same_history(found: Mapping[str, Any]) -> None:
    """Every peer has read the same events, to the same moment."""
    for origin in ("trials", "test"):
        rows = [row for each in found.values() for row in _rows(each, origin)]
        read = {(row["last_event"], row["n_events"]) for row in rows}
        assert len(read) == 1, f"peers have not read the same: {read}"


def _rows(found: Mapping[str, Any], origin: str) -> Iterable[dict[str, Any]]:
    return found["trials"] if origin == "trials" else found["test"].values()


def recorded_ranker() -> dict[str, Any]:
    """The study's ranker as notebook 06 measured it at the test: by the clock, with all cores it may take."""
    results = json.loads((FULL / "results" / f"{NOTEBOOK}.json").read_text(encoding="utf-8"))
    clock = json.loads((FULL / "timing.json").read_text(encoding="utf-8"))[NOTEBOOK][
        "recommend.seconds.ranker"
    ]
    cost = {"seconds_fit": clock * results["parameters"]["n_jobs"], "seconds_lists": 0.0}
    levels = {which: results["metrics"][f"recommend.{TEST}.{which}.ndcg{K}.ranker"] for which in SLICES}
    return {"test": {which: {"ndcg10": level, **cost} for which, level in levels.items()}}


def picture(found: Mapping[str, Any], path: Path) -> None:
    """Quality against processor seconds, a panel for each slice."""
    plt.style.use(HERE.parent / "notebooks" / "study.mplstyle")
    fig, axes = plt.subplots(2, 1, figsize=(10, 9))
    for ax, which in zip(axes, SLICES, strict=True):
        rows = {name: each["test"][which] for name, each in found.items()}
        cost = {name: row["seconds_fit"] + row["seconds_lists"] for name, row in rows.items()}
        height = {name: row["ndcg10"]["value"] for name, row in rows.items()}
        for name, row in rows.items():
            level, ours = row["ndcg10"], name.startswith("study_")
            error = [[level["value"] - level["low"]], [level["high"] - level["value"]]]
            at, (shape, color) = (cost[name], height[name]), ("s", "C1") if ours else ("o", "C0")
            ax.errorbar(*at, yerr=error, fmt=shape, color=color)
            # a name goes to the left where the one of a point close by would lie on it
            crowded = any(
                cost[name] < cost[other] < 4 * cost[name]
                and abs(height[name] - height[other]) < 0.05 * max(height.values())
                for other in rows
            )
            offset, side = ((-6, -10), "right") if crowded else ((6, 4), "left")
            ax.annotate(name, at, xytext=offset, textcoords="offset points", fontsize=8, ha=side)
        best = max(height, key=lambda name: height[name])
        ax.set(
            xscale="log",
            xlabel="seconds of one processor core, fit and lists of all households",
            ylabel=f"NDCG@{K} (95 % interval)",
            title=f"{which.capitalize()}: best is {best}",
        )
        ax.margins(x=0.2)
    fig.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="*",
        choices=list(TRIED),
        default=list(TRIED),
        metavar="PEER",
        help="some peers; none draws the picture anew",
    )
    given = parser.parse_args()
    log = prepare.clean(datasets.load(engine.connect()))
    test, validation = folds(log.events, HORIZON_DAYS, 2)
    of = {test.label: test, validation.label: validation}
    assert set(of) == {TEST, VALIDATION}, "the origins have moved"
    for fold in of.values():
        if not (kept_in(fold) / "items.parquet").is_file():
            export(fold, kept_in(fold))
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"peers": {}}
    for peer in given.only:
        try:
            content["peers"][peer] = bench(peer, of)
        except InputError as problem:
            print(problem, file=sys.stderr)
            return 1
        content["peers"] = {name: content["peers"][name] for name in TRIED if name in content["peers"]}
        write_json(RESULTS, content)
    assert_same_history(content["peers"])
    try:
        content["tafeng"] = {"tifuknn": tafeng()}
    except InputError as problem:
        print(f"TIFU-KNN is left out: {problem}", file=sys.stderr)
    write_json(RESULTS, content)
    picture(content["peers"] | {"study_ranker": recorded_ranker()}, FIGURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
