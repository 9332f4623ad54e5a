"""Three simple models of the study in the same harness, so that the picture shows both.

    .venv/bin/python benchmarks/peers_study.py FOLDER PEER SETTINGS OUT

Started by bench_peers.py, which see.
"""

import numpy as np
import pandas as pd
from peers_harness import Task, run

from interest_lib.history import history_before
from interest_lib.recommend import NearestUsers, PersonalFrequency, ScoringRecommender


class OfTheStudy:
    """A recommender of the library, on the same events."""

    packages: tuple[str, ...] = ()
    kind: type[ScoringRecommender]

    def __init__(self, **settings: float) -> None:
        self.model = self.kind(**settings)

    def fit(self, task: Task) -> None:
        origin = (task.events["timestamp"] + pd.to_timedelta(task.events["age_days"], unit="D")).max()
        self.model.fit(history_before(task.events, origin.round("s"), min_users_per_item=1))

    def lists(self, users: np.ndarray, n: int, exclude_seen: bool) -> pd.DataFrame:
        return self.model.recommend(users, n, exclude_seen)


class Personal(OfTheStudy):
    kind = PersonalFrequency


class Neighbours(OfTheStudy):
    kind = NearestUsers


PEERS = {"study_personal": Personal, "study_neighbours": Neighbours}

if __name__ == "__main__":
    run(PEERS)
