"""Recommending by content: items whose text is like what the user is interested in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from interest_lib.decay import decayed_counts
from interest_lib.embeddings import embed_texts
from interest_lib.history import Floats, History, Ints
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError
from interest_lib.text import Vectors, term_vectors

ENCODERS: dict[str, Callable[[pd.Series], Vectors]] = {
    "sentences": embed_texts,
    "terms": lambda texts: term_vectors(texts)[0],
}
"""Ways from texts to vectors: a sentence-transformer, or TF-IDF of the words."""


class ContentInterest(ScoringRecommender):
    """Items ranked by the cosine of their text's vector to the user's: the faded mean over what the user had.

    An item about which nothing is written scores zero, as does everything for a user who had no other.

    Parameters
    ----------
    texts : pandas.Series of str
        Text of every item, indexed by item id, as from `text.item_texts`; all of them are encoded at once,
        so that a later origin finds them done.
    encoder : {"sentences", "terms"}
        From `ENCODERS`.
    half_life_days, half_life_baskets : float or None
        Half-life of an event's weight, in one of the two units; None counts every event fully.
    centred : bool
        Whether what all items have in common is taken off dense vectors.
    popularity_weight : float
        Adds ``popularity_weight * log(1 + recent users)``; 0 for the cosine alone.

    Raises
    ------
    InputError
        In `fit`: another encoder, or no item of the vocabulary has a text.

    References
    ----------
    Pazzani and Billsus (2007), Content-Based Recommendation Systems.

    Examples
    --------
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 2, 3], "item_id": ["a", "b", "c"],
    ...                     "timestamp": pd.to_datetime(["2017-01-01", "2017-01-02", "2017-01-03"])})
    >>> texts = pd.Series({"a": "green tea", "b": "black tea", "c": "cordless drill tea"})
    >>> history = history_before(log, pd.Timestamp("2017-01-05"), min_users_per_item=1)
    >>> texts = pd.concat([texts, texts.add(" cup")])[lambda t: ~t.index.duplicated()]
    >>> ContentInterest(texts, "terms").fit(history).recommend([1], k=1).item_id.tolist()
    ['a']
    """

    def __init__(
        self,
        texts: pd.Series,
        encoder: str = "sentences",
        half_life_days: float | None = None,
        half_life_baskets: float | None = None,
        centred: bool = True,
        popularity_weight: float = 0.0,
    ) -> None:
        self.texts = texts
        self.encoder = encoder
        self.half_life_days = half_life_days
        self.half_life_baskets = half_life_baskets
        self.centred = centred
        self.popularity_weight = popularity_weight

    def _learn(self, history: History) -> None:
        self.vectors_ = self._vectors(history.item_ids)
        interest = decayed_counts(history, self.half_life_days, self.half_life_baskets)
        self.profiles_ = normalize(interest @ self.vectors_)

    def _vectors(self, item_ids: pd.Index) -> Vectors:
        """Vectors of length one in the order of the vocabulary; zeros for an item without text."""
        if self.encoder not in ENCODERS:
            raise InputError(f"encoder is '{self.encoder}': give one of {', '.join(ENCODERS)}.")
        place = self.texts.index.get_indexer(item_ids)
        written = (place >= 0) & (self.texts.to_numpy()[place] != "")
        if not written.any():
            raise InputError("No item of the history has a text: give texts that are indexed by item id.")
        vectors = ENCODERS[self.encoder](self.texts)[place]
        if self.centred and not sp.issparse(vectors):
            vectors = normalize(vectors - vectors[written].mean(axis=0))
        return vectors * written[:, None] if not sp.issparse(vectors) else sp.diags(written * 1.0) @ vectors

    def _scores(self, rows: Ints) -> Floats:
        product = self.profiles_[rows] @ self.vectors_.T
        cosine = np.asarray(product.toarray() if sp.issparse(product) else product, dtype=np.float64)
        return cosine + self.popularity_weight * np.log1p(self.history_.popularity)
