"""Pictures of transfer between groups: functions that draw on the axes they are given and return them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes


def gain_lines(ax: Axes, gains: Mapping[str, pd.DataFrame], claimed: float = 0.2) -> Axes:
    """Relative gain against the number of target users: a line with intervals per log, and what was claimed.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    gains : mapping of str to pandas.DataFrame
        Name of the line to ``n_target``, ``value``, ``low`` and ``high``; 0.2 is drawn as 20 %.
    claimed : float
        Where a dashed line is drawn.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> table = pd.DataFrame({"n_target": [25, 50], "value": [0.3, 0.1], "low": 0.0, "high": 0.4})
    >>> len(gain_lines(plt.figure().gca(), {"shop": table}).get_legend_handles_labels()[1])
    1
    """
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=20, linscale=1.5)  # a few target users gain some hundred per cent
    for number, (marker, (name, table)) in enumerate(zip(cycle("osD^vP"), gains.items())):
        value, low, high = (100 * table[part].to_numpy(float) for part in ("value", "low", "high"))
        x = table["n_target"].to_numpy(float) * 1.03 ** (number - len(gains) / 2)  # side by side
        errors = np.maximum([value - low, high - value], 0)
        ax.errorbar(
            x, value, errors, color=f"C{number}", marker=marker, markersize=5, linewidth=1.2, label=name
        )
    ax.axhline(0.0, color="0.35", linewidth=1.0)
    ax.axhline(100 * claimed, color="0.35", linewidth=1.0, linestyle="--")
    ax.annotate(
        f"claimed: +{100 * claimed:.0f} %",
        (1, 100 * claimed),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color="0.35",
    )
    sizes = sorted({int(n) for table in gains.values() for n in table["n_target"]})
    shown = [n for n, after in zip(sizes, [*sizes[1:], np.inf], strict=True) if after > 1.4 * n]
    ax.set_xticks(shown, [str(n) for n in shown])
    ticks = [-20, -10, 0, 10, 20, 50, 100, 200, 400]
    low_end, high_end = ax.get_ylim()
    ticks = [tick for tick in ticks if low_end <= tick <= high_end]
    ax.set_yticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return ax


def size_lines(ax: Axes, table: pd.DataFrame, source_only: float) -> Axes:
    """Scores against the number of target users: a line per method, and the source alone as a dashed one.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    table : pandas.DataFrame
        Index = target users, one column per method.
    source_only : float
        Score without any target user.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> table = pd.DataFrame({"pooled": [0.2, 0.3]}, index=[25, 50])
    >>> size_lines(plt.figure().gca(), table, 0.1).get_legend_handles_labels()[1]
    ['pooled', 'source_only']
    """
    ax.set_xscale("log")
    for number, (marker, name) in enumerate(zip(cycle("osD^vP"), table.columns)):
        ax.plot(table.index, table[name], color=f"C{number}", marker=marker, markersize=5, label=str(name))
    ax.axhline(source_only, color="0.35", linestyle="--", linewidth=1.0, label="source_only")
    ax.set_xticks(table.index.to_numpy(), [str(n) for n in table.index])
    ax.minorticks_off()
    ax.legend(fontsize=9, loc="lower right")
    return ax
