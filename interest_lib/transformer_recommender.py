"""The sequence networks of the transfer study as recommenders: what comes after a user's last items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.extmath import randomized_svd

from interest_lib.decay import decayed_counts
from interest_lib.history import Floats, History, Ints
from interest_lib.item_sequences import ItemSequences
from interest_lib.recommend import ScoringRecommender
from interest_lib.schema import InputError
from interest_lib.sequence_encoders import SequenceNetwork, content_columns
from interest_lib.sequence_training import Lessons, next_scores, train


class SequenceRecommender(ScoringRecommender):
    """A transformer, LSTM or convolution that reads a user's last items and scores what comes next.

    An item that is bought again is read again. What users had most often in the time before, which a window
    of their last items does not show, is not known to it.

    Parameters
    ----------
    kind : {"transformer", "lstm", "cnn"}
        See `sequence_encoders.SequenceNetwork`.
    n_items : int
        Only the items with most users are read and scored; the others score below all (training takes time in
        proportion to them).
    n_hidden : int
        Coordinates of items and states.
    n_content : int
        Coordinates that items start with, from a truncated SVD of who had them; what is learned is added. A
        few hundred updates are too few to find out from nothing which items go together. 0: from nothing.
    length : int
        Items that are read.
    reach : int
        The next so many items are foretold together.
    n_updates : int
        Steps of the optimiser: what training costs, whatever the log.
    batch_size, learning_rate, dropout, asked
        See `sequence_training.Lessons` and `SequenceNetwork`.
    random_state : int
        Of first weights, windows and dropout.

    Attributes
    ----------
    network_ : SequenceNetwork
    losses_ : list of float
        Mean log loss of every update.

    References
    ----------
    Sun et al. (2019), BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from
    Transformer.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_before
    >>> log = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["tea", "cup", "tea", "cup", "tea"],
    ...                     "timestamp": pd.date_range("2017-01-01", periods=5, freq="9D")})
    >>> history = history_before(log, pd.Timestamp("2017-02-09"), min_users_per_item=1)
    >>> model = SequenceRecommender(n_hidden=4, n_content=0, length=2, n_updates=2, batch_size=2)
    >>> model.fit(history).recommend([3], k=1, exclude_seen=True)["item_id"].tolist()
    ['cup']
    """

    def __init__(
        self,
        kind: str = "transformer",
        n_items: int = 4000,
        n_hidden: int = 64,
        n_content: int = 64,
        length: int = 100,
        reach: int = 50,
        n_updates: int = 300,
        batch_size: int = 64,
        learning_rate: float = 5e-3,
        dropout: float = 0.2,
        asked: int = 8,
        random_state: int = 0,
    ) -> None:
        self.kind = kind
        self.n_items = n_items
        self.n_hidden = n_hidden
        self.n_content = n_content
        self.length = length
        self.reach = reach
        self.n_updates = n_updates
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.asked = asked
        self.random_state = random_state

    def _learn(self, history: History) -> None:
        users_of_item = _users_of_items(history)
        self.columns_ = np.sort(np.argsort(-users_of_item, kind="stable")[: self.n_items])
        self.sequences_ = purchase_sequences(history, self.columns_)
        how = Lessons(
            n_updates=self.n_updates,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            length=self.length,
            reach=self.reach,
            asked=min(self.asked, max(self.length // 5, 1)),  # so many masks that something is left to read
            augment=("crop",),  # windows from anywhere in the history, not the last one alone
        )
        self.network_ = SequenceNetwork(
            self.kind,
            self._content(history),
            np.ones(len(self.columns_), dtype=bool),
            self.length,
            self.n_hidden,
            dropout=self.dropout,
            met=users_of_item[self.columns_],
            seed=self.random_state,
        )
        self.losses_ = train(self.network_, self.sequences_, how, self.random_state)

    def _content(self, history: History) -> npt.NDArray[np.float32]:
        had = decayed_counts(history)[:, self.columns_].log1p()
        n_content = min(self.n_content, min(had.shape) - 1)
        if n_content < 1:
            return np.zeros((len(self.columns_), 0), dtype=np.float32)
        _, size, factors = randomized_svd(had, n_content, random_state=self.random_state)
        return content_columns((size[:, None] * factors).T, n_content)

    def _scores(self, rows: Ints) -> Floats:
        scores = np.zeros((len(rows), len(self.history_.item_ids)))
        read = self.sequences_.length[rows] > 0
        if read.any():
            own = _of_users(self.sequences_, rows[read])
            told = torch.log_softmax(torch.from_numpy(next_scores(self.network_, own, self.length)), dim=1)
            scores[np.ix_(read, self.columns_)] = np.exp(told.numpy())
        return scores


def purchase_sequences(history: History, columns: Ints) -> ItemSequences:
    """Goal events of every user in the order of time; what is bought again comes again.

    Parameters
    ----------
    history : History
    columns : ndarray of int, sorted
        Items that are read; item ``columns[c]`` has code ``c + 1``.

    Returns
    -------
    ItemSequences
        A user of `history` each; empty for one who had none of the items.

    Raises
    ------
    InputError
        When nobody had any of the items.

    Examples
    --------
    >>> import pandas as pd
    >>> from interest_lib.history import history_but_baskets
    >>> log = pd.DataFrame({"user_id": [1, 2, 1], "item_id": ["b", "a", "a"], "basket_number": [1, 1, 2]})
    >>> history = history_but_baskets(log, n_hidden=0, min_users_per_item=1)
    >>> purchase_sequences(history, np.arange(2)).codes.tolist()  # the popular "a" has code 1
    [2, 1, 1]
    """
    place = np.full(history.shape[1], -1)
    place[columns] = np.arange(len(columns))
    kept = history.is_goal & (place[history.cols] >= 0)
    if not kept.any():
        raise InputError("Nobody had any of the items to read: give a longer log or more n_items.")
    rows = history.rows[kept]
    order = np.argsort(rows, kind="stable")  # events come in the order of time
    start = np.append(0, np.cumsum(np.bincount(rows, minlength=history.shape[0])))
    return ItemSequences(place[history.cols[kept]][order] + 1, start, len(columns))


def _of_users(sequences: ItemSequences, rows: Ints) -> ItemSequences:
    length = sequences.length[rows]
    start = np.append(0, np.cumsum(length))
    place = np.arange(start[-1]) + np.repeat(sequences.start[rows] - start[:-1], length)
    return ItemSequences(sequences.codes[place], start, sequences.n_items)


def _users_of_items(history: History) -> Floats:
    """How many users had each item by a goal event."""
    width = history.shape[1]
    pairs = np.unique(history.rows[history.is_goal] * width + history.cols[history.is_goal])
    return np.bincount(pairs % width, minlength=width).astype(np.float64)
