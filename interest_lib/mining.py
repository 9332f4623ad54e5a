"""What users are interested in: weighted terms, groups, latent axes, and the interest formula."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import normalize

from interest_lib.history import Floats, Ints
from interest_lib.schema import InputError


def interest_counts(events: pd.DataFrame, by: str = "category") -> tuple[sp.csr_matrix, pd.Index, pd.Index]:
    """How often every user touched every interest.

    Parameters
    ----------
    events : pandas.DataFrame
        ``user_id`` and the column `by`; rows without an interest are left out. Where there is a column
        ``weight``, each event counts by it, and no sum falls below zero.
    by : str
        Column that names the interest of an event.

    Returns
    -------
    counts : scipy.sparse.csr_matrix of float, shape (n_users, n_interests)
    user_ids, interests : pandas.Index
        Sorted labels of the rows and columns.

    Raises
    ------
    InputError
        When no event has an interest.

    Examples
    --------
    >>> log = pd.DataFrame({"user_id": [7, 7, 8], "category": ["tea", "tea", "milk"]})
    >>> counts, user_ids, interests = interest_counts(log)
    >>> counts.toarray(), list(user_ids), list(interests)
    (array([[0., 2.],
           [1., 0.]]), [7, 8], ['milk', 'tea'])
    """
    known = events[events[by].notna()]
    if known.empty:
        raise InputError(f"No event has a {by}: map a column of the items table to {by}.")
    user_codes, user_ids = pd.factorize(known["user_id"], sort=True)
    interest_codes, interests = pd.factorize(known[by], sort=True)
    shape = (len(user_ids), len(interests))
    weights = known["weight"].to_numpy(np.float64) if "weight" in known else np.ones(len(known))
    counts = sp.csr_matrix((weights, (user_codes, interest_codes)), shape=shape)
    counts.data = np.maximum(counts.data, 0.0)
    counts.eliminate_zeros()
    return counts, pd.Index(user_ids, name="user_id"), pd.Index(interests, name=by)


def tfidf(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Interests as weighted terms: frequent for the user counts, common among users does not.

    ``(1 + log(count)) * (1 + log((1 + n_users) / (1 + users_with_it)))``, each row scaled to length one.

    Parameters
    ----------
    counts : scipy.sparse.csr_matrix, shape (n_users, n_interests)

    Returns
    -------
    scipy.sparse.csr_matrix of float, same shape

    Notes
    -----
    Salton and Buckley (1988), in scikit-learn's smoothed form.

    Examples
    --------
    >>> tfidf(sp.csr_matrix([[1.0, 1.0], [1.0, 0.0]])).toarray().round(2)
    array([[0.58, 0.81],
           [1.  , 0.  ]])
    """
    return sp.csr_matrix(TfidfTransformer(sublinear_tf=True).fit_transform(counts))


def interest_directions(profiles: sp.csr_matrix, n_axes: int, random_state: int) -> Floats:
    """Profiles as directions in a latent space, without the axis that only says how much a user buys.

    The first singular vector of non-negative profiles has one sign everywhere: it is the average
    profile, and a user's place on it is the breadth of their basket. Groups built with it are groups
    of size; groups built without it are groups of taste.

    Parameters
    ----------
    profiles : scipy.sparse.csr_matrix, shape (n_users, n_interests)
    n_axes : int
        Axes kept after the first.
    random_state : int
        Seed of the randomised decomposition.

    Returns
    -------
    ndarray of float, shape (n_users, n_axes), rows of length one
    """
    n_axes = min(n_axes, min(profiles.shape) - 1)
    if n_axes < 1:
        raise InputError(
            f"Profiles of shape {profiles.shape} have no second axis: give more users or more interests."
        )
    coordinates = TruncatedSVD(n_axes + 1, random_state=random_state).fit_transform(profiles)
    directions: Floats = normalize(coordinates[:, 1:])
    return directions


def compare_group_counts(
    points: Floats, group_counts: Sequence[int], random_state: int, n_resamples: int = 6
) -> pd.DataFrame:
    """Evidence for the number of K-Means groups: are they apart, and do they come back on a resample?

    Parameters
    ----------
    points : ndarray of float, shape (n_users, n_axes)
    group_counts : sequence of int
        Values of k to try.
    random_state : int
        Seed of the clusterings and the resamples.
    n_resamples : int
        Bootstrap samples of users; each is clustered, and every pair of clusterings is compared on all users.

    Returns
    -------
    pandas.DataFrame
        ``n_groups``, ``silhouette`` (mean, -1 to 1), ``stability`` (mean adjusted Rand index, 1 =
        identical groups), ``smallest`` (users in the smallest group).

    Notes
    -----
    Rousseeuw (1987) for the silhouette; Hennig (2007) for stability under the bootstrap.
    """
    rng = np.random.default_rng(random_state)
    samples = [rng.integers(0, len(points), len(points)) for _ in range(n_resamples)]
    rows = []
    for k in group_counts:
        labels = _kmeans(k, random_state).fit(points).labels_
        again = [_kmeans(k, random_state).fit(points[sample]).predict(points) for sample in samples]
        rows.append(
            {
                "n_groups": k,
                "silhouette": silhouette_score(points, labels, sample_size=2000, random_state=random_state)
                if len(points) > 2000
                else silhouette_score(points, labels),
                "stability": np.mean([adjusted_rand_score(a, b) for a, b in combinations(again, 2)]),
                "smallest": np.bincount(labels).min(),
            }
        )
    return pd.DataFrame(rows)


