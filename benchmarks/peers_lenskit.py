"""LensKit, in an environment of its own (requirements-lenskit.lock), as it needs NumPy 2.

    benchmarks/.venv-lenskit/bin/python benchmarks/peers_lenskit.py FOLDER PEER SETTINGS OUT

Started by bench_peers.py, which see.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from lenskit import RecPipelineBuilder
from lenskit.als import ImplicitMFScorer
from lenskit.basic.candidates import AllTrainingItemsCandidateSelector
from lenskit.batch import recommend
from lenskit.data import from_interactions_df
from lenskit.knn import ItemKNNScorer, UserKNNScorer
from lenskit.training import TrainingOptions
from peers_harness import Task, run

warnings.filterwarnings("ignore")
SEED = 2017


def pipeline(scorer: Any, exclude_seen: bool) -> Any:
    """The pipeline that its manual recommends; by itself it leaves out what the user had."""
    builder = RecPipelineBuilder()
    builder.scorer(scorer)
    if not exclude_seen:
        builder.candidate_selector(AllTrainingItemsCandidateSelector())
    return builder.build()


class LensKit:
    """A scorer of LensKit in its own pipeline."""

    packages: tuple[str, ...] = ("lenskit",)

    def __init__(
        self, kind: str, weights: str = "ones", half_life_days: float | None = None, **settings: Any
    ) -> None:
        self.kind, self.weights, self.half_life_days = kind, weights, half_life_days
        self.settings = settings

    def scorer(self) -> Any:
        if self.kind == "implicit_mf":
            return ImplicitMFScorer(use_ratings=self.weights != "ones", **self.settings)
        kind = {"item_knn": ItemKNNScorer, "user_knn": UserKNNScorer}[self.kind]
        return kind(feedback="implicit", **self.settings)

    def fit(self, task: Task) -> None:
        pairs = task.pairs(self.weights, self.half_life_days).rename(columns={"weight": "rating"})
        data = from_interactions_df(pairs[["user_id", "item_id", "rating"]])
        scorer = self.scorer()
        self.pipelines = {
            False: pipeline(scorer, exclude_seen=False),
            True: pipeline(scorer, exclude_seen=True),
        }
        for each in self.pipelines.values():  # the scorer is trained once
            each.train(data, TrainingOptions(retrain=False, rng=SEED))

    def lists(self, users: np.ndarray, n: int, exclude_seen: bool) -> pd.DataFrame:
        found = recommend(self.pipelines[exclude_seen], list(users), n, n_jobs=1)
        return found.to_df()[["user_id", "item_id", "score"]]


if __name__ == "__main__":
    run({"lenskit": LensKit})
