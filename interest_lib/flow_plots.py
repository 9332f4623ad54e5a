"""Users as flows between interests over several periods, in an order in which few flows cross."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from interest_lib.history import Floats, Ints

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Okabe and Ito's colours, told apart with any colour vision; the last state, "other", is grey."""

OTHER_COLOUR: Final = "#B0B0B0"
BAR: Final = 0.035  # half the width of a period's bar, in periods
GAP: Final = 0.012  # between the bars of two states, in shares of the users
N_STARTS: Final = 20  # orders from which the one with few crossings is looked for
LINE: Final = 0.048  # least distance of two names, in shares of the users


def top_states(leading: Ints, names: Sequence[str], n_top: int) -> tuple[Ints, list[str]]:
    """Leading interests as few states: the most frequent ones, and the rest together as the last.

    Parameters
    ----------
    leading : ndarray of int, shape (n_periods, n_users)
        Codes of leading interests.
    names : sequence of str
        Name of each code.
    n_top : int
        How many keep their name.

    Returns
    -------
    states : ndarray of int, shape (n_periods, n_users)
        0 is the most frequent interest in all periods together.
    names : list of str

    Examples
    --------
    >>> top_states(np.array([[2, 2, 0], [2, 1, 1]]), ["milk", "soap", "tea"], n_top=1)
    (array([[0, 0, 1],
           [0, 1, 1]]), ['tea', 'Other'])
    """
    frequency = np.bincount(leading.ravel(), minlength=len(names))
    top = np.argsort(-frequency, kind="stable")[:n_top]
    place = np.full(len(names), len(top))
    place[top] = np.arange(len(top))
    return place[leading], [*(names[code] for code in top), "Other"]


def few_crossings(moves: Floats) -> Ints:
    """An order of states, the same in every period, in which few flows cross; the last state stays last.

    Parameters
    ----------
    moves : ndarray of float, shape (n_states, n_states)
        Users that go from one state to another, all periods together.

    Returns
    -------
    ndarray of int, shape (n_states,)
        States from the top down.

    Notes
    -----
    Pairs of users whose lines cross are counted. Every state is tried in every place as long as that helps,
    from the given order and from some drawn ones (always the same); the best end is taken.

    Examples
    --------
    >>> few_crossings(np.array([[0, 0, 9, 0], [0, 5, 0, 0], [9, 0, 0, 0], [0, 0, 0, 0]]))
    array([1, 0, 2, 3])
    """
    rng = np.random.default_rng(0)  # draws starts, so that the search does not end in the first small valley
    free = len(moves) - 1
    starts = [np.arange(free), *(rng.permutation(free) for _ in range(N_STARTS))]
    found = [_improved(moves, [*start.tolist(), free]) for start in starts]
    return np.array(min(found, key=lambda order: _crossings(moves[np.ix_(order, order)])))


def alluvial(ax: Axes, states: Ints, names: Sequence[str], periods: Sequence[str]) -> Axes:
    """Users as flows between the states of following periods; what moves keeps the colour it came from.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    states : ndarray of int, shape (n_periods, n_users)
        State of each user in each period, such as from `top_states`.
    names : sequence of str
        Name of each state; the last one, the rest, is grey and at the bottom.
    periods : sequence of str
        Name of each period.

    Notes
    -----
    The height of a band is its share of the users. Those who stay are drawn in full colour, those who move
    in light colour. Names stand at both sides, with the share of the users in per cent.
    """
    n, n_users = len(names), states.shape[1]
    moves = [np.zeros((n, n)) for _ in states[1:]]
    for table, before, after in zip(moves, states, states[1:], strict=False):
        np.add.at(table, (before, after), 1.0 / n_users)
    order = few_crossings(np.sum(moves, axis=0))
    sizes = np.array([np.bincount(row, minlength=n)[order] for row in states]) / n_users
    tops = 1 - np.cumsum(sizes, axis=1) + sizes - GAP * np.arange(n)
    colours = [OTHER_COLOUR if state == n - 1 else COLOURS[state % len(COLOURS)] for state in order]
    for period, table in enumerate(moves):
        _ribbons(ax, period, table[np.ix_(order, order)], tops[period], tops[period + 1], colours)
    for period, (top, size) in enumerate(zip(tops, sizes, strict=True)):
        ax.bar(np.full(n, period), -size, width=2 * BAR, bottom=top, color=colours, linewidth=0)
    for period, side in ((0, -1), (len(states) - 1, 1)):
        texts = [
            f"{names[state]} {100 * share:.0f} %" for state, share in zip(order, sizes[period], strict=True)
        ]
        side_names(ax, period + side * 2 * BAR, tops[period] - sizes[period] / 2, texts, side)
    ax.set_xticks(range(len(periods)), list(periods))
    ax.set_yticks([])
    ax.set_ylim(float((tops - sizes).min()) - 0.02, 1.02)
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False)
    return ax