def choose_group_count(evidence: pd.DataFrame, min_stability: float = 0.75) -> int:
    """The k with the highest silhouette among the stable ones; the most stable k when none is.

    Examples
    --------
    >>> choose_group_count(pd.DataFrame({"n_groups": [2, 3, 4], "silhouette": [0.2, 0.3, 0.4],
    ...                                  "stability": [0.9, 0.8, 0.5]}))
    3
    """
    stable = evidence[evidence["stability"] >= min_stability]
    pool, column = (evidence, "stability") if stable.empty else (stable, "silhouette")
    return int(pool["n_groups"].to_numpy()[pool[column].to_numpy().argmax()])


def group_users(points: Floats, n_groups: int, random_state: int) -> Ints:
    """K-Means group of every user, numbered from the largest group (0) to the smallest.

    Examples
    --------
    >>> group_users(np.array([[0.0], [0.1], [0.2], [5.0]]), n_groups=2, random_state=0).tolist()
    [0, 0, 0, 1]
    """
    labels = _kmeans(n_groups, random_state).fit(points).labels_
    by_size = np.argsort(-np.bincount(labels, minlength=n_groups), kind="stable")
    renumbered: Ints = np.argsort(by_size)[labels]
    return renumbered


def telling_interests(profiles: sp.csr_matrix, labels: Ints, interests: pd.Index, n: int = 3) -> pd.DataFrame:
    """The interests in which each group differs most from everyone else.

    Parameters
    ----------
    profiles : scipy.sparse.csr_matrix, shape (n_users, n_interests)
    labels : ndarray of int, shape (n_users,)
    interests : pandas.Index
        Names of the columns.
    n : int
        How many to name.

    Returns
    -------
    pandas.DataFrame
        ``group``, ``users``, ``telling`` (names, most telling first).

    Examples
    --------
    >>> profiles = sp.csr_matrix([[1.0, 0.0], [0.0, 1.0]])
    >>> telling_interests(profiles, np.array([0, 1]), pd.Index(["milk", "tea"]), n=1)["telling"].tolist()
    ['milk', 'tea']
    """
    rows = []
    for group in range(int(labels.max()) + 1):
        inside = labels == group
        mean_inside = np.asarray(profiles[inside].mean(axis=0)).ravel()
        mean_outside = np.asarray(profiles[~inside].mean(axis=0)).ravel()
        top = np.argsort(mean_outside - mean_inside, kind="stable")[:n]
        rows.append({"group": group, "users": int(inside.sum()), "telling": ", ".join(interests[top])})
    return pd.DataFrame(rows)


def interest_formula(similarity: sp.csr_matrix | Floats, known_interest: sp.csr_matrix | Floats) -> Floats:
    """The articles' formula: interest borrowed in proportion to similarity.

    ``w_i = sim(u, v_i) / sum_j sim(u, v_j)`` and ``interest(u) = sum_i w_i * interest(i)``.

    Parameters
    ----------
    similarity : scipy.sparse.csr_matrix or ndarray, shape (n_targets, n_sources)
        Similarity of each target to each source.
    known_interest : scipy.sparse.csr_matrix or ndarray, shape (n_sources, n_interests)
        What the sources are interested in.

    Returns
    -------
    ndarray of float, shape (n_targets, n_interests)
        A target without any positive similarity borrows nothing: its row is zero.

    Notes
    -----
    The articles leave open what a negative similarity does. Kept, it would make the denominator
    small or negative and the weights explode; so it counts as zero: an opposite teaches nothing.

    Examples
    --------
    >>> interest_formula(np.array([[3.0, 1.0, -5.0], [-1.0, 0.0, 0.0]]), np.array([[1.0, 0], [0, 1], [1, 1]]))
    array([[0.75, 0.25],
           [0.  , 0.  ]])
    """
    positive = np.maximum(similarity, 0.0) if isinstance(similarity, np.ndarray) else similarity.maximum(0.0)
    borrowed = normalize(positive, norm="l1") @ known_interest
    return borrowed.toarray() if sp.issparse(borrowed) else np.asarray(borrowed)


def _kmeans(k: int, random_state: int) -> KMeans:
    return KMeans(n_clusters=k, n_init=10, random_state=random_state)
