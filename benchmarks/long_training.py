"""Sequence networks against a regression of what comes next: 1, 3 and 10 times the training of notebook 05.

    python benchmarks/long_training.py [--seeds 2] [--times 1 3 10] [--folder FOLDER]

See README.md beside this file.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import tuning

from interest_lib import datasets, embeddings, engine, group_transfer, groups, new_items
from interest_lib.groups import GroupTask
from interest_lib.metrics import relative_gain
from interest_lib.schema import InputError
from interest_lib.sequence_encoders import content_columns
from interest_lib.sequence_rivals import simple_rivals
from interest_lib.sequence_training import Lessons
from interest_lib.sequence_transfer import fitted, pretrained

Content = npt.NDArray[np.floating]
Row = dict[str, str]
Cell = tuple[str, int, int]  # a network, how many times the updates of the notebook, a seed

RESULTS = Path(__file__).parent / "results"
LOG, SEED, N_ITEMS = "movielens_1m", 2017, 4000  # as in notebook 05, profile full
UPDATES, FINE_TUNING = 300, (15, 40, 100)
LONGER = (1, 3, 10)
NETWORKS = ("cnn", "lstm", "transformer")
RIVAL = "followers"
SOURCE, TUNED = "source_only", "fine_tuned"
KEYS = ("network", "updates", "seed", "what")
COLUMNS = (
    *KEYS,
    *("ndcg", "gain", "low", "high", "validation"),
    *("learning_rate", "pretrained", "tuned", "seconds"),
)


def movielens() -> tuple[GroupTask, Content]:
    """Men are the source, women the target, and every item has the main directions of its text."""
    log = datasets.load(engine.connect(), LOG)
    assert log.items is not None and log.users is not None
    items = log.items.execute()
    gender = log.users.select("user_id", "gender").execute().set_index("user_id")["gender"]
    split = groups.halves(gender)
    events = log.events.select("user_id", "item_id", "timestamp").execute()
    task = group_transfer.held_out_task(group_transfer.most_met(events, split, N_ITEMS), split, SEED)
    vectors = embeddings.embed_texts(new_items.item_texts(items, task.item_ids))
    return task, content_columns(vectors)


def lessons(times: int) -> list[Lessons]:
    """The notebook's two, so many times as long: large steps, and a third as many small ones."""
    lesson = partial(Lessons, batch_size=32, length=50, reach=20)
    return [
        lesson(times * UPDATES, learning_rate=6e-3),
        lesson(times * UPDATES // 3, learning_rate=1e-3),
    ]


def trained(
    task: GroupTask, content: Content, kind: str, tried: Sequence[Lessons], lengths: Sequence[int], seed: int
) -> Iterator[tuple[str, pd.Series, Row]]:
    """Pre-trained on the source, then fine-tuned on all of the target, as in `sequence_transfer`.

    Yields
    ------
    what, scores, settings
        NDCG@10 of test users, and what validation users chose and how well it does for them.
    """
    begin = time.process_time()
    source, how, scores, liked = pretrained(task, content, kind, tried, seed)
    chosen = {"learning_rate": f"{how.learning_rate:g}", "pretrained": str(how.n_updates), "tuned": "0"}
    yield SOURCE, scores, chosen | _cost(liked, begin)

    begin, tuned = time.process_time(), (0, *lengths)
    gentle = replace(how, learning_rate=how.learning_rate / 3)
    scores, liked = fitted(task, source, task.target, gentle, tuned, seed)
    yield TUNED, scores, chosen | {"tuned": str(tuned[int(np.argmax(liked))])} | _cost(liked, begin)


def _cost(liked: Sequence[float], begin: float) -> Row:
    return {"validation": f"{max(liked):.4f}", "seconds": f"{time.process_time() - begin:.0f}"}


def rivals(task: GroupTask, n_target: int, what: str) -> dict[str, tuple[Row, pd.Series]]:
    """The rows and scores of what needs no network, from the source and some of the target together."""
    begin = time.process_time()
    scores, trials = simple_rivals(task, n_target, SEED)
    liked = trials.groupby("method")["ndcg"].max()
    key = {"updates": "0", "seed": str(SEED), "what": what}
    return {n: ({"network": n} | key | _cost([liked[n]], begin), scores[n]) for n in liked.index}


def measured(row: Row, scores: pd.Series, rival: pd.Series) -> Row:
    """The row with the mean of test users, and the gain on the same users with its 95 % interval."""
    gain = relative_gain(scores, rival, SEED)
    parts = {"gain": gain.value, "low": gain.low, "high": gain.high}
    return row | {name: f"{value:.4f}" for name, value in ({"ndcg": scores.mean()} | parts).items()}


def plan(longer: Sequence[int], seeds: Sequence[int]) -> list[Cell]:
    """One seed after the other, short training first."""
    return [(name, times, seed) for seed in seeds for times in longer for name in NETWORKS]


def measure(task: GroupTask, content: Content, cells: Sequence[Cell], path: Path) -> list[Row]:
    """All that the file does not hold yet; it is written after each row.

    Raises
    ------
    InputError
        Where the file was made from other users or items.
    """
    rows = read(path)
    simple = rivals(task, len(task.target), TUNED)
    rival = simple[RIVAL][1]
    _add(rows, [measured(row, scores, rival) for row, scores in simple.values()], path)
    if not any(row["network"] == RIVAL and row["what"] == SOURCE for row in rows):
        alone = rivals(task, 0, SOURCE).values()
        _add(rows, [measured(row, scores, rival) for row, scores in alone], path)
    for name, times, seed in cells:
        cell = {"network": name, "updates": str(times * UPDATES), "seed": str(seed)}
        if sum(cell.items() <= row.items() for row in rows) == 2:  # both from the source and fine-tuned
            continue
        lengths = [times * n for n in FINE_TUNING]
        for what, scores, told in trained(task, content, name, lessons(times), lengths, seed):
            _add(rows, [measured(cell | {"what": what} | told, scores, rival)], path)
    return rows


def _add(rows: list[Row], new: list[Row], path: Path) -> None:
    known = {tuple(row[key] for key in KEYS): row for row in rows}
    for row in new:
        before = known.get(tuple(row[key] for key in KEYS))
        if before is None:
            rows.append(row)
            print(", ".join(f"{name} {row[name]}" for name in COLUMNS if name in row), flush=True)
        elif before["ndcg"] != row["ndcg"]:
            raise InputError(f"{path.name} was made from other users or items: give another folder.")
    write(rows, path)


def read(path: Path) -> list[Row]:
    """The rows of an earlier start."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: text for name, text in row.items() if text} for row in csv.DictReader(file)]
    if any(not {*KEYS, "ndcg"} <= set(row) <= set(COLUMNS) for row in rows):
        raise InputError(f"{path.name} has other columns than this script writes: give another folder.")
    return rows


def write(rows: list[Row], path: Path) -> None:
    """Rows in the order in which they were measured; what a rival has no setting of stays empty."""
    tuning.write_rows(path, COLUMNS, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="of the networks")
    parser.add_argument("--times", type=int, nargs="+", default=LONGER, help="the updates of the notebook")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where long_training.csv is kept")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    path, seeds = given.folder / "long_training.csv", range(SEED, SEED + given.seeds)
    try:
        measure(*movielens(), plan(given.times, seeds), path)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
