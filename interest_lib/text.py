"""What the text of an item says: its telling terms, what lies near it, and who may like it for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from interest_lib.history import Floats, History, codes
from interest_lib.ranking import ranked_lists, rows_or_empty, top_k
from interest_lib.schema import InputError

Vectors: TypeAlias = Floats | npt.NDArray[np.float32] | sp.csr_matrix

TERM: Final = r"[^\W\d_]{2,}"
"""A term is a run of at least two letters; digits are sizes and counts, which tell little about taste."""

_BATCH_USERS = 256  # dense scores exist for this many users at a time, never for all


def item_texts(items: pd.DataFrame, columns: Sequence[str] = ("category", "title")) -> pd.Series:
    """The text of every item: its columns joined, in lower case, with single spaces.

    Parameters
    ----------
    items : pandas.DataFrame
        ``item_id`` and some of `columns`.
    columns : sequence of str
        What to join; a column that the table lacks and an empty cell are left out.

    Returns
    -------
    pandas.Series of str, indexed by item_id
        Empty for an item about which nothing is written.

    Raises
    ------
    InputError
        When no item has any text.

    Examples
    --------
    >>> items = pd.DataFrame({"item_id": [1, 2], "category": ["TEA", None],
    ...                       "title": ["BLACK  TEA 20 CT", "MUG"]})
    >>> item_texts(items).tolist()
    ['tea, black tea 20 ct', 'mug']
    """
    there = [column for column in columns if column in items]
    parts = [items[column].fillna("").astype(str).str.lower().str.split().str.join(" ") for column in there]
    text = pd.Series("", index=items.index, dtype=object)
    for part in parts:
        text = text + np.where((text != "") & (part != ""), ", ", "") + part
    if not (text != "").any():
        named = " or a ".join(columns)
        raise InputError(f"No item has a {named}: map a column of the items table to one of them.")
    return pd.Series(text.to_numpy(), index=pd.Index(items["item_id"], name="item_id"), name="text")


def term_vectors(texts: Sequence[str] | pd.Series, min_texts: int = 2) -> tuple[sp.csr_matrix, pd.Index]:
    """Texts as weighted terms (TF-IDF), rows of length one.

    Lower case; a term is a run of at least two letters, see `TERM`; no stop words and no stemming, as item
    texts are lists of nouns. A term weighs ``(1 + log(count)) * (1 + log((1 + n) / (1 + texts with it)))``.

    Parameters
    ----------
    texts : sequence of str
        One a row; the rarity of a term is counted over distinct texts, so that copies do not make it common.
    min_texts : int
        Terms in fewer distinct texts are left out.

    Returns
    -------
    vectors : scipy.sparse.csr_matrix of float, shape (n_texts, n_terms)
        A text without a known term is an empty row.
    terms : pandas.Index
        Names of the columns, sorted.

    Raises
    ------
    InputError
        When no term is in so many texts.

    Examples
    --------
    >>> vectors, terms = term_vectors(["black tea", "green tea 20 ct", "tea mug"], min_texts=1)
    >>> list(terms), vectors[1].toarray().round(2).tolist()
    (['black', 'ct', 'green', 'mug', 'tea'], [[0.0, 0.65, 0.65, 0.0, 0.39]])
    """
    codes, distinct = pd.factorize(pd.Series(texts, dtype=object), sort=True)
    model = TfidfVectorizer(token_pattern=TERM, sublinear_tf=True, min_df=min_texts)
    try:
        vectors = sp.csr_matrix(model.fit_transform(distinct))
    except ValueError:  # scikit-learn's word for an empty vocabulary
        told = f"No term is in {min_texts} texts: give more texts or a smaller min_texts."
        raise InputError(told) from None
    return sp.csr_matrix(vectors[codes]), pd.Index(model.get_feature_names_out(), name="term")


def nearest_items(vectors: Vectors, ids: pd.Index, item: object, n: int = 5) -> pd.DataFrame:
    """The items whose text is most like that of one item, by cosine.

    Parameters
    ----------
    vectors : ndarray or scipy.sparse.csr_matrix, shape (n_items, n_columns)
        Rows of length one, from `term_vectors` or `embeddings.embed_texts`.
    ids : pandas.Index, length n_items
        Names of the rows. Give one row for each distinct text, or copies of the item come first.
    item : object
        One of `ids`.
    n : int
        How many to show.

    Returns
    -------
    pandas.DataFrame
        ``item_id`` and ``similarity`` (1 = the same direction), most similar first; among equals the earlier
        row.

    Raises
    ------
    InputError
        When `item` is not one of `ids`.

    Examples
    --------
    >>> points = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> nearest_items(points, pd.Index(["tea", "coffee", "soap"]), "tea", n=1).values.tolist()
    [['coffee', 0.8]]
    """
    if item not in ids:
        raise InputError(f"There is no item {item!r} among the {len(ids):,} with a vector: give one of them.")
    row = int((ids == item).argmax())
    similarity = _dense(vectors @ vectors[row].T).reshape(1, -1)
    similarity[0, row] = -np.inf
    columns, values = top_k(similarity, min(n, len(ids) - 1))
    return pd.DataFrame({"item_id": ids.take(columns[0]), "similarity": values[0]})


def interest_vectors(item_vectors: Vectors, item_interests: pd.Series, interests: pd.Index) -> Floats:
    """A vector for each interest: the mean of its items' vectors, scaled to length one.

    Parameters
    ----------
    item_vectors : ndarray or scipy.sparse.csr_matrix, shape (n_items, n_columns)
        From `term_vectors` or `embeddings.embed_texts`.
    item_interests : pandas.Series, length n_items
        Interest of each item, in the order of the rows.
    interests : pandas.Index
        Those to give a vector; one without an item gets zeros.

    Returns
    -------
    ndarray of float, shape (n_interests, n_columns)

    Examples
    --------
    >>> points = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> interest_vectors(points, pd.Series(["tea", "soap", "tea"]), pd.Index(["soap", "tea"])).round(2)
    array([[0.  , 1.  ],
           [0.71, 0.71]])
    """
    place = codes(interests, item_interests)
    known = np.flatnonzero(place >= 0)
    cells = (place[known], known)
    member = sp.csr_matrix((np.ones(len(known)), cells), shape=(len(interests), len(place)))
    return _dense(normalize(member @ item_vectors))


def content_lists(
    history: History,
    interest: sp.csr_matrix,
    vectors: Vectors,
    user_ids: pd.Index,
    shown: npt.NDArray[np.bool_],
    popularity_weight: float = 0.0,
    k: int = 10,
) -> pd.DataFrame:
    """Items ranked by how well their text matches what the user is interested in, had ones left out.

    A user is the sum of the vectors of their items, weighted by interest and scaled to length one; the score
    of an item is its cosine to the user ``+ popularity_weight * log(1 + popularity)``.

    Parameters
    ----------
    history : History
        Users, items in tie order, popularity, and what each user had.
    interest : scipy.sparse.csr_matrix, shape history.shape
        From `decay.decayed_counts`.
    vectors : ndarray or scipy.sparse.csr_matrix, shape (n_items, n_columns)
        Rows of length one, in the order of ``history.item_ids``.
    user_ids : pandas.Index
        Users who get a list; one without a history gets the most popular items.
    shown : ndarray of bool, shape (n_items,)
        Items that may be in a list.
    popularity_weight : float
        How much a popular item is preferred among those that match alike.
    k : int
        Length of the lists.

    Returns
    -------
    pandas.DataFrame
        ``user_id``, ``item_id``, ``rank``, ``score``.
    """
    columns = np.flatnonzero(shown)
    prior = popularity_weight * np.log1p(history.popularity[columns])
    had = sp.csr_matrix((np.ones(len(history.rows)), (history.rows, history.cols)), shape=history.shape)
    places, candidates = history.user_ids.get_indexer(user_ids), vectors[columns]
    parts = []
    for start in range(0, len(user_ids), _BATCH_USERS):
        rows = places[start : start + _BATCH_USERS]
        profile = normalize(rows_or_empty(interest, rows) @ vectors)
        scores = _dense(profile @ candidates.T) + prior
        scores[rows_or_empty(had, rows)[:, columns].nonzero()] = -np.inf
        batch = user_ids[start : start + _BATCH_USERS]
        parts.append(ranked_lists(batch, scores, history.item_ids[columns], k))
    return pd.concat(parts, ignore_index=True)


def _dense(product: Any) -> Floats:
    return np.asarray(product.toarray() if sp.issparse(product) else product, dtype=np.float64)
