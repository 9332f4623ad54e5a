"""Pictures of feedback loops: functions that draw on the axes they are given and return them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from interest_lib.metrics import bootstrap_mean
from interest_lib.plots import _apart, _name

COLOURS: dict[str, str] = {"refreshed": "C0", "left_alone": "C1", "exploring": "C2", "organic": "0.35"}
"""One for each of `feedback_loop.ARMS`, the same in every picture."""


def learning_curves(
    ax: Axes, users: pd.DataFrame, measure: str, names: Mapping[str, str], seed: int = 0
) -> Axes:
    """A line per arm over the rounds with a band for its 95 % interval over users, named at its end.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    users : pandas.DataFrame
        ``arm``, ``round`` and the measure, as from `feedback_loop.feedback_rounds`.
    measure : str
        Column of which means are drawn.
    names : mapping of str to str
        The arms that are drawn, and what to call them.
    seed : int
        Of the bootstrap.
    """
    ends = {}
    for arm in names:
        rounds = users[users["arm"] == arm].groupby("round")[measure]
        table = pd.DataFrame({n: vars(bootstrap_mean(v, seed, 400)) for n, v in rounds}, dtype=float).T
        x = table.index.to_numpy(float) + 1
        _ = ax.fill_between(x, table["low"], table["high"], color=COLOURS[arm], alpha=0.18, linewidth=0)
        _ = ax.plot(x, table["value"], marker="o", markersize=3.5, color=COLOURS[arm])
        ends[arm] = (x[-1], float(table["value"].iloc[-1]))
    _name_ends(ax, ends, names)
    return ax


def arm_lines(ax: Axes, shop: pd.DataFrame, measure: str, names: Mapping[str, str]) -> Axes:
    """A line per arm over the rounds; where there are several logs, their mean, and each thinly behind it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    shop : pandas.DataFrame
        ``arm``, ``round``, the measure, and ``log`` where there are several.
    measure : str
    names : mapping of str to str
        The arms that are drawn, and what to call them.
    """
    ends = {}
    for arm in names:
        part = shop[shop["arm"] == arm]
        if "log" in part:
            for _, one in part.groupby("log"):
                _ = ax.plot(one["round"] + 1, one[measure], color=COLOURS[arm], alpha=0.3, linewidth=0.7)
        mean = part.groupby("round")[measure].mean()
        _ = ax.plot(mean.index + 1, mean, marker="o", markersize=3.5, color=COLOURS[arm])
        ends[arm] = (float(mean.index[-1] + 1), float(mean.iloc[-1]))
    _name_ends(ax, ends, names)
    return ax


def _name_ends(ax: Axes, ends: Mapping[str, tuple[float, float]], names: Mapping[str, str]) -> None:
    """Names beside the ends of lines, moved apart where they would meet; room for them on the right."""
    low, high = ax.get_ylim()
    heights = np.array([height for _, height in ends.values()])
    for (arm, (x, _)), height in zip(ends.items(), _apart(heights, 0.06 * (high - low)), strict=True):
        _name(ax, names[arm], (x, float(height)), color=COLOURS[arm])
    last = int(max(x for x, _ in ends.values()))
    ax.set_xlim(0.7, last + 0.3)
    ax.set_xticks(range(1, last + 1))
    ax.set_xlabel("round")
