"""Matrix factorisation on Spark: what `pyspark.ml` has, behind the protocol of `recommend`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator

from interest_lib.engine import spark_session
from interest_lib.factorisation import pair_weights
from interest_lib.history import History, Ints
from interest_lib.layout import scratch_folder


class SparkALS(BaseEstimator):
    """Matrix factorisation of implicit feedback by Spark's alternating least squares.

    Factors, scores and lists are made by Spark; only the lists come back. Ties go by the rule of `ranking`,
    and a user without history gets the most popular items.

    Parameters
    ----------
    n_factors : int
        Length of a user's and an item's vector.
    regularization : float
        L2 penalty, as in `factorisation.ALS`. Spark multiplies its own by the number of a user's or an item's
        pairs, so it is given this divided by the pairs of the mean user.
    alpha : float
        Confidence of an observation is ``1 + alpha * weight``.
    weights : {"ones", "counts", "logs"}
        What a pair of user and item weighs, as in `factorisation.pair_weights`.
    half_life_days, half_life_baskets : float or None
        Half-life of an event in the counts, in one of the two units; None counts every event fully.
    n_iterations : int
        Sweeps over users and items.
    n_blocks : int
        Parts that users and items are dealt into, to be worked on at the same time; the result depends on it.
    random_state : int
        Seed of the start values.
    spark_master : str
        Address of a master, or ``local[*]``; not looked at when `session` is given.
    session : pyspark.sql.SparkSession or None
        A session to work in; None takes or makes that of `engine.spark_session`.

    Raises
    ------
    InputError
        In `fit`: PySpark or Java is missing, or no master answers.

    References
    ----------
    Hu, Koren and Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets.
    """

    def __init__(
        self,
        n_factors: int = 64,
        regularization: float = 0.05,
        alpha: float = 1.0,
        weights: str = "ones",
        half_life_days: float | None = None,
        n_iterations: int = 15,
        n_blocks: int = 4,
        random_state: int = 0,
        spark_master: str = "local[*]",
        session: Any = None,
        half_life_baskets: float | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.regularization = regularization
        self.alpha = alpha
        self.weights = weights
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.n_iterations = n_iterations
        self.n_blocks = n_blocks
        self.random_state = random_state
        self.spark_master = spark_master
        self.session = session

    def fit(self, history: History) -> Self:
        """Learn from the events before the history's moment."""
        self.session_ = self.session or spark_session(self.spark_master)
        from pyspark.ml.recommendation import ALS  # noqa: PLC0415, PySpark is optional

        self.history_ = history
        matrix = pair_weights(history, self.weights, self.half_life_days, self.half_life_baskets).tocoo()
        table = pa.table({"row": matrix.row, "col": matrix.col, "weight": matrix.data})
        self.pairs_ = self.session_.createDataFrame(table)
        if not self.session_.sparkContext.getCheckpointDir():
            self.session_.sparkContext.setCheckpointDir(str(scratch_folder("spark")))
        als = ALS(
            rank=self.n_factors,
            regParam=self.regularization * len(np.unique(history.rows)) / matrix.nnz,
            alpha=self.alpha,
            maxIter=self.n_iterations,
            numUserBlocks=self.n_blocks,
            numItemBlocks=self.n_blocks,
            checkpointInterval=4,  # without checkpoints each sweep remembers all before it, and overflows
            seed=self.random_state,
            implicitPrefs=True,
            userCol="row",
            itemCol="col",
            ratingCol="weight",
        )
        self.model_ = als.fit(self.pairs_)
        return self

    def recommend(self, user_ids: Iterable[object], k: int = 10, exclude_seen: bool = False) -> pd.DataFrame:
        """Ranked lists: ``user_id``, ``item_id``, ``rank`` (1 is best), ``score``."""
        users = pd.Index(list(user_ids))
        rows = self.history_.user_ids.get_indexer(users).astype(np.int64)
        lists = pd.concat([self._lists(rows[rows >= 0], k, exclude_seen), self._popular(rows, k)])
        place = pd.DataFrame({"row": rows, "place": np.arange(len(rows))})
        place["row"] = place["row"].where(place["row"] >= 0, -1 - place["place"])
        lists = lists.merge(place, on="row").sort_values(
            ["place", "score", "col"], ascending=[True, False, True]
        )
        return pd.DataFrame(
            {
                "user_id": users.take(lists["place"].to_numpy()),
                "item_id": self.history_.item_ids.take(lists["col"].to_numpy()),
                "rank": lists.groupby("place").cumcount().to_numpy() + 1,
                "score": lists["score"].to_numpy(),
            }
        )

    def _lists(self, rows: Ints, k: int, exclude_seen: bool) -> pd.DataFrame:
        """The best columns of some rows: row, col, score."""
        from pyspark.sql import Window  # noqa: PLC0415
        from pyspark.sql import functions as sql  # noqa: PLC0415

        asked = self.session_.createDataFrame(pa.table({"row": np.unique(rows).astype(np.int32)}))
        seen = self.pairs_.join(asked, "row", "left_semi").select("row", "col")
        # Spark cannot leave items out, so it is asked for as many more as a user can have seen.
        most = seen.groupBy("row").count().agg(sql.max("count")).first()[0] or 0 if exclude_seen else 0
        wanted = min(k + most, len(self.history_.item_ids))
        best = self.model_.recommendForUserSubset(asked, wanted).select(
            "row", sql.explode("recommendations").alias("r")
        )
        best = best.select("row", "r.col", sql.col("r.rating").cast("double").alias("score"))
        if exclude_seen:
            best = best.join(seen, ["row", "col"], "left_anti")
        order = Window.partitionBy("row").orderBy(sql.desc("score"), "col")
        best = best.withColumn("place", sql.row_number().over(order)).where(sql.col("place") <= k)
        return best.select("row", "col", "score").toPandas()

    def _popular(self, rows: Ints, k: int) -> pd.DataFrame:
        """The first columns, which are the most popular, with score zero, for users who are not known."""
        places = np.flatnonzero(rows < 0)
        columns = np.arange(min(k, len(self.history_.item_ids)))
        return pd.DataFrame(
            {"row": np.repeat(-1 - places, len(columns)), "col": np.tile(columns, len(places)), "score": 0.0}
        )
