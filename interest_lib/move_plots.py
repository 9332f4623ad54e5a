"""Transitions in blocks, the way of one user beside its forecast, and the floor that noise sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from interest_lib.flow_plots import COLOURS, side_names
from interest_lib.history import Floats, Ints


def log_lift(moves: Floats, pseudo_moves: float = 1.0) -> Floats:
    """How much more often than by chance one state follows another, as binary logarithms.

    Chance is that the destination does not depend on where a user comes from.

    Parameters
    ----------
    moves : ndarray of float, shape (n_states, n_states)
        Moves counted, row = from, column = to.
    pseudo_moves : float
        Added to what is seen and to what chance expects, so that rare moves say little.

    Examples
    --------
    >>> log_lift(np.array([[30.0, 10.0], [10.0, 30.0]]), pseudo_moves=0).round(2)
    array([[ 0.58, -1.  ],
           [-1.  ,  0.58]])
    """
    chance = np.outer(moves.sum(axis=1), moves.sum(axis=0)) / max(float(moves.sum()), 1e-300)
    return np.log2((moves + pseudo_moves) / (chance + pseudo_moves))


def block_order(lift: Floats) -> Ints:
    """An order of states in which those that exchange users stand together.

    Parameters
    ----------
    lift : ndarray of float, shape (n_states, n_states)
        From `log_lift`; the diagonal is not used.

    Returns
    -------
    ndarray of int, shape (n_states,)

    Notes
    -----
    Average linkage on the mean lift of both directions, leaves in the optimal order (Bar-Joseph, Gifford and
    Jaakkola, 2001).

    Examples
    --------
    >>> lift = np.array([[5.0, -1, 2, -1], [-1, 5, -1, 2], [2, -1, 5, -1], [-1, 2, -1, 5]])
    >>> block_order(lift)
    array([0, 2, 3, 1])
    """
    if len(lift) < 3:
        return np.arange(len(lift))
    near = (lift + lift.T) / 2
    outside = ~np.eye(len(lift), dtype=bool)
    distance = np.where(outside, near[outside].max() - near, 0.0)
    condensed = squareform(distance, checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed)).astype(np.int64)


def lift_map(ax: Axes, lift: Floats, names: Sequence[str], *, limit: float | None = None) -> Axes:
    """Transitions around chance: red is more often than by chance, blue less often, white neither.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Its figure gets a colour bar.
    lift : ndarray of float, shape (n_states, n_states)
        From `log_lift`, rows and columns in the order wanted, such as that of `block_order`.
    names : sequence of str
        In the same order.
    limit : float or None
        Binary logarithm at which the colours end. None takes one, in steps of a quarter, that leaves one cell
        in fifty beside the diagonal beyond.
    """
    if limit is None:
        beside = np.abs(lift[~np.eye(len(lift), dtype=bool)])
        limit = max(0.25, float(np.ceil(4 * np.quantile(beside, 0.98)) / 4)) if len(beside) else 1.0
    size = float(np.clip(170 / len(names), 5.5, 9))
    image = ax.imshow(lift, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set_xticks(range(len(names)), list(names), rotation=90, fontsize=size)
    ax.set_yticks(range(len(names)), list(names), fontsize=size)
    ax.grid(visible=False)
    whole = np.arange(-np.floor(limit), np.floor(limit) + 1)
    ticks = whole if limit >= 1 else np.linspace(-limit, limit, 5)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, extend="both", ticks=ticks)
    bar.ax.set_yticklabels([f"{2.0**tick:.3g}" for tick in ticks])
    bar.set_label("times as often as by chance")
    return ax


def trajectories(
    ax: Axes,
    counts: Floats,
    forecast: Floats,
    future: Floats | None,
    names: Sequence[str],
    periods: Sequence[str],
    n_leading: int = 4,
) -> Axes:
    """One user's shares of the leading interests by period, then the forecast beside what came.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    counts : ndarray of float, shape (n_periods, n_interests)
        The user's baskets with each interest, the oldest period first.
    forecast : ndarray of float, shape (n_interests,)
        Shares foretold for the period after.
    future : ndarray of float, shape (n_interests,), or None
        Baskets that came in it.
    names : sequence of str
        Name of each interest.
    periods : sequence of str
        Name of each period, the one that is foretold included.
    n_leading : int
        How many interests are drawn, those with most of the past; at most eight.

    Notes
    -----
    Dots are what was seen, with bars of one standard error to each side, ``sqrt(p (1 - p) / n)`` with one
    purchase in a hundred more on each side; a diamond is the forecast.
    """
    leading = np.argsort(-counts.sum(axis=0), kind="stable")[:n_leading]
    seen = counts if future is None else np.vstack([counts, future])
    share, error = _with_error(seen)
    x, last = np.arange(len(seen)), len(counts)
    for number, interest in enumerate(leading):
        colour, shift = COLOURS[number], 0.07 * (number - (len(leading) - 1) / 2)
        part, wide = share[:, interest], error[:, interest]
        ax.errorbar(x + shift, part, wide, fmt="o", color=colour, markersize=5, elinewidth=1.4)
        ax.plot(x[:last] + shift, part[:last], color=colour, linewidth=1.2, alpha=0.6)
        ends = [last - 1 + shift, last - 0.28 + shift]
        ax.plot(ends, [part[last - 1], forecast[interest]], color=colour, linewidth=1.2, linestyle=":")
        ax.plot(ends[1], forecast[interest], "D", color="white", markeredgecolor=colour, markersize=7)
    ax.axvspan(last - 0.5, last + 0.3, color="0.94", zorder=0)
    ax.set_xticks(range(len(periods)), list(periods))
    ax.set_ylim(bottom=0)
    low, high = ax.get_ylim()
    heights = share[-1, leading] if future is not None else forecast[leading]
    side_names(ax, last + 0.36, heights, [names[i] for i in leading], 1, 0.065 * (high - low), COLOURS)
    return ax


def floor_band(ax: Axes, value: float, low: float, high: float, name: str = "sampling noise") -> Axes:
    """A vertical line and band that no forecast can pass, to draw on `plots.interval_dots`.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    value, low, high : float
        The floor and its interval.
    name : str
        Written along the line.
    """
    ax.axvspan(low, high, color="0.85", zorder=0, linewidth=0)
    ax.axvline(value, color="0.45", linewidth=1.2)
    left, right = ax.get_xlim()
    ax.set_xlim(min(left, low - 0.1 * (right - low)), right)
    bottom, top = ax.get_ylim()
    place = (low, bottom + 0.03 * (top - bottom))
    ax.annotate(
        name, place, (-3, 0), textcoords="offset points", rotation=90, fontsize=8.5, color="0.35", ha="right"
    )
    return ax


def _with_error(counts: Floats) -> tuple[Floats, Floats]:
    """Shares and their standard errors by period."""
    n = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    share = counts / n
    softened = (counts + 0.01 * n) / (1.02 * n)  # an interest not bought at all has an error, too
    return share, np.sqrt(softened * (1 - softened) / n)
