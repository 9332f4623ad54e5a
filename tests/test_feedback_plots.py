"""Pictures of feedback loops show the numbers they are given."""

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interest_lib.feedback_plots import arm_lines, learning_curves

NAMES = {"refreshed": "learns on", "left_alone": "left alone"}


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def table() -> pd.DataFrame:
    rows = [
        (arm, number, user, log, 0.1 * number * (arm == "refreshed") + 0.01 * user + log / 100)
        for arm in NAMES
        for number in range(3)
        for user in range(20)
        for log in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["arm", "round", "user_id", "log", "ndcg"])


def test_curves_are_the_means_and_lie_in_their_bands(ax: Axes) -> None:
    assert learning_curves(ax, table(), "ndcg", NAMES) is ax
    means = table().groupby(["arm", "round"])["ndcg"].mean()
    for arm, line, band in zip(NAMES, ax.lines, ax.collections, strict=True):
        assert line.get_ydata() == pytest.approx(means[arm].to_numpy())
        assert list(line.get_xdata()) == [1, 2, 3]
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() < line.get_ydata().min()
        assert heights.max() > line.get_ydata().max()
    assert [text.get_text() for text in ax.texts] == list(NAMES.values())
    assert ax.get_xlabel() == "round"


def test_every_log_is_drawn_behind_the_mean(ax: Axes) -> None:
    shop = table().groupby(["arm", "round", "log"], as_index=False)["ndcg"].mean()
    assert arm_lines(ax, shop, "ndcg", NAMES) is ax
    assert len(ax.lines) == 2 * (2 + 1)
    thick = [line for line in ax.lines if line.get_linewidth() > 1]
    assert [list(line.get_ydata()) for line in thick] == [
        pytest.approx(shop[shop["arm"] == arm].groupby("round")["ndcg"].mean().to_list()) for arm in NAMES
    ]
    plain = Figure().subplots()
    assert len(arm_lines(plain, shop[shop["log"] == 0].drop(columns="log"), "ndcg", NAMES).lines) == 2