def side_names(
    ax: Axes,
    x: float,
    heights: Floats,
    texts: Sequence[str],
    side: int,
    gap: float = LINE,
    colours: Sequence[str] | None = None,
) -> Axes:
    """Names beside their places, moved apart where they would overlap, joined to them by thin lines.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : float
        Where the places are.
    heights : ndarray of float, shape (n_names,)
    texts : sequence of str
    side : int
        1 writes to the right, -1 to the left.
    gap : float
        Least distance of two names.
    colours : sequence of str or None
        One for each name; None for black.
    """
    placed = spread(heights, gap)
    for number, (height, place, text) in enumerate(zip(heights, placed, texts, strict=True)):
        colour = "black" if colours is None else colours[number % len(colours)]
        ax.annotate(
            text,
            (x, height),
            (x + side * 0.05, place),
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=9,
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
        )
    return ax


def _improved(moves: Floats, order: list[int]) -> list[int]:
    """Every state but the last is tried in every place, as long as that helps."""
    fewest, improved = _crossings(moves[np.ix_(order, order)]), True
    while improved:
        improved = False
        for state in range(len(moves) - 1):
            rest = [other for other in order if other != state]
            for place in range(len(rest)):
                tried = [*rest[:place], state, *rest[place:]]
                crossings = _crossings(moves[np.ix_(tried, tried)])
                if crossings < fewest - 1e-9:
                    order, fewest, improved = tried, crossings, True
    return order


def _crossings(moves: Floats) -> float:
    """Pairs of users whose lines cross, given the order of rows and columns."""
    beyond = np.zeros_like(moves)
    # for every cell, what starts below it (later rows) and ends above it (earlier columns)
    later = moves[::-1].cumsum(axis=0)[::-1]
    beyond[:-1, 1:] = later[1:].cumsum(axis=1)[:, :-1]
    return float((moves * beyond).sum())


def _ribbons(
    ax: Axes, period: int, moves: Floats, tops: Floats, next_tops: Floats, colours: Sequence[str]
) -> None:
    """Flows of one step: out of a state in the order of destinations, into it in the order of sources."""
    leaves = tops[:, None] - np.cumsum(moves, axis=1) + moves
    arrives = next_tops[None, :] - np.cumsum(moves, axis=0) + moves
    way = np.linspace(0, 1, 40)
    bend = way**2 * (3 - 2 * way)
    x = period + BAR + way * (1 - 2 * BAR)
    for (here, there), size in np.ndenumerate(moves):
        if size > 0:
            top = leaves[here, there] + bend * (arrives[here, there] - leaves[here, there])
            strength = 0.75 if here == there else 0.3
            ax.fill_between(x, top - size, top, color=colours[here], alpha=strength, linewidth=0)


def spread(heights: Floats, gap: float) -> Floats:
    """Heights at least `gap` apart, in the same order, moved by as little as it takes (least squares).

    Examples
    --------
    >>> spread(np.array([0.0, 0.0, 5.0]), gap=1.0)
    array([-0.5,  0.5,  5. ])
    """
    order = np.argsort(heights, kind="stable")
    free = heights[order] - gap * np.arange(len(heights))
    blocks: list[list[float]] = []  # pool adjacent violators: sum and number of each block
    for height in free:
        blocks.append([float(height), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += number
    level = np.concatenate([np.full(int(number), total / number) for total, number in blocks])
    placed = np.empty(len(heights))
    placed[order] = level + gap * np.arange(len(heights))
    return placed
