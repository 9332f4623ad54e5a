"""Pictures: functions that draw on the axes they are given and return them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from interest_lib.history import Floats, Ints


def interval_dots(ax: Axes, table: pd.DataFrame, *, reference: float | None = None, digits: int = 4) -> Axes:
    """One row per label: a dot for the value, a line for its interval, the value written beside it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : pandas.DataFrame
        Indexed by label, columns ``value``, ``low``, ``high``; the first row is drawn on top.
    reference : float, optional
        Where to draw a vertical line, for example zero for differences.
    digits : int
        Digits after the point of the written values.
    """
    y = np.arange(len(table))[::-1]
    ax.hlines(y, table["low"], table["high"], color="C0", linewidth=2.2)
    ax.plot(table["value"], y, "o", color="C0", markersize=6)
    for position, (value, high) in zip(y, table[["value", "high"]].to_numpy(), strict=True):
        _name(ax, f"{round(value, digits) + 0.0:.{digits}f}", (high, position))  # + 0.0: no -0.0
    if reference is not None:
        ax.axvline(reference, color="0.35", linewidth=1.0, linestyle="--")
    ax.set_yticks(y, [str(label) for label in table.index])
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.grid(axis="y", visible=False)
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.16 * (right - left))  # room for the written values
    return ax


def curves(ax: Axes, table: pd.DataFrame, *, mark_x: float | None = None) -> Axes:
    """One line per column over the index, each named at its right end instead of in a legend.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : pandas.DataFrame
        Index = x, columns = curves.
    mark_x : float, optional
        Where to draw a vertical line.
    """
    x = table.index.to_numpy(float)
    for number, column in enumerate(table.columns):
        ax.plot(x, table[column], marker="o", markersize=3.5, color=f"C{number}")
    low, high = ax.get_ylim()
    ends = table.iloc[-1].to_numpy(float)
    for number, height in enumerate(_apart(ends, 0.055 * (high - low))):
        _name(ax, str(table.columns[number]), (x[-1], height), color=f"C{number}")
    if mark_x is not None:
        ax.axvline(mark_x, color="0.35", linewidth=1.0, linestyle="--")
    return ax


def group_map(ax: Axes, points: Floats, labels: Ints, names: Sequence[str]) -> Axes:
    """Users as points on their first two axes, coloured by group and named in a legend below.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    points : ndarray of float, shape (n_users, >= 2)
    labels : ndarray of int, shape (n_users,)
    names : sequence of str
        Name of each group.
    """
    markers = "osD^vP*X"
    for group, name in enumerate(names):
        inside = labels == group
        ax.plot(
            points[inside, 0],
            points[inside, 1],
            linestyle="",
            marker=markers[group % len(markers)],
            markersize=3.2,
            alpha=0.6,
            color=f"C{group % 7}",
            label=name,
        )
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=2.0)
    return ax


def _name(ax: Axes, text: str, point: tuple[float, float], color: str = "black") -> None:
    """Write `text` to the right of a point, readable on top of grid lines."""
    backing = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    # a name that was moved out of the axes is to be seen all the same
    name = ax.annotate(text, point, (7, 0), textcoords="offset points", annotation_clip=False)
    name.set(va="center", fontsize=9, color=color, bbox=backing)


def _apart(heights: Floats, gap: float) -> Floats:
    """Heights moved up just as far as it takes to be `gap` apart, in the same order."""
    placed = heights.copy()
    order = np.argsort(heights, kind="stable")
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    return placed


def funnel(ax: Axes, shares: pd.Series) -> Axes:
    """Horizontal bars, the first step on top, each with its number.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    shares : pandas.Series
        Per cent that go on, by the name of the step, in order.
    """
    y = np.arange(len(shares))[::-1]
    ax.barh(y, shares, color="C0")
    for position, share in zip(y, shares, strict=True):
        _name(ax, f"{share:.1f}", (float(share), float(position)))
    ax.set_yticks(y, [str(name) for name in shares.index])
    ax.set_xlim(0, 1.15 * max(float(shares.max()), 1e-9))
    ax.grid(axis="y", visible=False)
    return ax


def trials(ax: Axes, scores: pd.DataFrame) -> Axes:
    """Scores of the values that were tried for several settings; the best value of each is marked.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    scores : pandas.DataFrame
        Index = values as text, evenly spaced in the picture; columns = settings.
    """
    x = np.arange(len(scores))
    for number, name in enumerate(scores.columns):
        ax.plot(x, scores[name], marker="o", markersize=3.5, color=f"C{number}", label=str(name))
        best = int(scores[name].to_numpy().argmax())
        ax.plot(best, scores[name].iloc[best], "o", markersize=9, color=f"C{number}")
    ax.set_xticks(x, [str(value) for value in scores.index])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax
