"""The peers that share an environment (requirements-peers.lock): RecTools and what it wraps, and SAR.

    benchmarks/.venv/bin/python benchmarks/peers_models.py FOLDER PEER SETTINGS OUT

Started by bench_peers.py, which see.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from lightfm import LightFM
from peers_harness import Task, best_of, run
from recommenders.models.sar import SAR
from rectools.dataset import Dataset
from rectools.models import (
    EASEModel,
    ImplicitALSWrapperModel,
    ImplicitBPRWrapperModel,
    ImplicitItemKNNWrapperModel,
    LightFMWrapperModel,
    SASRecModel,
)

warnings.filterwarnings("ignore")
SEED, BATCH_USERS = 2017, 256
N_DENSE = 8000  # items of models that hold an items x items matrix


class OfRecTools:
    """A model of RecTools, on pairs of user and item with a weight."""

    packages: tuple[str, ...] = ("rectools",)
    n_items: int | None = None

    def __init__(self, weights: str = "ones", half_life_days: float | None = None, **settings: Any) -> None:
        self.weights, self.half_life_days, self.settings = weights, half_life_days, settings

    def model(self, **settings: Any) -> Any:
        raise NotImplementedError

    def interactions(self, task: Task) -> pd.DataFrame:
        return task.pairs(self.weights, self.half_life_days).rename(columns={"last": "datetime"})

    def fit(self, task: Task) -> None:
        task = task.largest(self.n_items) if self.n_items else task
        self.dataset = Dataset.construct(self.interactions(task))
        self.fitted = self.model(**self.settings).fit(self.dataset)

    def lists(self, users: np.ndarray, n: int, exclude_seen: bool) -> pd.DataFrame:
        return self.fitted.recommend(
            users, self.dataset, n, filter_viewed=exclude_seen, on_unsupported_targets="ignore"
        )


class Ease(OfRecTools):
    """EASE; RecTools 0.19.0 ranks by the rows of its weights, the method by their columns.

    Column j of the weights regresses item j on all others, and its ranker takes row j for item j. Turned
    round, its scores are those of the paper.
    """

    n_items = N_DENSE

    def __init__(self, turned: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.turned = turned

    def model(self, ridge: float) -> EASEModel:
        return EASEModel(regularization=ridge, recommend_n_threads=1)

    def fit(self, task: Task) -> None:
        super().fit(task)
        if self.turned:
            self.fitted.weight = np.ascontiguousarray(self.fitted.weight.T)


class ItemKnn(OfRecTools):
    packages = ("rectools", "pm-implicit")

    def model(self, similarity: str, n_neighbours: int) -> ImplicitItemKNNWrapperModel:
        kind = {"cosine": CosineRecommender, "bm25": BM25Recommender}[similarity]
        return ImplicitItemKNNWrapperModel(kind(K=n_neighbours, num_threads=1))


class Als(OfRecTools):
    packages = ("rectools", "pm-implicit")

    def model(self, n_factors: int, alpha: float) -> ImplicitALSWrapperModel:
        als = AlternatingLeastSquares(
            n_factors, 0.05, alpha, iterations=15, num_threads=1, random_state=SEED, use_gpu=False
        )
        return ImplicitALSWrapperModel(als, recommend_n_threads=1)


class Bpr(OfRecTools):
    packages = ("rectools", "pm-implicit")

    def model(
        self, n_factors: int, learning_rate: float, n_iterations: int, regularization: float = 0.01
    ) -> ImplicitBPRWrapperModel:
        bpr = BayesianPersonalizedRanking(
            n_factors,
            learning_rate=learning_rate,
            regularization=regularization,
            iterations=n_iterations,
            num_threads=1,
            random_state=SEED,
            use_gpu=False,
        )
        return ImplicitBPRWrapperModel(bpr, recommend_n_threads=1)


class LightFmWarp(OfRecTools):
    packages = ("rectools", "rectools-lightfm")

    def model(self, n_factors: int, n_epochs: int) -> LightFMWrapperModel:
        lightfm = LightFM(no_components=n_factors, loss="warp", learning_rate=0.05, random_state=SEED)
        return LightFMWrapperModel(lightfm, epochs=n_epochs, num_threads=1, recommend_n_threads=1)


class SasRec(OfRecTools):
    """Every event counts, in the order of time: a sequence, not pairs."""

    packages = ("rectools", "torch")

    def interactions(self, task: Task) -> pd.DataFrame:
        events = task.events[["user_id", "item_id", "timestamp"]]
        return events.rename(columns={"timestamp": "datetime"}).assign(weight=1.0)

    def model(self, n_factors: int, n_epochs: int, length: int, learning_rate: float) -> SASRecModel:
        import torch  # noqa: PLC0415  (two seconds that no other peer needs)
        from pytorch_lightning import seed_everything  # noqa: PLC0415

        torch.set_num_threads(1)
        seed_everything(SEED, verbose=False)
        return SASRecModel(
            n_factors=n_factors,
            epochs=n_epochs,
            session_max_len=length,
            lr=learning_rate,
            loss="gBCE",  # the softmax over all items takes ten times as long here
            n_negatives=128,
            gbce_t=0.75,
            batch_size=64,
            deterministic=True,
            recommend_torch_device="cpu",
            recommend_n_threads=1,
        )


class Sar:
    """Microsoft Recommenders' SAR: item similarities times time-decayed affinities."""

    packages: tuple[str, ...] = ("recommenders",)

    def __init__(self, similarity: str, half_life_days: int | None) -> None:
        self.similarity, self.half_life_days = similarity, half_life_days

    def fit(self, task: Task) -> None:
        events = task.largest(N_DENSE).events
        seconds = events["timestamp"].astype("datetime64[s]").astype("int64")
        rated = events[["user_id", "item_id"]].assign(rating=np.float32(1.0), seconds=seconds)
        # it takes no row twice: what was bought twice at one moment is rated higher
        keys = ["user_id", "item_id", "seconds"] if self.half_life_days else ["user_id", "item_id"]
        rated = rated.groupby(keys, as_index=False)["rating"].sum()
        self.model = SAR(
            col_user="user_id",
            col_item="item_id",
            col_rating="rating",
            col_timestamp="seconds",
            similarity_type=self.similarity,
            timedecay_formula=bool(self.half_life_days),
            time_decay_coefficient=self.half_life_days or 30,
        )
        self.model.fit(rated)
        known = [item for item in task.items if item in self.model.item2index]
        self.items = np.array(known)
        self.columns = np.array([self.model.item2index[item] for item in known])

    def lists(self, users: np.ndarray, n: int, exclude_seen: bool) -> pd.DataFrame:
        users = np.array([user for user in users if user in self.model.user2index])
        parts = []
        for start in range(0, len(users), BATCH_USERS):
            batch = users[start : start + BATCH_USERS]
            scores = self.model.score(pd.DataFrame({"user_id": batch}), remove_seen=exclude_seen)
            parts.append(best_of(np.asarray(scores)[:, self.columns], batch, self.items, n))
        return pd.concat(parts, ignore_index=True)


PEERS = {
    "rectools_ease": Ease,
    "rectools_itemknn": ItemKnn,
    "rectools_sasrec": SasRec,
    "recommenders_sar": Sar,
    "implicit_als": Als,
    "implicit_bpr": Bpr,
    "lightfm_warp": LightFmWarp,
}

if __name__ == "__main__":
    run(PEERS)
