"""Pictures of the demand: what is expected to grow or fall, and what came."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from interest_lib.flow_plots import COLOURS
from interest_lib.schema import InputError

RATIOS = (0.05, 0.1, 0.2, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)  # ticks that may be drawn


def surest(changes: pd.DataFrame, n_each: int = 8) -> pd.DataFrame:
    """The surest falls and the surest growths, so many of each at most; the surest growth first.

    Parameters
    ----------
    changes : pandas.DataFrame
        From `demand_checks.expected_changes`.
    n_each : int
        Interests expected to fall, and to grow.

    Returns
    -------
    pandas.DataFrame
        Rows of `changes`.

    Raises
    ------
    InputError
        There is no interest that sells enough.

    Examples
    --------
    >>> table = pd.DataFrame({"sureness": [-2.0, -0.1, 0.5, 3.0]}, index=["ice", "tea", "soap", "salt"])
    >>> surest(table, 1).index.tolist()
    ['salt', 'ice']
    """
    if changes.empty:
        raise InputError("No interest sells enough to tell growth from chance: give a larger log.")
    falls, grows = changes[changes["sureness"] < 0], changes[changes["sureness"] > 0]
    return pd.concat([falls.iloc[:n_each], grows.iloc[-n_each:]]).sort_values(
        "sureness", ascending=False, kind="stable"
    )


def change_dots(ax: Axes, changes: pd.DataFrame) -> Axes:
    """One row per interest: the expected change with its interval, and beside it what came.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    changes : pandas.DataFrame
        Some rows of `demand_checks.expected_changes`, the first is drawn on top. Where the interval leaves
        out "no change", its line is thick. What came, if it is there, is a diamond: filled if it went the
        way that was expected.

    Notes
    -----
    The axis is logarithmic, in times what was bought before: half as much and twice as much are equally far.
    What is less than a twentieth is drawn there.
    """
    y = np.arange(len(changes))[::-1]
    ratio = (1 + changes[["change", "low", "high"]] / 100).clip(lower=RATIOS[0])
    sure = changes["sureness"].abs().to_numpy() > 1
    ax.hlines(y, ratio["low"], ratio["high"], color=COLOURS[0], linewidth=np.where(sure, 3.5, 1.4))
    ax.plot(ratio["change"], y, "o", color=COLOURS[0], markersize=6, label="expected, with interval")
    if "came_change" in changes:
        came = (1 + changes["came_change"] / 100).clip(lower=RATIOS[0]).to_numpy()
        right = changes["right"].to_numpy()
        for those, face, name in ((right, COLOURS[1], "that way"), (~right, "white", "the other way")):
            if not those.any():
                continue
            (dots,) = ax.plot(came[those], y[those], "D", color=face, label=f"came, {name}")
            dots.set(markeredgecolor=COLOURS[1], markersize=7, markeredgewidth=1.4)
    ax.axvline(1.0, color="0.35", linewidth=1.0, linestyle="--")
    ax.set_yticks(y, [str(name).capitalize() for name in changes.index])
    ax.set_ylim(-0.6, len(changes) - 0.4)
    ax.grid(axis="y", visible=False)
    _in_times(ax)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _in_times(ax: Axes) -> None:
    """A logarithmic axis with ticks such as "x 0.5" and "x 2", at most six."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [tick for tick in RATIOS if low <= tick <= high]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"x {tick:g}"))
