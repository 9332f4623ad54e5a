"""What every peer goes through in its own environment: read the history, fit, make lists, be measured.

The library is not imported here: a peer's environment does not have it.
"""

import argparse
import json
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

N_ASKED = 50  # longer than the lists that are scored, so that ties are broken by one rule for all


@dataclass(frozen=True)
class Task:
    """What a peer is told.

    Attributes
    ----------
    events : pandas.DataFrame
        ``user_id``, ``item_id``, ``timestamp``, ``age_days``: all that happened before the origin, in the
        vocabulary, in the order of time.
    users : ndarray
        Who gets a list; all of them have a history.
    items : ndarray
        The vocabulary in tie order.
    """

    events: pd.DataFrame
    users: np.ndarray
    items: np.ndarray

    def largest(self, n_items: int) -> "Task":
        """The same with the items that most users had: for models whose memory grows with their square."""
        n_users = self.events.groupby("item_id")["user_id"].nunique().reindex(self.items)
        kept = n_users.sort_values(ascending=False, kind="stable").index[:n_items]
        return Task(self.events[self.events["item_id"].isin(kept)], self.users, self.items)

    def pairs(self, weights: str, half_life_days: float | None = None) -> pd.DataFrame:
        """One row for each user and item that met: ``weight`` and ``last``, when they did so last.

        The weight is 1 ("ones"), the number of events ("counts") or log(1 + that) ("log_counts"), where an
        event counts ``0.5 ** (age_days / half_life_days)``.
        """
        events = self.events.assign(weight=1.0)
        if half_life_days:
            events["weight"] = 0.5 ** (events["age_days"] / half_life_days)
        found = events.groupby(["user_id", "item_id"], as_index=False).agg(
            weight=("weight", "sum"), last=("timestamp", "max")
        )
        if weights == "ones":
            found["weight"] = 1.0
        elif weights == "log_counts":
            found["weight"] = np.log1p(found["weight"])
        return found


class Peer(Protocol):
    """A model of somebody else, with its settings."""

    packages: tuple[str, ...]

    def fit(self, task: Task) -> None:
        """Learn from the events."""

    def lists(self, users: np.ndarray, n: int, exclude_seen: bool) -> pd.DataFrame:
        """The `n` best items of every user: ``user_id``, ``item_id``, ``score``."""


def read(folder: Path) -> Task:
    events = pd.read_parquet(folder / "history.parquet")
    users = pd.read_parquet(folder / "users.parquet")["user_id"].to_numpy()
    items = pd.read_parquet(folder / "items.parquet")["item_id"].to_numpy()
    return Task(events, users[np.isin(users, events["user_id"].unique())], items)


def run(peers: Mapping[str, type[Any]]) -> None:
    """Command line of a peer's program: fit one model with one setting, leave its lists and its costs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="history.parquet, users.parquet, items.parquet")
    parser.add_argument("peer", choices=list(peers))
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("out", type=Path, help="gets lists.parquet and stats.json")
    given = parser.parse_args()
    task, peer = read(given.folder), peers[given.peer](**given.settings)
    before = time.process_time()
    peer.fit(task)
    fitted = time.process_time()
    parts = {
        which: peer.lists(task.users, N_ASKED, which == "novel")[["user_id", "item_id", "score"]]
        for which in ("all", "novel")
    }
    done = time.process_time()
    stats = {
        "seconds_fit": fitted - before,
        "seconds_lists": done - fitted,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "last_event": str(task.events["timestamp"].max()),
        "n_events": len(task.events),
        "versions": {name: version(name) for name in peer.packages},
    }
    given.out.mkdir(parents=True, exist_ok=True)
    lists = pd.concat([part.assign(slice=which) for which, part in parts.items()], ignore_index=True)
    lists.to_parquet(given.out / "lists.parquet")
    (given.out / "stats.json").write_text(json.dumps(stats, indent=1), encoding="utf-8")


def best_of(scores: np.ndarray, users: np.ndarray, items: np.ndarray, n: int) -> pd.DataFrame:
    """The `n` best of dense scores whose columns are in tie order; ``-inf`` hides an item."""
    order = np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :n]
    table = pd.DataFrame(
        {
            "user_id": np.repeat(users, order.shape[1]),
            "item_id": items[order.ravel()],
            "score": np.take_along_axis(scores, order, axis=1).ravel(),
        }
    )
    return table[np.isfinite(table["score"])]
