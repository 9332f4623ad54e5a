"""Everything that the ranker knows of its candidates at one moment."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.history import Bools, History, Ints
from interest_lib.layout import written_whole
from interest_lib.ranker_candidates import choose
from interest_lib.ranker_features import Columns, pair_features, user_features
from interest_lib.ranker_interests import kind_features, migration_features
from interest_lib.ranker_item_features import group_features, item_features
from interest_lib.ranker_models import (
    Scorer,
    bought_together,
    by_popularity,
    latent_factors,
    neighbours_mean,
    shallow_autoencoder,
    similar_items,
    similar_words,
)
from interest_lib.ranker_promotions import promotion_features
from interest_lib.ranker_standing import standing

GROUPS: Final = {
    "mining": "02 the state of the user's interest in category, brand and department",
    "decay": "03 how often, how recently and how regularly the user bought the item",
    "migration": "04 where the user's interest in categories moves",
    "transfer": "05 what is borrowed from the nearest users, and from people of the same age and income",
    "peers": "06 scores of simple recommenders: EASE, similar items, baskets, factors",
    "combined": "06 own counts, the nearest users and EASE in one score",
    "facts": "how popular the item is, with trend, age and repeats",
    "text": "02 words of the item in comparison to those of what the user buys",
    "promotions": "what the shop plans to promote in the weeks ahead, and who buys what is promoted",
    "context": "how often the user comes and how much is new",
}
"""Groups of features, by the first word of their names, and the notebook that they come from."""
MADE_OF: Final = {"combined": ("decay", "transfer", "peers")}
"""Groups that are worked out from others, and go with any of them."""

N_NEW: Final = {
    "EASE, half-life 90": 150,
    "EASE, half-life 30": 60,
    "neighbours, half-life 90": 60,
    "neighbours, half-life 45": 60,
    "similar items": 60,
    "bought together": 50,
    "factors": 40,
    "popularity": 40,
    "words": 15,
}
"""How many new items each simple model names for every user."""

_GROUP_OF: Final = {"neighbours": "transfer", "popularity": "facts", "words": "text"}
AMONG_OWN: Final = {"peers: place: EASE, half-life 90": 30, "transfer: place: neighbours, half-life 90": 10}


@dataclass(frozen=True)
class Table:
    """Candidates of one moment with their features.

    Attributes
    ----------
    rows, cols : ndarray of int, shape (n_pairs,)
        Codes of users and items in the moment's history, sorted by row and then column.
    own : ndarray of bool, shape (n_pairs,)
        Whether the user had the item before.
    names : list of str
        Of the features, ``group: what it is``.
    features : ndarray of float32, shape (n_pairs, n_features)
        Not a number where there is nothing to tell, as the days since something that never happened.
    """

    rows: Ints
    cols: Ints
    own: Bools
    names: list[str]
    features: npt.NDArray[np.float32]

    def listed(self, novel: bool) -> Bools:
        """Which candidates are ranked: what is new to the user, or what is not and the best of what is."""
        if novel:
            return ~self.own
        best = [self.features[:, self.names.index(name)] <= number for name, number in AMONG_OWN.items()]
        return self.own | np.any(best, axis=0)


class KeptTables(MutableMapping[str, Table]):
    """Tables in a folder, so that several origins share them and memory holds only what is being read.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there. Whoever gives it to rankers with other items, users or promotions mixes
        features: use one folder for one log.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     kept = KeptTables(Path(folder))
    ...     kept["now"] = Table(np.array([0]), np.array([1]), np.array([True]), ["a"], np.ones((1, 1), "f4"))
    ...     list(kept), kept["now"].names, kept["now"].features.tolist()
    (['now'], ['a'], [[1.0]])
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __getitem__(self, key: str) -> Table:
        try:
            with np.load(self.folder / f"{key}.npz") as file:
                pairs = {name: file[name] for name in ("rows", "cols", "own", "names")}
        except FileNotFoundError:
            raise KeyError(key) from None
        features = np.load(self.folder / f"{key}.npy", mmap_mode="r")
        return Table(**{**pairs, "names": pairs["names"].tolist()}, features=features)

    def __setitem__(self, key: str, table: Table) -> None:
        np.save(self.folder / f"{key}.npy", table.features)
        with written_whole(self.folder / f"{key}.npz") as beside, beside.open("wb") as file:
            np.savez(file, rows=table.rows, cols=table.cols, own=table.own, names=np.array(table.names))

    def __delitem__(self, key: str) -> None:
        (self.folder / f"{key}.npz").unlink()
        (self.folder / f"{key}.npy").unlink()

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted(self.folder.glob("*.npz")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def simple_models(history: History, items: pd.DataFrame | None, random_state: int) -> dict[str, Scorer]:
    """The recommenders that name candidates and lend their scores, settled on one history.

    Parameters
    ----------
    history : History
    items : pandas.DataFrame or None
        With a ``title``, words become one of the models.
    random_state : int
        Seed of the factors.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"],
    ...                     "timestamp": pd.Timestamp("2017-01-01")})
    >>> models = simple_models(history_before(log, pd.Timestamp("2017-01-15"), min_users_per_item=1), None, 0)
    >>> models["popularity"](np.array([1]))
    array([[2., 1.]], dtype=float32)
    """
    found: dict[str, Scorer] = {
        "EASE, half-life 90": shallow_autoencoder(history, 90.0, ridge=100.0),
        "EASE, half-life 30": shallow_autoencoder(history, 30.0, ridge=50.0),
        "EASE, no half-life": shallow_autoencoder(history, None, ridge=500.0),
        "neighbours, half-life 90": neighbours_mean(history, 90.0, 100),
        "neighbours, half-life 45": neighbours_mean(history, 45.0, 200),
        "similar items": similar_items(history, 90.0, 100),
        "bought together": bought_together(history, 90.0),
        "factors": latent_factors(history, 90.0, 96, random_state),
        "popularity": by_popularity(history),
    }
    words = None if items is None else similar_words(history, items, 60.0)
    return found if words is None else found | {"words": words}


def table_of(
    history: History,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    promotions: pd.DataFrame | None = None,
    random_state: int = 0,
) -> Table:
    """Candidates and all their features at one moment; groups without a column to come from are left out.

    Parameters
    ----------
    history : History
        With times; from `ranker_moments.earlier`.
    items, users, promotions : pandas.DataFrame or None
        As for `ranker.Ranker`.
    random_state : int

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["a", "b", "a", "c"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-05"] * 2)})
    >>> table = table_of(history_before(log, pd.Timestamp("2017-01-10"), min_users_per_item=1))
    >>> table.rows, table.cols
    (array([0, 0, 0, 1, 1, 1]), array([0, 1, 2, 0, 1, 2]))
    >>> sorted({name.partition(":")[0] for name in table.names})
    ['combined', 'context', 'decay', 'facts', 'peers', 'transfer']
    """
    models = simple_models(history, items, random_state)
    pairs = choose(history, models, {name: n for name, n in N_NEW.items() if name in models})
    rows, cols = pairs.rows, pairs.cols
    columns: Columns = pair_features(history, rows, cols)
    columns |= user_features(history, rows) | item_features(history, cols)
    if items is not None:
        columns |= kind_features(history, items, rows, cols)
        columns |= migration_features(history, items, rows, cols)
    if users is not None:
        columns |= group_features(history, users, rows, cols)
    if promotions is not None:
        columns |= promotion_features(history, promotions, rows, cols, items)
    columns |= {_feature_name(str(name)): pairs.scores[name].to_numpy() for name in pairs.scores}
    columns |= standing(columns, rows)
    features = np.empty((len(rows), len(columns)), np.float32)
    for place, name in enumerate(columns):
        features[:, place] = columns[name]
    return Table(rows, cols, pairs.own, list(columns), features)


def _feature_name(model: str) -> str:
    kind = model.removeprefix("place: ").partition(",")[0]
    return f"{_GROUP_OF.get(kind, 'peers')}: {model}"
